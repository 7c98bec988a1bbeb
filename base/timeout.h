/// An end to waiting: work that is cancelled when its time is up.
#pragma once

#include "base/clock.h"
#include "base/task_group.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace kled {

namespace detail {

/// Throws Error(unavailable) "<what>: no answer within <limit>" unless `done` by then.
boost::asio::awaitable<void> expire(boost::asio::steady_timer& timer, const bool& done,
                                    Duration limit, std::string what);

template <typename T>
boost::asio::awaitable<void> finish(boost::asio::awaitable<T> work, std::optional<T>& result,
                                    boost::asio::steady_timer& timer, bool& done) {
    result.emplace(co_await std::move(work));
    done = true;
    timer.cancel();
}

boost::asio::awaitable<void> finish(boost::asio::awaitable<void> work,
                                    boost::asio::steady_timer& timer, bool& done);

}  // namespace detail

/// The result of `work`, or what it threw; after `limit` it is cancelled, waited for, and
/// Error(unavailable) names `what`. Cancelling the caller cancels the work.
template <typename T>
boost::asio::awaitable<T> with_timeout(Duration limit, std::string what,
                                       boost::asio::awaitable<T> work) {
    const auto executor = co_await boost::asio::this_coro::executor;
    boost::asio::steady_timer timer{executor, limit};
    bool done = false;
    std::optional<T> result;
    TaskGroup tasks{executor};
    tasks.spawn(detail::expire(timer, done, limit, std::move(what)));
    tasks.spawn(detail::finish(std::move(work), result, timer, done));
    co_await even_if_cancelled;
    co_await tasks.join();
    if (!done) throw_cancelled();
    co_return std::move(*result);
}

boost::asio::awaitable<void> with_timeout(Duration limit, std::string what,
                                          boost::asio::awaitable<void> work);

}  // namespace kled
