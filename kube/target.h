/// Where a built revision goes: implemented for clusters (gitops) and fleets (edge), called by
/// gitops.
#pragma once

#include "kube/object.h"

#include <boost/asio/awaitable.hpp>

#include <string>
#include <vector>

namespace kled::kube {

/// One build of what a deployment object (a Kustomization, an EdgeDeployment) points at.
struct Rendered {
    Object owner;                       ///< the deployment object as last read
    std::string revision;               ///< "main@sha1:<commit>"
    std::string digest;                 ///< "sha256:<hex>" over the canonical objects
    std::vector<LoadedObject> objects;  ///< in output order
};

class Target {
public:
    virtual ~Target() = default;
    /// Makes `rendered` the desired state. Durable when it returns; delivering the same again is
    /// harmless. What becomes of it is reported by the target on the owner's status.
    virtual boost::asio::awaitable<void> deliver(Rendered rendered) = 0;
    /// The owner is gone: what it brought is taken away, by the owner's policy.
    virtual boost::asio::awaitable<void> withdraw(ObjectId owner) = 0;
};

}  // namespace kled::kube
