// Signing in with an embedded API that issues tokens and one service that exchanges them, as AWS
// STS and Microsoft Entra do.
#include "gitops/cloud/identities.h"

#include "base/error.h"
#include "base/run.h"
#include "gitops/cloud/fake_cloud.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace kled::gitops::cloud {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using ::testing::AllOf;
using testing::Cloud;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::with_cloud;

const std::string role = "arn:aws:iam::123456789012:role/git";

asio::awaitable<void> own_keys(Cloud& c) {
    EXPECT_THAT(co_await c.shown(c.amazon), StartsWith("invalid: spec.provider aws: kledd has no"));
    c.variables["AWS_ACCESS_KEY_ID"] = "AKIA";
    c.variables["AWS_SECRET_ACCESS_KEY"] = "secret";
    EXPECT_EQ(co_await c.shown(c.amazon), "AKIA");
    c.variables["AWS_SESSION_TOKEN"] = "T";
    EXPECT_EQ(co_await c.shown(c.amazon), "AKIA%T");
    EXPECT_TRUE(c.exchange.asked.empty());
}
TEST(CloudIdentities, OfAmazonAreKeysOfTheProcess) { run_to_end(with_cloud(own_keys)); }

asio::awaitable<void> own_role(Cloud& c) {
    c.variables["AWS_ROLE_ARN"] = role;
    c.variables["AWS_WEB_IDENTITY_TOKEN_FILE"] = c.file("token", "of-a-file\n");
    EXPECT_EQ(co_await c.shown(c.amazon), "AK1%S1");
    EXPECT_THAT(c.exchange.asked,
                ElementsAre(AllOf(StartsWith("/ Action=AssumeRoleWithWebIdentity&"),
                                  HasSubstr("&RoleSessionName=kled&"),
                                  EndsWith("&WebIdentityToken=of-a-file"))));
    EXPECT_EQ(co_await c.shown(c.amazon), "AK1%S1");
    EXPECT_EQ(c.exchange.asked.size(), 1U) << "it is good for an hour";
    c.variables["AWS_ROLE_ARN"] = "admin";
    EXPECT_EQ(co_await c.shown(c.amazon), "invalid: AWS_ROLE_ARN is no role");
    c.variables["AWS_ROLE_ARN"] = role + "-2";
    c.exchange.status = 403;
    EXPECT_EQ(co_await c.shown(c.amazon),
              "denied: 127.0.0.1: " + role + "-2: status 403: AccessDenied: not you");
    c.exchange.status = 503;
    EXPECT_THAT(co_await c.shown(c.amazon), StartsWith("unavailable: "));
    c.variables["AWS_WEB_IDENTITY_TOKEN_FILE"] = "/nowhere/token";
    EXPECT_THAT(co_await c.shown(c.amazon),
                StartsWith("not found: AWS_WEB_IDENTITY_TOKEN_FILE: /nowhere/token"));
}
TEST(CloudIdentities, OfAmazonAreTheRoleOfTheProcess) { run_to_end(with_cloud(own_role)); }

asio::awaitable<void> own_pod(Cloud& c) {
    c.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] =
        "http://127.0.0.1:" + std::to_string(c.server.port()) + "/v1/credentials";
    EXPECT_THAT(co_await c.shown(c.amazon),
                StartsWith("not found: AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: "));
    c.variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = c.file("pod-token", "of-the-pod\n");
    EXPECT_EQ(co_await c.shown(c.amazon), "PK1%P1");
    EXPECT_THAT(c.exchange.asked, ElementsAre("/v1/credentials of-the-pod"));
    EXPECT_EQ(co_await c.shown(c.amazon), "PK1%P1");
    c.exchange.life = 4min;
    c.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] += "/2";
    EXPECT_EQ(co_await c.shown(c.amazon), "PK2%P2");
    EXPECT_EQ(co_await c.shown(c.amazon), "PK3%P3") << "five minutes before its end";
    c.exchange.status = 404;
    EXPECT_EQ(co_await c.shown(c.amazon),
              "denied: 127.0.0.1: the identity of this pod: status 404: [trace]: no association");
    c.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://169.254.169.254/x";
    EXPECT_THAT(co_await c.shown(c.amazon), StartsWith("invalid: AWS_CONTAINER_CREDENTIALS_"));
    // A role comes first.
    c.exchange.status = 200;
    c.variables["AWS_ROLE_ARN"] = role;
    c.variables["AWS_WEB_IDENTITY_TOKEN_FILE"] = c.file("token", "of-a-file");
    EXPECT_THAT(co_await c.shown(c.amazon), StartsWith("AK"));
}
TEST(CloudIdentities, OfAmazonAreThePodOfTheProcess) { run_to_end(with_cloud(own_pod)); }

