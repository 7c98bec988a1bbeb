/// What a cluster has of an owner's objects, read by as few lists as may be.
#pragma once

#include "gitops/apply/memory.h"
#include "gitops/apply/plan.h"
#include "gitops/objects/api.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace kled::gitops {

/// Used from one loop; what it refers to outlives it.
class LiveObjects {
public:
    /// `mends`: what others changed is to be repaired, also what was left so before.
    LiveObjects(kube::Client& client, const Memory& memory, bool mends)
        : client_{client}, memory_{memory}, mends_{mends} {}

    /// Reads what belongs to `owner` of the kinds of `objects`: one list per kind, or per namespace
    /// for an account that may not list all of them; one that may list none finds nothing.
    boost::asio::awaitable<void> list(const Key& owner, const std::vector<const Planned*>& objects);

    /// It was listed, in the version that is remembered.
    [[nodiscard]] bool is_settled(const kube::ObjectId& id) const { return settled_.contains(id); }
    /// What was listed and may differ from what is remembered; nullptr: it was not listed, or it is
    /// settled.
    [[nodiscard]] const kube::Object* find(const kube::ObjectId& id) const;

private:
    boost::asio::awaitable<bool> list(const kube::GroupVersionKind& gvk,
                                      const kube::ListOptions& options);

    kube::Client& client_;
    const Memory& memory_;
    bool mends_;
    std::map<kube::ObjectId, kube::Object> found_;
    std::set<kube::ObjectId> settled_;
};

}  // namespace kled::gitops
