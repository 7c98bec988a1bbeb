#include "edge/mqtt_session.h"

#include "base/error.h"
#include "base/signal.h"
#include "base/task_group.h"
#include "base/timeout.h"
#include "tests/support/broker.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

namespace kled::edge {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using testing::Broker;

void run(asio::awaitable<void> body) {
    asio::io_context loop;
    asio::co_spawn(loop, std::move(body), [](const std::exception_ptr& error) {
        if (error) std::rethrow_exception(error);
    });
    loop.run();
}

/// One client and what came to it.
struct Client {
    Client(asio::any_io_executor loop, ThreadPool& pool, std::uint16_t port, std::string id,
           std::optional<Message> will = {})
        : came{loop},
          session{loop, pool,
                  MqttOptions{.port = port,
                              .client_id = std::move(id),
                              .tls = {},
                              .will = std::move(will),
                              .connect_timeout = 2s},
                  MqttHandlers{.message =
                                   [this](std::string topic, std::string payload) {
                                       messages.emplace_back(std::move(topic), std::move(payload));
                                       came.notify();
                                   },
                               .acknowledged =
                                   [this](Outbox::Sequence sequence) {
                                       acknowledged.push_back(sequence);
                                       came.notify();
                                   }}} {}

    asio::awaitable<void> messages_are(std::size_t count) {
        while (messages.size() < count) co_await came.wait();
    }
    asio::awaitable<void> acknowledged_are(std::size_t count) {
        while (acknowledged.size() < count) co_await came.wait();
    }

    Signal came;
    std::vector<std::pair<std::string, std::string>> messages;
    std::vector<Outbox::Sequence> acknowledged;
    MqttSession session;
};

asio::awaitable<void> carries(std::uint16_t port) {
    const auto loop = co_await asio::this_coro::executor;
    ThreadPool pool{1};
    Client hub{loop, pool, port, "hub"};
    Client device{loop, pool, port, "device"};
    co_await hub.session.connect();
    co_await device.session.connect();
    TaskGroup tasks{loop};
    tasks.spawn(hub.session.run());
    tasks.spawn(device.session.run());
    const std::vector<std::string> filters{"a/+", "b"};
    co_await hub.session.subscribe(filters);

    const std::string large(200'000, '\x07');  // more than a socket takes at once
    Message first{"a/x", large};
    Message second{"b", ""};
    co_await device.session.publish(7, first);
    co_await device.session.publish(8, second);
    co_await with_timeout(5s, "messages", hub.messages_are(2));
    co_await with_timeout(5s, "acknowledgements", device.acknowledged_are(2));
    EXPECT_EQ(hub.messages[0].first, "a/x");
    EXPECT_EQ(hub.messages[0].second, large);
    EXPECT_EQ(hub.messages[1].second, "");
    EXPECT_EQ(device.acknowledged, (std::vector<Outbox::Sequence>{7, 8}));
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
    pool.join();
}

TEST(MqttSession, CarriesMessagesAndTheirAcknowledgements) {
    const Broker broker;
    run(carries(broker.port()));
}

asio::awaitable<void> loses(Broker& broker) {
    const auto loop = co_await asio::this_coro::executor;
    ThreadPool pool{1};
    Client device{loop, pool, broker.port(), "device"};
    co_await device.session.connect();
    broker.kill();
    std::string what;
    try {
        co_await with_timeout(5s, "loss", device.session.run());
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unavailable);
        what = error.what();
    }
    EXPECT_EQ(what.find("broker 127.0.0.1:"), 0U) << what;
    Client again{loop, pool, broker.port(), "device"};
    try {
        co_await again.session.connect();
        ADD_FAILURE() << "connected to a dead broker";
    } catch (const Error& error) {
        EXPECT_NE(std::string{error.what()}.find("Connection refused"), std::string::npos)
            << error.what();
    }
    broker.start();
    Client third{loop, pool, broker.port(), "device"};
    co_await third.session.connect();
    pool.join();
}

TEST(MqttSession, SaysWhenTheBrokerIsGone) {
    Broker broker;
    run(loses(broker));
}

asio::awaitable<void> dies(std::uint16_t port) {
    const auto loop = co_await asio::this_coro::executor;
    ThreadPool pool{1};
    Client hub{loop, pool, port, "hub"};
    co_await hub.session.connect();
    TaskGroup tasks{loop};
    tasks.spawn(hub.session.run());
    const std::vector<std::string> filters{"will"};
    co_await hub.session.subscribe(filters);
    const Message will{"will", "gone"};
    {
        Client device{loop, pool, port, "device", will};
        co_await device.session.connect();
    }
    co_await with_timeout(5s, "will", hub.messages_are(1));
    EXPECT_EQ(hub.messages[0].second, "gone");
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
    pool.join();
}

TEST(MqttSession, LeavesItsWillWhenItDies) {
    const Broker broker;
    run(dies(broker.port()));
}

asio::awaitable<void> silent() {
    const auto loop = co_await asio::this_coro::executor;
    ThreadPool pool{1};
    // Listens and never answers.
    const FileDescriptor socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(socket.get(), 1), 0);
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
    const MqttOptions options{.port = ntohs(address.sin_port),
                              .client_id = "d",
                              .tls = {},
                              .will = {},
                              .connect_timeout = 100ms};
    MqttSession session{loop, pool, options, {}};
    std::string what;
    try {
        co_await session.connect();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unavailable);
        what = error.what();
    }
    EXPECT_NE(what.find("no answer within"), std::string::npos) << what;
    pool.join();
}

TEST(MqttSession, GivesUpOnABrokerThatNeverAnswers) { run(silent()); }

}  // namespace
}  // namespace kled::edge
