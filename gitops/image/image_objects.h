/// Flux's image automation: ImageRepositories are scanned, ImagePolicies elect, and
/// ImageUpdateAutomations write what was elected into Git.
#pragma once

#include "base/offload.h"
#include "gitops/access/credentials.h"
#include "gitops/image/api.h"
#include "gitops/image/registry.h"
#include "gitops/image/update.h"
#include "gitops/reconcile/followed_objects.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

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

struct ImageNode : FollowedNode {
    using FollowedNode::FollowedNode;

    /// Of an ImageRepository, in descending order; null: not scanned yet.
    std::shared_ptr<const std::vector<std::string>> tags;
    std::string scan_failure;  ///< why it is not; empty: it has not been tried

    void became_other() {  // perhaps of another image
        tags = nullptr;
        scan_failure.clear();
    }
};

/// Follows them in the cluster, GitRepositories too, and keeps their status.
class ImageObjects : public FollowedObjects<ImageNode> {
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

private:
    /// The cache of a repository; one automation at a time uses it.
    struct Cache {
        std::shared_ptr<git::Mirror> mirror;
        bool busy = false;
        std::set<Key> waiting;
    };

    // image_objects.cc
    void start() override;
    void changed(kube::Object object) override;
    void removed(const Key& key) override;
    void known(std::string_view kind) override;
    void listed(std::string_view kind, const std::set<Key>& others) override;
    template <typename Wanted>
    void touch_all(std::string_view kind, Wanted wanted);
    /// Those that name it, or may select it.
    void touch_users(const Key& key);
    boost::asio::awaitable<Again> look(NodePtr node) override;
    template <typename Spec, typename Status>
    using Work = boost::asio::awaitable<Ended> (ImageObjects::*)(NodePtr, const Spec&, Status&);
    /// Reads the object as `Spec`, and has `work` make its `Status` from that.
    template <typename Spec, typename Status>
    boost::asio::awaitable<Again> bring(NodePtr node, Work<Spec, Status> work);

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
    Options options_;
    Logins logins_{loop_, options_.default_service_account};
    std::map<Key, std::shared_ptr<Cache>> caches_;
};

}  // namespace kled::gitops
