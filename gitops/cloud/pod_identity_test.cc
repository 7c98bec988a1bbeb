#include "gitops/cloud/pod_identity.h"

#include "base/error.h"

#include <gtest/gtest.h>

namespace kled::gitops::cloud {
namespace {

TEST(PodIdentity, IsAskedForOnTheNodeOnly) {
    EXPECT_EQ(agent_endpoint("http://169.254.170.23/v1/credentials").target, "/v1/credentials");
    EXPECT_EQ(agent_endpoint("http://[fd00:ec2::23]/v1/credentials").host, "fd00:ec2::23");
    EXPECT_EQ(agent_endpoint("http://127.0.0.1:9/x").port, "9");
    EXPECT_EQ(agent_endpoint("https://agent.example.org/x").scheme, "https");
    for (const auto* url :
         {"http://169.254.169.254/x", "http://agent.example.org/x", "agent", ""}) {
        try {
            (void)agent_endpoint(url);
            ADD_FAILURE() << url;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::invalid);
            EXPECT_TRUE(std::string_view{error.what()}.starts_with("AWS_CONTAINER_CREDENTIALS_"))
                << error.what();
        }
    }
}

TEST(PodIdentity, ShowsTheTokenOfThePod) {
    const auto endpoint = agent_endpoint("http://169.254.170.23/v1/credentials?x=1");
    const auto request = agent_request(endpoint, Secret{"token"});
    EXPECT_EQ(request.method, "GET");
    EXPECT_EQ(request.target, "/v1/credentials?x=1");
    EXPECT_EQ(request.headers.get("Authorization"), "token");
    EXPECT_THROW((void)agent_request(endpoint, Secret{"a\r\nHost: b"}), Error);
    EXPECT_THROW((void)agent_request(endpoint, Secret{""}), Error);
}

TEST(PodIdentity, IsReadWhole) {
    const auto credentials = read_agent_credentials(
        R"({"AccessKeyId":"AK","SecretAccessKey":"s","Token":"t","AccountId":"1",)"
        R"("Expiration":"2026-01-02T03:04:05Z"})");
    EXPECT_EQ(credentials.keys.access_key, "AK");
    EXPECT_EQ(credentials.keys.secret_key->reveal(), "s");
    EXPECT_EQ(credentials.session_token->reveal(), "t");
    EXPECT_EQ(to_rfc3339(credentials.expires), "2026-01-02T03:04:05Z");
    for (const auto* body :
         {"", "[]", "{", R"({"AccessKeyId":"AK","SecretAccessKey":"s","Token":"t"})",
          R"({"AccessKeyId":"AK","Token":"t","Expiration":"2026-01-02T03:04:05Z"})",
          R"({"AccessKeyId":"A K","SecretAccessKey":"hidden","Token":"t",)"
          R"("Expiration":"2026-01-02T03:04:05Z"})"}) {
        try {
            (void)read_agent_credentials(body);
            ADD_FAILURE() << body;
        } catch (const Error& error) {
            EXPECT_EQ(std::string{error.what()},
                      "the answer of the pod identity agent holds no credentials");
        }
    }
}

TEST(PodIdentity, SaysWhyNot) {
    EXPECT_EQ(agent_refusal(R"({"code":"AccessDenied","message":"not\nyou"})"),
              "AccessDenied: not");
    EXPECT_EQ(agent_refusal("[x]: no association\r\nmore"), "[x]: no association");
    EXPECT_EQ(agent_refusal("[]"), "");
}

}  // namespace
}  // namespace kled::gitops::cloud
