#include "gitops/remote_cluster.h"

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

TEST(RemoteCluster, SaysWhichKeyIsWrong) {
    const std::string where = "ConfigMap web/far: data";
    EXPECT_EQ(refused("  address: https://a\n"), where + "['provider'] is required");
    for (const std::string cloud : {"aws", "azure", "gcp", "other"}) {
        EXPECT_EQ(refused("  provider: " + cloud + "\n  cluster: arn\n"),
                  where + "['provider'] '" + cloud + "' is not supported: only generic is");
    }
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
