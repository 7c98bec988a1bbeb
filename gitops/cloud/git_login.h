/// GitRepositories whose server knows this program, or a service account, by a cloud's identity
/// (`provider: aws` and `azure`).
#pragma once

#include "gitops/cloud/identities.h"
#include "gitops/git/access.h"
#include "gitops/objects/api.h"

namespace kled::gitops::cloud {

/// Makes `access`, whose proxy and timeout it uses, show what `repository.cloud` gives for
/// `repository.service_account`, or for this program. Errors as of Identities.
boost::asio::awaitable<void> sign_in(Identities& identities, kube::Client& client,
                                     const GitRepository& repository, git::Access& access);

}  // namespace kled::gitops::cloud
