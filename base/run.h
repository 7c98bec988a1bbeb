/// From a plain function into coroutines: commands and tests.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <optional>
#include <utility>

namespace kled {

/// Runs `body` on a loop of its own until it and all it started have ended; its result, or what it
/// threw.
template <typename T>
T run_to_end(boost::asio::awaitable<T> body) {
    boost::asio::io_context loop{1};
    std::exception_ptr failure;
    std::optional<T> result;
    boost::asio::co_spawn(loop, std::move(body), [&](std::exception_ptr error, T value) {
        failure = std::move(error);
        if (!failure) result.emplace(std::move(value));
    });
    loop.run();
    if (failure) std::rethrow_exception(failure);
    return std::move(*result);
}

void run_to_end(boost::asio::awaitable<void> body);

}  // namespace kled
