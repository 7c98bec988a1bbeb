#include "gitops/cloud/bearer.h"

#include "base/error.h"

#include <gtest/gtest.h>

#include <chrono>

namespace kled::gitops::cloud {
namespace {

using namespace std::chrono_literals;

const WallTime now = *parse_rfc3339("2026-11-29T10:00:00Z");

bool holds_token(const std::string& body) {
    try {
        (void)read_bearer(body, now, "Entra");
        return true;
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "the answer of Entra holds no token");
        return false;
    }
}

TEST(Bearer, IsInAnAnswer) {
    const auto token = read_bearer(
        R"({"token_type":"Bearer","expires_in":3599,"access_token":"eyJ0.x"})", now, "Entra");
    EXPECT_EQ(token.text->reveal(), "eyJ0.x");
    EXPECT_EQ(token.expires, now + 3599s);
    const auto longest =
        read_bearer(R"({"expires_in":9000000000000000000,"access_token":"t"})", now, "Entra");
    EXPECT_EQ(longest.expires, now + 24h);
    for (const auto* bad :
         {"", "[]", "{}", R"({"access_token":"t"})", R"({"expires_in":3599})",
          R"({"expires_in":0,"access_token":"t"})", R"({"expires_in":"x","access_token":"t"})",
          R"({"expires_in":3599,"access_token":"a\r\nb"})",
          R"({"expires_in":3599,"access_token":7})"})
        EXPECT_FALSE(holds_token(bad)) << bad;
}

TEST(Bearer, IsRefusedInWords) {
    EXPECT_EQ(json_refusal(R"({"error":"invalid_client","error_description":)"
                           R"("AADSTS700213: No matching record.\r\nTrace ID: x"})"),
              "invalid_client: AADSTS700213: No matching record.");
    EXPECT_EQ(json_refusal(R"({"__type":"com.amazon#AccessDeniedException","Message":"no"})"),
              "AccessDeniedException: no");
    EXPECT_EQ(json_refusal(R"({"__type":"AccessDeniedException","message":"no"})"),
              "AccessDeniedException: no");
    EXPECT_EQ(json_refusal(R"({"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}})"),
              "PERMISSION_DENIED: no");
    EXPECT_EQ(json_refusal(R"({"error":{"code":"Forbidden","message":"no"}})"), "Forbidden: no");
    EXPECT_EQ(json_refusal(R"({"errors":[{"code":"UNAUTHORIZED","message":"no"}]})"),
              "UNAUTHORIZED: no");
    EXPECT_EQ(json_refusal(R"({"errors":[]})"), "");
    EXPECT_EQ(json_refusal("<html>"), "");
    EXPECT_EQ(json_refusal("[]"), "");
}

}  // namespace
}  // namespace kled::gitops::cloud
