/// Deployment objects from the cluster's API, as `kubectl apply` puts them there.
#pragma once

#include "gitops/store/object_store.h"
#include "kube/client.h"

#include <boost/asio/any_io_executor.hpp>

#include <optional>
#include <set>
#include <string>

namespace kled::gitops {

/// Follows the kinds wherever they are served; a kind whose definition comes later is followed from
/// then on. Status is written to the status subresource, and of kinds other than Flux's only the
/// one condition that is ours.
class ClusterStore : public ObjectStore {
public:
    struct Options {
        std::set<std::string> target_kinds;         ///< deployment kinds besides Kustomization …
        std::string target_group = "edge.kled.io";  ///< … of this group
        /// Only objects with such labels ("sharding.fluxcd.io/key=a"); empty: all.
        std::string label_selector = {};
    };
    ClusterStore(kube::Client& client, Options options)
        : client_{client}, options_{std::move(options)} {}

    boost::asio::awaitable<void> run(Listener& listener) override;
    boost::asio::awaitable<void> write_status(kube::Object object) override;
    boost::asio::awaitable<void> annotate(
        const kube::Object& object, const std::map<std::string, std::string>& annotations) override;
    boost::asio::awaitable<void> hold(const kube::Object& object) override;
    boost::asio::awaitable<void> release(const kube::Object& object) override;
    boost::asio::awaitable<void> declare(const Key& owner, Manifests& objects) override;
    /// Tells `listener` of one kind more, until cancelled.
    boost::asio::awaitable<void> follow(std::string group, std::string kind, Listener& listener);

private:
    /// Whether the server says that it does not serve the kind.
    boost::asio::awaitable<bool> is_absent(kube::GroupVersionKind gvk);
    /// With a selector: all that there are, whatever their labels; nullopt: they cannot be listed.
    boost::asio::awaitable<std::optional<std::set<Key>>> all_of(kube::GroupVersionKind gvk);
    /// Reads `object` again until `change` made of it could be stored; false: it went.
    boost::asio::awaitable<bool> set_finalizer(const kube::Object& object, bool present);

    kube::Client& client_;
    Options options_;
};

}  // namespace kled::gitops
