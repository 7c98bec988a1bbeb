/// The loop: what Git says becomes what the cluster has. Sources are fetched, deployment objects
/// built, applied and pruned; each in a coroutine of its own, at the times a Schedule says.
#pragma once

#include "base/offload.h"
#include "gitops/objects/api.h"
#include "gitops/reconcile/events.h"
#include "gitops/source/artifacts.h"
#include "gitops/store/object_store.h"
#include "kube/client.h"
#include "kube/target.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

namespace kled::gitops {

/// Used from one loop; what it refers to outlives it.
class Reconciler : public ObjectStore::Listener {
public:
    struct Options {
        std::filesystem::path cache;      ///< mirrors of the repositories, one directory each
        bool local_repositories = false;  ///< file:// URLs are allowed
        /// A deployment object may name a source and dependencies of its own namespace only.
        bool no_cross_namespace_refs = false;
        /// The service account of the object's namespace for those that name none; empty: kled's
        /// rights.
        std::string default_service_account;
        /// Where archives of the sources are kept for others; null: none are made.
        std::shared_ptr<const Artifacts> artifacts;
        /// Archives of sources that went while nobody looked go after so long, and again and again:
        /// not before all sources can have been told.
        Duration artifacts_swept_every{600'000};
        bool remote_bases = true;     ///< a kustomization may name other repositories and URLs
        Drift drift = Drift::repair;  ///< of those that say nothing about it
        bool only_sources = false;    ///< what they say is another's to apply
        std::size_t concurrency = 4;
        double interval_jitter = 0.05;  ///< so that many objects do not come due together
        /// Kinds that a target takes in place of the cluster: {"EdgeDeployment", fleet}.
        std::map<std::string, std::shared_ptr<kube::Target>> targets;
    };

    Reconciler(boost::asio::any_io_executor loop, ThreadPool& pool, kube::Client& client,
               ObjectStore& store, Events& events, Options options);
    ~Reconciler() override;

    /// Until cancelled; then nothing is left under way.
    boost::asio::awaitable<void> run();

    /// Something may be new in the repository at `url` (empty: in any): look now. The number of
    /// sources that will.
    std::size_t nudge(const std::string& url);

    void changed(kube::Object object) override;
    void removed(const Key& key) override;
    void served(std::string_view kind, bool is) override;
    void known(std::string_view kind) override;
    /// What is on disk of others goes: they went while nobody looked.
    void listed(std::string_view kind, const std::set<Key>& others) override;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::gitops
