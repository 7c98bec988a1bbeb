/// From the Secrets of a GitRepository to what is shown to its server.
#pragma once

#include "gitops/access/github_app.h"
#include "gitops/cloud/identities.h"
#include "gitops/cloud/registry_login.h"
#include "gitops/git/access.h"
#include "gitops/objects/api.h"
#include "kube/client.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <string>

namespace kled::gitops {

/// What is exchanged for tokens and kept in memory. Used from one loop.
struct Logins {
    /// `default_account`: as of cloud::Identities::Options.
    Logins(const boost::asio::any_io_executor& loop, std::string default_account);
    Logins(const Logins&) = delete;
    Logins& operator=(const Logins&) = delete;
    GitHubApps github;
    cloud::Identities clouds;
    cloud::RegistryLogins registries{clouds};
};

/// Reads `spec.secretRef` (Flux's keys: username, password, bearerToken, identity, known_hosts,
/// ca.crt, tls.crt, tls.key and their older names; of a GitHub App, whose token is then there) and
/// `spec.proxySecretRef` (address, username, password). Error(not_found) when a Secret is not
/// there, Error(invalid) when it cannot be used; for an App also GitHubApps::sign_in's, for the
/// identity of a cloud cloud::sign_in's.
boost::asio::awaitable<git::Access> read_access(kube::Client& client, Logins& logins,
                                                const GitRepository& repository);

}  // namespace kled::gitops
