#include "gitops/destination/remote_cluster.h"

#include "base/error.h"
#include "kube/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using ::testing::ElementsAre;

RemoteCluster read(const std::string& data) {
    return RemoteCluster::from_config_map(kube::Object::from(
        kube::parse_yaml("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: far, namespace: "
                         "web}\ndata:\n" +
                         data)));
}

const std::string whole =
    "  provider: generic\n  address: https://far.example:6443\n  serviceAccountName: deployer\n";

std::string refused(const std::string& data) {
    try {
        (void)read(data);
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return error.what();
    }
    return "accepted";
}

TEST(RemoteCluster, IsReadAsFluxWritesIt) {
    const auto far = read(whole + "  ca.crt: PEM\n  audiences: |\n    - https://a\n    - b\n");
    EXPECT_EQ(far.server.host, "far.example");
    EXPECT_EQ(far.server.port, "6443");
    EXPECT_EQ(far.token.ns, "web");
    EXPECT_EQ(far.token.account, "deployer");
    EXPECT_EQ(far.token.lifetime, std::chrono::hours{1});
    EXPECT_THAT(far.token.audiences, ElementsAre("https://a", "b"));
    const auto access = far.access();
    EXPECT_EQ(access.source, "ConfigMap web/far");
    EXPECT_EQ(access.ca.text->reveal(), "PEM");
    EXPECT_FALSE(access.insecure);
}

TEST(RemoteCluster, IsItsOwnAudienceUnlessItNamesOthers) {
    EXPECT_THAT(read(whole).token.audiences, ElementsAre("https://far.example:6443"));
    EXPECT_TRUE(read(whole).access().ca.empty());
    EXPECT_THAT(read(whole + "  audiences: |\n    a\n    b\n").token.audiences,
                ElementsAre("a", "b"));
    const auto short_form =
        read("  provider: generic\n  address: far:6443\n  serviceAccountName: d\n");
    EXPECT_EQ(short_form.server.scheme, "https");
    EXPECT_EQ(short_form.server.host, "far");
    EXPECT_THAT(short_form.token.audiences, ElementsAre("far:6443"));
}

TEST(RemoteCluster, MayBeOneOfACloud) {
    const std::string arn = "  cluster: arn:aws:eks:eu-west-1:123456789012:cluster/far\n";
    auto eks = read("  provider: aws\n  serviceAccountName: deployer\n" + arn);
    EXPECT_FALSE(eks.is_placed());
    EXPECT_EQ(eks.applicant().ns, "web");
    EXPECT_EQ(eks.applicant().service_account, "deployer");
    EXPECT_EQ(eks.cloud->region, "eu-west-1");
    cloud::ClusterPlace place;
    place.server = "http://far";
    EXPECT_THROW(eks.take(place), Error);
    place.server = "https://ABC.gr7.eu-west-1.eks.amazonaws.com";
    place.ca_pem = "PEM";
    eks.take(place);
    EXPECT_EQ(eks.server.scheme, "https");
    EXPECT_EQ(eks.ca_pem, "PEM");
    const std::string given = "  address: 10.0.0.1\n  ca.crt: OWN\n";
    const auto gke = read("  provider: gcp\n  serviceAccountName: deployer\n" + given);
    EXPECT_TRUE(gke.is_placed());
    EXPECT_EQ(gke.server.host, "10.0.0.1");
    const auto aks = read("  provider: azure\n  serviceAccountName: deployer\n" + given);
    EXPECT_NE(aks.fingerprint(), gke.fingerprint());

    const std::string where = "ConfigMap web/far: data";
    EXPECT_EQ(refused("  provider: aws\n" + arn), where + "['serviceAccountName'] is required")
        << "kledd's own identity is shown to no address that a ConfigMap names";
    EXPECT_EQ(refused("  provider: gcp\n  serviceAccountName: d\n  address: 10.0.0.1\n"),
              where + "['cluster'] is required without address and ca.crt");
    EXPECT_EQ(refused("  provider: aws\n  serviceAccountName: d\n" + given),
              where + "['cluster'] is no cluster of EKS: arn:aws:eks:REGION:ACCOUNT:cluster/NAME");
    EXPECT_EQ(refused("  provider: gcp\n  serviceAccountName: d\n  audiences: a\n" + given),
              where + "['audiences'] is not taken with provider gcp");
    EXPECT_EQ(refused("  provider: gcp\n  serviceAccountName: d\n  address: http://a\n"),
              where + "['address'] must begin with https://");
}

TEST(RemoteCluster, SaysWhichKeyIsWrong) {
    const std::string where = "ConfigMap web/far: data";
    EXPECT_EQ(refused("  address: https://a\n"), where + "['provider'] is required");
    EXPECT_EQ(refused("  provider: other\n"),
              where + "['provider'] 'other' is not supported: generic, aws, azure and gcp are");
    EXPECT_EQ(refused("  provider: generic\n  serviceAccountName: d\n"),
              where + "['address'] is required");
    EXPECT_EQ(refused("  provider: generic\n  address: http://far\n  serviceAccountName: d\n"),
              where + "['address'] must begin with https://");
    EXPECT_EQ(refused("  provider: generic\n  address: https://u:p@far\n"),
              where + "['address'] must not have a user");
    EXPECT_EQ(refused("  provider: generic\n  address: 'https://'\n"),
              where + "['address'] is no URL");
    EXPECT_EQ(refused("  provider: generic\n  address: https://far\n"),
              where + "['serviceAccountName'] is required");
    EXPECT_EQ(refused("  provider: generic\n  address: https://far\n  serviceAccountName: ../x\n"),
              where + "['serviceAccountName'] is no name");
    EXPECT_EQ(refused(whole + "  audiences: '{a: b}'\n"), where + "['audiences'] is no list");
    EXPECT_EQ(refused(whole + "  audiences: '[1]'\n"), where + "['audiences'] is no list of texts");
    EXPECT_EQ(refused(whole + "  audiences: '[a'\n"), where + "['audiences'] is no list");
}

TEST(RemoteCluster, IsAnotherOneWhenAnythingButItsTokenIs) {
    const auto one = read(whole).fingerprint();
    EXPECT_EQ(read(whole).fingerprint(), one);
    for (const std::string more : {"  ca.crt: PEM\n", "  audiences: '[a]'\n"})
        EXPECT_NE(read(whole + more).fingerprint(), one);
    EXPECT_NE(read("  provider: generic\n  address: https://far.example:6443\n"
                   "  serviceAccountName: other\n  audiences: '[\"https://far.example:6443\"]'\n")
                  .fingerprint(),
              one);
}

}  // namespace
}  // namespace kled::gitops
