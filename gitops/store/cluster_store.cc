#include "gitops/store/cluster_store.h"

#include "base/error.h"
#include "base/log.h"
#include "base/task_group.h"
#include "gitops/image/group.h"
#include "gitops/objects/annotations.h"
#include "gitops/objects/source_kinds.h"
#include "gitops/pipeline/pipeline.h"
#include "kube/served.h"
#include "kube/watch.h"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr int conflict_limit = 5;

/// Passes on what a watch tells, and after a gap what went meanwhile.
class Follower : public kube::WatchHandler {
public:
    /// `others`: those whose labels make them another's; nullopt: they are not known.
    Follower(ObjectStore::Listener& listener, std::string kind, std::optional<std::set<Key>> others)
        : listener_{listener}, kind_{std::move(kind)}, others_{std::move(others)} {}

    void list_page(std::vector<kube::Object> items, bool first) override {
        if (first) listed_.clear();
        for (auto& item : items) {
            listed_.insert(key_of(item));
            changed(std::move(item));
        }
    }
    void list_complete() override {
        for (auto known = known_.begin(); known != known_.end();) {
            if (listed_.contains(*known)) {
                ++known;
            } else {
                listener_.removed(*known);
                known = known_.erase(known);
            }
        }
        listed_.clear();
        if (!std::exchange(told_, true)) {
            listener_.known(kind_);
            if (others_) listener_.listed(kind_, *others_);
        }
        others_.reset();
    }
    void changed(kube::Object object) override {
        known_.insert(key_of(object));
        listener_.changed(std::move(object));
    }
    void deleted(kube::Object object) override {
        const auto key = key_of(object);
        known_.erase(key);
        listener_.removed(key);
    }

private:
    ObjectStore::Listener& listener_;
    std::string kind_;
    std::optional<std::set<Key>> others_;  // until they were told
    bool told_ = false;
    std::set<Key> known_;
    std::set<Key> listed_;
};

/// The fields of a status that are ours; what is not set is taken away.
json::object status_patch(const kube::Object& object) {
    static constexpr std::array source{
        "conditions",        "observedGeneration",     "lastHandledReconcileAt", "artifact",
        "includedArtifacts", "sourceVerificationMode", "observedIgnore"};
    static constexpr std::array work{"conditions",
                                     "observedGeneration",
                                     "lastHandledReconcileAt",
                                     "lastAppliedRevision",
                                     "lastAppliedOriginRevision",
                                     "lastAttemptedRevision",
                                     "inventory",
                                     "history"};
    static constexpr std::array pipeline{"conditions", "observedGeneration",
                                         "lastHandledReconcileAt", "revision", "stages"};
    static constexpr std::array receiver{"conditions", "observedGeneration",
                                         "lastHandledReconcileAt", "webhookPath"};
    static constexpr std::array image_repository{
        "conditions",         "observedGeneration", "lastHandledReconcileAt",
        "canonicalImageName", "lastScanResult",     "observedExclusionList"};
    static constexpr std::array image_policy{"conditions", "observedGeneration",
                                             "lastHandledReconcileAt", "latestRef",
                                             "observedPreviousRef"};
    static constexpr std::array image_automation{
        "conditions",     "observedGeneration", "lastHandledReconcileAt", "lastAutomationRunTime",
        "lastPushCommit", "lastPushTime",       "observedPolicies",       "observedSourceRevision"};
    json::object fields;
    const auto take = [&](std::string_view name) {
        const auto* value =
            object.status() == nullptr ? nullptr : object.status()->if_contains(name);
        if (value == nullptr) {
            fields[name] = nullptr;
        } else {
            fields[name] = *value;
        }
    };
    if (is_own_source_kind(object.kind())) {
        for (const auto* name : source) take(name);
        if (object.kind() == repository_kind) {
            for (const auto* name :
                 {"observedInclude", "observedRecurseSubmodules", "observedSparseCheckout"})
                take(name);
        } else {
            take("url");
        }
        if (object.kind() == oci_kind) take("observedLayerSelector");
    } else if (object.kind() == pipeline_kind) {
        for (const auto* name : pipeline) take(name);
    } else if (object.kind() == "Receiver") {
        for (const auto* name : receiver) take(name);
    } else if (object.kind() == "ImageRepository") {
        for (const auto* name : image_repository) take(name);
    } else if (object.kind() == "ImagePolicy") {
        for (const auto* name : image_policy) take(name);
    } else if (object.kind() == "ImageUpdateAutomation") {
        for (const auto* name : image_automation) take(name);
    } else {
        for (const auto* name : work) take(name);
    }
    json::object patch;
    patch["status"] = std::move(fields);
    return patch;
}

}  // namespace

asio::awaitable<void> ClusterStore::run(Listener& listener) {
    TaskGroup tasks{co_await asio::this_coro::executor};
    for (const auto kind : own_source_kinds)
        tasks.spawn(follow(std::string{source_group}, std::string{kind}, listener));
    tasks.spawn(follow(std::string{source_group}, std::string{external_kind}, listener));
    tasks.spawn(follow(std::string{kustomize_group}, "Kustomization", listener));
    tasks.spawn(follow(std::string{pipeline_group}, std::string{pipeline_kind}, listener));
    for (const auto& kind : options_.target_kinds)
        tasks.spawn(follow(options_.target_group, kind, listener));
    co_await even_if_cancelled;
    co_await tasks.join();
}

