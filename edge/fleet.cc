#include "edge/fleet.h"

#include <algorithm>
#include <utility>

namespace kled::edge {

namespace {

/// A new session begins a new count. True when the message is of the newest session.
bool newest(DeviceRecord& device, const Session& session) {
    if (session.counter > device.session.counter || device.session.id.empty()) {
        device.session = session;
        device.hello = device.seq = 0;
    }
    return device.session == session;
}

/// What the device has under a position is what we put there: else that number was used before our
/// store was lost or went back in time.
bool same_content(const DeviceRecord& device, const Hello& hello) {
    if (!device.document || device.document->digest != hello.digest) return false;
    return !hello.secrets || *hello.secrets == (device.secrets ? device.secrets->digest : "");
}

void seen(DeviceRecord& device, WallTime now) {
    device.online = true;
    device.offline_since.reset();
    device.last_seen = now;
}

}  // namespace

Reaction on_hello(DeviceRecord& device, const Hello& hello, ProtocolRange ours, WallTime now) {
    // A start that is not the newest gets the newest as the answer, and becomes newer by itself.
    if (!newest(device, hello.session)) return {.answer = true};
    seen(device, now);
    device.hello = std::max(device.hello, hello.seq);
    device.agent = hello.agent;
    device.arch = hello.arch;
    const auto protocol = common_protocol(ours, hello.protocol);
    device.protocol = protocol.value_or(0);
    device.refused.clear();
    if (!protocol) {
        device.refused = "the agent speaks kled/v1." + std::to_string(hello.protocol.min) +
                         " to ." + std::to_string(hello.protocol.max) + ", this hub ." +
                         std::to_string(ours.min) + " to ." + std::to_string(ours.max) +
                         ": bring the older of the two up to date";
        return {.store = true, .answer = true};
    }
    Reaction reaction{.store = true, .answer = true};
    if (hello.have.gen > 0 &&
        (hello.have > device.at || (hello.have == device.at && !same_content(device, hello)))) {
        device.at = hello.have;
        reaction.assign = true;
    }
    reaction.point = device.at.gen > 0 && !reaction.assign && hello.have != device.at;
    return reaction;
}

Reaction on_report(DeviceRecord& device, Report report, WallTime now) {
    if (!newest(device, report.session)) return {.answer = true};
    seen(device, now);
    if (report.seq <= device.seq) return {.answer = true};
    device.seq = report.seq;
    device.report = std::move(report);
    return {.store = true, .answer = true};
}

Reaction on_state(DeviceRecord& device, const State& state, SteadyTime steady, WallTime now) {
    if (state.session.counter < device.session.counter) return {};
    if (state.online) {
        const bool was = device.online;
        seen(device, now);
        return {.store = !was};
    }
    if (!device.offline_since) doubt(device, steady);
    return {};
}

void doubt(DeviceRecord& device, SteadyTime from) noexcept {
    if (device.online) device.offline_since = from;
}

bool expired(DeviceRecord& device, SteadyTime now, std::chrono::milliseconds grace) {
    if (!device.offline_since || now - *device.offline_since < grace) return false;
    device.offline_since.reset();
    return std::exchange(device.online, false);
}

Ack ack_of(const DeviceRecord& device, WallTime now) {
    return {.session = device.session,
            .hello = device.hello,
            .seq = device.seq,
            .protocol = device.protocol,
            .refused = device.refused,
            .time = now};
}

}  // namespace kled::edge
