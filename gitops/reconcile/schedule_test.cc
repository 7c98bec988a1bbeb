#include "gitops/reconcile/schedule.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using namespace std::chrono_literals;

constexpr SteadyTime start{};
const Key a{.kind = "Kustomization", .ns = "n", .name = "a"};
const Key b{.kind = "Kustomization", .ns = "n", .name = "b"};

TEST(Schedule, GivesTheOldestFirst) {
    Schedule schedule{4};
    schedule.touch_at(b, start + 2s);
    schedule.touch_at(a, start + 1s);
    EXPECT_EQ(schedule.next(start), std::nullopt);
    EXPECT_EQ(schedule.wake_at(), start + 1s);
    EXPECT_EQ(schedule.next(start + 5s), a);
    EXPECT_EQ(schedule.next(start + 5s), b);
    EXPECT_EQ(schedule.next(start + 5s), std::nullopt);
}

TEST(Schedule, RunsAKeyOnceAtATimeAndOnceMoreWhenTouched) {
    Schedule schedule{4};
    schedule.touch(a, start);
    EXPECT_EQ(schedule.next(start), a);
    EXPECT_FALSE(schedule.touched_while_running(a, start));
    schedule.touch(a, start);
    schedule.touch(a, start);
    EXPECT_TRUE(schedule.touched_while_running(a, start));
    EXPECT_EQ(schedule.next(start), std::nullopt);
    schedule.finished(a, start + 10min);
    EXPECT_EQ(schedule.next(start), a);
    schedule.finished(a, start + 10min);
    EXPECT_EQ(schedule.next(start), std::nullopt);
    EXPECT_EQ(schedule.wake_at(), start + 10min);
}

TEST(Schedule, RunsNoMoreThanAsked) {
    Schedule schedule{1};
    schedule.touch(a, start);
    schedule.touch(b, start);
    EXPECT_TRUE(schedule.next(start));
    EXPECT_EQ(schedule.next(start), std::nullopt);
    EXPECT_EQ(schedule.wake_at(), std::nullopt);
    schedule.finished(a, std::nullopt);
    EXPECT_EQ(schedule.next(start), b);
}

TEST(Schedule, KeepsTheEarlierOfTwoTimes) {
    Schedule schedule{1};
    schedule.touch_at(a, start + 1s);
    schedule.touch_at(a, start + 5s);
    EXPECT_EQ(schedule.wake_at(), start + 1s);
    schedule.forget(a);
    EXPECT_EQ(schedule.wake_at(), std::nullopt);
}

TEST(RetryAfter, EndsAtTheIntervalThatIsAskedFor) {
    using std::chrono::minutes;
    Backoff backoff{{.first = Duration{2'000}, .limit = Duration{120'000}}, 1};
    for (int i = 0; i < 7; ++i) EXPECT_LE(retry_after(backoff, minutes{10}), minutes{2});
    EXPECT_EQ(retry_after(backoff, minutes{10}), minutes{10});
    EXPECT_EQ(retry_after(backoff, Duration{100}), Duration{100});
    backoff.reset();
    EXPECT_LE(retry_after(backoff, minutes{10}), Duration{2'000});
}

}  // namespace
}  // namespace kled::gitops
