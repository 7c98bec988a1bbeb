/// Blocking or long work on a thread pool, awaited from a loop.
#pragma once

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <exception>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace kled {

using ThreadPool = boost::asio::thread_pool;

namespace detail {

/// What a piece of work came to: a value or an exception.
template <typename T>
class Outcome {
public:
    template <typename Work>
    void run(Work& work) noexcept {
        try {
            if constexpr (std::is_void_v<T>) {
                work();
            } else {
                value_.emplace(work());
            }
        } catch (...) {
            error_ = std::current_exception();
        }
    }
    T take() {
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
        if constexpr (!std::is_void_v<T>) return std::move(*value_);
    }

private:
    struct Nothing {};
    std::optional<std::conditional_t<std::is_void_v<T>, Nothing, T>> value_;
    std::exception_ptr error_;
};

}  // namespace detail

/// Runs `work()` on `pool` and resumes the caller on its own executor with the result, or with what
/// it threw. The work is not interrupted by cancellation: a cancelled caller waits for it, gets its
/// result, and stops at its next co_await. Join the pool before the loop goes.
template <typename Work>
boost::asio::awaitable<std::invoke_result_t<Work&>> offload(ThreadPool& pool, Work work) {
    namespace asio = boost::asio;
    // Both live in this coroutine's frame, which the handler below keeps.
    detail::Outcome<std::invoke_result_t<Work&>> outcome;
    auto start = [&pool, &work, &outcome](auto handler) {
        auto loop = asio::prefer(asio::get_associated_executor(handler),
                                 asio::execution::outstanding_work.tracked);
        asio::post(pool, [&work, &outcome, loop = std::move(loop),
                          handler = std::move(handler)]() mutable {
            outcome.run(work);
            asio::post(loop, std::move(handler));
        });
    };
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(start,
                                                                         asio::use_awaitable);
    co_return outcome.take();
}

/// The same for work that looks at a `std::stop_token` now and then: cancelling the caller requests
/// the stop, and still waits for the work to end.
template <typename Work>
boost::asio::awaitable<std::invoke_result_t<Work&, const std::stop_token&>> offload_stoppable(
    ThreadPool& pool, Work work) {
    namespace asio = boost::asio;
    std::stop_source stop;
    auto with_token = [&work, token = stop.get_token()] { return work(token); };
    detail::Outcome<std::invoke_result_t<Work&, const std::stop_token&>> outcome;
    auto start = [&pool, &with_token, &outcome, &stop](auto handler) {
        auto loop = asio::prefer(asio::get_associated_executor(handler),
                                 asio::execution::outstanding_work.tracked);
        if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected())
            slot.assign([&stop](asio::cancellation_type) { stop.request_stop(); });
        asio::post(pool, [&with_token, &outcome, loop = std::move(loop),
                          handler = std::move(handler)]() mutable {
            outcome.run(with_token);
            asio::post(loop, std::move(handler));
        });
    };
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(start,
                                                                         asio::use_awaitable);
    // The slot's handler refers to this frame.
    auto state = co_await asio::this_coro::cancellation_state;
    if (state.slot().is_connected()) state.slot().clear();
    co_return outcome.take();
}

}  // namespace kled
