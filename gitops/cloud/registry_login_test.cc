// Logins for registries, of identities that an embedded API and a fake cloud give.
#include "gitops/cloud/registry_login.h"

#include "base/run.h"
#include "gitops/cloud/fake_cloud.h"
#include "gitops/oci/docker_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace kled::gitops::cloud {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using testing::Cloud;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::with_cloud;

const std::string ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

bool is_registry(std::string_view cloud, std::string_view host) {
    try {
        check_registry(cloud, host);
        return true;
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return false;
    }
}

TEST(RegistriesOfClouds, AreKnownByTheirHosts) {
    for (const std::string host :
         {"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
          "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
          "123456789012.dkr-ecr.eu-west-1.on.aws", "public.ecr.aws", ecr.c_str()})
        EXPECT_TRUE(is_registry("aws", host)) << host;
    for (const std::string& host :
         {ecr + ":443", ecr + ".example.org", "x" + ecr, ecr.substr(1),
          std::string{"123456789012.dkr.ecr.s3.amazonaws.com"},
          std::string{"123456789012.dkr.ecr.eu-west-1.amazonaws.com.cn"},
          std::string{"123456789012.dkr.ecr.eu-west-1"}, std::string{"123456789012.dkr.ecr."},
          std::string{"123456789012"}, std::string{"docker.io"}, std::string{"a.azurecr.io"}})
        EXPECT_FALSE(is_registry("aws", host)) << host;
    for (const auto* host : {"shop.azurecr.io", "shop.azurecr.cn", "shop-a1.azurecr.us"})
        EXPECT_TRUE(is_registry("azure", host)) << host;
    for (const auto* host : {".azurecr.io", "azurecr.io", "shop.azurecr.io.example.org",
                             "shop.azurecr.io:443", "evilazurecr.io", "gcr.io"})
        EXPECT_FALSE(is_registry("azure", host)) << host;
    for (const auto* host : {"gcr.io", "eu.gcr.io", "europe-west1-docker.pkg.dev"})
        EXPECT_TRUE(is_registry("gcp", host)) << host;
    for (const auto* host : {"evilgcr.io", ".gcr.io", "a.b.gcr.io", "-docker.pkg.dev",
                             "x.y-docker.pkg.dev", "pkg.dev", "gcr.io:8443", "public.ecr.aws"})
        EXPECT_FALSE(is_registry("gcp", host)) << host;
}

/// "user:password" as it is found for the host, or the error.
asio::awaitable<std::string> shown(Cloud& c, std::string cloud, std::string host,
                                   std::string account) {
    Applicant who;
    who.ns = "default";
    who.service_account = std::move(account);
    try {
        const auto login = co_await c.registries.login(c.client, std::move(who), cloud, host);
        const auto config = login.docker_config(host);
        const auto found = oci::find_credentials(config, host, "team/app");
        if (!found) co_return "nothing";
        co_return found->user + ":" + std::string{found->password->reveal()};
    } catch (const Error& error) {
        co_return std::string{to_string(error.kind())} + ": " + error.what();
    }
}

asio::awaitable<void> amazon(Cloud& c) {
    c.variables["AWS_ACCESS_KEY_ID"] = "AKIA";
    c.variables["AWS_SECRET_ACCESS_KEY"] = "secret";
    EXPECT_EQ(co_await shown(c, "aws", ecr, ""), "AWS:pass-1");
    EXPECT_EQ(co_await shown(c, "aws", ecr, ""), "AWS:pass-1") << "it is good for hours";
    EXPECT_EQ(co_await shown(c, "aws", "public.ecr.aws", ""), "AWS:pass-2");
    EXPECT_THAT(c.hosts, ElementsAre("api.ecr.eu-west-1.amazonaws.com",
                                     "api.ecr-public.us-east-1.amazonaws.com"));
    co_await c.account("eks.amazonaws.com/role-arn: 'arn:aws:iam::123456789012:role/pull'");
    EXPECT_EQ(co_await shown(c, "aws", ecr, "deployer"), "AWS:pass-4") << "not kledd's";
    EXPECT_EQ(c.hosts.back(), "api.ecr.eu-west-1.amazonaws.com");
    c.exchange.status = 400;
    EXPECT_THAT(
        co_await shown(c, "aws", "123456789012.dkr.ecr.eu-west-2.amazonaws.com", ""),
        StartsWith("denied: api.ecr.eu-west-2.amazonaws.com: a password for 123456789012.dkr."));
    const auto asked = c.exchange.asked.size();
    EXPECT_THAT(co_await shown(c, "aws", "registry.example.org", ""),
                StartsWith("invalid: is no registry of Amazon"));
    EXPECT_EQ(c.exchange.asked.size(), asked);
}
TEST(RegistriesOfClouds, OfAmazonTakeAPasswordOfEcr) { run_to_end(with_cloud(amazon)); }

asio::awaitable<void> azure(Cloud& c) {
    co_await c.account(
        "azure.workload.identity/client-id: application, azure.workload.identity/tenant-id: t");
    const auto user = "00000000-0000-0000-0000-000000000000:h.";
    EXPECT_THAT(co_await shown(c, "azure", "shop.azurecr.io", "deployer"), StartsWith(user));
    EXPECT_THAT(c.hosts, ElementsAre("127.0.0.1", "shop.azurecr.io"));
    EXPECT_THAT(
        c.exchange.asked,
        ElementsAre(HasSubstr("&scope=https%3A%2F%2Fcontainerregistry.azure.net%2F.default&"),
                    "/oauth2/exchange grant_type=access_token&service=shop.azurecr.io"
                    "&access_token=bearer-1"));
    EXPECT_THAT(co_await shown(c, "azure", "shop.azurecr.io", "deployer"), EndsWith(".s2"));
    EXPECT_THAT(co_await shown(c, "azure", "other.azurecr.io", "deployer"), EndsWith(".s3"));
    c.exchange.status = 401;
    EXPECT_THAT(co_await shown(c, "azure", "third.azurecr.io", "deployer"),
                StartsWith("denied: third.azurecr.io: the exchange of a token: status 401"));
}
TEST(RegistriesOfClouds, OfAzureExchangeATokenOfEntra) { run_to_end(with_cloud(azure)); }

asio::awaitable<void> google(Cloud& c) {
    co_await c.account(
        "gcp.auth.fluxcd.io/workload-identity-provider: "
        "projects/1/locations/global/workloadIdentityPools/pool/providers/kled");
    EXPECT_EQ(co_await shown(c, "gcp", "europe-docker.pkg.dev", "deployer"),
              "oauth2accesstoken:bearer-1");
    EXPECT_THAT(co_await shown(c, "gcp", "gcr.example.org", "deployer"),
                StartsWith("invalid: is no registry of Google"));
}
TEST(RegistriesOfClouds, OfGoogleTakeATokenAsItIs) { run_to_end(with_cloud(google)); }

}  // namespace
}  // namespace kled::gitops::cloud
