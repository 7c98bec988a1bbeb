/// Waiting for what kledd makes of a request.
#pragma once

#include "base/clock.h"
#include "gitops/objects.h"

#include <boost/asio/awaitable.hpp>

#include <string>

namespace kled::cli {

/// Error(invalid) unless it is a Kustomization or an EdgeDeployment, which deploy revisions.
void require_deployment(const gitops::FoundObject& found);

/// Error(conflict) when nothing is made of a request, because it is suspended.
void refuse_suspended(const gitops::FoundObject& found);

/// Until the object says that it handled `token`; its Ready condition then. Error(unavailable)
/// after `timeout`, Error(not_found) when it went.
boost::asio::awaitable<gitops::Summary> handled(kube::Client& client,
                                                const gitops::FoundObject& found, std::string token,
                                                Duration timeout);

}  // namespace kled::cli
