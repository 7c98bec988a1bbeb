#include "gitops/cloud/aws.h"

#include <gtest/gtest.h>

namespace kled::gitops::cloud {
namespace {

TEST(Aws, HasRegions) {
    for (const auto* region : {"eu-west-1", "us-gov-west-1", "ap-southeast-7", "eusc-de-east-1"})
        EXPECT_TRUE(is_aws_region(region)) << region;
    for (const auto* other :
         {"", "s3", "eu-west", "eu-1", "-west-1", "eu--1", "eu-west-1a", "EU-WEST-1", "eu.west-1",
          "s3-us-west-2", "eu-west-", "a-very-long-name-of-a-region-of-more-1"})
        EXPECT_FALSE(is_aws_region(other)) << other;
    EXPECT_EQ(aws_domain("eu-west-1"), "amazonaws.com");
    EXPECT_EQ(aws_domain("cn-north-1"), "amazonaws.com.cn");
    EXPECT_EQ(aws_domain("eusc-de-east-1"), "amazonaws.eu");
}

/// "post-sts-header-before" of Amazon's aws-sig-v4-test-suite: a session token is signed too.
TEST(Aws, RequestsAreSigned) {
    AwsCredentials credentials;
    credentials.keys.access_key = "AKIDEXAMPLE";
    credentials.keys.secret_key =
        std::make_shared<const Secret>("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    credentials.session_token = std::make_shared<const Secret>(
        "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfp"
        "SPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQ"
        "DYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+s"
        "cqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==");
    net::Request request;
    request.method = "POST";
    const AwsService service{
        .host = "example.amazonaws.com", .region = "us-east-1", .name = "service"};
    sign_aws(request, service, credentials, *parse_rfc3339("2015-08-30T12:36:00Z"));
    EXPECT_EQ(request.headers.get("Host"), "example.amazonaws.com");
    EXPECT_EQ(request.headers.get("Authorization"),
              "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
              "SignedHeaders=host;x-amz-date;x-amz-security-token, "
              "Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead");
}

}  // namespace
}  // namespace kled::gitops::cloud
