/// How a Git server is reached and what we show it.
#pragma once

#include "base/secret.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

namespace kled::gitops::git {

/// Of one GitRepository: its Secret, its timeout, and the limits of the program.
struct Access {
    std::string user;                            ///< basic auth
    std::shared_ptr<const Secret> password;      ///< basic auth
    std::shared_ptr<const Secret> bearer_token;  ///< in place of user and password
    std::string ca_pem;                          ///< empty: the system's trust store
    std::string certificate_pem;                 ///< client certificate
    std::shared_ptr<const Secret> key_pem;       ///< and its key
    std::string proxy;                           ///< http://host:port

    std::shared_ptr<const Secret> ssh_identity;  ///< private key, OpenSSH or PEM
    std::string known_hosts;                     ///< lines of a known_hosts file
    bool own_ssh_configuration = true;           ///< false: ~/.ssh of the user also counts

    bool local_repositories = false;                     ///< file:// and plain paths are allowed
    std::chrono::milliseconds timeout{60'000};           ///< for one fetch as a whole
    std::size_t transfer_limit = std::size_t{2} << 30U;  ///< bytes received in one fetch
};

}  // namespace kled::gitops::git
