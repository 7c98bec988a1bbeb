#include "gitops/windows/cron.h"

#include "base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <vector>

namespace kled::gitops {
namespace {

namespace chr = std::chrono;
using namespace std::chrono_literals;
using ::testing::ElementsAre;

chr::sys_seconds utc(int year, unsigned month, unsigned day, int hour = 0, int minute = 0) {
    return chr::sys_days{chr::year{year} / chr::month{month} / chr::day{day}} + chr::hours{hour} +
           chr::minutes{minute};
}

/// The first `count` after `after`.
std::vector<chr::sys_seconds> first(const std::string& text, chr::sys_seconds after, int count,
                                    const TimeZone& zone = {}) {
    const auto cron = Cron::parse(text);
    std::vector<chr::sys_seconds> result;
    for (int i = 0; i < count; ++i) {
        const auto next = cron.next(after, zone);
        if (!next) break;
        result.push_back(*next);
        after = *next;
    }
    return result;
}

TEST(Cron, ReadsTheFormsOfKubernetes) {
    const auto from = utc(2026, 11, 29, 4);  // a Sunday
    EXPECT_THAT(first("0 22 * * 1-5", from, 6),
                ElementsAre(utc(2026, 11, 30, 22), utc(2026, 12, 1, 22), utc(2026, 12, 2, 22),
                            utc(2026, 12, 3, 22), utc(2026, 12, 4, 22), utc(2026, 12, 7, 22)));
    EXPECT_THAT(first("*/20 8-9 * * *", from, 4),
                ElementsAre(utc(2026, 11, 29, 8), utc(2026, 11, 29, 8, 20),
                            utc(2026, 11, 29, 8, 40), utc(2026, 11, 29, 9)));
    EXPECT_THAT(first("5,10 0 1 jan,Jul *", from, 3),
                ElementsAre(utc(2027, 1, 1, 0, 5), utc(2027, 1, 1, 0, 10), utc(2027, 7, 1, 0, 5)));
    EXPECT_THAT(first("0 0 * * SUN", from, 1), ElementsAre(utc(2026, 12, 6)));
    EXPECT_THAT(first("0 0 * * 7", from, 1), ElementsAre(utc(2026, 12, 6)));
    EXPECT_THAT(first("0 0 29 2 *", from, 2), ElementsAre(utc(2028, 2, 29), utc(2032, 2, 29)));
    EXPECT_THAT(first("0 0 30 2 *", from, 1), ElementsAre()) << "there is no such day";
    // Either of two restricted days; both where one is a star.
    EXPECT_THAT(first("0 0 13 * 5", from, 3),
                ElementsAre(utc(2026, 12, 4), utc(2026, 12, 11), utc(2026, 12, 13)));
    EXPECT_THAT(first("0 0 13 * ?", from, 1), ElementsAre(utc(2026, 12, 13)));
    EXPECT_THAT(first("10/25 4 * * *", from, 2),
                ElementsAre(utc(2026, 11, 29, 4, 10), utc(2026, 11, 29, 4, 35)));
    EXPECT_THAT(first("@weekly", from, 1), ElementsAre(utc(2026, 12, 6)));
    EXPECT_THAT(first("@hourly", from, 1), ElementsAre(utc(2026, 11, 29, 5)));
}

TEST(Cron, RefusesWhatIsNoSchedule) {
    for (const auto* text : {"",
                             "* * * *",
                             "* * * * * *",
                             "60 * * * *",
                             "* 24 * * *",
                             "* * 0 * *",
                             "* * 32 * *",
                             "* * * 0 *",
                             "* * * 13 *",
                             "* * * * 8",
                             "5-1 * * * *",
                             "*/0 * * * *",
                             "a * * * *",
                             "1, * * * *",
                             "-1 * * * *",
                             "1-2-3 * * * *",
                             "* * * foo *",
                             "@every 1h",
                             "@reboot",
                             "CRON_TZ=UTC * * * * *",
                             "1// * * * *",
                             "* * * * mo"}) {
        EXPECT_THROW(static_cast<void>(Cron::parse(text)), Error) << text;
    }
    EXPECT_THROW(static_cast<void>(Cron::parse(std::string(10'000, '*'))), Error);
}

TEST(Cron, ATimeThatTheClocksJumpOverIsTheMomentOfThat) {
    const auto berlin = TimeZone::load("Europe/Berlin");
    EXPECT_THAT(first("30 2 * * *", utc(2026, 3, 27, 12), 3, berlin),
                ElementsAre(utc(2026, 3, 28, 1, 30), utc(2026, 3, 29, 1), utc(2026, 3, 30, 0, 30)));
}

TEST(Cron, ATimeThatTheClocksAreSetBackOverComesTwice) {
    const auto berlin = TimeZone::load("Europe/Berlin");
    EXPECT_THAT(
        first("30 2 * * *", utc(2026, 10, 24, 12), 3, berlin),
        ElementsAre(utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 1, 30), utc(2026, 10, 26, 1, 30)));
}

/// Looks at the clock of the place at each minute: what is shown, and what it jumped over.
std::set<chr::sys_seconds> looked_up(const std::string& text, chr::sys_seconds from,
                                     chr::sys_seconds to, const TimeZone& zone) {
    // In UTC a schedule needs no rules, and each minute shows one time.
    const auto cron = Cron::parse(text);
    const TimeZone plain;
    const auto shows = [&](chr::sys_seconds clock) {
        return cron.next(clock - 1s, plain) == clock;
    };
    std::set<chr::sys_seconds> result;
    auto before = from - 1min + zone.offset(from - 1min);
    for (auto at = from; at < to; at += 1min) {
        const auto clock = at + zone.offset(at);
        if (shows(clock)) result.insert(at);
        for (auto skipped = before + 1min; skipped < clock; skipped += 1min)
            if (shows(skipped)) result.insert(at);
        before = clock;
    }
    return result;
}

TEST(Cron, AgreesWithTheClockMinuteByMinute) {
    struct Case {
        const char* zone;
        chr::sys_seconds from;
    };
    constexpr std::array<const char*, 8> texts{"30 2 * * *",  "*/17 * * * *",     "0 0 * * *",
                                               "45 23 * * *", "59 1 * * *",       "0 3 * * 0",
                                               "10 0 1 * *",  "15,45 0-3 * * 6,0"};
    std::size_t round = 0;
    // Days on which clocks change, at two, by half an hour, and around midnight.
    for (const auto& [name, from] :
         {Case{"Europe/Berlin", utc(2026, 3, 28)}, Case{"Europe/Berlin", utc(2026, 10, 24)},
          Case{"America/New_York", utc(2026, 3, 7)}, Case{"America/New_York", utc(2026, 10, 31)},
          Case{"Australia/Lord_Howe", utc(2026, 4, 3)},
          Case{"Australia/Lord_Howe", utc(2026, 10, 2)},
          Case{"America/Sao_Paulo", utc(2018, 11, 3)}, Case{"America/Sao_Paulo", utc(2018, 2, 17)},
          Case{"America/Nuuk", utc(2026, 3, 28)}, Case{"America/Nuuk", utc(2026, 10, 24)},
          Case{"America/Havana", utc(2026, 10, 31)}, Case{"Pacific/Apia", utc(2011, 12, 29)}}) {
        const auto zone = TimeZone::load(name);
        const auto to = from + 48h;
        // One each: to look at every minute takes its time.
        const auto* const text = texts[round++ % texts.size()];
        const auto wanted = looked_up(text, from, to, zone);
        const auto cron = Cron::parse(text);
        std::set<chr::sys_seconds> forwards;
        for (auto at = cron.next(from - 1s, zone); at && *at < to; at = cron.next(*at, zone))
            forwards.insert(*at);
        EXPECT_EQ(forwards, wanted) << name << " " << text;
        std::set<chr::sys_seconds> backwards;
        for (auto at = cron.last(to - 1s, 48h, zone); at && *at >= from;
             at = cron.last(*at - 1s, 48h, zone))
            backwards.insert(*at);
        EXPECT_EQ(backwards.size(), wanted.size()) << name << " " << text;
    }
}

TEST(Cron, LooksBackNoFurtherThanAsked) {
    const auto cron = Cron::parse("0 22 * * *");
    const TimeZone zone;
    EXPECT_EQ(cron.last(utc(2026, 11, 29, 23), 2h, zone), utc(2026, 11, 29, 22));
    EXPECT_EQ(cron.last(utc(2026, 11, 30, 0), 2h, zone), std::nullopt) << "it ends then";
    EXPECT_EQ(cron.last(utc(2026, 11, 29, 22), 1min, zone), utc(2026, 11, 29, 22));
}

}  // namespace
}  // namespace kled::gitops
