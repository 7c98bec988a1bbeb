#include "gitops/windows/time_zone.h"

#include "base/error.h"
#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

namespace kled::gitops {
namespace {

namespace chr = std::chrono;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::filesystem::path data = "/usr/share/zoneinfo";

chr::sys_seconds utc(int year, unsigned month, unsigned day, int hour = 0, int minute = 0) {
    return chr::sys_days{chr::year{year} / chr::month{month} / chr::day{day}} + chr::hours{hour} +
           chr::minutes{minute};
}
chr::local_seconds local(int year, unsigned month, unsigned day, int hour, int minute = 0) {
    return chr::local_seconds{utc(year, month, day, hour, minute).time_since_epoch()};
}

std::string refused(std::string_view tzif) {
    try {
        static_cast<void>(TimeZone::parse(tzif));
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

/// What the C library says of the same file.
class Oracle {
public:
    explicit Oracle(const std::string& name) {
        ::setenv("TZ", (":" + name).c_str(), 1);
        ::tzset();
    }
    ~Oracle() {
        ::unsetenv("TZ");
        ::tzset();
    }
    Oracle(const Oracle&) = delete;
    Oracle& operator=(const Oracle&) = delete;
    static chr::seconds offset(chr::sys_seconds at) {
        const std::time_t time = at.time_since_epoch().count();
        std::tm broken{};
        ::localtime_r(&time, &broken);
        return chr::seconds{broken.tm_gmtoff};
    }
};

TEST(TimeZone, AgreesWithTheCLibraryEverywhere) {
    std::size_t zones = 0;
    for (const auto* folder :
         {"Africa", "America", "Antarctica", "Asia", "Australia", "Europe", "Pacific", "Etc"}) {
        for (const auto& entry : std::filesystem::directory_iterator{data / folder}) {
            if (!entry.is_regular_file()) continue;
            const auto name = std::string{folder} + "/" + entry.path().filename().string();
            const auto zone = TimeZone::load(name);
            const Oracle oracle{name};
            // Neither a whole number of weeks nor of days: all weekdays and hours come.
            for (auto at = utc(1970, 1, 1); at < utc(2100, 1, 1); at += 23 * 24h + 7h + 11min)
                ASSERT_EQ(zone.offset(at), oracle.offset(at))
                    << name << " " << at.time_since_epoch().count();
            ++zones;
        }
    }
    EXPECT_GT(zones, 300U);
}

TEST(TimeZone, AgreesWithTheCLibraryHourByHour) {
    // Two jumps of half an hour; summer time that is winter time; jumps around midnight; a day
    // that was skipped; another rule than the last transition's.
    for (const auto* name : {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
                             "Europe/Dublin", "America/Nuuk", "Pacific/Apia", "Africa/Casablanca",
                             "Asia/Tehran", "America/Sao_Paulo"}) {
        const auto zone = TimeZone::load(name);
        const Oracle oracle{name};
        for (const auto year : {2011, 2026, 2051}) {
            for (auto at = utc(year, 1, 1); at < utc(year + 1, 1, 2); at += 30min)
                ASSERT_EQ(zone.offset(at), oracle.offset(at))
                    << name << " " << at.time_since_epoch().count();
        }
    }
}

TEST(TimeZone, ATimeComesOnceTwiceOrIsJumpedOver) {
    const auto berlin = TimeZone::load("Europe/Berlin");
    EXPECT_THAT(berlin.moments(local(2026, 7, 1, 12)), ElementsAre(utc(2026, 7, 1, 10)));
    EXPECT_THAT(berlin.moments(local(2026, 10, 25, 2, 30)),
                ElementsAre(utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 1, 30)));
    EXPECT_THAT(berlin.moments(local(2026, 3, 29, 2, 30)), ElementsAre(utc(2026, 3, 29, 1)));
    EXPECT_THAT(berlin.moments(local(2026, 3, 29, 3, 0)), ElementsAre(utc(2026, 3, 29, 1)));
    const auto apia = TimeZone::load("Pacific/Apia");
    EXPECT_THAT(apia.moments(local(2011, 12, 30, 12)), ElementsAre(utc(2011, 12, 30, 10)));
    EXPECT_EQ(berlin.steady_offset(utc(2026, 1, 1), utc(2026, 1, 3)), 1h);
    EXPECT_EQ(berlin.steady_offset(utc(2026, 3, 28), utc(2026, 3, 30)), std::nullopt);
}

TEST(TimeZone, ANameIsNoWayOutOfTheFolder) {
    for (const auto* name :
         {"", "../etc/passwd", "/etc/localtime", "Europe", "Europe/../UTC", "Europe//Berlin",
          "Europe/Berlim", "Europe/Berlin\n", ".", "zone.tab"}) {
        EXPECT_THROW(static_cast<void>(TimeZone::load(name)), Error) << name;
    }
    EXPECT_THROW(static_cast<void>(TimeZone::load(std::string(1000, 'a'))), Error);
    EXPECT_EQ(TimeZone::load("UTC").offset(utc(2026, 1, 1)), 0s);
}

TEST(TimeZone, WhatIsNoTimeZoneDataIsRefused) {
    const auto whole = read_file(data / "Europe/Berlin");
    EXPECT_EQ(refused(whole), "");
    // Cut anywhere.
    for (std::size_t size = 0; size < whole.size(); ++size)
        ASSERT_NE(refused(std::string_view{whole}.substr(0, size)), "") << size;
    // Any byte is another: it is refused, or a zone that answers.
    for (std::size_t i = 0; i < whole.size(); ++i) {
        for (const auto mask : {0x01, 0x80, 0xFF}) {
            auto other = whole;
            other[i] = static_cast<char>(other[i] ^ mask);
            try {
                const auto zone = TimeZone::parse(other);
                for (const auto year : {1890, 2026, 2200}) {
                    static_cast<void>(zone.offset(utc(year, 6, 1)));
                    static_cast<void>(zone.moments(local(year, 3, 29, 2, 30)));
                }
            } catch (const Error&) {  // NOLINT(bugprone-empty-catch): refused is fine
            }
        }
    }
    EXPECT_THAT(refused(std::string(1U << 20U, 'x')), HasSubstr("larger than any"));
    auto footer =
        whole.substr(0, whole.size() - std::string_view{"\nCET-1CEST,M3.5.0,M10.5.0/3\n"}.size());
    for (const auto* rule :
         {"CET", "CET-99", "CET-1CEST", "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.0.0,M10.5.0",
          "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,J0,J1", "CET-1CEST,M3.5.0", "<CET-1",
          "CET-1CEST,1,366", "CET-1CEST,M3.5.0/168,M10.5.0", "CET-1x"}) {
        EXPECT_THAT(refused(footer + "\n" + rule + "\n"), HasSubstr("rule for later years"))
            << rule;
    }
    EXPECT_EQ(refused(footer + "\n<-03>3<-02>,M3.5.0/-2,M10.5.0/-1\n"), "");
    EXPECT_EQ(refused(footer + "\nXXX3EDT4,0/0,J365/23\n"), "");
    EXPECT_EQ(refused(footer + "\n\n"), "");
}

}  // namespace
}  // namespace kled::gitops
