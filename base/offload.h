/// Blocking or long work on a thread pool, awaited from a loop.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <type_traits>
#include <utility>

namespace kled {

using ThreadPool = boost::asio::thread_pool;

namespace detail {
template <typename Work>
boost::asio::awaitable<std::invoke_result_t<Work&>> run_here(Work work) {
    co_return work();
}
}  // namespace detail

/// Runs `work()` on `pool` and resumes the caller on its own executor with the result, or with what
/// it threw. The work is not interrupted by cancellation; what it refers to must outlive it, so
/// give it copies.
template <typename Work>
boost::asio::awaitable<std::invoke_result_t<Work&>> offload(ThreadPool& pool, Work work) {
    // The empty slot keeps a cancellation of the caller away from the pool's threads.
    co_return co_await boost::asio::co_spawn(
        pool.get_executor(), detail::run_here(std::move(work)),
        boost::asio::bind_cancellation_slot(boost::asio::cancellation_slot{},
                                            boost::asio::use_awaitable));
}

}  // namespace kled
