#include "gitops/cloud/acr.h"

#include "base/encoding.h"
#include "base/error.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace kled::gitops::cloud {
namespace {

using namespace std::chrono_literals;

const WallTime now = *parse_rfc3339("2026-11-29T10:00:00Z");

std::string answer(const std::string& claims) {
    return R"({"refresh_token":"e30.)" + to_base64url(claims) + R"(.sig"})";
}

TEST(Acr, ExchangesATokenOfEntra) {
    const Secret token{"a.b"};
    const auto request = acr_exchange("shop.azurecr.io", token);
    EXPECT_EQ(request.target, "/oauth2/exchange");
    EXPECT_EQ(request.body, "grant_type=access_token&service=shop.azurecr.io&access_token=a.b");
    const auto end = std::to_string(std::chrono::system_clock::to_time_t(now + 1h));
    const auto login = read_acr_login(answer(R"({"exp":)" + end + "}"), now);
    EXPECT_EQ(login.user, "00000000-0000-0000-0000-000000000000");
    EXPECT_EQ(login.expires, now + 1h);
    EXPECT_EQ(read_acr_login(answer(R"({"exp":9000000000000000000})"), now).expires, now + 3h);
    for (const std::string& bad :
         {std::string{}, std::string{"[]"}, std::string{"{}"}, answer("{}"), answer("[]"),
          answer(R"({"exp":"x"})"), answer(R"({"exp":0})"), answer("{"),
          std::string{R"({"refresh_token":"a.b"})"}, std::string{R"({"refresh_token":"a.?.b"})"},
          std::string{R"({"refresh_token":"a b"})"}}) {
        try {
            (void)read_acr_login(bad, now);
            ADD_FAILURE() << bad;
        } catch (const Error& error) {
            EXPECT_STREQ(error.what(), "the answer of the registry holds no refresh token") << bad;
        }
    }
}

}  // namespace
}  // namespace kled::gitops::cloud
