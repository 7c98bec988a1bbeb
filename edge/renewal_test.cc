#include "edge/renewal.h"

#include <gtest/gtest.h>

#include <set>

namespace kled::edge {
namespace {

using namespace std::chrono_literals;

constexpr WallTime joined{std::chrono::seconds{1'800'000'000}};
constexpr auto year = std::chrono::hours{24 * 365};
constexpr Renewal::Life one_year{.not_before = joined, .not_after = joined + year};
constexpr SteadyTime boot{};

TEST(Renewal, IsDueBetweenHalfAndTwoThirdsOfTheLifeByTheHubsClock) {
    std::set<SteadyTime> times;
    for (std::uint32_t device = 1; device <= 200; ++device) {
        Renewal renewal{one_year, device};
        EXPECT_EQ(renewal.due(), SteadyTime::max()) << "whatever the device takes for the time";
        renewal.hub_time(joined + 24h, boot + 1h);
        const auto due = renewal.due() - (boot + 1h) + 24h;  // since it joined
        EXPECT_GE(due, year / 2);
        EXPECT_LT(due, year * 2 / 3);
        times.insert(renewal.due());
    }
    EXPECT_GT(times.size(), 190U) << "devices that joined together ask together";
}

TEST(Renewal, OfADeviceThatWasOffForLongIsDueAtOnce) {
    Renewal renewal{one_year, 1};
    renewal.hub_time(joined + year * 9 / 10, boot);
    EXPECT_EQ(renewal.due(), boot);
}

TEST(Renewal, IsAskedForAgainAfterPausesThatGrowUntilThereIsAnAnswer) {
    Renewal renewal{one_year, 1};
    renewal.hub_time(joined + year * 2 / 3, boot);
    auto now = renewal.due();
    unsigned asked = 0;
    auto last = 0ns;
    while (now < boot + 24h * 30) {
        renewal.asked(now);
        ++asked;
        // The clock is told anew all the time, and does not bring the next attempt forward.
        renewal.hub_time(joined + year * 2 / 3 + (now - boot), now);
        last = renewal.due() - now;
        EXPECT_GE(last, 30s);
        EXPECT_LE(last, 6h);
        now = renewal.due();
    }
    EXPECT_GT(last, 3h - 1s);
    EXPECT_GT(asked, 100U) << "it gave up";
    EXPECT_LT(asked, 300U) << "it asks all the time";

    const auto begin = joined + year * 3 / 4;
    renewal.renewed({.not_before = begin, .not_after = begin + year}, now);
    EXPECT_GT(renewal.due() - now, year * 2 / 5) << "the new one is not old";
}

TEST(Renewal, OfACertificateThatLivesForSecondsIsAskedForInTime) {
    Renewal renewal{{.not_before = joined, .not_after = joined + 12s}, 7};
    renewal.hub_time(joined, boot);
    EXPECT_GE(renewal.due(), boot + 6s);
    EXPECT_LT(renewal.due(), boot + 8s);
    renewal.asked(renewal.due());
    EXPECT_LT(renewal.due(), boot + 9s);
}

}  // namespace
}  // namespace kled::edge
