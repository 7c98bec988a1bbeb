// What a device refuses, whoever sends it.
#include "edge/device_simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace kled::edge {
namespace {

using namespace std::chrono_literals;
using testing::far;
using testing::fleet;
using testing::HubSide;
using testing::one;
using testing::release;
using testing::Simulation;
using testing::three;
using testing::two;

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

class Forged : public ::testing::TestWithParam<Forgery> {};

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
INSTANTIATE_TEST_SUITE_P(Device, Forged, ::testing::ValuesIn(forgeries), [](const auto& given) {
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

}  // namespace
}  // namespace kled::edge
