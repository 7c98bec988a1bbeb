/// From one loop to another and back.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace kled {

/// Runs `work` on `executor`'s loop and resumes the caller on its own loop with the result. How a
/// role offers its state to others: the state is touched by its own thread alone. Cancelling the
/// caller is passed on through the other loop.
template <typename T>
boost::asio::awaitable<T> on(boost::asio::any_io_executor executor,
                             boost::asio::awaitable<T> work) {
    co_return co_await boost::asio::co_spawn(executor, std::move(work), boost::asio::use_awaitable);
}

}  // namespace kled