asio::awaitable<void> account_role(Cloud& c) {
    // What the process has is not for those that name an account.
    c.variables["AWS_ACCESS_KEY_ID"] = "AKIA";
    c.variables["AWS_SECRET_ACCESS_KEY"] = "secret";
    c.amazon.service_account = "deployer";
    EXPECT_EQ(co_await c.shown(c.amazon),
              "not found: spec.serviceAccountName: ServiceAccount default/deployer does not exist");
    co_await c.account("a: b");
    EXPECT_EQ(co_await c.shown(c.amazon),
              "invalid: spec.serviceAccountName: ServiceAccount default/deployer: "
              "metadata.annotations[eks.amazonaws.com/role-arn] names no role");
    co_await c.account("eks.amazonaws.com/role-arn: '" + role + "'");
    EXPECT_EQ(co_await c.shown(c.amazon), "AK1%S1");
    EXPECT_THAT(c.issuing->audiences(), ElementsAre(R"(["sts.amazonaws.com"])"));
    EXPECT_THAT(c.exchange.asked.back(),
                AllOf(HasSubstr("&RoleSessionName=deployer.default.kled.io&"),
                      EndsWith("&WebIdentityToken=deployer.1")));
    EXPECT_EQ(co_await c.shown(c.amazon), "AK1%S1");
    EXPECT_EQ(c.issuing->audiences().size(), 1U);

    const auto loop = co_await asio::this_coro::executor;
    Identities others{loop, Identities::Options{}};
    EXPECT_EQ(co_await Cloud::shown(c.amazon, others, c.embedded),
              "invalid: spec.serviceAccountName: the embedded API issues no tokens for service "
              "accounts");
}
TEST(CloudIdentities, OfAmazonAreRolesOfAccounts) { run_to_end(with_cloud(account_role)); }

asio::awaitable<void> own_application(Cloud& c) {
    EXPECT_THAT(co_await c.shown(c.azure),
                StartsWith("invalid: spec.provider azure: kledd has no"));
    c.variables["AZURE_TENANT_ID"] = "tenant";
    c.variables["AZURE_CLIENT_ID"] = "application";
    c.variables["AZURE_FEDERATED_TOKEN_FILE"] = c.file("token", "of-a-file");
    EXPECT_EQ(co_await c.shown(c.azure), "Bearer bearer-1");
    EXPECT_THAT(c.exchange.asked,
                ElementsAre(AllOf(StartsWith("/tenant/oauth2/v2.0/token client_id=application&"),
                                  EndsWith("&client_assertion=of-a-file"))));
    EXPECT_EQ(co_await c.shown(c.azure), "Bearer bearer-1");
    c.variables["AZURE_CLIENT_ID"] = "other";
    c.exchange.life = 4min;
    EXPECT_EQ(co_await c.shown(c.azure), "Bearer bearer-2");
    EXPECT_EQ(co_await c.shown(c.azure), "Bearer bearer-3") << "five minutes before its end";
    c.exchange.status = 401;
    EXPECT_EQ(co_await c.shown(c.azure),
              "denied: 127.0.0.1: application other: status 401: invalid_client: not you");
    c.variables["AZURE_AUTHORITY_HOST"] = "http://login.example.org";
    EXPECT_EQ(co_await c.shown(c.azure), "invalid: AZURE_AUTHORITY_HOST must begin with https://");
}
TEST(CloudIdentities, OfAzureAreTheApplicationOfTheProcess) {
    run_to_end(with_cloud(own_application));
}

