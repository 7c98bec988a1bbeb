#include "gitops/oci/challenge.h"

#include "base/error.h"

#include <gtest/gtest.h>

namespace kled::gitops::oci {
namespace {

using namespace std::chrono_literals;

constexpr SteadyTime start{};

TEST(OciChallenge, ReadsWhatRegistriesSend) {
    const auto one = parse_challenges(
        R"(Bearer realm="https://auth.example.org/token",service="example.org",scope="repository:a/b:pull,push")");
    ASSERT_EQ(one.size(), 1U);
    EXPECT_EQ(one[0].scheme, "bearer");
    EXPECT_EQ(one[0].parameter("realm"), "https://auth.example.org/token");
    EXPECT_EQ(one[0].parameter("scope"), "repository:a/b:pull,push");
    EXPECT_EQ(one[0].parameter("error"), "");
}

TEST(OciChallenge, TellsSeveralApart) {
    const auto all = parse_challenges(R"(BASIC Realm = "a \"b\" c" , bearer realm=x, Negotiate)");
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[0].scheme, "basic");
    EXPECT_EQ(all[0].parameter("realm"), R"(a "b" c)");
    EXPECT_EQ(all[1].parameter("realm"), "x");
    EXPECT_EQ(all[2].scheme, "negotiate");
}

TEST(OciChallenge, TakesNothingFromWhatIsCutShort) {
    EXPECT_TRUE(parse_challenges(R"(Bearer realm="https://auth)").empty());
    EXPECT_TRUE(parse_challenges("realm=x").empty());
    EXPECT_TRUE(parse_challenges("\"").empty());
    EXPECT_TRUE(parse_challenges("").empty());
    EXPECT_TRUE(parse_challenges(std::string(10'000, 'a')).empty());
    EXPECT_EQ(parse_challenges("Basic realm=\"a\", Bearer realm=\"b\\").size(), 1U);
}

TEST(OciChallenge, ReadsEitherNameOfAToken) {
    EXPECT_EQ(parse_token(R"({"token":"a","access_token":"b","expires_in":300})").value->reveal(),
              "a");
    const auto token = parse_token(R"({"access_token":"b"})");
    EXPECT_EQ(token.value->reveal(), "b");
    EXPECT_EQ(token.lifetime, 60s);
    EXPECT_EQ(parse_token(R"({"token":"a","expires_in":9000000000})").lifetime, 24h);
    EXPECT_EQ(parse_token(R"({"token":"a","expires_in":-1})").lifetime, 60s);
    for (const auto* bad :
         {"", "[]", "{}", R"({"token":""})", R"({"token":7})", R"({"token":"a\r\nb"})"})
        EXPECT_THROW(auto none = parse_token(bad), Error) << bad;
}

TEST(OciTokenCache, ForgetsATokenBeforeItExpires) {
    TokenCache cache;
    cache.put("a", parse_token(R"({"token":"t","expires_in":100})"), start);
    ASSERT_NE(cache.find("a", start + 89s), nullptr);
    EXPECT_EQ(cache.find("a", start + 89s)->reveal(), "t");
    EXPECT_EQ(cache.find("b", start), nullptr);
    EXPECT_EQ(cache.find("a", start + 90s), nullptr);
    EXPECT_EQ(cache.size(), 0U);
}

TEST(OciTokenCache, HoldsNoMoreThanItsLimit) {
    TokenCache cache{2};
    cache.put("long", parse_token(R"({"token":"t","expires_in":100})"), start);
    cache.put("short", parse_token(R"({"token":"t","expires_in":10})"), start);
    cache.put("third", parse_token(R"({"token":"t","expires_in":50})"), start);
    EXPECT_EQ(cache.size(), 2U);
    EXPECT_EQ(cache.find("short", start), nullptr);
    EXPECT_NE(cache.find("long", start), nullptr);
}

}  // namespace
}  // namespace kled::gitops::oci
