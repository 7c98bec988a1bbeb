#include "base/retry.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kled {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, DoublesItsBoundUpToTheLimit) {
    std::vector<Duration> longest(8);
    for (std::uint64_t seed = 0; seed < 3000; ++seed) {
        Backoff backoff{{.first = 100ms, .limit = 1s}, seed};
        for (auto& delay : longest) delay = std::max(delay, backoff.next());
    }
    const std::vector<Duration> bounds{100ms, 200ms, 400ms, 800ms, 1s, 1s, 1s, 1s};
    for (std::size_t i = 0; i < bounds.size(); ++i) {
        EXPECT_LE(longest[i], bounds[i]);
        EXPECT_GT(longest[i], bounds[i] * 9 / 10);
    }
}

TEST(Backoff, UsesTheWholeRange) {
    Backoff backoff{{.first = 1s, .limit = 1s}, 7};
    Duration total{0};
    for (int i = 0; i < 1000; ++i) total += backoff.next();
    EXPECT_NEAR(static_cast<double>(total.count()) / 1000, 500, 30);
}

TEST(Backoff, RepeatsWithItsSeedAndStartsAgainAfterSuccess) {
    Backoff a{{}, 42};
    Backoff b{{}, 42};
    for (int i = 0; i < 5; ++i) EXPECT_EQ(a.next(), b.next());
    EXPECT_EQ(a.failures(), 5U);
    a.reset();
    EXPECT_EQ(a.failures(), 0U);
    EXPECT_LE(a.next(), 1s);
}

TEST(Backoff, SurvivesAnyNumberOfFailures) {
    Backoff backoff{{.first = 1ms, .limit = Duration::max()}, 1};
    for (int i = 0; i < 200; ++i) EXPECT_GE(backoff.next(), 0ms);
    Backoff none{{.first = 0ms, .limit = 0ms}, 1};
    EXPECT_EQ(none.next(), 0ms);
}

}  // namespace
}  // namespace kled
