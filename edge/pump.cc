#include "edge/pump.h"

#include <utility>

namespace kled::edge {

namespace asio = boost::asio;

asio::awaitable<void> pump(Outbox& outbox, Publisher& publisher, Signal& wake) {
    for (;;) {
        while (auto due = outbox.next(Clock::now()))
            co_await publisher.publish(due->sequence, std::move(due->message));
        co_await wake.wait();
    }
}

}  // namespace kled::edge
