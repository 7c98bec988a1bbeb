/// The messages between hub and agent (docs/edge.md has the topic tree and who sends what when).
/// Reading throws Error(invalid) with the path of the field; unknown fields are left alone, so that
/// the two sides may be one minor version apart. Signed content (`dn/desired`, documents, bundles)
/// is in edge/trust.h and edge/bundle.h.
#pragma once

#include "base/clock.h"

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::edge {

inline constexpr std::size_t chunk_bytes = 32U << 10U;
inline constexpr std::size_t blob_limit = 16U << 20U;  ///< plain or compressed; larger: a registry
inline constexpr std::size_t window_limit = 8;         ///< chunks on their way to one device
inline constexpr std::size_t pointer_limit = 4U << 10U;
inline constexpr std::size_t message_limit = 192U << 10U;  ///< any other message

/// Minor versions of "kled/v1" that a side can speak.
struct ProtocolRange {
    unsigned min = 1;
    unsigned max = 1;
};
inline constexpr ProtocolRange our_protocol{};
/// The highest both speak; nullopt: none.
[[nodiscard]] std::optional<unsigned> common_protocol(ProtocolRange a, ProtocolRange b) noexcept;

/// One run of an agent: the counter grows with every start (it is durable), the id is random.
struct Session {
    std::uint64_t counter = 0;
    std::string id{};
    auto operator<=>(const Session&) const = default;
};

/// Where in the sequence of a device's assignments: the epoch of the hub's store, then the
/// generation in it.
struct Position {
    std::uint64_t epoch = 0;
    std::uint64_t gen = 0;
    auto operator<=>(const Position&) const = default;
};

/// A compressed, content-addressed piece of content.
struct BlobRef {
    std::string digest{};  ///< SHA-256 of the plain bytes, hex
    std::size_t size = 0;  ///< plain
    std::size_t wire = 0;  ///< compressed
    bool operator==(const BlobRef&) const = default;
    [[nodiscard]] std::size_t chunks() const noexcept {
        return (wire + chunk_bytes - 1) / chunk_bytes;
    }
};

struct DeviceClock {
    WallTime wall{};
    std::chrono::milliseconds mono{};  ///< since boot
    bool synced = false;               ///< the kernel's clock is disciplined
};

/// up/hello: at every connection and when the hub's notice changes, until acknowledged.
struct Hello {
    ProtocolRange protocol = our_protocol;
    std::string agent{};  ///< version of the program
    std::string arch{};
    std::string boot_id{};
    Session session{};
    std::uint64_t seq = 0;  ///< counts the hellos of the session from 1
    Position have{};        ///< what is accepted, and durable
    std::string digest{};   ///< of its document; empty: nothing
    /// Of its secrets; empty: none; nullopt: an agent that does not say.
    std::optional<std::string> secrets{};
    DeviceClock clock{};
};

enum class Phase {
    pending,
    downloading,
    verified,
    applying,
    healthy,
    degraded,
    rolled_back,
    refused,
};
[[nodiscard]] std::string_view to_string(Phase phase) noexcept;

struct Condition {
    std::string type{};  ///< "ImageNotSupported"
    bool status = true;
    std::string reason{};  ///< CamelCase
    std::string message{};
    bool operator==(const Condition&) const = default;
};

struct WorkloadReport {
    std::string kind{};
    std::string ns{};
    std::string name{};
    std::string deployment{};  ///< "namespace/name" of the EdgeDeployment it came with
    std::string phase{};       ///< Pending, Running, Succeeded, Failed, Refused
    bool ready = false;
    std::uint64_t restarts = 0;
    std::string message{};
    bool operator==(const WorkloadReport&) const = default;
};

/// up/report: the whole state, repeated until `dn/ack` says it is stored.
struct Report {
    Session session{};
    std::uint64_t seq = 0;  ///< counts the reports of the session from 1
    Position stored{};      ///< durable on the device; zero: nothing yet
    Position observed{};    ///< applied
    std::string digest{};   ///< of the observed document
    Phase phase = Phase::pending;
    std::vector<Condition> conditions{};
    std::vector<WorkloadReport> workloads{};
    DeviceClock clock{};
};

/// up/get: sends the first `window` chunks that are not in `have`.
struct Get {
    std::string digest{};
    std::vector<std::pair<std::size_t, std::size_t>> have{};  ///< first chunk, count
    std::size_t window = window_limit;
};

/// up/state, retained, and the will.
struct State {
    bool online = false;
    Session session{};
};

/// dn/ack
struct Ack {
    Session session{};        ///< the newest the hub knows of this device
    std::uint64_t hello = 0;  ///< the last hello answered
    std::uint64_t seq = 0;    ///< the last report stored
    unsigned protocol = 0;    ///< to speak from now on; 0 with `refused`
    std::string refused{};    ///< why nothing will be sent to this device; empty: welcome
    WallTime time{};          ///< the hub's clock
};

/// kled/v1/<fleet>/hub, retained: a new incarnation makes every agent say hello again, each after
/// a random part of `spread`.
struct HubNotice {
    std::uint64_t epoch = 0;
    std::string incarnation{};
    std::chrono::milliseconds spread{};
};

[[nodiscard]] std::string to_json(const Hello& hello);
[[nodiscard]] Hello parse_hello(std::string_view payload);
/// Messages are cut and the last workloads left out where the limit needs it.
[[nodiscard]] std::string to_json(const Report& report);
[[nodiscard]] Report parse_report(std::string_view payload);
[[nodiscard]] std::string to_json(const Get& get);
[[nodiscard]] Get parse_get(std::string_view payload);
[[nodiscard]] std::string to_json(const State& state);
[[nodiscard]] State parse_state(std::string_view payload);
[[nodiscard]] std::string to_json(const Ack& ack);
[[nodiscard]] Ack parse_ack(std::string_view payload);
[[nodiscard]] std::string to_json(const HubNotice& notice);
[[nodiscard]] HubNotice parse_hub_notice(std::string_view payload);

/// dn/blob/<digest>.<n> carries the bytes alone.
struct ChunkName {
    std::string_view digest{};
    std::size_t index = 0;
};
[[nodiscard]] std::string chunk_leaf(std::string_view digest, std::size_t index);
/// From a leaf; nullopt: not a chunk's.
[[nodiscard]] std::optional<ChunkName> parse_chunk_leaf(std::string_view leaf) noexcept;

}  // namespace kled::edge
