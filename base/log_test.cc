#include "base/log.h"

#include "base/error.h"

#include <gtest/gtest.h>

#include <limits>

namespace kled::log {
namespace {

constexpr WallTime start = std::chrono::sys_days{std::chrono::year{2026} / 11 / 21} +
                           std::chrono::hours{10} + std::chrono::microseconds{7'042};

std::string text(std::string_view message, Fields fields = {}) {
    return render(Format::text, false, start, Level::info, "gitops", message, fields);
}
std::string json(std::string_view message, Fields fields = {}) {
    return render(Format::json, false, start, Level::warn, "gitops", message, fields);
}

TEST(Log, WritesTextForPeople) {
    EXPECT_EQ(text("applied", {{"kustomization", "apps"}, {"objects", 12}, {"wait", true}}),
              "2026-11-21T10:00:00.007Z info  gitops: applied kustomization=apps objects=12 "
              "wait=true\n");
}

TEST(Log, QuotesValuesThatWouldReadAsSomethingElse) {
    EXPECT_EQ(
        text("m", {{"a", ""}, {"b", "x y"}, {"c", "k=v"}, {"d", "say \"hi\""}, {"e", "\xff"}}),
        "2026-11-21T10:00:00.007Z info  gitops: m a=\"\" b=\"x y\" c=\"k=v\" "
        "d=\"say \\\"hi\\\"\" e=\"\xef\xbf\xbd\"\n");
}

TEST(Log, StaysOnOneLineWhateverItIsGiven) {
    const auto forged = "ok\n2026-11-21T10:00:00.007Z error gitops: forged\x1b[2J";
    EXPECT_EQ(text(forged, {{"v", forged}}).find('\n'), text(forged, {{"v", forged}}).size() - 1);
    EXPECT_EQ(text(forged).find('\x1b'), std::string::npos);
    EXPECT_EQ(json(forged, {{"v", forged}}).find('\n'), json(forged, {{"v", forged}}).size() - 1);
}

TEST(Log, WritesJsonForMachines) {
    EXPECT_EQ(json("applied", {{"n", std::uint64_t{7}},
                               {"s", 0.25},
                               {"nan", std::numeric_limits<double>::quiet_NaN()},
                               {"q", "a\"\t\x01"}}),
              R"({"time":"2026-11-21T10:00:00.007042Z","level":"warn","part":"gitops",)"
              R"("message":"applied","n":7,"s":0.25,"nan":"nan","q":"a\"\t\u0001"})"
              "\n");
}

TEST(Log, ColoursOnlyWhenTold) {
    EXPECT_EQ(
        render(Format::text, true, start, Level::error, "p", "m", {{"k", "v"}}),
        "\x1b[2m2026-11-21T10:00:00.007Z\x1b[0m \x1b[31merror\x1b[0m p: m \x1b[2mk=\x1b[0mv\n");
}

TEST(Log, KnowsItsLevelsAndFormats) {
    EXPECT_EQ(parse_level("warn"), Level::warn);
    EXPECT_EQ(parse_format("json"), Format::json);
    EXPECT_THROW(parse_level("loud"), Error);
    EXPECT_THROW(parse_format("xml"), Error);
    EXPECT_FALSE(enabled(Level::debug));
    EXPECT_TRUE(enabled(Level::info));
}

}  // namespace
}  // namespace kled::log
