#include "kube/served.h"

#include "base/log.h"
#include "base/task_group.h"
#include "kube/watch.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <optional>
#include <utility>

namespace kled::kube {

namespace asio = boost::asio;

namespace {

const GroupVersionKind definition_kind{"apiextensions.k8s.io", "v1", "CustomResourceDefinition"};
constexpr Duration pause{5'000};
// A definition is there before the server serves its kind.
constexpr Duration short_pause{100};
constexpr int short_pauses = 50;
constexpr std::size_t definitions_at_once = 20;  // they are large

/// Hears of definitions, and wakes who waits for this one.
class Definitions final : public WatchHandler {
public:
    Definitions(const GroupVersionKind& wanted, asio::steady_timer& waiting)
        : wanted_{wanted}, waiting_{waiting} {}

    void list_page(std::vector<Object> items, bool) override {
        for (auto& item : items) changed(std::move(item));
    }
    void list_complete() override {}
    void changed(Object object) override {
        const auto& fields = object.fields();
        if (find_string(fields, {"spec", "group"}) != wanted_.group ||
            find_string(fields, {"spec", "names", "kind"}) != wanted_.kind)
            return;
        looks = short_pauses;
        waiting_.cancel();
    }
    void deleted(Object) override {}

    int looks = 0;  ///< still to be made in a hurry

private:
    const GroupVersionKind& wanted_;
    asio::steady_timer& waiting_;
};

asio::awaitable<std::optional<Mapping>> served_now(Client& client, const GroupVersionKind& gvk) {
    try {
        co_return co_await client.map(gvk);
    } catch (const Error& error) {
        log::debug("kube", "cannot read what is served", {{"error", error.what()}});
    }
    co_return std::nullopt;
}

asio::awaitable<void> look(Client& client, const GroupVersionKind& gvk, asio::steady_timer& waiting,
                           Definitions& definitions, std::optional<Mapping>& found,
                           TaskGroup& tasks) {
    for (bool told = false;;) {
        found = co_await served_now(client, gvk);
        if (found) break;
        if (!std::exchange(told, true))
            log::info("kube", "waiting for its definition", {{"kind", gvk.to_string()}});
        const bool hurry = definitions.looks > 0;
        if (hurry) --definitions.looks;
        waiting.expires_after(hurry ? short_pause : pause);
        co_await waiting.async_wait(asio::as_tuple(asio::use_awaitable));
        if (definitions.looks > 0) client.discovery_changed();
    }
    tasks.cancel();
}

}  // namespace

asio::awaitable<Mapping> until_served(Client& client, GroupVersionKind gvk) {
    const auto loop = co_await asio::this_coro::executor;
    auto found = co_await served_now(client, gvk);
    if (found) co_return *std::move(found);
    asio::steady_timer waiting{loop};
    Definitions definitions{gvk, waiting};
    TaskGroup tasks{loop};
    tasks.spawn(look(client, gvk, waiting, definitions, found, tasks));
    // What has no dot is the server's own.
    if (gvk.group.find('.') != std::string::npos && gvk.group != definition_kind.group) {
        WatchOptions options;
        options.list.page = definitions_at_once;
        tasks.spawn(watch(client, definition_kind, std::move(options), definitions));
    }
    co_await even_if_cancelled;
    co_await tasks.join();
    if (!found) throw_cancelled();
    co_return *std::move(found);
}

}  // namespace kled::kube
