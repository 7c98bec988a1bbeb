/// What is to be applied of a deployment object's, where and in which order.
#pragma once

#include "gitops/build/manifest.h"
#include "gitops/objects/api.h"
#include "gitops/objects/inventory.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace kled::gitops {

/// An object on its way into a cluster.
struct Planned {
    std::shared_ptr<const Manifest> manifest;
    kube::ObjectId id;  ///< with the namespace it gets there
    std::uint64_t digest = 0;
    std::size_t rank = 0;  ///< rank_of(id)

    /// As it will be sent: labelled with its owner (none where its name is empty).
    [[nodiscard]] kube::Object object(const Key& owner) const;
};

/// All of a deployment object's, in the order of application.
struct Plan {
    std::vector<std::shared_ptr<const Planned>> objects;
    Inventory inventory;
    std::map<kube::GroupVersionKind, std::optional<kube::Scope>> scopes;  ///< as it was made with
};

/// With a namespace for each namespaced one, in the order of application. What `before` has of
/// them already is taken from there, so that a plan costs what changed. The server is asked about
/// kinds that are neither built in nor defined by `manifests`. Error(invalid): two are the same
/// object, or one is encrypted.
boost::asio::awaitable<Plan> make_plan(kube::Client& client, const Manifests& manifests,
                                       const Plan& before);

}  // namespace kled::gitops
