/// Asking kledd for something by annotations of an object, and waiting for what it makes of it.
#pragma once

#include "base/clock.h"
#include "cli/gitops_flags.h"
#include "gitops/objects/objects.h"

#include <boost/asio/awaitable.hpp>

#include <map>
#include <string>

namespace kled::cli {

/// The object that is meant; a name alone is one of `kind` (empty: of any). Errors as of
/// gitops::select.
boost::asio::awaitable<gitops::FoundObject> find_one(kube::Client& client, const ObjectFlags& flags,
                                                     const std::string& kind = {});

/// Error(invalid) unless it is a Kustomization or an EdgeDeployment, which deploy revisions.
void require_deployment(const gitops::FoundObject& found);

/// Error(conflict) when nothing is made of a request, because it is suspended.
void refuse_suspended(const gitops::FoundObject& found);

/// Until the object says that it handled `token`; its Ready condition then. Error(unavailable)
/// after `timeout`, Error(not_found) when it went.
boost::asio::awaitable<gitops::Summary> handled(kube::Client& client,
                                                const gitops::FoundObject& found, std::string token,
                                                Duration timeout);

/// Sets `annotations` and asks for a look at it; prints what the object says when that is `handled`
/// (its errors). Whether it is Ready then.
boost::asio::awaitable<bool> ask(kube::Client& client, const gitops::FoundObject& found,
                                 std::map<std::string, std::string> annotations, Duration timeout);

}  // namespace kled::cli
