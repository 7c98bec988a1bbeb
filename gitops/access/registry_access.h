/// From Secrets and an account to what is shown to a registry.
#pragma once

#include "gitops/cloud/registry_login.h"
#include "gitops/objects/api.h"
#include "gitops/oci/access.h"
#include "gitops/oci/reference.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops {

/// What an OCIRepository or an ImageRepository names; each may be empty.
struct RegistrySecrets {
    std::string ns{};
    std::string pull{};             ///< secretRef: kubernetes.io/dockerconfigjson
    std::string service_account{};  ///< whose imagePullSecrets count behind it
    std::string certificate{};      ///< certSecretRef: ca.crt, tls.crt, tls.key
    std::string proxy{};            ///< proxySecretRef: address, username, password
    /// "aws", "azure" or "gcp", whose registry is shown an identity there, of `service_account`, in
    /// place of the pull Secrets; empty: those count.
    std::string cloud{};
};

class Reader;
/// From secretRef, serviceAccountName, certSecretRef, proxySecretRef, insecure and provider, of
/// what is at `address`. Error(invalid) where an identity would be shown to somebody else than the
/// cloud; another provider becomes one of `unsupported`.
[[nodiscard]] RegistrySecrets registry_secrets_in(const Reader& spec, std::string_view ns,
                                                  std::string_view address_field,
                                                  const std::optional<oci::Reference>& address,
                                                  std::vector<Unsupported>& unsupported);

/// Of several pull Secrets the first that has something for `repository`. `timeout`: also of what a
/// cloud is asked. `insecure` is left to the caller. Error(not_found) when one is not there,
/// Error(invalid) when it cannot be used; also those of cloud::RegistryLogins.
boost::asio::awaitable<RegistryAccess> read_registry_access(kube::Client& client,
                                                            cloud::RegistryLogins& logins,
                                                            RegistrySecrets names,
                                                            oci::Reference repository,
                                                            Duration timeout);

}  // namespace kled::gitops
