/// For tests in cluster mode: the Kustomization `apps`, which brings the Namespace `web` and the
/// ConfigMap `a` in it.
#pragma once

#include "gitops/testing/cluster_world.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace kled::gitops::testing {

class ClusterMode : public ::testing::Test {
protected:
    static inline const std::string source_api = "source.toolkit.fluxcd.io/v1";
    static inline const std::string kustomize_api = "kustomize.toolkit.fluxcd.io/v1";

    ClusterMode() { world.repository.commit(files); }

    /// `more`: fields of its spec.
    void apply_apps(const std::string& more = "") { world.apply_kustomization("apps", "{}", more); }
    void remove_apps() { world.remove(kustomize_api, "Kustomization", "default", "apps"); }
    kube::Object apps() { return *world.kustomization("apps"); }
    kube::Object git_repository() {
        return *world.get(source_api, "GitRepository", "default", "fleet");
    }

    /// Until its condition Ready is so.
    ::testing::AssertionResult is_ready(const std::string& status = "True") {
        return until([&] { return summarise(apps()).ready == status; });
    }
    /// Until that is what it says.
    ::testing::AssertionResult says(const std::string& message) {
        return until([&] { return summarise(apps()).message == message; });
    }
    bool is_gone() {
        return world.eventually([&] { return !world.kustomization("apps"); });
    }
    /// Of the events with this reason.
    std::vector<std::string> messages_of(const std::string& reason) {
        std::vector<std::string> result;
        for (auto& event : world.events())
            if (event.reason == reason) result.push_back(std::move(event.message));
        return result;
    }

    ClusterWorld world;
    git::testing::Files files{{"apps/ns.yaml", ClusterWorld::web()},
                              {"apps/a.yaml", ClusterWorld::config("a", "1")}};

private:
    ::testing::AssertionResult until(const std::function<bool()>& so) {
        if (world.eventually(so)) return ::testing::AssertionSuccess();
        return ::testing::AssertionFailure() << summarise(apps()).message;
    }
};

}  // namespace kled::gitops::testing
