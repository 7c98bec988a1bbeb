/// Flux's image automation: ImageRepositories are scanned, ImagePolicies elect, and
/// ImageUpdateAutomations write what was elected into Git.
#pragma once

#include "base/offload.h"
#include "base/retry.h"
#include "base/task_group.h"
#include "gitops/access/credentials.h"
#include "gitops/image/api.h"
#include "gitops/image/registry.h"
#include "gitops/image/update.h"
#include "gitops/reconcile/events.h"
#include "gitops/reconcile/schedule.h"
#include "gitops/store/cluster_store.h"
#include "kube/client.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops {

/// Follows them in the cluster and keeps their status. Used from one loop; what it refers to
/// outlives it.
class ImageObjects : private ObjectStore::Listener {
public:
    struct Options {
        std::filesystem::path cache;           ///< mirrors of repositories that are written to
        bool local_repositories = false;       ///< file:// URLs are allowed
        bool no_cross_namespace_refs = false;  ///< all that is named is of the own namespace
        /// As whom clouds are asked for those that name no service account; empty: kledd itself.
        std::string default_service_account{};
        std::string label_selector{};  ///< only objects with such labels; empty: all
        /// Null: scanning and electing are another controller's, whose ImagePolicies are read.
        std::shared_ptr<ImageRegistry> registry{};
    };
    ImageObjects(boost::asio::any_io_executor loop, ThreadPool& pool, kube::Client& client,
                 Events& events, Options options);

    /// Until cancelled.
    boost::asio::awaitable<void> run();

private:
    struct Node {
        explicit Node(kube::Object o) : object{std::move(o)} {}

        kube::Object object;
        Backoff backoff{{.first = Duration{1'000}, .limit = Duration{60'000}}, 1};
        /// Of an ImageRepository, in descending order; null: not scanned yet.
        std::shared_ptr<const std::vector<std::string>> tags;
        std::string scan_failure;  ///< why it is not; empty: it has not been tried
    };
    using NodePtr = std::shared_ptr<Node>;

    /// The cache of a repository; one automation at a time uses it.
    struct Cache {
        std::shared_ptr<git::Mirror> mirror;
        bool busy = false;
        std::set<Key> waiting;
    };

    /// How a reconciliation ended.
    struct Ended {
        enum class How { ready, failed, stalled, later };
        How how = How::later;  ///< `later`: nothing is said, something else will touch it
        std::string reason{};
        std::string message{};
        std::optional<Duration> again{};  ///< none: when something touches it
    };
    static Ended ready(std::string message, std::optional<Duration> again);
    static Ended failed(std::string reason, std::string message);
    static Ended stalled(std::string reason, std::string message);

    // image_objects.cc
    void changed(kube::Object object) override;
    void removed(const Key& key) override;
    void listed(std::string_view kind, const std::set<Key>& others) override;
    void touch(const Key& key);
    template <typename Wanted>
    void touch_all(std::string_view kind, Wanted wanted);
    /// Those that name it, or may select it.
    void touch_users(const Key& key);
    boost::asio::awaitable<void> dispatch();
    boost::asio::awaitable<void> reconcile(Key key);
    boost::asio::awaitable<std::optional<SteadyTime>> reconcile_node(NodePtr node);
    template <typename Spec, typename Status>
    using Work = boost::asio::awaitable<Ended> (ImageObjects::*)(NodePtr, const Spec&, Status&);
    /// Reads the object as `Spec`, and has `work` make its `Status` from that.
    template <typename Spec, typename Status>
    boost::asio::awaitable<std::optional<SteadyTime>> bring(NodePtr node, Work<Spec, Status> work);
    [[nodiscard]] NodePtr find(const Key& key) const;

    // image_scan.cc
    boost::asio::awaitable<Ended> scan(NodePtr node, const ImageRepository& repository,
                                       ImageRepositoryStatus& status);
    boost::asio::awaitable<Ended> elect(NodePtr node, const ImagePolicy& policy,
                                        ImagePolicyStatus& status);
    /// Why `policy` may not use `repository`; empty: it may.
    boost::asio::awaitable<std::string> denial(const ImagePolicy& policy,
                                               const ImageRepository& repository);
    boost::asio::awaitable<RegistryAccess> access_of(const ImageRepository& repository);

    // image_automation.cc
    boost::asio::awaitable<Ended> automate(NodePtr node, const ImageUpdateAutomation& automation,
                                           ImageUpdateAutomationStatus& status);
    boost::asio::awaitable<Ended> update(const ImageUpdateAutomation& automation,
                                         GitRepository repository,
                                         ImageUpdateAutomationStatus& status);
    boost::asio::awaitable<git::Change::Sign> signer_of(const ImageUpdateAutomation& automation);
    [[nodiscard]] std::map<std::string, ImageRef> elected(
        const ImageUpdateAutomation& automation) const;
    [[nodiscard]] std::filesystem::path mirror_of(const Key& source) const;
    std::shared_ptr<Cache> cache_of(const Key& source, const std::string& url);
    void release(Cache& cache);
    boost::asio::awaitable<void> discard(Key source);
    /// Clones of repositories that are neither here nor among `others`.
    boost::asio::awaitable<void> sweep(std::set<Key> others);
    boost::asio::awaitable<void> ask(Key source);

    boost::asio::any_io_executor loop_;
    ThreadPool& pool_;
    kube::Client& client_;
    ClusterStore api_;
    Events& events_;
    Options options_;
    Logins logins_{loop_, options_.default_service_account};
    std::map<Key, NodePtr> nodes_;  // GitRepositories too
    std::map<Key, std::shared_ptr<Cache>> caches_;
    Schedule schedule_{4};
    boost::asio::steady_timer wake_;
    TaskGroup tasks_;
};

}  // namespace kled::gitops
