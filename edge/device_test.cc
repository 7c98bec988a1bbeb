/// The agent's protocol against a hub that behaves, with every fault at every step: the machine is
/// simulated (disk, runtime, broker, time), so each case is the same each time.
#include "edge/device.h"

#include "base/error.h"
#include "crypto/seal.h"
#include "edge/fleet.h"
#include "edge/names.h"
#include "kube/yaml.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <ostream>
#include <random>
#include <set>

namespace kled::edge {
namespace {

using namespace std::chrono_literals;
using Blobs = std::map<std::string, Blob, std::less<>>;

constexpr auto far = WallTime{std::chrono::seconds{4'000'000'000}};

/// Keys of a fleet, and what it has to deliver. Made once: keys and large content are dear.
struct Fleet {
    crypto::SigningKey delivery = crypto::SigningKey::generate();
    crypto::SigningKey hub = crypto::SigningKey::generate();
    crypto::Identity device = crypto::Identity::generate();
    HubCertificate certificate = certify_hub(delivery, "lab", hub.verifying_key(), far);
    Trust trust{"lab", "d1", delivery.verifying_key()};
};
const Fleet& fleet() {
    static const Fleet made;
    return made;
}

/// A revision: its document, and all content that belongs to it.
struct Release {
    BlobRef document{};
    Blobs content{};
    std::vector<SecretValues> secrets{};
};

/// Text that does not compress, so that it takes that many chunks and a bit.
std::string noise(std::size_t chunks, std::uint32_t seed) {
    std::minstd_rand random{seed};
    std::string text;
    while (text.size() < chunks * chunk_bytes * 3 / 2)
        text += "abcdefghijklmnopqrstuvwxyz234567"[random() >> 4U & 31U];
    return text;
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
/// More than a window of chunks.
const Release& two() {
    static const auto made = release("second", window_limit + 2, fleet().delivery);
    return made;
}
const Release& three() {
    static const auto made = release("the third", 0, fleet().delivery);
    return made;
}

/// What survives the agent: its files, and the processes of the device.
struct Machine {
    Durable durable{};
    std::map<std::string, std::string> parts{};
    std::map<std::string, std::string> blobs{};
    bool full = false;

    std::string runs{};                  ///< the digest of the document that is applied
    std::vector<std::string> applied{};  ///< each that was not what ran before
    std::size_t written = 0;             ///< chunks

    [[nodiscard]] std::vector<HeldBlob> held() const {
        std::vector<HeldBlob> all;
        for (const auto& [digest, bytes] : blobs)
            all.push_back({.digest = digest, .bytes = bytes.size(), .complete = true});
        for (const auto& [digest, bytes] : parts)
            if (!blobs.contains(digest)) all.push_back({.digest = digest, .bytes = bytes.size()});
        return all;
    }
};

/// The hub's part: its record is durable before it answers, as in edge/hub.cc.
struct HubSide {
    DeviceRecord record{.name = "d1"};
    Blobs content{};
    const Release* release = nullptr;
    ProtocolRange protocol = our_protocol;
    std::size_t chunks_sent = 0;

    void assign(const Release& next) {
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
    [[nodiscard]] Assignment assignment() const {
        return {.fleet = "lab",
                .device = "d1",
                .at = record.at,
                .document = *record.document,
                .secrets = record.secrets,
                .not_before = WallTime{},
                .expires = far};
    }
    [[nodiscard]] std::string pointer() const {
        return sign_assignment(assignment(), fleet().hub, fleet().certificate);
    }
};

/// What goes wrong, at one step of a run.
enum class Fault {
    none,
    agent_killed,         ///< before the action
    agent_killed_midway,  ///< the action is done, and the agent does not know
    connection_lost,
    broker_killed,  ///< and what it had retained
    hub_killed,
    hub_restored,  ///< killed, and its store is an old copy
    offline,       ///< for an hour, in which the next release is assigned
};
constexpr std::array all_faults{
    Fault::none,          Fault::agent_killed, Fault::agent_killed_midway, Fault::connection_lost,
    Fault::broker_killed, Fault::hub_killed,   Fault::hub_restored,        Fault::offline};
std::ostream& operator<<(std::ostream& out, Fault fault) {
    constexpr std::array names{
        "none",          "agent_killed", "agent_killed_midway", "connection_lost",
        "broker_killed", "hub_killed",   "hub_restored",        "offline"};
    return out << names.at(static_cast<std::size_t>(fault));
}

/// A device, a broker and a hub, a step at a time: an action of the device, or a message that
/// arrives.
class Simulation {
public:
    Simulation() {
        hub.record.at.epoch = 7;
        start_agent();
        connect();
    }

    Machine machine;
    HubSide hub;
    std::size_t steps = 0;
    std::size_t fault_at = SIZE_MAX;
    Fault fault = Fault::none;
    DeviceRecord old{};                      ///< what the hub is restored to
    const Release* while_offline = nullptr;  ///< assigned meanwhile
    ProtocolRange agent_protocol = our_protocol;
    bool clock_synced = false;

    void start_agent() {
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
    void connect() {
        connected = true;
        device->connected(now);
        if (!retained.empty()) to_device.emplace_back("desired", retained);
    }
    void disconnect() {
        connected = false;
        device->disconnected();
        to_device.clear();
        to_hub.clear();
    }

    void assign(const Release& release) {
        hub.assign(release);
        point();
    }
    void point() {
        retained = hub.pointer();
        if (connected) to_device.emplace_back("desired", retained);
    }

    /// Until nothing happens any more but by time, which passes as long as `enough` is false.
    void run(const std::function<bool()>& enough, std::chrono::hours patience = 2h) {
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
    void advance(SteadyTime::duration time) {
        now.steady += time;
        now.clock.mono += std::chrono::duration_cast<std::chrono::milliseconds>(time);
        now.clock.wall += std::chrono::duration_cast<WallTime::duration>(time);
    }

    [[nodiscard]] bool at_rest() const {
        return connected && machine.runs == hub.record.document->digest &&
               phase() == Phase::healthy && hub.record.report.observed == hub.record.at &&
               hub.record.report.phase == Phase::healthy;
    }
    [[nodiscard]] Phase phase() const { return device->phase(); }
    [[nodiscard]] std::string condition(std::string_view type) const {
        for (const auto& c : device->report(now).conditions)
            if (c.type == type) return c.reason + ": " + c.message;
        return {};
    }

    std::unique_ptr<Device> device;
    Moment now{.steady = SteadyTime{} + 1h, .clock = {.wall = WallTime{1'795'000'000s}}};
    std::deque<std::pair<std::string, std::string>> to_device;
    std::deque<std::pair<std::string, std::string>> to_hub;
    std::string retained;
    bool connected = false;

    bool step() {
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

    void strike() {
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
    /// A hub that starts, or finds the broker again.
    void greet() {
        device->hub_notice(
            to_json(HubNotice{.epoch = 7, .incarnation = "i" + std::to_string(++incarnation)}),
            now);
    }
    void kill_agent() {
        disconnect();
        advance(1s);
        start_agent();
        connect();
    }

private:
    // --- The agent's actions

    void carry_out(const Device::Send& send, bool) {
        if (send.leaf != "state") to_hub.emplace_back(send.leaf, send.payload);
    }
    void carry_out(const Device::Save& save, bool midway) {
        if (machine.full) return device->failed("DiskFull", "no space left", now);
        machine.durable = save.state;
        if (midway) return kill_agent();
        device->saved();
    }
    void carry_out(const Device::Append& append, bool midway) {
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
    void carry_out(const Device::Load& load, bool midway) {
        if (midway) return kill_agent();
        device->loaded(unpack(machine.blobs.at(load.blob.digest), load.blob));
    }
    void carry_out(const Device::Prepare& prepare, bool midway) {
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
    void carry_out(const Device::Apply&, bool midway) {
        if (machine.runs != prepared) machine.applied.push_back(prepared);
        machine.runs = prepared;
        if (midway) return kill_agent();
        device->applied();
    }
    void carry_out(const Device::Drop& drop, bool) {
        machine.blobs.erase(drop.digest);
        machine.parts.erase(drop.digest);
    }

    // --- The hub

    void hear(const std::string& leaf, const std::string& payload) {
        Reaction reaction;
        if (leaf == "hello")
            reaction = on_hello(hub.record, parse_hello(payload), hub.protocol, now.clock.wall);
        if (leaf == "report")
            reaction = on_report(hub.record, parse_report(payload), now.clock.wall);
        if (leaf == "get") send_chunks(parse_get(payload));
        if (reaction.answer)
            to_device.emplace_back("ack", to_json(ack_of(hub.record, now.clock.wall)));
        if (reaction.assign && hub.release != nullptr) {
            hub.assign(*hub.release);
            point();
        } else if (reaction.point) {
            point();
        }
    }
    void send_chunks(const Get& get) {
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

    std::string prepared;
    std::size_t incarnation = 0;
};

/// The first release runs, and the second is assigned; the fault strikes at that step after it.
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

/// With no fault, so many steps lead from the assignment to the report that it is healthy.
std::size_t steps_of_an_update() {
    auto it = with(Fault::none, 0);
    it.run([&] { return it.at_rest(); });
    return it.steps;
}

TEST(Device, BringsAnUpdateToTheRuntimeOnceAndReportsIt) {
    auto it = with(Fault::none, 0);
    it.run([&] { return it.at_rest(); });
    EXPECT_EQ(it.machine.applied, std::vector{two().document.digest});
    // Nothing of the first is left, and nothing was sent or written twice.
    EXPECT_EQ(it.machine.blobs.size(), 3U);
    EXPECT_EQ(it.hub.chunks_sent, it.machine.written);
    const auto steps = it.steps;
    it.advance(1h);
    it.run([&] { return it.at_rest(); });
    EXPECT_EQ(it.steps, steps) << "an idle device is silent";
}

class AnyFault : public testing::TestWithParam<Fault> {};

TEST_P(AnyFault, AtAnyStepLeavesNothingLostAndNothingDoubled) {
    const auto fault = GetParam();
    const auto last = steps_of_an_update();
    ASSERT_GT(last, 20U);
    for (std::size_t step = 1; step <= last; ++step) {
        SCOPED_TRACE(testing::Message() << "step " << step << " of " << last);
        auto it = with(fault, step);
        it.run([&] { return it.at_rest(); });
        if (HasFatalFailure()) return;
        ASSERT_GE(it.steps, it.fault_at);
        // What ran was replaced by each wanted release at most once, in order, up to the last.
        const auto& final_one = fault == Fault::offline ? three() : two();
        ASSERT_EQ(it.machine.runs, final_one.document.digest);
        ASSERT_LE(it.machine.applied.size(), fault == Fault::offline ? 2U : 1U);
        ASSERT_EQ(it.machine.applied.back(), final_one.document.digest);
        // Content that nobody needs any more is gone, and what there is, is whole.
        ASSERT_EQ(it.machine.blobs.size(), 3U);
        ASSERT_TRUE(it.machine.parts.empty());
        // Chunks that were durable were not fetched again: at most the one that was being written.
        if (fault != Fault::offline && fault != Fault::hub_restored) {
            ASSERT_LE(it.machine.written, two().content.size() + 1 + window_limit + 3);
        }
    }
}

TEST_P(AnyFault, OfADeviceAtRestChangesNothing) {
    const auto fault = GetParam();
    auto it = with(Fault::none, 0);
    it.run([&] { return it.at_rest(); });
    it.machine.applied.clear();
    it.old = it.hub.record;
    it.while_offline = nullptr;
    it.fault = fault;
    it.strike();
    it.run([&] { return it.at_rest(); });
    EXPECT_TRUE(it.machine.applied.empty());
    EXPECT_EQ(it.machine.runs, two().document.digest);
}

INSTANTIATE_TEST_SUITE_P(Device, AnyFault, testing::ValuesIn(all_faults),
                         testing::PrintToStringParamName());

TEST(Device, StartsWhatItHadWithoutANetwork) {
    auto it = with(Fault::none, 0);
    it.run([&] { return it.at_rest(); });
    it.disconnect();
    it.machine.runs.clear();  // the power was cut
    it.start_agent();
    it.run([&] { return it.phase() == Phase::healthy; });
    EXPECT_EQ(it.machine.runs, two().document.digest);
}

TEST(Device, OnAFullDiskGoesOnWithWhatRunsAndCatchesUpWhenThereIsSpace) {
    auto it = with(Fault::none, 0);
    it.machine.full = true;
    it.run([&] {
        return !it.condition("StorageFailed").empty() && it.now.steady > SteadyTime{} + 90min;
    });
    EXPECT_EQ(it.condition("StorageFailed"), "DiskFull: no space left");
    EXPECT_EQ(it.machine.runs, one().document.digest);
    EXPECT_EQ(it.hub.record.at.gen, 2U) << "the hub took it for another";
    it.machine.full = false;
    it.run([&] { return it.at_rest(); });
    EXPECT_EQ(it.machine.applied, std::vector{two().document.digest});
    EXPECT_EQ(it.condition("StorageFailed"), "");
}

TEST(Device, RefusesABundleThatTheDeliveryKeyDidNotSignAndTakesTheNextThatItDid) {
    Simulation it;
    it.assign(one());
    it.run([&] { return it.at_rest(); });
    // A stolen hub signs what it likes, but only as the hub.
    const auto thief = crypto::SigningKey::generate();
    const auto forged = release("forged", 0, thief);
    it.assign(forged);
    it.run([&] { return it.hub.record.report.phase == Phase::refused; });
    EXPECT_NE(it.condition("Refused").find("ContentRefused: "), std::string::npos);
    EXPECT_EQ(it.machine.runs, one().document.digest);
    // Also after a restart, and without asking for it again and again.
    const auto sent = it.hub.chunks_sent;
    it.disconnect();
    it.start_agent();
    it.connect();
    it.run([&] { return it.hub.record.report.phase == Phase::refused && it.hub.record.online; });
    EXPECT_EQ(it.machine.runs, one().document.digest);
    EXPECT_EQ(it.hub.chunks_sent, sent);
    it.assign(two());
    it.run([&] { return it.at_rest(); });
    EXPECT_EQ(it.condition("Refused"), "");
}

TEST(Device, FetchesAgainWhatTheBrokerChanged) {
    auto it = with(Fault::none, 0);
    while (it.to_device.empty() || !it.to_device.front().first.starts_with("blob/"))
        ASSERT_TRUE(it.step());
    it.to_device.front().second.back() ^= 1;
    it.run([&] { return it.at_rest(); });
    EXPECT_EQ(it.machine.applied, std::vector{two().document.digest});
    EXPECT_GT(it.hub.chunks_sent, it.machine.blobs.size());
    EXPECT_EQ(it.condition("ContentCorrupt"), "");
}

struct Forgery {
    std::string name;
    std::string why;  ///< part of the condition's text; empty: ignored without a word
    std::function<std::string(const HubSide&)> make;
};
std::ostream& operator<<(std::ostream& out, const Forgery& forgery) { return out << forgery.name; }

std::string altered(const HubSide& hub, const std::function<void(Assignment&)>& change) {
    auto assignment = hub.assignment();
    assignment.at.gen += 10;
    change(assignment);
    return sign_assignment(assignment, fleet().hub, fleet().certificate);
}

class Forged : public testing::TestWithParam<Forgery> {};

TEST_P(Forged, AssignmentChangesNothingAndTheNextGoodOneIsTaken) {
    Simulation it;
    it.clock_synced = true;
    it.assign(one());
    it.run([&] { return it.at_rest(); });
    const auto first = it.retained;
    it.assign(two());
    it.run([&] { return it.at_rest(); });
    it.machine.applied.clear();
    const auto durable = it.machine.durable;
    it.to_device.emplace_back(
        "desired", GetParam().name == "an old one again" ? first : GetParam().make(it.hub));
    const auto& why = GetParam().why;
    it.run([&] { return why.empty() || !it.condition("AssignmentRefused").empty(); });
    EXPECT_NE(it.condition("AssignmentRefused").find(why), std::string::npos)
        << it.condition("AssignmentRefused");
    EXPECT_EQ(it.machine.durable, durable);
    EXPECT_TRUE(it.machine.applied.empty());
    it.assign(three());
    it.run([&] { return it.at_rest(); });
    EXPECT_EQ(it.machine.applied, std::vector{three().document.digest});
    EXPECT_EQ(it.condition("AssignmentRefused"), "");
}

const std::vector<Forgery> forgeries{
    {"an old one again", "", {}},
    {"one of another device", "it is for device d2",
     [](const HubSide& hub) { return altered(hub, [](Assignment& a) { a.device = "d2"; }); }},
    {"one of another fleet", "of fleet other",
     [](const HubSide& hub) { return altered(hub, [](Assignment& a) { a.fleet = "other"; }); }},
    {"an expired one", "it expired at",
     [](const HubSide& hub) {
         return altered(hub, [](Assignment& a) { a.expires = WallTime{1'700'000'000s}; });
     }},
    {"one of the future", "it is not valid before",
     [](const HubSide& hub) {
         return altered(hub, [](Assignment& a) { a.not_before = WallTime{3'000'000'000s}; });
     }},
    {"one signed by another key", "its signature is not by the hub's key",
     [](const HubSide& hub) {
         auto assignment = hub.assignment();
         assignment.at.gen += 10;
         return sign_assignment(assignment, crypto::SigningKey::generate(), fleet().certificate);
     }},
    {"one of a hub that nobody certified", "is not certified by delivery key",
     [](const HubSide& hub) {
         const auto key = crypto::SigningKey::generate();
         auto assignment = hub.assignment();
         assignment.at.gen += 10;
         return sign_assignment(assignment, key, certify_hub(key, "lab", key.verifying_key(), far));
     }},
    {"garbage", "NotUnderstood", [](const HubSide&) { return std::string{"\xff\0[[[[{", 7}; }},
    {"another generation in a good one", "its signature is not by the hub's key",
     [](const HubSide& hub) {
         auto payload = hub.pointer();
         payload.replace(payload.find("\"gen\":"), 6, "\"gen\":9");
         return payload;
     }},
};
INSTANTIATE_TEST_SUITE_P(Device, Forged, testing::ValuesIn(forgeries), [](const auto& given) {
    auto name = given.param.name;
    std::ranges::replace(name, ' ', '_');
    return name;
});

TEST(Device, WithoutATimeItTrustsTakesAnAssignmentThatSeemsExpired) {
    Simulation it;
    it.assign(one());
    it.now.clock.wall = WallTime{5'000'000'000s};  // long after it expires, says a clock not set
    it.run([&] { return it.at_rest(); });
    EXPECT_EQ(it.machine.runs, one().document.digest);
}

struct Versions {
    ProtocolRange hub;
    ProtocolRange agent;
    unsigned spoken;  ///< 0: none
};

TEST(Device, SpeaksWithAHubOneMinorVersionApartAndNotTwo) {
    constexpr std::array cases{Versions{{1, 2}, {1, 1}, 1}, Versions{{1, 1}, {1, 2}, 1},
                               Versions{{2, 3}, {1, 2}, 2}, Versions{{1, 2}, {2, 3}, 2},
                               Versions{{3, 4}, {1, 2}, 0}, Versions{{1, 2}, {3, 4}, 0}};
    for (const auto& [hub, agent, spoken] : cases) {
        SCOPED_TRACE(testing::Message() << "hub ." << hub.max << ", agent ." << agent.max);
        Simulation it;
        it.disconnect();
        it.hub.protocol = hub;
        it.agent_protocol = agent;
        it.start_agent();
        it.connect();
        it.hub.release = &one();
        if (spoken != 0) {
            it.assign(one());
            it.run([&] { return it.at_rest(); });
            EXPECT_EQ(it.hub.record.protocol, spoken);
            EXPECT_EQ(it.condition("HubRefuses"), "");
            continue;
        }
        it.run([&] { return !it.condition("HubRefuses").empty(); });
        EXPECT_NE(it.condition("HubRefuses").find("bring the older of the two up to date"),
                  std::string::npos);
        EXPECT_EQ(it.hub.record.refused,
                  it.condition("HubRefuses").substr(std::string{"Refused: "}.size()));
        EXPECT_TRUE(it.machine.runs.empty());
    }
}

TEST(Device, OfWhichASecondRunsBecomesTheNewestRun) {
    auto it = with(Fault::none, 0);
    it.run([&] { return it.at_rest(); });
    it.hub.record.session = {.counter = 41, .id = "a clone of this disk"};
    it.greet();
    it.run([&] { return it.hub.record.session.counter == 42; });
    EXPECT_EQ(it.machine.durable.session, 42U);
}

}  // namespace
}  // namespace kled::edge
