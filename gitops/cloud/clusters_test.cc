#include "gitops/cloud/clusters.h"

#include "base/encoding.h"
#include "base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace kled::gitops::cloud {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const WallTime now = *parse_rfc3339("2026-11-29T10:00:00Z");
const std::string arn = "arn:aws:eks:eu-west-1:123456789012:cluster/shop";
const std::string aks =
    "/subscriptions/8f8e-78/resourceGroups/Shop_1/providers/Microsoft.ContainerService/"
    "managedClusters/shop";
const std::string gke = "projects/p-1/locations/europe-west1/clusters/shop";

bool is_cluster(const std::string& cloud, const std::string& resource) {
    try {
        (void)CloudCluster::parse(cloud, resource);
        return true;
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return false;
    }
}

AwsCredentials credentials() {
    AwsCredentials result;
    result.keys.access_key = "AKIA";
    result.keys.secret_key = std::make_shared<const Secret>("secret");
    result.session_token = std::make_shared<const Secret>("session+");
    return result;
}

TEST(CloudClusters, HaveNamesThatStayInTheirPath) {
    EXPECT_EQ(CloudCluster::parse("aws", arn).region, "eu-west-1");
    EXPECT_EQ(CloudCluster::parse("aws", arn).name, "shop");
    EXPECT_TRUE(is_cluster("aws", "arn:aws-us-gov:eks:us-gov-west-1:1:cluster/a_b-c"));
    for (const std::string& other : {std::string{}, arn + "/x", arn + "?x", arn + ":x",
                                     std::string{"arn:aws:eks:s3:1:cluster/a"},
                                     std::string{"arn:aws:eks:eu-west-1:x:cluster/a"},
                                     std::string{"arn:aws:eks:eu-west-1::cluster/a"},
                                     std::string{"arn:aws:eks:eu-west-1:1:cluster/"},
                                     std::string{"arn:aws:eks:eu-west-1:1:cluster/-a"},
                                     std::string{"arn:aws:ec2:eu-west-1:1:cluster/a"}, gke})
        EXPECT_FALSE(is_cluster("aws", other)) << other;
    EXPECT_EQ(CloudCluster::parse("azure", aks).name, "shop");
    EXPECT_TRUE(is_cluster("azure", "")) << "with an address";
    for (const std::string& other :
         {aks.substr(1), aks + "/", aks + "/x/y", aks + "?a", "/" + aks,
          std::string{"/subscriptions/../resourceGroups/g/providers/Microsoft.ContainerService/"
                      "managedClusters/n"},
          std::string{"/subscriptions/s/resourceGroups/g/providers/Other/managedClusters/n"}})
        EXPECT_FALSE(is_cluster("azure", other)) << other;
    EXPECT_EQ(CloudCluster::parse("gcp", gke).name, "shop");
    for (const std::string& other : {"/" + gke, gke + "/x", gke + "?x", std::string{"shop"},
                                     std::string{"projects/../locations/l/clusters/c"}})
        EXPECT_FALSE(is_cluster("gcp", other)) << other;
}

/// What `aws eks get-token` prints has this form.
TEST(CloudClusters, OfAmazonAskStsWhoIt) {
    const auto token = eks_token(CloudCluster::parse("aws", arn), credentials(), now);
    const std::string text{token.text->reveal()};
    ASSERT_THAT(text, StartsWith("k8s-aws-v1."));
    const auto url = from_base64url(text.substr(11)).value_or("");
    EXPECT_THAT(url, StartsWith("https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity"
                                "&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256"
                                "&X-Amz-Credential=AKIA%2F20261129%2Feu-west-1%2Fsts%2F"
                                "aws4_request&X-Amz-Date=20261129T100000Z&X-Amz-Expires=900"
                                "&X-Amz-Security-Token=session%2B"
                                "&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature="));
    EXPECT_EQ(token.expires, now + 15min);
    auto ending = credentials();
    ending.expires = now + 6min;
    EXPECT_EQ(eks_token(CloudCluster::parse("aws", arn), ending, now).expires, now + 6min);
    const auto other = eks_token(CloudCluster::parse("aws", arn + "2"), credentials(), now);
    EXPECT_NE(other.text->reveal(), text) << "it is good for one cluster";
}

TEST(CloudClusters, AreAskedForAtTheirClouds) {
    const auto eks = eks_request(CloudCluster::parse("aws", arn), credentials(), now);
    EXPECT_EQ(eks.target, "/clusters/shop");
    EXPECT_EQ(eks.headers.get("Host"), "eks.eu-west-1.amazonaws.com");
    EXPECT_THAT(std::string{eks.headers.get("Authorization")},
                HasSubstr("/eu-west-1/eks/aws4_request, SignedHeaders=accept;host;x-amz-date;"
                          "x-amz-security-token, "));
    const Secret token{"t"};
    const auto azure = aks_request(CloudCluster::parse("azure", aks), token);
    EXPECT_EQ(azure.method, "POST");
    EXPECT_EQ(azure.target, aks + "/listClusterUserCredential?api-version=2024-09-01");
    EXPECT_EQ(gke_request(CloudCluster::parse("gcp", gke), token).target, "/v1/" + gke);
}

std::string place(const std::string& cloud, const std::string& resource, const std::string& body) {
    try {
        const auto found = read_place(CloudCluster::parse(cloud, resource), body);
        return found.server + " " + found.ca_pem;
    } catch (const Error& error) {
        return error.what();
    }
}

TEST(CloudClusters, AreWhereTheirCloudSays) {
    const std::string pem = "-----BEGIN CERTIFICATE-----\nx\n";
    const auto ca = to_base64(pem);
    EXPECT_EQ(place("aws", arn,
                    R"({"cluster":{"endpoint":"https://a","certificateAuthority":{"data":")" + ca +
                        R"("}}})"),
              "https://a " + pem);
    EXPECT_EQ(
        place("gcp", gke,
              R"({"endpoint":"10.0.0.1","masterAuth":{"clusterCaCertificate":")" + ca + R"("}})"),
        "10.0.0.1 " + pem);
    const std::string config =
        "clusters:\n- name: shop\n  cluster: {server: 'https://b:443', "
        "certificate-authority-data: " +
        ca + "}\nusers:\n- name: u\n  user: {exec: {command: kubelogin}}\n";
    EXPECT_EQ(
        place("azure", aks,
              R"({"kubeconfigs":[{"name":"clusterUser","value":")" + to_base64(config) + R"("}]})"),
        "https://b:443 " + pem);
    for (const std::string& body :
         {std::string{}, std::string{"[]"}, std::string{"{}"}, std::string{R"({"cluster":7})"},
          std::string{R"({"cluster":{"endpoint":"https://a"}})"},
          std::string{
              R"({"cluster":{"endpoint":"https://a","certificateAuthority":{"data":"?"}}})"}})
        EXPECT_EQ(place("aws", arn, body),
                  "the answer about cluster shop has no address and certificate");
    for (const std::string& text :
         {std::string{"[]"}, std::string{"a: ["}, std::string{"clusters: []"},
          std::string{"clusters: [7]"}, std::string(300U << 10U, ' ')})
        EXPECT_EQ(
            place("azure", aks, R"({"kubeconfigs":[{"value":")" + to_base64(text) + R"("}]})"),
            "the answer about cluster shop has no address and certificate");
}

}  // namespace
}  // namespace kled::gitops::cloud