asio::awaitable<void> account_application(Cloud& c) {
    c.azure.service_account = "deployer";
    co_await c.account("azure.workload.identity/client-id: application");
    EXPECT_THAT(co_await c.shown(c.azure),
                EndsWith("metadata.annotations[azure.workload.identity/tenant-id] names none"));
    co_await c.account(
        "azure.workload.identity/client-id: application, azure.workload.identity/tenant-id: t");
    EXPECT_EQ(co_await c.shown(c.azure), "Bearer bearer-1");
    EXPECT_THAT(c.issuing->audiences(), ElementsAre(R"(["api://AzureADTokenExchange"])"));
    EXPECT_THAT(c.exchange.asked.back(), AllOf(StartsWith("/t/oauth2/v2.0/token "),
                                               EndsWith("&client_assertion=deployer.1")));
}
TEST(CloudIdentities, OfAzureAreApplicationsOfAccounts) {
    run_to_end(with_cloud(account_application));
}

asio::awaitable<void> default_account(Cloud& c) {
    c.variables["AWS_ACCESS_KEY_ID"] = "AKIA";
    c.variables["AWS_SECRET_ACCESS_KEY"] = "secret";
    Identities bound{co_await asio::this_coro::executor, c.options("deployer")};
    EXPECT_EQ(co_await Cloud::shown(c.amazon, bound, c.client),
              "not found: --gitops-default-service-account: ServiceAccount default/deployer does "
              "not exist");
    co_await c.account("eks.amazonaws.com/role-arn: '" + role + "'");
    EXPECT_EQ(co_await Cloud::shown(c.amazon, bound, c.client), "AK1%S1");
}
TEST(CloudIdentities, OfThoseThatNameNoAccountAreOfTheDefaultOne) {
    run_to_end(with_cloud(default_account));
}

/// Of Google, or the error.
asio::awaitable<std::string> token(Cloud& c, Applicant who) {
    try {
        const auto bearer = co_await c.identities.google(c.client, std::move(who));
        co_return std::string{bearer.text->reveal()};
    } catch (const Error& error) {
        co_return std::string{to_string(error.kind())} + ": " + error.what();
    }
}

asio::awaitable<void> account_of_google(Cloud& c) {
    const std::string provider =
        "projects/1/locations/global/workloadIdentityPools/pool/providers/kled";
    Applicant who;
    who.ns = "default";
    EXPECT_THAT(co_await token(c, who), StartsWith("invalid: spec.provider gcp: kledd has no"));
    who.service_account = "deployer";
    co_await c.account("a: b");
    EXPECT_THAT(
        co_await token(c, who),
        EndsWith("metadata.annotations[gcp.auth.fluxcd.io/workload-identity-provider] names "
                 "none"));
    co_await c.account("gcp.auth.fluxcd.io/workload-identity-provider: " + provider);
    EXPECT_EQ(co_await token(c, who), "bearer-1");
    EXPECT_EQ(co_await token(c, who), "bearer-1");
    EXPECT_THAT(c.hosts, ElementsAre("sts.googleapis.com"));
    EXPECT_THAT(c.exchange.asked, ElementsAre(AllOf(StartsWith("/v1/token grant_type="),
                                                    EndsWith("&subject_token=deployer.1"))));
    EXPECT_THAT(c.issuing->audiences(),
                ElementsAre(R"(["//iam.googleapis.com/)" + provider + R"("])"));
    const std::string email = "pull@shop.iam.gserviceaccount.com";
    co_await c.account("gcp.auth.fluxcd.io/workload-identity-provider: " + provider +
                       ", iam.gke.io/gcp-service-account: " + email);
    EXPECT_EQ(co_await token(c, who), "account-3");
    EXPECT_EQ(c.hosts.back(), "iamcredentials.googleapis.com");
    EXPECT_THAT(c.exchange.asked.back(), HasSubstr("/serviceAccounts/" + email + ":generate"));
    c.exchange.status = 403;
    co_await c.account("gcp.auth.fluxcd.io/workload-identity-provider: " + provider + "-2");
    EXPECT_EQ(co_await token(c, who),
              "denied: sts.googleapis.com: spec.serviceAccountName default/deployer: status 403: "
              "invalid_client: not you");
}
TEST(CloudIdentities, OfGoogleAreOfAccounts) { run_to_end(with_cloud(account_of_google)); }

}  // namespace
}  // namespace kled::gitops::cloud
