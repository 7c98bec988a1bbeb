/// What the hub knows of a device and how messages change it: fencing by session and sequence,
/// generations that never go back. Pure; edge/hub.cc makes it durable before it answers.
#pragma once

#include "base/clock.h"
#include "edge/bundle.h"
#include "edge/protocol.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace kled::edge {

using Labels = std::map<std::string, std::string, std::less<>>;

struct DeviceRecord {
    std::string name;
    std::string sealing{};  ///< age recipient, from its enrolment
    Labels labels{};
    bool hold = false;  ///< keeps what it has: nothing new is assigned

    // What it is to run.
    Position at{};  ///< generation 0: nothing was ever assigned
    std::optional<BlobRef> document{};
    std::optional<BlobRef> secrets{};

    // What it said last.
    Session session{};
    std::uint64_t hello = 0;  ///< last hello of the session
    std::uint64_t seq = 0;    ///< last report of the session that is stored
    std::string agent{};
    std::string arch{};
    unsigned protocol = 0;
    std::string refused{};  ///< why we cannot talk to it
    Report report{};
    bool online = false;
    std::optional<SteadyTime> offline_since{};  ///< said so, not yet believed
    WallTime last_seen{};
};

/// What a message of a device asks of the hub.
struct Reaction {
    bool store = false;   ///< the record changed: make it durable first
    bool answer = false;  ///< send dn/ack
    bool point = false;   ///< send dn/desired
    bool assign = false;  ///< a new generation has to be made: the device is ahead of us
};

/// Where the device knows a later position than we do (our store was lost or is an old copy), its
/// own numbers go on from there; those of other devices are no matter of its.
[[nodiscard]] Reaction on_hello(DeviceRecord& device, const Hello& hello, ProtocolRange ours,
                                WallTime now);
[[nodiscard]] Reaction on_report(DeviceRecord& device, Report report, WallTime now);
/// A device that says it is gone (or whose will does) is taken as gone after `grace`: see
/// `expired`.
[[nodiscard]] Reaction on_state(DeviceRecord& device, const State& state, SteadyTime steady,
                                WallTime now);
/// Taken as gone after the grace, counted from `from`, unless it is heard before.
void doubt(DeviceRecord& device, SteadyTime from) noexcept;
/// True once when the grace of an offline message has passed.
[[nodiscard]] bool expired(DeviceRecord& device, SteadyTime now, std::chrono::milliseconds grace);

[[nodiscard]] Ack ack_of(const DeviceRecord& device, WallTime now);

}  // namespace kled::edge
