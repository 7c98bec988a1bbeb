#include "gitops/cloud/ecr.h"

#include "base/error.h"

#include <gtest/gtest.h>

#include <chrono>

namespace kled::gitops::cloud {
namespace {

using namespace std::chrono_literals;

const WallTime now = *parse_rfc3339("2026-11-29T10:00:00Z");

TEST(Ecr, IsAskedInTheRegionOfTheRegistry) {
    const auto api = ecr_of("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn");
    ASSERT_TRUE(api);
    EXPECT_EQ(api->host, "api.ecr.cn-north-1.amazonaws.com.cn");
    EXPECT_EQ(api->region, "cn-north-1");
    AwsCredentials credentials;
    credentials.keys.access_key = "AKIA";
    credentials.keys.secret_key = std::make_shared<const Secret>("secret");
    credentials.session_token = std::make_shared<const Secret>("session");
    const auto request = ecr_request(*api, credentials, now);
    EXPECT_EQ(request.headers.get("X-Amz-Target"),
              "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken");
    EXPECT_EQ(request.headers.get("X-Amz-Security-Token"), "session");
    EXPECT_TRUE(request.headers.get("Authorization")
                    .starts_with("AWS4-HMAC-SHA256 Credential=AKIA/20261129/cn-north-1/ecr/"
                                 "aws4_request, SignedHeaders=content-type;host;x-amz-date;"
                                 "x-amz-security-token;x-amz-target, Signature="));
}

TEST(Ecr, HandsOutAPassword) {
    // "AWS:password"
    const auto login = read_ecr_login(
        R"({"authorizationData":[{"authorizationToken":"QVdTOnBhc3N3b3Jk","expiresAt":1.7959788E9,)"
        R"("proxyEndpoint":"https://123456789012.dkr.ecr.eu-west-1.amazonaws.com"}]})",
        *parse_rfc3339("2026-11-29T09:00:00Z"));
    EXPECT_EQ(login.user, "AWS");
    EXPECT_EQ(login.password->reveal(), "password");
    EXPECT_LE(login.expires, *parse_rfc3339("2026-11-29T21:00:00Z"));
    const auto longest = read_ecr_login(
        R"({"authorizationData":{"authorizationToken":"QVdTOnBhc3N3b3Jk","expiresAt":1e300}})",
        now);
    EXPECT_EQ(longest.expires, now + 12h);
    for (const auto* bad :
         {"", "[]", "{}", R"({"authorizationData":[]})", R"({"authorizationData":[7]})",
          R"({"authorizationData":{"authorizationToken":"QVdTOnBhc3N3b3Jk"}})",
          R"({"authorizationData":{"authorizationToken":"QVdTOnBhc3N3b3Jk","expiresAt":"x"}})",
          R"({"authorizationData":{"authorizationToken":"QVdTOnBhc3N3b3Jk","expiresAt":-1}})",
          R"({"authorizationData":{"authorizationToken":"QVdT","expiresAt":1795978800}})",
          R"({"authorizationData":{"authorizationToken":"QVdTOg==","expiresAt":1795978800}})",
          R"({"authorizationData":{"authorizationToken":"?","expiresAt":1795978800}})"}) {
        try {
            (void)read_ecr_login(bad, now);
            ADD_FAILURE() << bad;
        } catch (const Error& error) {
            EXPECT_STREQ(error.what(), "the answer of ECR holds no password") << bad;
        }
    }
}

}  // namespace
}  // namespace kled::gitops::cloud
