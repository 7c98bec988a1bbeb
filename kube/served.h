/// Waiting for a kind that the server does not serve yet: its definition may come from the same
/// repository as its objects.
#pragma once

#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

namespace kled::kube {

/// Returns where the kind is served as soon as it is; an empty version is the preferred one. A
/// definition that comes is noticed at once where the account may watch definitions, and by a look
/// every few seconds in any case. Failures are logged, never thrown. The client outlives the task.
boost::asio::awaitable<Mapping> until_served(Client& client, GroupVersionKind gvk);

}  // namespace kled::kube
