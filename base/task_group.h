/// Structured concurrency: tasks that start together, end together.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <exception>
#include <list>

namespace kled {

/// Ends a task that was cancelled: throws boost::system::system_error(operation_aborted).
[[noreturn]] void throw_cancelled();

/// `co_await even_if_cancelled; co_await group.join();`: what awaits next does so though its caller
/// was cancelled. Without it a coroutine that was cancelled while it could not be stopped would
/// throw at the co_await itself, before the first line of `join`, and leave the group with
/// children.
inline const auto even_if_cancelled = boost::asio::this_coro::throw_if_cancelled(false);

/// When one child fails, the others are cancelled and `join` throws that first failure. Everything
/// runs on `executor`, which is one thread (or a strand). Declare the group after what its children
/// refer to, and join it on every path: a group must be empty when it is destroyed.
class TaskGroup {
public:
    explicit TaskGroup(const boost::asio::any_io_executor& executor);
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;
    ~TaskGroup();

    /// A cancelled group starts nothing more: `child` is then dropped before its first line.
    void spawn(boost::asio::awaitable<void> child);

    /// Asks every child to stop; one that ends by being cancelled is not a failure.
    void cancel();

    /// Waits until no child is left. Cancelling the caller cancels the children, and still waits;
    /// it then returns as if all had ended well, so a caller that needs their results looks for
    /// them (`if (!result) throw_cancelled()`). Await `even_if_cancelled` first.
    boost::asio::awaitable<void> join();

private:
    void finished(std::list<boost::asio::cancellation_signal>::iterator child,
                  std::exception_ptr error);

    boost::asio::any_io_executor executor_;
    boost::asio::steady_timer ended_;  // never fires; cancelled when the last child ends
    std::list<boost::asio::cancellation_signal> children_;
    std::exception_ptr first_error_;
    bool cancelled_ = false;
};

}  // namespace kled
