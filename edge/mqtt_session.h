/// One MQTT 5 connection, on libmosquitto's C API, driven by an Asio loop: no thread of its own.
/// It begins with a clean start and keeps nothing: what must not be lost lives elsewhere.
#pragma once

#include "base/offload.h"
#include "edge/pump.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kled::edge {

/// PEM files; the key is this client's alone (mode 0600).
struct MqttTls {
    std::filesystem::path ca;
    std::filesystem::path certificate;
    std::filesystem::path key;
};

struct MqttOptions {
    std::string host = "127.0.0.1";
    std::uint16_t port = 1883;
    std::string client_id;
    std::optional<MqttTls> tls;
    std::optional<Message> will;  ///< published by the broker when the connection is lost
    std::chrono::seconds keepalive{60};
    std::chrono::milliseconds connect_timeout{15'000};
    std::chrono::milliseconds answer_timeout{15'000};  ///< SUBACK
};

struct MqttHandlers {
    std::function<void(std::string topic, std::string payload)> message;
    /// The broker has it, or refused it for good (which is logged): either way it is not sent
    /// again.
    std::function<void(Outbox::Sequence)> acknowledged;
};

/// Handlers are called on the loop, from `connect` and `run`, and may call `publish`' callers awake
/// but nothing of the session. Every failure is Error(unavailable) "broker host:port: why", or
/// Error(denied) when the broker or a certificate refuses.
class MqttSession final : public Publisher {
public:
    MqttSession(boost::asio::any_io_executor executor, ThreadPool& pool, MqttOptions options,
                MqttHandlers handlers);
    ~MqttSession() override;

    /// Until CONNACK.
    boost::asio::awaitable<void> connect();
    /// Reads and writes until the connection ends, which is always thrown.
    boost::asio::awaitable<void> run();
    /// QoS 1. Needs `run` beside it.
    boost::asio::awaitable<void> subscribe(std::vector<std::string> filters);
    boost::asio::awaitable<void> publish(Outbox::Sequence sequence, Message message) override;
    /// A regular end: the broker does not publish the will.
    void disconnect() noexcept;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::edge
