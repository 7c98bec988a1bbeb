/// From Secrets and an account to what is shown to a registry.
#pragma once

#include "gitops/oci/access.h"
#include "gitops/oci/reference.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

#include <string>

namespace kled::gitops {

/// What an OCIRepository or an ImageRepository names; each may be empty.
struct RegistrySecrets {
    std::string ns{};
    std::string pull{};             ///< secretRef: kubernetes.io/dockerconfigjson
    std::string service_account{};  ///< whose imagePullSecrets count behind it
    std::string certificate{};      ///< certSecretRef: ca.crt, tls.crt, tls.key
    std::string proxy{};            ///< proxySecretRef: address, username, password
};

/// Of several pull Secrets the first that has something for `repository`. `insecure` and `timeout`
/// are left to the caller. Error(not_found) when one is not there, Error(invalid) when it cannot be
/// used.
boost::asio::awaitable<RegistryAccess> read_registry_access(kube::Client& client,
                                                            RegistrySecrets names,
                                                            oci::Reference repository);

}  // namespace kled::gitops
