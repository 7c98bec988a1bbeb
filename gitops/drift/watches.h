/// Watches of what was brought: the metadata of one kind at one destination each, shared by all
/// Kustomizations that have objects of it there. Where the account may not list all of a kind, one
/// for each namespace.
#pragma once

#include "base/task_group.h"
#include "gitops/destination/destinations.h"
#include "gitops/drift/suspects.h"
#include "kube/gvk.h"

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>

namespace kled::gitops {

/// Used from one loop.
class DriftWatches {
public:
    struct Listener {
        /// An object that says that it is `owner`'s, or nobody's of those who are followed, was
        /// added, changed or deleted.
        std::function<void(const Key& owner, const kube::ObjectId& id, Sighting sighting)> saw;
        /// These of a kind say that they are `owner`'s ("namespace/name"): whatever else it had
        /// of it went, or is no longer marked as its own.
        /// `ns`: only that namespace was looked at; empty: all.
        std::function<void(const Key& owner, const kube::GroupVersionKind& gvk,
                           const std::string& ns, const std::set<std::string>& there)>
            listed;
        /// In which `owner` has objects of a kind.
        std::function<std::set<std::string>(const Key& owner, const kube::GroupVersionKind& gvk)>
            namespaces;
    };

    /// `tasks` runs the watches and outlives this.
    DriftWatches(boost::asio::any_io_executor loop, TaskGroup& tasks, Listener listener);
    ~DriftWatches();

    using Kinds = std::set<kube::GroupVersionKind>;
    /// What `owner` has and where, from now on, in place of what was said before.
    void follow(const Key& owner, const std::shared_ptr<Destination>& destination,
                const Kinds& kinds);
    void forget(const Key& owner);
    [[nodiscard]] std::size_t size() const noexcept { return watches_.size(); }

private:
    struct Watch;
    /// The namespace is empty for all of them.
    using Place = std::tuple<Destination*, kube::GroupVersionKind, std::string>;
    struct Followed {
        std::shared_ptr<Destination> destination;
        Kinds kinds;
    };

    [[nodiscard]] std::set<Place> places_of(const Key& owner, const Followed& followed);
    void update(const Key& owner, const Followed& followed);
    /// The account of `watch` may not list its kind in all namespaces together.
    void narrow(const Watch& watch);

    boost::asio::any_io_executor loop_;
    TaskGroup& tasks_;
    std::shared_ptr<const Listener> listener_;
    std::map<Key, Followed> followed_;
    std::map<Place, std::shared_ptr<Watch>> watches_;
    std::map<std::weak_ptr<Destination>, Kinds, std::owner_less<>> narrowed_;
    std::shared_ptr<DriftWatches*> self_;  ///< null for tasks that end after this
};

}  // namespace kled::gitops
