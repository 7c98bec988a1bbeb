#include "base/timeout.h"

#include "base/error.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace kled {

namespace asio = boost::asio;

namespace detail {

asio::awaitable<void> expire(asio::steady_timer& timer, const bool& done, Duration limit,
                             std::string what) {
    const auto [error] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    // The timer may have fired before it was cancelled: `done` decides.
    if (error || done) co_return;
    throw Error{ErrorKind::unavailable, what + ": no answer within " + format_duration(limit)};
}

asio::awaitable<void> finish(asio::awaitable<void> work, asio::steady_timer& timer, bool& done) {
    co_await std::move(work);
    done = true;
    timer.cancel();
}

}  // namespace detail

asio::awaitable<void> with_timeout(Duration limit, std::string what, asio::awaitable<void> work) {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer{executor, limit};
    bool done = false;
    TaskGroup tasks{executor};
    tasks.spawn(detail::expire(timer, done, limit, std::move(what)));
    tasks.spawn(detail::finish(std::move(work), timer, done));
    co_await even_if_cancelled;
    co_await tasks.join();
    if (!done) throw_cancelled();
}

}  // namespace kled
