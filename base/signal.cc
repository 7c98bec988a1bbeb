#include "base/signal.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace kled {

namespace asio = boost::asio;

void Signal::notify() {
    set_ = true;
    timer_.cancel();
}

asio::awaitable<void> Signal::wait() {
    while (!set_) co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    set_ = false;
}

}  // namespace kled
