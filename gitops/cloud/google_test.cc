#include "gitops/cloud/google.h"

#include "base/error.h"

#include <gtest/gtest.h>

#include <chrono>

namespace kled::gitops::cloud {
namespace {

using namespace std::chrono_literals;

const WallTime now = *parse_rfc3339("2026-11-29T10:00:00Z");
const std::string provider =
    "projects/123/locations/global/workloadIdentityPools/clusters/providers/kled";

TEST(Google, HasNamesThatStayInTheirPath) {
    EXPECT_TRUE(is_workload_provider(provider));
    for (const std::string& other :
         {std::string{}, provider + "/x", "/" + provider, provider + "?x", "projects/x" + provider,
          std::string{"projects/1/locations/eu/workloadIdentityPools/a/providers/b"},
          std::string{"projects//locations/global/workloadIdentityPools/a/providers/b"},
          std::string{"projects/1/locations/global/workloadIdentityPools//providers/b"},
          std::string{"projects/1/locations/global/workloadIdentityPools/a/providers/"}})
        EXPECT_FALSE(is_workload_provider(other)) << other;
    EXPECT_TRUE(is_google_account("pull@shop-1.iam.gserviceaccount.com"));
    for (const auto* other : {"", "pull", "pull@example.org", "@shop.iam.gserviceaccount.com",
                              "pull@.iam.gserviceaccount.com", "a/b@shop.iam.gserviceaccount.com",
                              "a@b.c.iam.gserviceaccount.com", "a@iam.gserviceaccount.com"})
        EXPECT_FALSE(is_google_account(other)) << other;
}

/// As Google's page on workload identity federation has it.
TEST(Google, ExchangesATokenOfAPool) {
    const Secret assertion{"a.b"};
    const auto request = federated_token(provider, assertion);
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.target, "/v1/token");
    EXPECT_EQ(request.body,
              "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
              "&audience=%2F%2Fiam.googleapis.com%2Fprojects%2F123%2Flocations%2Fglobal%2F"
              "workloadIdentityPools%2Fclusters%2Fproviders%2Fkled"
              "&scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform"
              "&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"
              "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt"
              "&subject_token=a.b");
}

TEST(Google, LendsAnAccount) {
    const Secret federated{"fed"};
    const auto request = account_token("pull@shop.iam.gserviceaccount.com", federated);
    EXPECT_EQ(request.target,
              "/v1/projects/-/serviceAccounts/pull@shop.iam.gserviceaccount.com:"
              "generateAccessToken");
    EXPECT_EQ(request.headers.get("Authorization"), "Bearer fed");
    EXPECT_EQ(request.body,
              R"({"scope":["https://www.googleapis.com/auth/cloud-platform"],"lifetime":"3600s"})");
    const auto token =
        read_account_token(R"({"accessToken":"ya29.x","expireTime":"2026-11-29T11:00:00Z"})", now);
    EXPECT_EQ(token.text->reveal(), "ya29.x");
    EXPECT_EQ(token.expires, now + 1h);
    EXPECT_EQ(read_account_token(R"({"accessToken":"x","expireTime":"2126-11-29T11:00:00Z"})", now)
                  .expires,
              now + 24h);
    for (const auto* bad :
         {"", "[]", "{}", R"({"accessToken":"x"})", R"({"accessToken":"x","expireTime":"soon"})",
          R"({"accessToken":"x\ny","expireTime":"2026-11-29T11:00:00Z"})"}) {
        EXPECT_THROW((void)read_account_token(bad, now), Error) << bad;
    }
}

}  // namespace
}  // namespace kled::gitops::cloud
