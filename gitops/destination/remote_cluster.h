/// The cluster that a ConfigMap of `spec.kubeConfig.configMapRef` describes: reached as a service
/// account of this one, or with the identity that this has in a cloud, without a Secret.
#pragma once

#include "gitops/cloud/clusters.h"
#include "gitops/cloud/identities.h"
#include "kube/kubeconfig.h"
#include "kube/object.h"
#include "kube/token_request.h"

#include <optional>
#include <string>
#include <vector>

namespace kled::gitops {

struct RemoteCluster {
    std::string source;        ///< "ConfigMap ns/name": for messages
    net::Url server;           ///< https; without a host: its cloud says
    std::string ca_pem;        ///< empty: the system's trust store, or what its cloud says
    kube::TokenRequest token;  ///< of a cluster in a cloud only whose it is
    std::optional<cloud::CloudCluster> cloud;

    /// From provider, cluster, address, ca.crt, audiences (a YAML list, or one a line; none: the
    /// address; of `generic` only) and serviceAccountName. Error(invalid) names the key.
    [[nodiscard]] static RemoteCluster from_config_map(const kube::Object& map);

    /// Whether its cloud need not be asked where it is.
    [[nodiscard]] bool is_placed() const noexcept;
    /// Fills in what is not given. Error(invalid) when there is no address in it.
    void take(const cloud::ClusterPlace& place);
    /// As whom its cloud is asked.
    [[nodiscard]] cloud::Applicant applicant() const;

    [[nodiscard]] kube::ClusterAccess access() const;
    /// Tells two of them apart; a token is no part of it.
    [[nodiscard]] std::string fingerprint() const;
};

}  // namespace kled::gitops
