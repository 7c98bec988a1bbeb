/// Deployment objects from files of the repository itself: no definitions in the cluster are
/// needed.
#pragma once

#include "gitops/store/object_store.h"
#include "kube/client.h"

#include <boost/asio/any_io_executor.hpp>

#include <map>
#include <optional>
#include <set>
#include <string>

namespace kled::gitops {

/// One GitRepository and one Kustomization, both made here, lead to the folder that has the others:
/// what the build of any Kustomization gives of their kinds is kept here and not applied. Each
/// object with its status is a ConfigMap in `state_namespace`, so the state of a cluster is in that
/// cluster, and any kled takes over from any other.
class FileStore : public ObjectStore {
public:
    struct Options {
        std::string url;
        git::Reference reference;
        std::string path;
        Duration interval{60'000};
        std::string secret_name;           ///< with the credentials, in `ns`
        std::string name = "flux-system";  ///< of both; as `flux bootstrap` names them
        std::string ns = "flux-system";    ///< also of objects in files that name none
        std::string state_namespace = "kled-system";
        std::set<std::string> target_kinds;  ///< deployment kinds besides Kustomization
    };

    FileStore(kube::Client& client, Options options);

    /// Error(invalid): what a ConfigMap has of an earlier run cannot be read.
    boost::asio::awaitable<void> run(Listener& listener) override;
    boost::asio::awaitable<void> write_status(kube::Object object) override;
    boost::asio::awaitable<void> annotate(
        const kube::Object& object, const std::map<std::string, std::string>& annotations) override;
    boost::asio::awaitable<void> hold(const kube::Object& object) override;
    boost::asio::awaitable<void> release(const kube::Object& object) override;
    boost::asio::awaitable<void> declare(const Key& owner, Manifests& objects) override;

    /// What a target says of `key`, as it would write to that object's status if it stood in the
    /// API. After a restart the target says it again, maybe before the object is known here.
    void report(const Key& key, kube::json::object status);

private:
    class Wishes;
    struct Kept {
        kube::Object object;                          ///< as declared, with its status
        std::map<std::string, std::string> wishes{};  ///< what the ConfigMap's annotations ask for
        std::string owner;   ///< Key::to_string() of who declared it; empty: the two roots
        std::string stored;  ///< the ConfigMap's text
    };

    [[nodiscard]] bool keeps(const kube::ObjectId& id) const;
    [[nodiscard]] std::string state_name(const Key& key) const;
    /// A ConfigMap as those in which the objects are kept.
    [[nodiscard]] bool is_state(const Manifest& manifest) const;
    /// What an earlier run kept there. Error(invalid) names the ConfigMap.
    void load(const kube::Object& state);
    /// From there on, and from the two roots.
    void begin();
    boost::asio::awaitable<void> watch();
    /// Writes the ConfigMap if its text differs.
    boost::asio::awaitable<void> store(const Key& key);
    boost::asio::awaitable<void> drop(const Key& key);
    void show_report(const Key& key, kube::Object& object) const;
    void tell(const Key& key);
    void read_wishes(const kube::Object& state);
    /// `object` is wanted with this spec: new, other, or as it was. True when something changed.
    bool take(const Key& key, kube::Object object, const std::string& owner);

    kube::Client& client_;
    Options options_;
    kube::ListOptions states_;  ///< the ConfigMaps
    Listener* listener_ = nullptr;
    std::map<Key, Kept> kept_;
    std::map<Key, kube::json::object> reported_;  ///< by targets
};

/// Label on the ConfigMaps; their `data.object` is the object as JSON, their annotations
/// reconcile.fluxcd.io/requestedAt and gitops.kled.io/… are what a user asks for.
inline constexpr std::string_view state_label = "gitops.kled.io/state";
inline constexpr std::string_view suspend_annotation = "gitops.kled.io/suspend";

/// The object that a ConfigMap keeps, with what its annotations ask for; nullopt: unreadable.
[[nodiscard]] std::optional<kube::Object> kept_object(const kube::Object& config_map);

}  // namespace kled::gitops
