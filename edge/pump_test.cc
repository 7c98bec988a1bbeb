#include "edge/pump.h"

#include "base/error.h"
#include "base/task_group.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <vector>

namespace kled::edge {
namespace {

namespace asio = boost::asio;

/// Remembers what it was given; `broken` makes it a lost connection.
class FakePublisher final : public Publisher {
public:
    asio::awaitable<void> publish(Outbox::Sequence, Message message) override {
        if (broken) throw Error{ErrorKind::unavailable, "broker: connection reset"};
        published.push_back(message.payload);
        co_return;
    }
    std::vector<std::string> published;
    bool broken = false;
};

/// Runs a test body as a coroutine on a loop of its own; what it throws fails the test.
void run(asio::awaitable<void> body) {
    asio::io_context loop;
    asio::co_spawn(loop, std::move(body), [](const std::exception_ptr& error) {
        if (error) std::rethrow_exception(error);
    });
    loop.run();
}

asio::awaitable<void> yield() {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
}

asio::awaitable<void> sends_what_was_there_and_what_comes() {
    const auto loop = co_await asio::this_coro::executor;
    Outbox outbox{{}};
    FakePublisher broker;
    Signal wake{loop};
    outbox.push({"t", "a"});

    TaskGroup tasks{loop};
    tasks.spawn(pump(outbox, broker, wake));
    co_await yield();
    outbox.push({"t", "b"});
    wake.notify();
    co_await yield();
    co_await yield();
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();

    EXPECT_EQ(broker.published, (std::vector<std::string>{"a", "b"}));
}

TEST(Pump, SendsWhatWasThereAndWhatComes) { run(sends_what_was_there_and_what_comes()); }

asio::awaitable<void> forever(Signal& never) { co_await never.wait(); }

asio::awaitable<void> failure_ends_the_group() {
    const auto loop = co_await asio::this_coro::executor;
    Outbox outbox{{}};
    FakePublisher broker;
    broker.broken = true;
    Signal wake{loop};
    Signal never{loop};
    outbox.push({"t", "a"});

    TaskGroup tasks{loop};
    tasks.spawn(forever(never));
    tasks.spawn(pump(outbox, broker, wake));
    std::string what;
    try {
        co_await even_if_cancelled;
        co_await tasks.join();
    } catch (const Error& error) {
        what = error.within("edge").what();
    }
    EXPECT_EQ(what, "edge: broker: connection reset");
}

TEST(Pump, ABrokenConnectionEndsTheTasksBesideIt) { run(failure_ends_the_group()); }

}  // namespace
}  // namespace kled::edge
