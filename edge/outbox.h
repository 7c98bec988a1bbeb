/// Messages for the broker, held until it acknowledges them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace kled::edge {

using Clock = std::chrono::steady_clock;

/// One QoS 1 publication.
struct Message {
    std::string topic;    ///< UTF-8, no wildcards, at most 65'535 bytes (MQTT 5.0 §4.7.3)
    std::string payload;  ///< opaque bytes
    bool retain = false;  ///< the broker keeps it for later subscribers; an empty payload clears it
    Clock::time_point expires_at = Clock::time_point::max();  ///< not sent at or after this
};

/// A bounded at-least-once queue (MQTT 5.0 §4.3.2): first pushed, first sent; after a lost
/// connection the unacknowledged go first again. It decides, and does no I/O and reads no clock.
class Outbox {
public:
    using Sequence = std::uint64_t;  ///< never reused; the broker's packet id is the session's
    struct Limits {
        std::size_t bytes = 8'388'608;  ///< topics and payloads held, sent or not
        std::size_t in_flight = 16;     ///< the broker's Receive Maximum (MQTT 5.0 §3.2.2.3.3)
    };
    struct Due {
        Sequence sequence;
        Message message;
    };

    explicit Outbox(Limits limits) : limits_{limits} {}

    /// Throws Error(exhausted) when `limits.bytes` would be passed; the outbox is then unchanged.
    void push(Message message);

    /// The oldest message not yet sent, from now on in flight; expired ones are dropped on the way.
    /// nullopt: nothing is waiting, or `limits.in_flight` are unacknowledged.
    [[nodiscard]] std::optional<Due> next(Clock::time_point now);

    /// The broker has it. A sequence that is not in flight (a late duplicate) changes nothing.
    void acknowledge(Sequence sequence) noexcept;

    /// Everything in flight is waiting again.
    void connection_lost() noexcept;

    /// Bytes that `push` would still take.
    [[nodiscard]] std::size_t free() const noexcept { return limits_.bytes - bytes_; }

private:
    using Held = std::map<Sequence, Message>;
    Held::iterator drop(Held::iterator entry) noexcept;

    Limits limits_;
    Held held_;  // below cursor_: in flight; from cursor_ on: waiting
    Sequence cursor_ = 0;
    Sequence pushed_ = 0;
    std::size_t in_flight_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace kled::edge
