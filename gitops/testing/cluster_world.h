/// For tests in cluster mode: a world with our definitions, the GitRepository `fleet` and what one
/// asks of Kustomizations of the namespace `default`.
#pragma once

#include "gitops/objects/api.h"
#include "gitops/objects/objects.h"
#include "gitops/store/cluster_store.h"
#include "gitops/testing/world.h"

#include <map>
#include <string>

namespace kled::gitops::testing {

/// Says nothing of being the embedded API: what is healthy there, others write.
class OfOthers : public kube::Transport {
public:
    explicit OfOthers(std::shared_ptr<kube::Transport> way) : way_{std::move(way)} {}
    asio::awaitable<net::Response> send(net::Request request) override {
        const bool version = request.target == "/version";
        auto response = co_await way_->send(std::move(request));
        if (version) response.body = R"({"major":"1","minor":"34","gitVersion":"v1.34.0"})";
        co_return response;
    }
    asio::awaitable<net::StreamResponse> open(net::Request request) override {
        return way_->open(std::move(request));
    }

private:
    std::shared_ptr<kube::Transport> way_;
};

class ClusterWorld : public World {
public:
    explicit ClusterWorld(Wrap wrap = [](auto way) { return way; }) : World{std::move(wrap)} {
        apply_definitions({{source_group, "Bucket"},
                           {source_group, "ExternalArtifact"},
                           {source_group, "GitRepository"},
                           {source_group, "OCIRepository"},
                           {kustomize_group, "Kustomization"}});
    }

    void start_cluster(Reconciler::Options options = {}) {
        start(
            [](kube::Client& c) {
                return std::make_unique<ClusterStore>(c, ClusterStore::Options{});
            },
            std::move(options));
    }
    void apply_repository(const std::string& more = "") {
        point_repository_to(repository.url(), more);
    }
    void point_repository_to(const std::string& url, const std::string& more = "") {
        apply(
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: fleet, "
            "namespace: default}\nspec:\n  url: " +
            url + "\n  interval: 10m\n  ref: {branch: main}\n" + more);
    }
    /// `annotations` as YAML of a flow mapping: "{a: b}".
    void apply_kustomization(const std::string& name, const std::string& annotations = "{}",
                             const std::string& more = "") {
        apply("apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: " +
              name + ", namespace: default, annotations: " + annotations +
              "}\nspec:\n  interval: 10m\n  retryInterval: 1s\n  path: " + name +
              "\n  prune: true\n  sourceRef: {kind: GitRepository, name: fleet}\n" + more);
    }
    static std::string config(const std::string& name, const std::string& value,
                              const std::string& annotations = "{}") {
        return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name +
               ", namespace: web, annotations: " + annotations + "}\ndata: {k: '" + value + "'}\n";
    }
    static std::string web() { return "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n"; }

    std::optional<kube::Object> kustomization(const std::string& name) {
        return get("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "default", name);
    }
    Conditions conditions(const std::string& name) {
        const auto object = kustomization(name);
        return Conditions::from_status(object ? object->status() : nullptr);
    }
    /// Until its condition `type` has this reason; what the condition says then.
    std::string says(const std::string& name, const std::string& type, const std::string& reason) {
        std::string message;
        const bool so = eventually([&] {
            const auto now = conditions(name);
            const auto* condition = now.find(type);
            if (condition == nullptr) return false;
            message = condition->message;
            return condition->reason == reason;
        });
        return so ? message : "(" + type + " never said " + reason + ") " + message;
    }
    bool applied(const std::string& name, const std::string& commit) {
        return eventually([&] {
            const auto object = kustomization(name);
            if (!object) return false;
            const auto summary = summarise(*object);
            return summary.ready == "True" && summary.revision == "main@sha1:" + commit;
        });
    }
    std::string value(const std::string& name) {
        const auto object = get("v1", "ConfigMap", "web", name);
        return object ? std::string{kube::find_string(object->fields(), {"data", "k"})} : "absent";
    }
    /// As a user of `kled` does it; an empty value takes an annotation away.
    void annotate_object(const std::string& which,
                         const std::map<std::string, std::string>& annotations) {
        const auto all = sync(find_objects(client(), ""));
        sync(annotate(client(), gitops::select(all, which), annotations));
    }
    /// Looks at `which` now, and waits until that is done.
    bool reconciled(const std::string& which) {
        const auto token = "test-" + std::to_string(++requests_);
        const auto all = sync(find_objects(client(), ""));
        const auto& found = gitops::select(all, which);
        sync(request_reconcile(client(), found, token));
        return eventually([&] {
            const auto now = sync(read_again(client(), found));
            return now &&
                   kube::find_string(now->fields(), {"status", "lastHandledReconcileAt"}) == token;
        });
    }
    /// The source has this commit.
    bool fetched(const std::string& commit) {
        nudge();
        return eventually([&] {
            const auto source =
                get("source.toolkit.fluxcd.io/v1", "GitRepository", "default", "fleet");
            return source && summarise(*source).revision == "main@sha1:" + commit;
        });
    }

private:
    int requests_ = 0;
};

}  // namespace kled::gitops::testing
