#include "gitops/drift/suspects.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using namespace std::chrono_literals;

const kube::ObjectId config{.group = "", .kind = "ConfigMap", .ns = "web", .name = "a"};
const kube::ObjectId other{.group = "", .kind = "ConfigMap", .ns = "web", .name = "b"};
constexpr SteadyTime start{1h};

Memory memory_of(const char* version, std::uint64_t record = 0) {
    Memory memory;
    memory[config] = {.digest = 1, .resource_version = version, .record = record};
    return memory;
}
Sighting seen(const char* version, std::uint64_t record = 0) {
    return {.resource_version = version, .record = record};
}

TEST(Suspects, AreWhatIsNotAsItWasWritten) {
    auto memory = memory_of("10");
    Suspects suspects;
    suspects.saw(config, seen("10"));
    EXPECT_FALSE(suspects.settle(config, memory)) << "one's own";
    suspects.saw(config, seen("9"));
    EXPECT_FALSE(suspects.settle(config, memory)) << "from before";
    suspects.saw(other, seen("99"));
    EXPECT_FALSE(suspects.settle(memory)) << "nobody wrote it";
    suspects.saw(config, seen("11"));
    EXPECT_TRUE(suspects.settle(config, memory));
    EXPECT_EQ(suspects.next(start), start);
    const auto due = suspects.due(memory, start);
    ASSERT_EQ(due.size(), 1U);
    EXPECT_EQ(due[0].id, config);
    EXPECT_TRUE(suspects.due(memory, start).empty()) << "once";
    EXPECT_EQ(suspects.next(start), std::nullopt);
    suspects.saw(config, Sighting{});
    EXPECT_EQ(suspects.due(memory, start).size(), 1U) << "it went";
}

TEST(Suspects, OfWhichOthersChangedOnlyWhatIsTheirsAreNone) {
    auto memory = memory_of("10", 7);
    Suspects suspects;
    suspects.saw(config, seen("12", 7));
    EXPECT_TRUE(suspects.due(memory, start).empty());
    EXPECT_EQ(memory.at(config).resource_version, "12") << "known for the next look at all";
    auto told = seen("13", 7);
    told.read_first = true;
    suspects.saw(config, told);
    EXPECT_TRUE(suspects.due(memory, start).empty());
    EXPECT_TRUE(memory.at(config).read_first) << "so that it is not written over";
    suspects.saw(config, seen("14", 8));
    EXPECT_EQ(suspects.due(memory, start).size(), 1U);
}

TEST(Suspects, ThatComeAgainAndAgainAreLookedAtLessOften) {
    auto memory = memory_of("10");
    Suspects suspects;
    auto now = start;
    std::vector<std::chrono::milliseconds> pauses;
    for (int i = 0; i < 12; ++i) {
        suspects.saw(config, seen("11"));
        const auto next = suspects.next(now);
        ASSERT_TRUE(next);
        pauses.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(*next - now));
        now = *next;
        ASSERT_EQ(suspects.due(memory, now).size(), 1U);
    }
    const std::vector<std::chrono::milliseconds> wanted{0s, 0s,  0s,  1s,  2s,  4s,
                                                        8s, 16s, 32s, 60s, 60s, 60s};
    EXPECT_EQ(pauses, wanted);
    memory[other] = {.digest = 1, .resource_version = "1"};
    suspects.saw(other, seen("2"));
    EXPECT_EQ(suspects.due(memory, now).size(), 1U) << "others need not wait for it";
    suspects.saw(config, seen("11"));
    EXPECT_EQ(suspects.due(memory, now + 10min).size(), 1U);
    suspects.saw(config, seen("11"));
    EXPECT_EQ(suspects.next(now + 10min), now + 10min) << "calm makes it forget";
}

}  // namespace
}  // namespace kled::gitops
