/// What applying an object would do, by a dry run of the API server.
#pragma once

#include "gitops/apply/change.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

namespace kled::gitops {

struct Preview {
    Change change;
    kube::Object before;
    kube::Object after;
    /// Why it is refused: the server does not know its kind, or not the place it belongs to.
    enum class Missing { nothing, kind, place } missing = Missing::nothing;
};

/// `object` with its namespace. What belongs to an owner stays his. What the server refuses is the
/// Preview's `change`; Error(unavailable): it is not reached.
boost::asio::awaitable<Preview> preview(kube::Client& client, const kube::Object& object);

}  // namespace kled::gitops
