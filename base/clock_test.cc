#include "base/clock.h"

#include "base/error.h"

#include <gtest/gtest.h>

namespace kled {
namespace {

using namespace std::chrono_literals;

constexpr WallTime start =
    std::chrono::sys_days{std::chrono::year{2026} / 11 / 21} + 10h + 5s + 42'001us;

TEST(Clock, WritesAndReadsRfc3339) {
    EXPECT_EQ(to_rfc3339(start), "2026-11-21T10:00:05Z");
    EXPECT_EQ(to_rfc3339_micro(start), "2026-11-21T10:00:05.042001Z");
    EXPECT_EQ(parse_rfc3339("2026-11-21T10:00:05.042001Z"), start);
    EXPECT_EQ(parse_rfc3339("2026-11-21T12:30:05.042001+02:30"), start);
    EXPECT_EQ(parse_rfc3339("2026-11-21T05:00:05.042001-05:00"), start);
    EXPECT_EQ(parse_rfc3339("2026-11-21T10:00:05.0420010009Z"), start);
    EXPECT_EQ(to_rfc3339(*parse_rfc3339("1969-12-31T23:59:59.5Z")), "1969-12-31T23:59:59Z");
}

TEST(Clock, RefusesWhatGoRefuses) {
    for (const auto* bad :
         {"", "2026-11-21", "2026-11-21T10:00:05", "2026-11-21t10:00:05Z", "2026-02-30T10:00:05Z",
          "2026-11-21T24:00:05Z", "2026-11-21T10:60:05Z", "2026-11-21T10:00:60Z",
          "2026-11-21T10:00:05.Z", "2026-11-21T10:00:05+2:00", "2026-11-21T10:00:05Z ",
          "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"})
        EXPECT_EQ(parse_rfc3339(bad), std::nullopt) << bad;
}

TEST(Clock, ReadsGoDurations) {
    EXPECT_EQ(parse_duration("1h30m"), 90min);
    EXPECT_EQ(parse_duration("500ms"), 500ms);
    EXPECT_EQ(parse_duration("1.5s"), 1500ms);
    EXPECT_EQ(parse_duration("1.1h"), 66min);
    EXPECT_EQ(parse_duration(".5s"), 500ms);
    EXPECT_EQ(parse_duration("0"), 0ms);
    EXPECT_EQ(parse_duration("0s"), 0ms);
    EXPECT_EQ(parse_duration("+5s"), 5s);
    EXPECT_EQ(parse_duration("1500\xc2\xb5s"), 1ms);
    EXPECT_EQ(parse_duration("2562047h47m16.854775807s"), 9'223'372'036'854ms);
}

TEST(Clock, RefusesOtherDurationsAndNamesThem) {
    for (const auto* bad : {"", "5", "s", ".s", "-5s", "5 s", "5d", "1h-5m",
                            "9223372036854775808ns", "2562048h", "99999999999999999999s"}) {
        try {
            static_cast<void>(parse_duration(bad));
            FAIL() << bad;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::invalid);
            EXPECT_NE(std::string{error.what()}.find("\"" + std::string{bad} + "\""),
                      std::string::npos);
        }
    }
}

TEST(Clock, WritesDurationsAsGoDoes) {
    const std::pair<Duration, const char*> cases[] = {
        {0ms, "0s"},        {5ms, "5ms"},   {1s, "1s"},     {1500ms, "1.5s"},
        {1005ms, "1.005s"}, {90s, "1m30s"}, {1h, "1h0m0s"}, {25h + 61ms, "25h0m0.061s"},
        {-90s, "-1m30s"}};
    for (const auto& [duration, text] : cases) {
        EXPECT_EQ(format_duration(duration), text);
        if (duration >= 0ms) {
            EXPECT_EQ(parse_duration(text), duration);
        }
    }
}

}  // namespace
}  // namespace kled
