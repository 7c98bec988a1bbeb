/// What a registry of a cloud is shown for an identity there (`provider` of an OCIRepository and an
/// ImageRepository): no Secret holds a password.
#pragma once

#include "base/secret.h"
#include "gitops/cloud/identities.h"
#include "gitops/cloud/kept.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace kled::gitops::cloud {

/// One of "aws", "azure" and "gcp".
[[nodiscard]] bool has_registries(std::string_view cloud);

/// Error(invalid) when `host` is no registry of `cloud`: an identity is shown to it.
void check_registry(std::string_view cloud, std::string_view host);

struct RegistryLogin {
    std::string user;
    std::shared_ptr<const Secret> password;
    WallTime expires;

    /// As `docker login` at `host` would keep it.
    [[nodiscard]] Secret docker_config(const std::string& host) const;
};

/// Kept in memory as identities are. Used from one loop.
class RegistryLogins {
public:
    /// `identities` outlives it.
    explicit RegistryLogins(Identities& identities) : identities_{identities} {}

    /// For `host`, of `cloud`, as `who`. Errors as of check_registry and of Identities.
    boost::asio::awaitable<RegistryLogin> login(kube::Client& client, Applicant who,
                                                std::string cloud, std::string host);

private:
    boost::asio::awaitable<RegistryLogin> amazon(kube::Client& client, Applicant who,
                                                 std::string host);
    boost::asio::awaitable<RegistryLogin> azure(kube::Client& client, Applicant who,
                                                std::string host);

    Identities& identities_;
    Kept<RegistryLogin> known_;  ///< by the identity that it was handed out for
};

}  // namespace kled::gitops::cloud
