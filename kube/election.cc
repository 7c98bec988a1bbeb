#include "kube/election.h"

#include "base/log.h"
#include "base/now.h"
#include "base/task_group.h"
#include "base/timeout.h"

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <utility>

namespace kled::kube {

namespace asio = boost::asio;

namespace {

const GroupVersionKind lease_kind{.group = "coordination.k8s.io", .version = "v1", .kind = "Lease"};

std::int64_t number(const Object& lease, std::string_view key) {
    const auto* spec = lease.spec();
    const auto* value = spec == nullptr ? nullptr : spec->if_contains(key);
    return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

std::string holder_of(const Object& lease) {
    const auto* spec = lease.spec();
    return spec == nullptr ? std::string{} : std::string{find_string(*spec, {"holderIdentity"})};
}

/// What the holder promised, within reason: anybody who may write the lease could say anything.
Duration duration_of(const Object& lease) {
    constexpr std::int64_t least = 1;
    constexpr std::int64_t most = 3'600;
    return std::chrono::seconds{std::clamp(number(lease, "leaseDurationSeconds"), least, most)};
}

/// `work`, and when it ends the end of all beside it.
asio::awaitable<void> until_it_ends(std::function<asio::awaitable<void>()> work, TaskGroup& tasks) {
    co_await work();
    tasks.cancel();
}

}  // namespace

std::optional<Object> LeaseTurn::claim(const std::optional<Object>& lease, SteadyTime now,
                                       WallTime wall) {
    holder_ = lease ? holder_of(*lease) : std::string{};
    if (lease && lease->resource_version() != seen_) {
        seen_ = lease->resource_version();
        changed_ = now;
    }
    const bool ours = holder_ == options_.identity;
    const bool over = lease && now - changed_ >= duration_of(*lease);
    if (!holder_.empty() && !ours && !over) return std::nullopt;

    Object claimed = lease ? *lease : Object{};
    auto& fields = claimed.fields();
    if (!lease) {
        fields["apiVersion"] = "coordination.k8s.io/v1";
        fields["kind"] = "Lease";
        claimed.set_name(options_.name);
        claimed.set_namespace(options_.ns);
    }
    auto& value = fields["spec"];
    auto& spec = value.is_object() ? value.get_object() : value.emplace_object();
    const auto time = to_rfc3339_micro(wall);
    if (!ours) {
        spec["acquireTime"] = time;
        // As client-go: the first holder is no transition, each that takes over is one.
        spec["leaseTransitions"] = lease ? number(*lease, "leaseTransitions") + 1 : 0;
    }
    spec["holderIdentity"] = options_.identity;
    spec["leaseDurationSeconds"] =
        std::chrono::ceil<std::chrono::seconds>(options_.duration).count();
    spec["renewTime"] = time;
    return claimed;
}

Object LeaseTurn::surrender(const Object& lease, WallTime wall) const {
    Object free = lease;
    auto& spec = free.fields()["spec"].get_object();
    spec["holderIdentity"] = "";
    spec["leaseDurationSeconds"] = 1;
    spec["renewTime"] = to_rfc3339_micro(wall);
    return free;
}

asio::awaitable<void> Election::lead(std::function<asio::awaitable<void>()> work) {
    const auto loop = co_await asio::this_coro::executor;
    co_await acquire();
    leading_ = true;
    log::info("election", "leading",
              {{"lease", turn_.options().ns + "/" + turn_.options().name},
               {"as", turn_.options().identity}});
    std::exception_ptr failure;
    TaskGroup tasks{loop};
    tasks.spawn(until_it_ends(std::move(work), tasks));
    tasks.spawn(keep());
    try {
        co_await even_if_cancelled;
        co_await tasks.join();
    } catch (...) {
        failure = std::current_exception();
    }
    leading_ = false;
    // The caller may be cancelled already: giving it back must not be.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await give_back();
    if (failure) std::rethrow_exception(failure);
}

asio::awaitable<void> Election::acquire() {
    std::string told;
    for (;;) {
        std::string news;
        try {
            if (co_await attempt()) co_return;
            news = turn_.holder() + " leads; waiting";
        } catch (const Error& error) {
            news = error.what();
        }
        if (news != told) {
            log::info("election", news,
                      {{"lease", turn_.options().ns + "/" + turn_.options().name}});
            told = std::move(news);
        }
        co_await pause();
    }
}

asio::awaitable<void> Election::keep() {
    std::string why = "another took it";
    for (;;) {
        co_await pause();
        bool renewed = false;
        try {
            renewed = co_await attempt();
        } catch (const Error& error) {
            why = error.what();
        }
        if (renewed) continue;
        const auto& holder = turn_.holder();
        const bool taken = !holder.empty() && holder != turn_.options().identity;
        if (!taken && turn_.held(steady_now())) continue;
        throw Error{ErrorKind::unavailable, "the lease " + turn_.options().ns + "/" +
                                                turn_.options().name +
                                                " is lost: " + (taken ? holder + " leads" : why)};
    }
}

asio::awaitable<void> Election::pause() {
    asio::steady_timer timer{co_await asio::this_coro::executor, turn_.options().retry};
    co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<bool> Election::attempt() {
    // Three of them fit between the last renewal and the moment when we must have stopped.
    const Duration limit = turn_.options().renew_within / 3;
    auto work = claim_once();
    co_return co_await with_timeout(limit, "renewing the lease", std::move(work));
}

asio::awaitable<bool> Election::claim_once() {
    const auto& options = turn_.options();
    for (;;) {
        const auto asked = steady_now();
        const bool remembered = ours_.has_value();
        auto lease = std::exchange(ours_, std::nullopt);
        if (!remembered) lease = co_await client_.get(lease_kind, options.ns, options.name);
        const auto claimed = turn_.claim(lease, asked, wall_now());
        if (!claimed) co_return false;
        try {
            if (lease) {
                ours_ = co_await client_.update(*claimed);
            } else {
                ours_ = co_await client_.create(*claimed);
            }
        } catch (const Error& error) {
            // Somebody wrote it, or it was deleted. (Without a namespace it cannot be created.)
            const bool gone = lease && error.kind() == ErrorKind::not_found;
            if (error.kind() != ErrorKind::conflict && !gone) throw;
            if (!remembered) co_return false;
            continue;
        }
        turn_.granted(asked);
        co_return true;
    }
}

asio::awaitable<void> Election::give_back() {
    if (!ours_) co_return;
    const auto free = turn_.surrender(*ours_, wall_now());
    ours_.reset();
    try {
        constexpr Duration limit{2'000};
        auto work = client_.update(free);
        co_await with_timeout(limit, "giving the lease back", std::move(work));
    } catch (const Error& error) {
        log::info("election", error.what(), {{"lease", free.id().to_string()}});
    }
}

}  // namespace kled::kube
