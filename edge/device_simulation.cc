#include "edge/device_simulation.h"

#include "base/error.h"
#include "crypto/seal.h"
#include "edge/names.h"
#include "kube/yaml.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <variant>

namespace kled::edge::testing {

using namespace std::chrono_literals;

namespace {

/// Text that does not compress, so that it takes that many chunks and a bit.
std::string noise(std::size_t chunks, std::uint32_t seed) {
    std::minstd_rand random{seed};
    std::string text;
    while (text.size() < chunks * chunk_bytes * 3 / 2)
        text += "abcdefghijklmnopqrstuvwxyz234567"[random() >> 4U & 31U];
    return text;
}

}  // namespace

const Fleet& fleet() {
    static const Fleet made;
    return made;
}

Release release(const std::string& word, std::size_t chunks, const crypto::SigningKey& signer) {
    const auto objects = kube::load_manifest(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {word: " + word +
        ", noise: " + noise(chunks, static_cast<std::uint32_t>(word.size())) +
        "}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {word: " + word +
        "}\n");
    auto bundle = make_bundle("shop/app", objects, "commitment");
    const Document document{
        {{.deployment = "shop/app",
          .revision = word,
          .blob = bundle.blob.ref,
          .signature = sign_bundle(signer, "lab", "shop/app", word, bundle.blob.ref.digest)}}};
    auto blob = pack(to_json(document));
    Release made{.document = blob.ref, .content = {}, .secrets = std::move(bundle.secrets)};
    made.content.emplace(bundle.blob.ref.digest, std::move(bundle.blob));
    made.content.emplace(blob.ref.digest, std::move(blob));
    return made;
}

const Release& one() {
    static const auto made = release("one", 0, fleet().delivery);
    return made;
}
const Release& two() {
    static const auto made = release("second", window_limit + 2, fleet().delivery);
    return made;
}
const Release& three() {
    static const auto made = release("the third", 0, fleet().delivery);
    return made;
}

std::vector<HeldBlob> Machine::held() const {
    std::vector<HeldBlob> all;
    for (const auto& [digest, bytes] : blobs)
        all.push_back({.digest = digest, .bytes = bytes.size(), .complete = true});
    for (const auto& [digest, bytes] : parts)
        if (!blobs.contains(digest)) all.push_back({.digest = digest, .bytes = bytes.size()});
    return all;
}

void HubSide::assign(const Release& next) {
    release = &next;
    ++record.at.gen;
    record.document = next.document;
    content = next.content;
    std::vector<Sealable> sealable;
    for (const auto& secret : next.secrets)
        sealable.push_back({"shop/app", secret.ns, secret.name, secret.json.clone()});
    auto sealed = seal_secrets(sealable, "d1", record.at, fleet().device.recipient());
    record.secrets = sealed.ref;
    content.emplace(sealed.ref.digest, std::move(sealed));
}

Assignment HubSide::assignment() const {
    return {.fleet = "lab",
            .device = "d1",
            .at = record.at,
            .document = *record.document,
            .secrets = record.secrets,
            .not_before = WallTime{},
            .expires = far};
}

std::ostream& operator<<(std::ostream& out, Fault fault) {
    constexpr std::array names{
        "none",          "agent_killed", "agent_killed_midway", "connection_lost",
        "broker_killed", "hub_killed",   "hub_restored",        "offline"};
    return out << names.at(static_cast<std::size_t>(fault));
}

void Simulation::start_agent() {
    ++machine.durable.session;
    device = std::make_unique<Device>(
        Device::Config{.trust = fleet().trust,
                       .protocol = agent_protocol,
                       .agent = "1",
                       .arch = "x",
                       .boot_id = "b",
                       .session_id = "s" + std::to_string(machine.durable.session),
                       .seed = 1},
        machine.durable, machine.held());
}

void Simulation::disconnect() {
    connected = false;
    device->disconnected();
    to_device.clear();
    to_hub.clear();
}

void Simulation::run(const std::function<bool()>& enough, std::chrono::hours patience) {
    const auto deadline = now.steady + patience;
    for (std::size_t i = 0; i < 20'000; ++i) {
        if (step()) continue;
        if (enough()) return;
        const auto wake = device->wake_at();
        ASSERT_LE(wake, deadline) << "nothing happens any more";
        advance(std::max(wake - now.steady, SteadyTime::duration{1ms}));
    }
    FAIL() << "does not come to rest";
}

bool Simulation::step() {
    now.clock.synced = clock_synced;
    if (auto action = device->next(now)) {
        const bool hit = ++steps == fault_at;
        if (hit && fault == Fault::agent_killed) {
            kill_agent();
            return true;
        }
        const auto before = device.get();
        const bool midway = hit && fault == Fault::agent_killed_midway;
        std::visit([&](const auto& what) { carry_out(what, midway); }, *action);
        if (hit && device.get() == before) strike();
        return true;
    }
    if (!to_hub.empty()) {
        auto [leaf, payload] = std::move(to_hub.front());
        to_hub.pop_front();
        hear(leaf, payload);
        if (++steps == fault_at) strike();
        return true;
    }
    if (!to_device.empty()) {
        auto [leaf, payload] = std::move(to_device.front());
        to_device.pop_front();
        device->message(leaf, std::move(payload), now);
        if (++steps == fault_at) strike();
        return true;
    }
    return false;
}

void Simulation::strike() {
    switch (fault) {
        case Fault::none: break;
        case Fault::agent_killed:
        case Fault::agent_killed_midway: kill_agent(); break;
        case Fault::connection_lost:
            disconnect();
            advance(3s);
            connect();
            break;
        case Fault::broker_killed:
            retained.clear();
            disconnect();
            advance(3s);
            connect();
            greet();
            break;
        case Fault::hub_restored: hub.record = old; [[fallthrough]];
        case Fault::hub_killed:
            to_hub.clear();
            if (fault == Fault::hub_restored) {
                // What is desired comes from Git again, under a number that was used.
                hub.assign(*hub.release);
                point();
            }
            greet();
            break;
        case Fault::offline:
            disconnect();
            if (while_offline != nullptr) hub.assign(*while_offline);
            retained.clear();
            advance(1h);
            connect();
            greet();
            break;
    }
}

void Simulation::kill_agent() {
    disconnect();
    advance(1s);
    start_agent();
    connect();
}

void Simulation::carry_out(const Device::Save& save, bool midway) {
    if (machine.full) return device->failed("DiskFull", "no space left", now);
    machine.durable = save.state;
    if (midway) return kill_agent();
    device->saved();
}

void Simulation::carry_out(const Device::Append& append, bool midway) {
    if (machine.full) return device->failed("DiskFull", "no space left", now);
    auto& part = machine.parts[append.blob.digest];
    ASSERT_LE(append.offset, part.size()) << "a hole in a file";
    part.resize(append.offset);
    // A write that was cut short.
    part += append.bytes.substr(0, midway ? append.bytes.size() / 2 : append.bytes.size());
    ++machine.written;
    if (midway) return kill_agent();
    if (append.last) {
        try {
            (void)unpack(part, append.blob);
        } catch (const Error& error) {
            machine.parts.erase(append.blob.digest);
            return device->corrupt(append.blob.digest, error.what(), now);
        }
        machine.blobs[append.blob.digest] = part;
        machine.parts.erase(append.blob.digest);
    }
    device->appended();
}

void Simulation::carry_out(const Device::Prepare& prepare, bool midway) {
    if (midway) return kill_agent();
    try {
        for (const auto& bundle : prepare.document.bundles)
            (void)parse_bundle(unpack(machine.blobs.at(bundle.blob.digest), bundle.blob),
                               bundle.deployment);
        (void)open_secrets(unpack(machine.blobs.at(prepare.assignment.secrets->digest),
                                  *prepare.assignment.secrets),
                           "d1", prepare.assignment.at, fleet().device);
    } catch (const Error& error) {
        return device->refuse(error.what());
    }
    prepared = prepare.assignment.document.digest;
    device->prepared();
}

void Simulation::carry_out(const Device::Apply&, bool midway) {
    if (machine.runs != prepared) machine.applied.push_back(prepared);
    machine.runs = prepared;
    if (midway) return kill_agent();
    device->applied();
}

void Simulation::hear(const std::string& leaf, const std::string& payload) {
    Reaction reaction;
    if (leaf == "hello")
        reaction = on_hello(hub.record, parse_hello(payload), hub.protocol, now.clock.wall);
    if (leaf == "report") reaction = on_report(hub.record, parse_report(payload), now.clock.wall);
    if (leaf == "get") send_chunks(parse_get(payload));
    if (reaction.answer) to_device.emplace_back("ack", to_json(ack_of(hub.record, now.clock.wall)));
    if (reaction.assign && hub.release != nullptr) {
        hub.assign(*hub.release);
        point();
    } else if (reaction.point) {
        point();
    }
}

void Simulation::send_chunks(const Get& get) {
    const auto held = hub.content.find(get.digest);
    if (held == hub.content.end()) return point();
    const auto& wire = held->second.wire;
    std::size_t sent = 0;
    for (std::size_t i = get.have.empty() ? 0 : get.have.front().second;
         i * chunk_bytes < wire.size() && sent < get.window; ++i, ++sent) {
        ++hub.chunks_sent;
        to_device.emplace_back(chunk_leaf(get.digest, i),
                               wire.substr(i * chunk_bytes, chunk_bytes));
    }
}

Simulation with(Fault fault, std::size_t step) {
    Simulation it;
    it.assign(one());
    it.run([&] { return it.at_rest(); });
    it.machine.applied.clear();
    it.machine.written = 0;
    it.hub.chunks_sent = 0;
    it.old = it.hub.record;
    it.steps = 0;
    it.fault = fault;
    it.fault_at = step;
    it.while_offline = &three();
    it.assign(two());
    return it;
}

std::size_t steps_of_an_update() {
    auto it = with(Fault::none, 0);
    it.run([&] { return it.at_rest(); });
    return it.steps;
}

}  // namespace kled::edge::testing
