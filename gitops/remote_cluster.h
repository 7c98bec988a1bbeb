/// The cluster that a ConfigMap of `spec.kubeConfig.configMapRef` describes: reached as a service
/// account of this one, without a Secret.
#pragma once

#include "kube/kubeconfig.h"
#include "kube/object.h"
#include "kube/token_request.h"

#include <string>
#include <vector>

namespace kled::gitops {

struct RemoteCluster {
    std::string source;  ///< "ConfigMap ns/name": for messages
    net::Url server;     ///< https
    std::string ca_pem;  ///< empty: the system's trust store
    kube::TokenRequest token;

    /// From provider, address, ca.crt, audiences (a YAML list, or one a line; none: the address)
    /// and serviceAccountName. Error(invalid) names the key.
    [[nodiscard]] static RemoteCluster from_config_map(const kube::Object& map);

    [[nodiscard]] kube::ClusterAccess access() const;
    /// Tells two of them apart; a token is no part of it.
    [[nodiscard]] std::string fingerprint() const;
};

}  // namespace kled::gitops
