/// Credentials for registries as `docker login` and Secrets of the type
/// kubernetes.io/dockerconfigjson keep them.
#pragma once

#include "base/secret.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace kled::gitops::oci {

/// What is shown to one registry.
struct Credentials {
    std::string user;
    std::shared_ptr<const Secret> password;
    std::shared_ptr<const Secret> identity_token;  ///< a refresh token, in place of both
    std::shared_ptr<const Secret> registry_token;  ///< shown as it is
};

/// The entry of `config` for `host` ("docker.io", "example.org:5000") and `repository`: of several,
/// the one with the longest path, as the kubelet does. Keys may be URLs, have paths, and for
/// Docker Hub any of its names. nullopt: none. Error(invalid) when it is no such file; no message
/// quotes it.
[[nodiscard]] std::optional<Credentials> find_credentials(const Secret& config,
                                                          std::string_view host,
                                                          std::string_view repository);

}  // namespace kled::gitops::oci
