/// Takes objects out of a cluster again.
#pragma once

#include "gitops/apply/change.h"
#include "gitops/apply/memory.h"
#include "gitops/objects/api.h"
#include "gitops/objects/inventory.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

#include <vector>

namespace kled::gitops {

/// What is not pruned before somebody says so.
enum class Confirm {
    marked,  ///< what its own annotation says so of
    all,
    given,  ///< nothing: it was said
};

/// Deletes what `gone` names, in the order of application the other way round, if it still is the
/// owner's and was made by kled; the rest is `kept`, or `waiting`. What an API server refuses is
/// the `Change` of that one object; what does not reach the server at all is thrown:
/// Error(unavailable).
boost::asio::awaitable<std::vector<Change>> prune(kube::Client& client, const Key& owner,
                                                  Inventory::EntryList gone, Memory& memory,
                                                  Confirm confirm = Confirm::marked);

/// Whether it is there and on its way out.
boost::asio::awaitable<bool> is_going(kube::Client& client, const kube::ObjectId& id);

}  // namespace kled::gitops
