/// A fleet of one hub and one device on a real broker, and clients of that broker who may mean ill.
#pragma once

#include "edge/mqtt_session.h"
#include "edge/trust.h"
#include "tests/support/fleet.h"

#include <algorithm>

namespace kled::edge {

inline const std::string everywhere = "{}";
inline const std::vector<std::string> nothing;

/// What most cases need: a hub, and a device on which the first revision is healthy.
class Fleet {
    Site& site_;
    asio::any_io_executor loop_;

public:
    Fleet(Site& site, asio::any_io_executor loop,
          std::chrono::seconds certificate_lifetime = std::chrono::hours{24},
          std::chrono::seconds key_lifetime = std::chrono::hours{24})
        : site_{site}, loop_{std::move(loop)} {
        start_hub(certificate_lifetime, key_lifetime);
    }

    void start_hub(std::chrono::seconds certificate_lifetime = std::chrono::hours{24},
                   std::chrono::seconds key_lifetime = std::chrono::hours{24}) {
        auto options = site_.hub_options();
        options.certificate_lifetime = certificate_lifetime;
        options.key_lifetime = key_lifetime;
        hub.emplace(loop_, pool, std::move(options), shown);
    }
    void start_agent() {
        agent.emplace(loop_, pool, load_identity(site_.state("d1")), site_.agent_options("d1"));
    }
    asio::awaitable<void> stop_hub() {
        co_await hub->stop();
        hub.reset();
    }
    asio::awaitable<void> stop_agent() {
        co_await agent->stop();
        agent.reset();
    }
    asio::awaitable<void> begin() {
        Labels labels;
        co_await enrol(**hub, site_.state("d1"), "d1", std::move(labels));
        start_agent();
        co_await deliver("one");
        co_await runs("one");
    }
    asio::awaitable<void> deliver(std::string word, std::string more = {}) {
        auto release = rendered("app", "main@sha1:" + word, everywhere, workload(word, out) + more);
        co_await (*hub)->deliver(std::move(release));
    }
    /// The last process that was started is of `word`, and the hub knows it.
    asio::awaitable<void> runs(std::string word) {
        co_await eventually(word + " runs and is healthy", [&] {
            const auto text = lines(out);
            const auto last = text.rfind('\n', text.empty() ? 0 : text.size() - 2);
            return text.find(" " + word + " ", last == std::string::npos ? 0 : last) !=
                       std::string::npos &&
                   device().report.observed == device().at && device().at.gen > 0 &&
                   device().report.phase == Phase::healthy;
        });
    }
    [[nodiscard]] const DeviceRecord& device(const std::string& name = "d1") {
        return (*hub)->devices().at(name);
    }
    /// "reason: message" of what the device said last; empty: none.
    [[nodiscard]] std::string condition(std::string_view type) {
        for (const auto& c : device().report.conditions)
            if (c.type == type) return c.reason + ": " + c.message;
        return {};
    }
    asio::awaitable<void> end() {
        co_await clear(**hub, out);
        if (agent) co_await stop_agent();
        co_await stop_hub();
        pool.join();
    }

    ThreadPool pool{2};
    Shown shown;
    std::filesystem::path out = site_.path() / "out";
    std::optional<Running<Hub>> hub;
    std::optional<Running<Agent>> agent;
};

/// A client of the broker with somebody's certificate; it hears what it may and says what it likes.
class Client {
public:
    Client(asio::any_io_executor loop, ThreadPool& pool, std::uint16_t port, std::string id,
           std::optional<MqttTls> tls)
        : session_{loop, pool, options(port, std::move(id), std::move(tls)), handlers()},
          tasks_{loop} {}

    asio::awaitable<void> connect(std::vector<std::string> filters) {
        co_await session_.connect();
        tasks_.spawn(session_.run());
        if (!filters.empty()) co_await session_.subscribe(std::move(filters));
    }
    /// Until the broker has taken or refused it.
    asio::awaitable<void> say(std::string topic, std::string payload, bool retain = false) {
        Message message{.topic = std::move(topic), .payload = std::move(payload), .retain = retain};
        const auto number = ++said_;
        co_await session_.publish(number, std::move(message));
        co_await eventually("the broker answers a publication",
                            [&] { return answered_ >= number; });
    }
    asio::awaitable<void> stop() {
        tasks_.cancel();
        co_await even_if_cancelled;
        co_await tasks_.join();
    }
    std::vector<std::pair<std::string, std::string>> heard;  ///< topic and payload

    [[nodiscard]] bool heard_below(std::string_view prefix) const {
        return std::ranges::any_of(
            heard, [prefix](const auto& message) { return message.first.starts_with(prefix); });
    }

private:
    static MqttOptions options(std::uint16_t port, std::string id, std::optional<MqttTls> tls) {
        MqttOptions made;
        made.port = port;
        made.client_id = std::move(id);
        made.tls = std::move(tls);
        return made;
    }
    MqttHandlers handlers() {
        return {.message =
                    [this](std::string topic, std::string payload) {
                        heard.emplace_back(std::move(topic), std::move(payload));
                    },
                .acknowledged = [this](Outbox::Sequence number) { answered_ = number; }};
    }

    MqttSession session_;
    TaskGroup tasks_;
    Outbox::Sequence said_ = 0;
    Outbox::Sequence answered_ = 0;
};

/// The hub's own certificate: who has it has stolen the broker.
inline MqttTls hub_certificate(const Site& site) {
    return Pki{site.hub_options().state}.hub_client();
}

/// Why the broker does not take a client with this certificate; empty: it does.
inline asio::awaitable<std::string> refused(Fleet& fleet, std::uint16_t port,
                                            std::optional<MqttTls> tls) {
    const auto loop = co_await asio::this_coro::executor;
    Client client{loop, fleet.pool, port, "visitor", std::move(tls)};
    try {
        co_await client.connect(nothing);
    } catch (const Error& error) {
        co_return error.what();
    }
    co_await client.stop();
    co_return std::string{};
}

}  // namespace kled::edge
