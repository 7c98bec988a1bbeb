#include "gitops/windows/deploy_windows.h"

#include "base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace kled::gitops {
namespace {

namespace chr = std::chrono;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

DeployWindows windows(const std::string& yaml) { return DeployWindows::parse(yaml, "windows"); }

WallTime at(const std::string& text) { return *parse_rfc3339(text); }

/// "open until 2026-…", "closed".
std::string verdict(const DeployWindows& windows, const std::string& when) {
    const auto v = windows.at(at(when));
    return std::string{v.open ? "open" : "closed"} +
           (v.until ? " until " + to_rfc3339(*v.until) : "");
}

std::string refused(const std::string& yaml) {
    try {
        static_cast<void>(windows(yaml));
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

TEST(DeployWindows, NoneIsAlwaysOpen) {
    EXPECT_EQ(verdict({}, "2026-11-29T04:00:00Z"), "open");
    EXPECT_EQ(verdict(windows("[]"), "2026-11-29T04:00:00Z"), "open");
}

TEST(DeployWindows, OneThatAllowsIsTheOnlyTime) {
    const auto nightly =
        windows("- {schedule: 0 22 * * 1-5, duration: 6h, timeZone: Europe/Berlin}\n");
    EXPECT_EQ(verdict(nightly, "2026-11-29T04:00:00Z"), "closed until 2026-11-30T21:00:00Z");
    EXPECT_EQ(verdict(nightly, "2026-11-30T20:59:59Z"), "closed until 2026-11-30T21:00:00Z");
    EXPECT_EQ(verdict(nightly, "2026-11-30T21:00:00Z"), "open until 2026-12-01T03:00:00Z");
    EXPECT_EQ(verdict(nightly, "2026-12-01T02:59:59Z"), "open until 2026-12-01T03:00:00Z");
    EXPECT_EQ(verdict(nightly, "2026-12-01T03:00:00Z"), "closed until 2026-12-01T21:00:00Z");
    EXPECT_EQ(verdict(nightly, "2026-07-01T19:59:59Z"), "closed until 2026-07-01T20:00:00Z")
        << "in summer it begins an hour earlier";
}

TEST(DeployWindows, OneThatDeniesCountsMore) {
    const auto freeze = windows(
        "- {schedule: '0 0 20 12 *', duration: 336h, kind: deny}\n"
        "- {schedule: '0 8 * * *', duration: 8h, kind: allow}\n");
    EXPECT_EQ(verdict(freeze, "2026-12-19T10:00:00Z"), "open until 2026-12-19T16:00:00Z");
    EXPECT_EQ(verdict(freeze, "2026-12-20T10:00:00Z"), "closed until 2027-01-03T08:00:00Z");
    const auto only = windows("- {schedule: '0 0 20 12 *', duration: 336h, kind: deny}\n");
    EXPECT_EQ(verdict(only, "2026-11-29T04:00:00Z"), "open until 2026-12-20T00:00:00Z");
    EXPECT_EQ(verdict(only, "2026-12-24T18:00:00Z"), "closed until 2027-01-03T00:00:00Z");
}

TEST(DeployWindows, ThoseThatMeetAreOne) {
    const auto two = windows(
        "- {schedule: '0 1 * * *', duration: 2h}\n- {schedule: '0 3 * * *', duration: 2h}\n");
    EXPECT_EQ(verdict(two, "2026-11-29T01:30:00Z"), "open until 2026-11-29T05:00:00Z");
    EXPECT_EQ(verdict(windows("- {schedule: '* * * * *', duration: 1h}\n"), "2026-11-29T01:30:00Z"),
              "open");
    EXPECT_EQ(verdict(windows("- {schedule: '* * * * *', duration: 1h, kind: deny}\n"),
                      "2026-11-29T01:30:00Z"),
              "closed");
}

TEST(DeployWindows, OneThatOpensLongAfterIsNamedHoweverManyComeBefore) {
    const auto rare = windows(
        "- {schedule: '0 0 1 1 *', duration: 24h}\n"
        "- {schedule: '*/5 * * * *', duration: 1m, kind: deny}\n");
    EXPECT_EQ(verdict(rare, "2026-11-29T04:02:00Z"), "closed until 2027-01-01T00:01:00Z");
    EXPECT_EQ(verdict(rare, "2026-11-29T04:05:30Z"), "closed until 2027-01-01T00:01:00Z");
}

TEST(DeployWindows, TheNightOfTheChange) {
    const auto night =
        windows("- {schedule: '30 2 * * *', duration: 1h, timeZone: Europe/Berlin}\n");
    EXPECT_EQ(verdict(night, "2026-03-29T00:00:00Z"), "closed until 2026-03-29T01:00:00Z");
    EXPECT_EQ(verdict(night, "2026-03-29T01:00:00Z"), "open until 2026-03-29T02:00:00Z");
    EXPECT_EQ(verdict(night, "2026-10-25T00:30:00Z"), "open until 2026-10-25T02:30:00Z");
}

TEST(DeployWindows, SaysExactlyWhenItChanges) {
    // Whatever the windows: until the moment that is named nothing changes, and then it does.
    std::mt19937 random{20261129};
    const auto any = [&](int limit) {
        return static_cast<int>(random() % static_cast<unsigned>(limit));
    };
    const char* zones[] = {"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"};
    for (int round = 0; round < 60; ++round) {
        std::string yaml;
        for (int i = 0; i <= any(3); ++i) {
            yaml += "- {schedule: '" + std::to_string(any(60)) + " " + std::to_string(any(24)) +
                    " * * " + (any(2) == 0 ? "*" : std::to_string(any(7))) +
                    "', duration: " + std::to_string(1 + any(1800)) +
                    "m, timeZone: " + zones[any(4)] +
                    ", kind: " + (any(3) == 0 ? "deny" : "allow") + "}\n";
        }
        const auto list = windows(yaml);
        const auto start = at("2026-03-27T00:00:00Z") + chr::hours{any(72)};
        const auto first = list.at(start);
        if (!first.until) continue;
        EXPECT_NE(list.at(*first.until).open, first.open) << yaml;
        for (auto t = start; t < *first.until;
             t += std::max<Duration>((*first.until - start) / 50 > 1s
                                         ? chr::duration_cast<Duration>((*first.until - start) / 50)
                                         : 1s,
                                     1s))
            ASSERT_EQ(list.at(t).open, first.open) << yaml << to_rfc3339(t);
        EXPECT_EQ(list.at(*first.until - 1s).open, first.open) << yaml;
    }
}

TEST(DeployWindows, SayWhatIsWrongWithThem) {
    EXPECT_THAT(refused("{schedule: x}"), HasSubstr("windows: not a list of windows"));
    EXPECT_THAT(refused("- x"), HasSubstr("not a list of windows"));
    EXPECT_THAT(refused("- {duration: 1h}"), HasSubstr("windows[0].schedule: is required"));
    EXPECT_THAT(refused("- {schedule: '0 25 * * *', duration: 1h}"),
                HasSubstr("windows[0].schedule: '25' is no hour of a schedule"));
    EXPECT_THAT(refused("- {schedule: '0 2 * * *'}"), HasSubstr("windows[0].duration"));
    EXPECT_THAT(refused("- {schedule: '0 0 30,31 2 *', duration: 1h}"),
                HasSubstr("windows[0].schedule: '0 0 30,31 2 *' is on days that no year has: the "
                          "window would never begin"));
    EXPECT_THAT(refused("- {schedule: '0 0 31 4,6,9,11 *', duration: 1h, kind: deny}"),
                HasSubstr("no year has"));
    for (const auto* rare : {"0 0 29 2 *", "0 0 30 2 mon", "0 0 31 4,5 *"})
        EXPECT_EQ(refused("- {schedule: '" + std::string{rare} + "', duration: 1h}"), "") << rare;
    EXPECT_THAT(refused("- {schedule: '0 2 * * *', duration: 10s}"), HasSubstr("a minute"));
    EXPECT_THAT(
        refused("- {schedule: '0 2 * * *', duration: 1h, timeZone: Europe/Berlim}"),
        HasSubstr("windows[0].timeZone: 'Europe/Berlim' is no time zone of this system: a name as "
                  "\"Europe/Berlin\" or \"UTC\", as `timedatectl list-timezones` has "
                  "them"));
    EXPECT_THAT(refused("- {schedule: '0 2 * * *', duration: 1h, kind: sometimes}"),
                HasSubstr("neither allow nor deny"));
    EXPECT_THAT(refused("- {schedule: '0 2 * * *', duration: 1h, timezone: UTC}"),
                HasSubstr("windows[0].timezone: no field of a window"));
    EXPECT_THAT(refused("- ["), HasSubstr("windows"));
    EXPECT_THAT(refused(std::string(100'000, ' ')), HasSubstr("longer than any"));
    std::string many;
    for (int i = 0; i < 11; ++i) many += "- {schedule: '0 2 * * *', duration: 1h}\n";
    EXPECT_THAT(refused(many), HasSubstr("more than 10 windows"));
}

}  // namespace
}  // namespace kled::gitops
