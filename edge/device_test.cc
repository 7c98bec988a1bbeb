// From an assignment to a workload, and back to a report.
#include "edge/device_simulation.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace kled::edge {
namespace {

using namespace std::chrono_literals;
using testing::Fault;
using testing::one;
using testing::Simulation;
using testing::two;
using testing::with;

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
        SCOPED_TRACE(::testing::Message() << "hub ." << hub.max << ", agent ." << agent.max);
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
