// Reading a bucket with an identity that an embedded API and a fake cloud give.
#include "gitops/cloud/bucket_login.h"

#include "base/error.h"
#include "base/run.h"
#include "gitops/cloud/fake_cloud.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace kled::gitops::cloud {
namespace {

namespace asio = boost::asio;
using testing::Cloud;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::with_cloud;

bool is_amazon(const std::string& endpoint, bool insecure = false) {
    s3::Location location;
    location.endpoint = endpoint;
    location.bucket = "fleet";
    location.insecure = insecure;
    try {
        check_bucket(location);
        return true;
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return false;
    }
}

TEST(BucketsOfAmazon, AreKnownByTheirHosts) {
    for (const auto* host :
         {"s3.amazonaws.com", "S3.eu-west-1.amazonaws.com:443", "s3.cn-north-1.amazonaws.com.cn",
          "s3.dualstack.eu-west-1.amazonaws.com", "s3-fips.us-east-1.amazonaws.com",
          "bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com"})
        EXPECT_TRUE(is_amazon(host)) << host;
    for (const auto* host :
         {"minio.example.org", "s3.amazonaws.com.example.org", "s3.example.amazonaws.com",
          "x.s3.amazonaws.com", "s3.eu-west-1.amazonaws.com.cn", "s3.eu-west-1.amazonaws.com:8443",
          "ec2-1-2-3-4.eu-west-1.compute.amazonaws.com", "evil.execute-api.eu-west-1.amazonaws.com",
          "s3.", "bucket.vpce-1a2b.s3.us-east-1.vpce.example.org", "bucket.vpce-1a2b",
          "bucket.vpce-x.evil.us-east-1.vpce.amazonaws.com", "bucket.vpce-x.s3.us-east-1"})
        EXPECT_FALSE(is_amazon(host)) << host;
    EXPECT_FALSE(is_amazon("s3.amazonaws.com", true)) << "over http";
}

asio::awaitable<void> bucket(Cloud& c) {
    co_await c.account("eks.amazonaws.com/role-arn: 'arn:aws:iam::123456789012:role/read'");
    Applicant who;
    who.ns = "default";
    who.service_account = "deployer";
    s3::Location location;
    location.endpoint = "s3.eu-west-1.amazonaws.com";
    location.bucket = "fleet";
    s3::Access access;
    c.variables["AWS_ENDPOINT_URL_STS"] = "";
    co_await sign_in(c.identities, c.client, who, location, access);
    EXPECT_THAT(c.hosts, ::testing::ElementsAre("sts.eu-west-1.amazonaws.com"));
    EXPECT_EQ(access.credentials->access_key, "AK1");
    EXPECT_EQ(access.session_token->reveal(), "S1");

    // What a server is then shown.
    location.endpoint = "127.0.0.1:" + std::to_string(c.server.port());
    location.insecure = true;
    s3::Client reader{co_await asio::this_coro::executor, location, access};
    EXPECT_THROW((void)co_await reader.list("", ""), Error);
    const auto& shown = c.exchange.last.headers;
    EXPECT_EQ(shown.get("X-Amz-Security-Token"), "S1");
    EXPECT_THAT(std::string{shown.get("Authorization")},
                HasSubstr("SignedHeaders=host;x-amz-content-sha256;x-amz-date;"
                          "x-amz-security-token, "));
    std::string refused;
    try {
        co_await sign_in(c.identities, c.client, who, location, access);
    } catch (const Error& error) {
        refused = error.what();
    }
    EXPECT_THAT(refused, StartsWith("is no S3 of Amazon over https"));
}
TEST(BucketsOfAmazon, AreReadAsARole) { run_to_end(with_cloud(bucket)); }

}  // namespace
}  // namespace kled::gitops::cloud
