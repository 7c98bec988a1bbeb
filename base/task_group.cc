#include "base/task_group.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <cassert>
#include <utility>

namespace kled {

namespace asio = boost::asio;

namespace {

bool is_cancellation(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const boost::system::system_error& e) {
        return e.code() == asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

/// A child that ends in the very call that started it, and was cancelled in it: asio would throw
/// from its own frame, through whoever started it.
asio::awaitable<void> to_its_end(asio::awaitable<void> child) {
    std::exception_ptr error;
    try {
        co_await std::move(child);
    } catch (...) {
        error = std::current_exception();
    }
    co_await even_if_cancelled;
    if (error) std::rethrow_exception(error);
}

}  // namespace

void throw_cancelled() {
    throw boost::system::system_error{asio::error::make_error_code(asio::error::operation_aborted)};
}

TaskGroup::TaskGroup(const asio::any_io_executor& executor)
    : executor_{executor}, ended_{executor, asio::steady_timer::time_point::max()} {}

TaskGroup::~TaskGroup() { assert(children_.empty() && "join() the group before it goes"); }

void TaskGroup::spawn(asio::awaitable<void> child) {
    if (cancelled_) return;
    const auto self = children_.emplace(children_.end());
    asio::co_spawn(
        executor_, to_its_end(std::move(child)),
        asio::bind_cancellation_slot(self->slot(), [this, self](std::exception_ptr error) {
            finished(self, std::move(error));
        }));
}

void TaskGroup::cancel() {
    cancelled_ = true;
    // emit() may run a child to its end, which erases it from the list.
    for (auto child = children_.begin(); child != children_.end();)
        (child++)->emit(asio::cancellation_type::terminal);
}

asio::awaitable<void> TaskGroup::join() {
    // From here on, cancelling the caller is passed on to the children instead of thrown.
    co_await even_if_cancelled;
    for (;;) {
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none && !cancelled_) cancel();
        if (children_.empty()) break;
        co_await ended_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    co_await asio::this_coro::throw_if_cancelled(true);
    if (first_error_) std::rethrow_exception(std::exchange(first_error_, nullptr));
}

void TaskGroup::finished(std::list<asio::cancellation_signal>::iterator child,
                         std::exception_ptr error) {
    children_.erase(child);
    if (error && !first_error_ && !(cancelled_ && is_cancellation(error))) {
        first_error_ = std::move(error);
        cancel();
    }
    if (children_.empty()) ended_.cancel();
}

}  // namespace kled