asio::awaitable<void> ClusterStore::follow(std::string group, std::string kind,
                                           Listener& listener) {
    const kube::GroupVersionKind any{.group = group, .version = {}, .kind = kind};
    const bool absent = co_await is_absent(any);
    if (absent) listener.served(kind, false);
    const auto mapping = co_await kube::until_served(client_, any);
    if (absent) listener.served(kind, true);
    const kube::GroupVersionKind gvk{
        .group = group, .version = mapping.resource.version, .kind = kind};
    auto others = co_await all_of(gvk);
    Follower follower{listener, kind, std::move(others)};
    kube::WatchOptions options;
    options.list.label_selector = options_.label_selector;
    co_await kube::watch(client_, gvk, options, follower);
}

asio::awaitable<bool> ClusterStore::is_absent(kube::GroupVersionKind gvk) {
    try {
        const auto mapping = co_await client_.map(gvk);
        co_return !mapping;
    } catch (const Error&) {  // that is no answer
    }
    co_return false;
}

asio::awaitable<std::optional<std::set<Key>>> ClusterStore::all_of(kube::GroupVersionKind gvk) {
    std::set<Key> all;
    if (options_.label_selector.empty()) co_return all;
    kube::ListOptions everywhere;
    everywhere.metadata_only = true;
    try {
        const auto list = co_await client_.list(gvk, everywhere);
        for (const auto& item : list.items)
            all.insert(
                {.kind = gvk.kind, .ns = std::string{item.ns()}, .name = std::string{item.name()}});
    } catch (const Error& error) {
        log::debug("gitops", "what other shards have is not known",
                   {{"kind", gvk.kind}, {"error", error.what()}});
        co_return std::nullopt;
    }
    co_return all;
}

asio::awaitable<void> ClusterStore::write_status(kube::Object object) {
    const auto gvk = object.gvk();
    const std::string ns{object.ns()};
    const std::string name{object.name()};
    const std::string status = "status";
    if (gvk.group == source_group || gvk.group == kustomize_group ||
        gvk.group == notification_group || gvk.group == image_group ||
        gvk.group == pipeline_group) {
        const json::value patch(status_patch(object));
        co_await client_.patch(gvk, ns, name, kube::PatchType::merge, patch, status);
        co_return;
    }
    // Another writes there too: only our condition, into what is there now.
    const auto ours = Conditions::from_status(object.status());
    const auto* rendered = ours.find("Rendered");
    if (rendered == nullptr) co_return;
    for (int attempt = 0;; ++attempt) {
        auto latest = co_await client_.get(gvk, ns, name);
        if (!latest) co_return;
        auto theirs = Conditions::from_status(latest->status());
        theirs.put(*rendered);
        auto& field = latest->fields()["status"];
        if (!field.is_object()) field.emplace_object();
        field.get_object()["conditions"] = theirs.to_json();
        try {
            co_await client_.update_status(*latest);
            co_return;
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::conflict || attempt == conflict_limit) throw;
        }
    }
}

asio::awaitable<void> ClusterStore::annotate(
    const kube::Object& object, const std::map<std::string, std::string>& annotations) {
    const auto gvk = object.gvk();
    const std::string ns{object.ns()};
    const std::string name{object.name()};
    const std::string whole;
    const json::value patch(annotation_patch(annotations));
    co_await client_.patch(gvk, ns, name, kube::PatchType::merge, patch, whole);
}

asio::awaitable<void> ClusterStore::hold(const kube::Object& object) {
    co_await set_finalizer(object, true);
}

asio::awaitable<void> ClusterStore::release(const kube::Object& object) {
    co_await set_finalizer(object, false);
}

asio::awaitable<bool> ClusterStore::set_finalizer(const kube::Object& object, bool present) {
    const auto gvk = object.gvk();
    const std::string ns{object.ns()};
    const std::string name{object.name()};
    const std::string whole;
    std::optional<kube::Object> latest{object};
    for (int attempt = 0; latest; ++attempt) {
        json::array finalizers;
        bool there = false;
        const auto* list = kube::find(latest->fields(), {"metadata", "finalizers"});
        if (list != nullptr && list->is_array()) {
            for (const auto& item : list->get_array()) {
                const bool own = item.is_string() && item.get_string() == finalizer;
                there = there || own;
                if (!own || present) finalizers.push_back(item);
            }
        }
        if (there == present) co_return true;
        if (present) finalizers.emplace_back(finalizer);
        json::object metadata;
        metadata["finalizers"] = std::move(finalizers);
        metadata["resourceVersion"] = latest->resource_version();
        json::object patch;
        patch["metadata"] = std::move(metadata);
        const json::value body(std::move(patch));
        try {
            co_await client_.patch(gvk, ns, name, kube::PatchType::merge, body, whole);
            co_return true;
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::not_found) co_return false;
            if (error.kind() != ErrorKind::conflict || attempt == conflict_limit) throw;
        }
        latest = co_await client_.get(gvk, ns, name);
    }
    co_return false;
}

asio::awaitable<void> ClusterStore::declare(const Key&, Manifests&) { co_return; }

}  // namespace kled::gitops
