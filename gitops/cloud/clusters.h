/// Clusters that clouds run: their names, where they are, and as whom EKS takes somebody. No clock,
/// no I/O.
#pragma once

#include "gitops/cloud/aws.h"
#include "kube/token_request.h"
#include "net/http.h"

#include <string>
#include <string_view>

namespace kled::gitops::cloud {

[[nodiscard]] bool has_clusters(std::string_view cloud);

/// One cluster.
struct CloudCluster {
    std::string cloud{};     ///< "aws", "azure" or "gcp"
    std::string resource{};  ///< its name there; empty: Azure and Google are not asked where it is
    std::string region{};    ///< of Amazon's
    std::string name{};

    /// "arn:aws:eks:REGION:ACCOUNT:cluster/NAME",
    /// "/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.ContainerService/managedClusters/
    /// NAME" or "projects/PROJECT/locations/PLACE/clusters/NAME". Error(invalid) "is no …".
    static CloudCluster parse(const std::string& cloud, const std::string& resource);
};

/// What a cloud says about one.
struct ClusterPlace {
    std::string server;  ///< a URL or a host; whether it is one is for who uses it to judge
    std::string ca_pem;
    WallTime expires = WallTime::max();
};

/// Amazon EKS API Reference, "DescribeCluster".
[[nodiscard]] AwsService eks_of(const CloudCluster& cluster);
[[nodiscard]] net::Request eks_request(const CloudCluster& cluster,
                                       const AwsCredentials& credentials, WallTime now);
/// A signed question to STS who somebody is, which the cluster asks in his place
/// (aws-iam-authenticator, "API Authorization from Outside a Cluster").
[[nodiscard]] kube::IssuedToken eks_token(const CloudCluster& cluster,
                                          const AwsCredentials& credentials, WallTime now);

/// Azure REST API, "Managed Clusters - List Cluster User Credentials", by a token of Azure Resource
/// Manager.
[[nodiscard]] net::Request aks_request(const CloudCluster& cluster, const Secret& token);
/// Google Kubernetes Engine API, "projects.locations.clusters.get".
[[nodiscard]] net::Request gke_request(const CloudCluster& cluster, const Secret& token);

/// Of the answer of `cluster`'s cloud with status 200. Error(invalid) when it does not say.
[[nodiscard]] ClusterPlace read_place(const CloudCluster& cluster, std::string_view body);

}  // namespace kled::gitops::cloud
