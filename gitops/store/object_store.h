/// Where the objects that say what to deploy come from, and where what kled knows about them goes.
#pragma once

#include "gitops/build/manifest.h"
#include "gitops/objects/api.h"
#include "kube/object.h"

#include <boost/asio/awaitable.hpp>

#include <map>
#include <set>
#include <string>
#include <string_view>

namespace kled::gitops {

/// Two kinds: a cluster's API (cluster_store.h), or the files of the repository (file_store.h).
/// Used from one loop.
class ObjectStore {
public:
    class Listener {
    public:
        virtual ~Listener() = default;
        /// It is there, or became different. An object being deleted is changed until its finalizer
        /// is gone.
        virtual void changed(kube::Object object) = 0;
        virtual void removed(const Key& key) = 0;
        /// Whether there can be any of `kind`: told where there cannot, and when that ends.
        virtual void served(std::string_view /*kind*/, bool /*is*/) {}
        /// Once, when all of `kind` that there are were told; not while they cannot be listed.
        virtual void known(std::string_view /*kind*/) {}
        /// Right after `known`, unless it is not known which `others` another shard is told of.
        virtual void listed(std::string_view /*kind*/, const std::set<Key>& /*others*/) {}
    };

    virtual ~ObjectStore() = default;

    /// Tells `listener` what is there, then what changes, until cancelled.
    virtual boost::asio::awaitable<void> run(Listener& listener) = 0;

    /// Durable when it returns. Error(conflict) when `object` is not the one stored any more and
    /// that matters, Error(not_found) when it went, Error(unavailable).
    virtual boost::asio::awaitable<void> write_status(kube::Object object) = 0;

    /// Sets annotations of the object that it is asked for something by. Errors as write_status.
    virtual boost::asio::awaitable<void> annotate(
        const kube::Object& object, const std::map<std::string, std::string>& annotations) = 0;

    /// While it has our finalizer, an object that is deleted stays until we are done with it.
    virtual boost::asio::awaitable<void> hold(const kube::Object& object) = 0;
    virtual boost::asio::awaitable<void> release(const kube::Object& object) = 0;

    /// Takes out of `objects`, built for `owner`, those this store itself keeps: from now on they
    /// are all that `owner` has declared. A cluster keeps none: there they are applied.
    virtual boost::asio::awaitable<void> declare(const Key& owner, Manifests& objects) = 0;
};

}  // namespace kled::gitops
