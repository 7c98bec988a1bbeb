/// For tests: the agent's protocol against a hub that behaves, with every fault at every step. The
/// machine is simulated (disk, runtime, broker, time), so each case is the same each time.
#pragma once

#include "edge/device.h"
#include "edge/fleet.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::edge::testing {

using Blobs = std::map<std::string, Blob, std::less<>>;

inline constexpr auto far = WallTime{std::chrono::seconds{4'000'000'000}};

/// Keys of a fleet, and what it has to deliver. Made once: keys and large content are dear.
struct Fleet {
    crypto::SigningKey delivery = crypto::SigningKey::generate();
    crypto::SigningKey hub = crypto::SigningKey::generate();
    crypto::Identity device = crypto::Identity::generate();
    HubCertificate certificate = certify_hub(delivery, "lab", hub.verifying_key(), far);
    Trust trust{"lab", "d1", delivery.verifying_key()};
};
const Fleet& fleet();

/// A revision: its document, and all content that belongs to it.
struct Release {
    BlobRef document{};
    Blobs content{};
    std::vector<SecretValues> secrets{};
};

/// `word` is what it says, in so many chunks and a bit.
Release release(const std::string& word, std::size_t chunks, const crypto::SigningKey& signer);
const Release& one();
/// More than a window of chunks.
const Release& two();
const Release& three();

/// What survives the agent: its files, and the processes of the device.
struct Machine {
    Durable durable{};
    std::map<std::string, std::string> parts{};
    std::map<std::string, std::string> blobs{};
    bool full = false;

    std::string runs{};                  ///< the digest of the document that is applied
    std::vector<std::string> applied{};  ///< each that was not what ran before
    std::size_t written = 0;             ///< chunks

    [[nodiscard]] std::vector<HeldBlob> held() const;
};

/// The hub's part: its record is durable before it answers, as in edge/hub.cc.
struct HubSide {
    DeviceRecord record{.name = "d1"};
    Blobs content{};
    const Release* release = nullptr;
    ProtocolRange protocol = our_protocol;
    std::size_t chunks_sent = 0;

    void assign(const Release& next);
    [[nodiscard]] Assignment assignment() const;
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
inline constexpr std::array all_faults{
    Fault::none,          Fault::agent_killed, Fault::agent_killed_midway, Fault::connection_lost,
    Fault::broker_killed, Fault::hub_killed,   Fault::hub_restored,        Fault::offline};
std::ostream& operator<<(std::ostream& out, Fault fault);

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

    void start_agent();
    void connect() {
        connected = true;
        device->connected(now);
        if (!retained.empty()) to_device.emplace_back("desired", retained);
    }
    void disconnect();

    void assign(const Release& release) {
        hub.assign(release);
        point();
    }
    void point() {
        retained = hub.pointer();
        if (connected) to_device.emplace_back("desired", retained);
    }

    /// Until nothing happens any more but by time, which passes as long as `enough` is false.
    void run(const std::function<bool()>& enough,
             std::chrono::hours patience = std::chrono::hours{2});
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
    Moment now{.steady = SteadyTime{} + std::chrono::hours{1},
               .clock = {.wall = WallTime{std::chrono::seconds{1'795'000'000}}}};
    std::deque<std::pair<std::string, std::string>> to_device;
    std::deque<std::pair<std::string, std::string>> to_hub;
    std::string retained;
    bool connected = false;

    bool step();

    void strike();
    /// A hub that starts, or finds the broker again.
    void greet() {
        device->hub_notice(
            to_json(HubNotice{.epoch = 7, .incarnation = "i" + std::to_string(++incarnation)}),
            now);
    }
    void kill_agent();

private:
    // --- The agent's actions

    void carry_out(const Device::Send& send, bool) {
        if (send.leaf != "state") to_hub.emplace_back(send.leaf, send.payload);
    }
    void carry_out(const Device::Save& save, bool midway);
    void carry_out(const Device::Append& append, bool midway);
    void carry_out(const Device::Load& load, bool midway) {
        if (midway) return kill_agent();
        device->loaded(unpack(machine.blobs.at(load.blob.digest), load.blob));
    }
    void carry_out(const Device::Prepare& prepare, bool midway);
    void carry_out(const Device::Apply&, bool midway);
    void carry_out(const Device::Drop& drop, bool) {
        machine.blobs.erase(drop.digest);
        machine.parts.erase(drop.digest);
    }

    // --- The hub

    void hear(const std::string& leaf, const std::string& payload);
    void send_chunks(const Get& get);

    std::string prepared;
    std::size_t incarnation = 0;
};

/// The first release runs, and the second is assigned; the fault strikes at that step after it.
Simulation with(Fault fault, std::size_t step);

/// With no fault, so many steps lead from the assignment to the report that it is healthy.
std::size_t steps_of_an_update();

}  // namespace kled::edge::testing
