#include "gitops/health/health_wait.h"

#include "base/task_group.h"
#include "gitops/health/health.h"
#include "gitops/objects/annotations.h"
#include "kube/watch.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <list>
#include <optional>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

Health health_of_absent(bool expires) {
    if (expires) return {};
    return {Health::State::in_progress, "it is not there"};
}

/// One object's health, kept up by a watch on it alone.
class Patient : public kube::WatchHandler {
public:
    Patient(const WatchedObject& watched, Health health, asio::steady_timer& alarm)
        : gvk_{watched.gvk},
          id_{watched.id},
          expires_{watched.expires},
          health_{std::move(health)},
          alarm_{alarm} {}

    asio::awaitable<void> observe(kube::Client& client) {
        kube::WatchOptions options;
        options.list.ns = id_.ns;
        options.list.field_selector = "metadata.name=" + id_.name;
        co_await kube::watch(client, gvk_, options, *this);
    }

    void list_page(std::vector<kube::Object> items, bool first) override {
        if (first) listed_ = false;
        for (auto& item : items) {
            listed_ = true;
            changed(std::move(item));
        }
    }
    void list_complete() override {
        if (!listed_) absent();
    }
    void changed(kube::Object object) override {
        health_ = health_of(object);
        alarm_.cancel();
    }
    void deleted(kube::Object) override { absent(); }

    [[nodiscard]] const Health& health() const noexcept { return health_; }
    [[nodiscard]] std::string line() const { return id_.to_string() + ": " + health_.message; }

private:
    void absent() {
        health_ = health_of_absent(expires_);
        alarm_.cancel();
    }

    kube::GroupVersionKind gvk_;
    kube::ObjectId id_;
    bool expires_;
    Health health_;
    asio::steady_timer& alarm_;
    bool listed_ = false;
};

std::vector<std::string> lines_of(const std::list<Patient>& patients) {
    std::vector<std::string> lines;
    for (const auto& patient : patients)
        if (patient.health().state != Health::State::current) lines.push_back(patient.line());
    return lines;
}

/// Until all are well, one is beyond hope, the time is up or the caller gives up.
asio::awaitable<std::vector<std::string>> attend(const std::list<Patient>& patients,
                                                 SteadyTime deadline, asio::steady_timer& alarm,
                                                 const std::function<bool()>& give_up) {
    for (;;) {
        auto why = lines_of(patients);
        const bool hopeless = std::ranges::any_of(patients, [](const Patient& patient) {
            return patient.health().state == Health::State::failed;
        });
        if (why.empty() || hopeless) co_return why;
        if (give_up()) co_return why;
        if (std::chrono::steady_clock::now() >= deadline) {
            why.insert(why.begin(), "not healthy in time");
            co_return why;
        }
        alarm.expires_at(deadline);
        co_await alarm.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

asio::awaitable<void> attend_then_stop(const std::list<Patient>& patients, SteadyTime deadline,
                                       asio::steady_timer& alarm,
                                       const std::function<bool()>& give_up,
                                       std::optional<std::vector<std::string>>& result,
                                       TaskGroup& tasks) {
    auto why = co_await attend(patients, deadline, alarm, give_up);
    result = std::move(why);
    tasks.cancel();  // the watches
}

}  // namespace

asio::awaitable<std::vector<std::string>> wait_until_healthy(kube::Client& client,
                                                             const Watched& objects,
                                                             SteadyTime deadline,
                                                             asio::steady_timer& alarm,
                                                             const std::function<bool()>& give_up) {
    std::list<Patient> patients;
    for (const auto& one : objects) {
        const auto live = co_await client.get(one.gvk, one.id.ns, one.id.name);
        if (live && one.brought && says_hands_off(*live)) continue;
        auto health = live ? health_of(*live) : health_of_absent(one.expires);
        if (health.state == Health::State::current) continue;
        patients.emplace_back(one, std::move(health), alarm);
    }
    std::optional<std::vector<std::string>> result;
    if (patients.empty()) co_return std::vector<std::string>{};
    TaskGroup tasks{co_await asio::this_coro::executor};
    tasks.spawn(attend_then_stop(patients, deadline, alarm, give_up, result, tasks));
    for (auto& patient : patients) tasks.spawn(patient.observe(client));
    co_await even_if_cancelled;
    co_await tasks.join();
    if (!result) throw_cancelled();
    co_return std::move(*result);
}

}  // namespace kled::gitops
