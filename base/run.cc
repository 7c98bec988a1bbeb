#include "base/run.h"

namespace kled {

void run_to_end(boost::asio::awaitable<void> body) {
    boost::asio::io_context loop{1};
    std::exception_ptr failure;
    boost::asio::co_spawn(loop, std::move(body),
                          [&](std::exception_ptr error) { failure = std::move(error); });
    loop.run();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace kled
