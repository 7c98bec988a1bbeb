// Finding clusters, and what is shown to them, with identities that an embedded API and a fake
// cloud give.
#include "gitops/cloud/cluster_login.h"

#include "base/run.h"
#include "gitops/cloud/fake_cloud.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace kled::gitops::cloud {
namespace {

namespace asio = boost::asio;
using testing::Cloud;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::with_cloud;

Applicant deployer() {
    Applicant who;
    who.ns = "default";
    who.service_account = "deployer";
    return who;
}

/// Where it is and what it is shown, or the error.
asio::awaitable<std::string> found(Cloud& c, ClusterLogins& logins, CloudCluster cluster) {
    try {
        const auto place = co_await logins.place(c.client, deployer(), cluster);
        const auto token = co_await logins.token(c.client, deployer(), cluster);
        co_return place.server + " " + std::string{token.text->reveal()};
    } catch (const Error& error) {
        co_return std::string{to_string(error.kind())} + ": " + error.what();
    }
}

asio::awaitable<void> clusters(Cloud& c) {
    ClusterLogins logins{
        std::make_shared<Identities>(co_await asio::this_coro::executor, c.options())};
    co_await c.account(
        "eks.amazonaws.com/role-arn: 'arn:aws:iam::123456789012:role/deploy', "
        "azure.workload.identity/client-id: application, azure.workload.identity/tenant-id: t, "
        "gcp.auth.fluxcd.io/workload-identity-provider: "
        "projects/1/locations/global/workloadIdentityPools/pool/providers/kled");
    c.variables["AWS_ENDPOINT_URL_STS"] = "";
    const auto eks = CloudCluster::parse("aws", "arn:aws:eks:eu-west-1:123456789012:cluster/shop");
    EXPECT_THAT(co_await found(c, logins, eks), StartsWith("https://eks.example k8s-aws-v1."));
    EXPECT_THAT(c.hosts, ElementsAre("sts.eu-west-1.amazonaws.com", "eks.eu-west-1.amazonaws.com"));
    EXPECT_THAT(co_await found(c, logins, eks), StartsWith("https://eks.example k8s-aws-v1."));
    EXPECT_EQ(c.hosts.size(), 2U) << "it does not move";

    c.hosts.clear();
    const auto gke = CloudCluster::parse("gcp", "projects/p/locations/l/clusters/shop");
    EXPECT_EQ(co_await found(c, logins, gke), "gke.example bearer-3");
    EXPECT_THAT(c.hosts, ElementsAre("sts.googleapis.com", "container.googleapis.com"));

    c.hosts.clear();
    const auto aks = CloudCluster::parse(
        "azure",
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/n");
    EXPECT_EQ(co_await found(c, logins, aks), "https://aks.example bearer-7");
    EXPECT_THAT(c.hosts, ElementsAre("127.0.0.1", "management.azure.com", "127.0.0.1"));
    EXPECT_THAT(c.exchange.asked[4], HasSubstr("&scope=https%3A%2F%2Fmanagement.core.windows.net"
                                               "%2F%2F.default&"));
    EXPECT_THAT(c.exchange.asked.back(),
                HasSubstr("&scope=6dae42f8-4368-4678-94ff-3960e28e3630%2F.default&"));

    c.exchange.status = 404;
    const auto none = CloudCluster::parse("gcp", "projects/p/locations/l/clusters/none");
    EXPECT_THAT(co_await found(c, logins, none),
                StartsWith("denied: container.googleapis.com: cluster none: status 404"));
}
TEST(ClustersOfClouds, AreFoundAndShownAnIdentity) { run_to_end(with_cloud(clusters)); }

}  // namespace
}  // namespace kled::gitops::cloud
