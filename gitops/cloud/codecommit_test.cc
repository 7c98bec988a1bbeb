#include "gitops/cloud/codecommit.h"

#include "base/error.h"

#include <gtest/gtest.h>

namespace kled::gitops::cloud {
namespace {

std::string region(const std::string& host) {
    try {
        return CodeCommit::from_url("https://" + host + "/v1/repos/shop").region;
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return "none";
    }
}

bool is_repository(const std::string& url) {
    try {
        (void)CodeCommit::from_url(url);
        return true;
    } catch (const Error&) {
        return false;
    }
}

AwsCredentials credentials() {
    AwsCredentials result;
    result.keys.access_key = "ACCESS_KEY_ID";
    result.keys.secret_key = std::make_shared<const Secret>("SECRET_ACCESS_KEY");
    return result;
}

TEST(CodeCommit, IsKnownByItsHost) {
    EXPECT_EQ(region("git-codecommit.eu-west-1.amazonaws.com"), "eu-west-1");
    EXPECT_EQ(region("GIT-CodeCommit.us-gov-west-1.amazonaws.com"), "us-gov-west-1");
    EXPECT_EQ(region("git-codecommit-fips.us-east-2.amazonaws.com"), "us-east-2");
    EXPECT_EQ(region("git-codecommit.cn-north-1.amazonaws.com.cn"), "cn-north-1");
    // The endpoints in a VPC that Amazon's own tests have.
    for (const std::string name :
         {"vpce-0b47ea360adebf88a-jkl88hez", "vpce-0b47ea360adebf88a-jkl88hez-us-east-1a"}) {
        EXPECT_EQ(region(name + ".git-codecommit.us-east-1.vpce.amazonaws.com"), "us-east-1");
        EXPECT_EQ(region(name + ".git-codecommit-fips.us-east-1.vpce.amazonaws.com"), "us-east-1");
    }
    for (const auto* other :
         {"git-codecommit.amazonaws.com", "mydomain.com", "git-codecommit.eu-west-1.example.org",
          "git-codecommit.eu-west-1.amazonaws.com.example.org", "git-codecommit..amazonaws.com",
          "x.git-codecommit.eu-west-1.amazonaws.com", "git-codecommit.eu_west.amazonaws.com",
          "vpce-x", "git-codecommit.s3.amazonaws.com", "codecommit.eu-west-1.amazonaws.com"}) {
        EXPECT_EQ(region(other), "none") << other;
    }
}

TEST(CodeCommit, IsARepositoryOverHttps) {
    const std::string host = "git-codecommit.eu-west-1.amazonaws.com";
    EXPECT_TRUE(is_repository("https://" + host + "/v1/repos/My.repo_1-x/"));
    EXPECT_EQ(CodeCommit::from_url("https://" + host + "/v1/repos/shop/").path, "/v1/repos/shop");
    for (const auto& url :
         {"http://" + host + "/v1/repos/shop", "ssh://" + host + "/v1/repos/shop",
          "https://" + host + "/v1/repos/", "https://" + host + "/shop",
          "https://" + host + "/v1/repos/a/b", "https://" + host + "/v1/repos/a?b",
          "https://" + host + ":8443/v1/repos/shop", "https://me@" + host + "/v1/repos/shop"}) {
        EXPECT_FALSE(is_repository(url)) << url;
    }
}

/// The example of codecommit-sign's tests, for the same date; what is signed is that of Amazon's
/// git-remote-codecommit.
TEST(CodeCommit, IsSignedAsAmazonsHelperSigns) {
    const auto shop =
        CodeCommit::from_url("https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/dummy-repo");
    git::Access access;
    access.bearer_token = std::make_shared<const Secret>("of a Secret");
    shop.sign(credentials(), *parse_rfc3339("2021-09-01T10:25:23Z"), access);
    EXPECT_EQ(access.user, "ACCESS_KEY_ID");
    EXPECT_EQ(access.password->reveal(),
              "20210901T102523Z"
              "670ef0c32f13fc847ed0c001a2b90bc772451c1eb89eadf84a73f3e82da9f56a");
    EXPECT_FALSE(access.bearer_token) << "it would win";
}

TEST(CodeCommit, ShowsTheTokenOfASession) {
    auto session = credentials();
    session.session_token = std::make_shared<const Secret>("SESSION/TOKEN==");
    const auto shop =
        CodeCommit::from_url("https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/dummy-repo");
    git::Access access;
    shop.sign(session, *parse_rfc3339("2021-09-01T10:25:23Z"), access);
    EXPECT_EQ(access.user, "ACCESS_KEY_ID%SESSION/TOKEN==");
    EXPECT_TRUE(access.password->reveal().ends_with("9f56a")) << "it is no part of what is signed";
}

}  // namespace
}  // namespace kled::gitops::cloud
