/// One coroutine tells another that something changed.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

namespace kled {

/// A notification with nobody waiting is kept for the next wait: one, not a count.
class Signal {
public:
    explicit Signal(const boost::asio::any_io_executor& executor)
        : timer_{executor, boost::asio::steady_timer::time_point::max()} {}

    void notify();

    /// Throws boost::system::system_error(operation_aborted) when the waiting task is cancelled.
    boost::asio::awaitable<void> wait();

private:
    boost::asio::steady_timer timer_;
    bool set_ = false;
};

}  // namespace kled
