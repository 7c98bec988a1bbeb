// Every fault, at every step.
#include "edge/device_simulation.h"

#include <gtest/gtest.h>

#include <vector>

namespace kled::edge {
namespace {

using namespace std::chrono_literals;
using testing::all_faults;
using testing::Fault;
using testing::one;
using testing::release;
using testing::steps_of_an_update;
using testing::three;
using testing::two;
using testing::with;

class AnyFault : public ::testing::TestWithParam<Fault> {};

TEST_P(AnyFault, AtAnyStepLeavesNothingLostAndNothingDoubled) {
    const auto fault = GetParam();
    const auto last = steps_of_an_update();
    ASSERT_GT(last, 20U);
    for (std::size_t step = 1; step <= last; ++step) {
        SCOPED_TRACE(::testing::Message() << "step " << step << " of " << last);
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

INSTANTIATE_TEST_SUITE_P(Device, AnyFault, ::testing::ValuesIn(all_faults),
                         ::testing::PrintToStringParamName());

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

}  // namespace
}  // namespace kled::edge
