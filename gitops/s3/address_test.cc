#include "gitops/s3/address.h"

#include "base/error.h"

#include <gtest/gtest.h>

namespace kled::gitops::s3 {
namespace {

std::string of(const Location& location) {
    const auto address = Address::of(location);
    return address.origin + " " + address.path + " " + address.region;
}

TEST(S3Address, AServerOfOnesOwnHasTheBucketInThePath) {
    EXPECT_EQ(of({.endpoint = "minio.example:9000", .bucket = "fleet", .insecure = true}),
              "http://minio.example:9000 /fleet/ us-east-1");
    EXPECT_EQ(of({.endpoint = "Minio.example:443", .bucket = "fleet", .region = "home"}),
              "https://minio.example /fleet/ home");
    EXPECT_EQ(of({.endpoint = "[2001:db8::1]:9000", .bucket = "fleet"}),
              "https://[2001:db8::1]:9000 /fleet/ us-east-1");
    EXPECT_EQ(of({.endpoint = "notamazonaws.com", .bucket = "fleet"}),
              "https://notamazonaws.com /fleet/ us-east-1");
}

TEST(S3Address, ThoseWhoWantItHaveTheBucketInTheHost) {
    EXPECT_EQ(of({.endpoint = "s3.amazonaws.com", .bucket = "fleet"}),
              "https://fleet.s3.amazonaws.com / us-east-1");
    EXPECT_EQ(of({.endpoint = "s3.eu-west-1.amazonaws.com", .bucket = "fleet"}),
              "https://fleet.s3.eu-west-1.amazonaws.com / eu-west-1");
    EXPECT_EQ(of({.endpoint = "s3.amazonaws.com", .bucket = "fleet", .region = "eu-west-1"}),
              "https://fleet.s3.eu-west-1.amazonaws.com / eu-west-1");
    EXPECT_EQ(of({.endpoint = "oss-cn-hangzhou.aliyuncs.com", .bucket = "fleet", .region = "x"}),
              "https://fleet.oss-cn-hangzhou.aliyuncs.com / x");
    // A certificate for *.s3.amazonaws.com is none for a.b.s3.amazonaws.com.
    EXPECT_EQ(of({.endpoint = "s3.amazonaws.com", .bucket = "a.b"}),
              "https://s3.amazonaws.com /a.b/ us-east-1");
}

TEST(S3Address, WhatIsNoHostAndPortIsRefused) {
    for (const auto* endpoint :
         {"", "https://s3.amazonaws.com", "host/path", "host:", "host:0", "host:99999", "host:1x",
          "user@host", "a b", "[::1", "host:80:80"}) {
        EXPECT_THROW((void)of({.endpoint = endpoint, .bucket = "fleet"}), Error) << endpoint;
    }
}

TEST(S3Address, WhatIsNoBucketOrRegionIsRefused) {
    for (const auto* bucket : {"", "ab", "..", "../x", "a/b", "a..b", ".abc", "a?b"})
        EXPECT_THROW((void)of({.endpoint = "h", .bucket = bucket}), Error) << bucket;
    EXPECT_THROW((void)of({.endpoint = "h", .bucket = "fleet", .region = "a/b"}), Error);
}

}  // namespace
}  // namespace kled::gitops::s3
