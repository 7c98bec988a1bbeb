// What a Kustomization waits for, in a cluster whose controllers run: the test writes what they
// would.
#include "gitops/testing/cluster_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace kled::gitops {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct WaitMode : ::testing::Test {
    static std::string job(const std::string& name, const std::string& more = "") {
        return "apiVersion: batch/v1\nkind: Job\nmetadata: {name: " + name +
               ", namespace: web}\nspec:\n  template:\n    spec: {restartPolicy: Never, "
               "containers: [{name: c, image: x}]}\n" +
               more;
    }
    static std::string deployment(const std::string& name, const std::string& metadata) {
        return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name +
               ", namespace: web" + metadata +
               "}\nspec:\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: "
               "{a: b}}\n    spec: {containers: [{name: c, image: x}]}\n";
    }
    void status(const std::string& name, const std::string& fields) {
        auto object = *world.get("batch/v1", "Job", "web", name);
        object.fields()["status"] = kube::parse_yaml(fields);
        world.sync(world.client().update_status(object));
    }
    bool is_there(const std::string& kind, const std::string& name) {
        const auto* api = kind == "Job" ? "batch/v1" : "apps/v1";
        return world.eventually([&] { return world.get(api, kind, "web", name).has_value(); });
    }

    testing::ClusterWorld world{
        [](auto way) { return std::make_shared<testing::OfOthers>(std::move(way)); }};
};

TEST_F(WaitMode, AJobIsWaitedForUntilItsEnd) {
    const auto commit =
        world.repository.commit({{"apps/ns.yaml", world.web()}, {"apps/job.yaml", job("migrate")}});
    world.start_cluster();
    world.apply_repository();
    world.apply_kustomization("apps", "{}", "  wait: true\n");
    ASSERT_TRUE(is_there("Job", "migrate"));
    status("migrate", "{startTime: '2026-01-01T00:00:00Z', active: 1}");
    EXPECT_EQ(world.says("apps", "Healthy", "Progressing"), "waiting for health");
    EXPECT_NE(world.conditions("apps").find("Ready")->status, "True");
    status("migrate",
           "{startTime: '2026-01-01T00:00:00Z', completionTime: '2026-01-01T00:00:01Z', succeeded: "
           "1, conditions: [{type: SuccessCriteriaMet, status: 'True'}, {type: Complete, status: "
           "'True'}]}");
    EXPECT_TRUE(world.applied("apps", commit));
}

TEST_F(WaitMode, AJobThatGoesWhenItIsDoneWasDone) {
    const auto commit =
        world.repository.commit({{"apps/ns.yaml", world.web()},
                                 {"apps/job.yaml", job("once", "  ttlSecondsAfterFinished: 0\n")}});
    world.start_cluster();
    world.apply_repository();
    world.apply_kustomization("apps", "{}", "  wait: true\n");
    ASSERT_TRUE(is_there("Job", "once"));
    world.remove("batch/v1", "Job", "web", "once");
    EXPECT_TRUE(world.applied("apps", commit));
    // Nor is it made again the moment it goes, but at the next look at everything.
    EXPECT_FALSE(world.get("batch/v1", "Job", "web", "once"));
    ASSERT_TRUE(world.reconciled("source/fleet"));
    EXPECT_FALSE(world.get("batch/v1", "Job", "web", "once"));
}

TEST_F(WaitMode, WhatIsLeftAloneIsNotWaitedForNorIsTheKustomizationItself) {
    const auto itself =
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps, "
        "namespace: default}\nspec:\n  interval: 10m\n  retryInterval: 1s\n  path: apps\n  prune: "
        "true\n  wait: true\n  sourceRef: {kind: GitRepository, name: fleet}\n";
    world.apply(world.web());
    world.apply(
        deployment("paused", ", labels: {kustomize.toolkit.fluxcd.io/reconcile: Disabled}"));
    const auto commit = world.repository.commit(
        {{"apps/ns.yaml", world.web()},
         {"apps/paused.yaml", deployment("paused", "")},
         {"apps/ignored.yaml",
          deployment("ignored", ", annotations: {kustomize.toolkit.fluxcd.io/ssa: Ignore}")},
         {"apps/self.yaml", itself}});
    world.start_cluster();
    world.apply_repository();
    world.apply(itself);
    EXPECT_TRUE(world.applied("apps", commit)) << world.conditions("apps").find("Ready")->message;
    EXPECT_FALSE(world.get("apps/v1", "Deployment", "web", "ignored"));
    EXPECT_EQ(world.conditions("apps").find("Healthy")->status, "True");
}

TEST_F(WaitMode, WhatIsToBeCheckedIsOfItsOwnNamespaceWhereNoneIsNamed) {
    const auto commit = world.repository.commit({{"apps/ns.yaml", world.web()}});
    world.start_cluster();
    world.apply_repository();
    world.apply_kustomization(
        "apps", "{}", "  healthChecks: [{apiVersion: v1, kind: ConfigMap, name: outside}]\n");
    EXPECT_EQ(world.says("apps", "Healthy", "Progressing"), "waiting for health");
    world.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: outside, namespace: default}}");
    EXPECT_TRUE(world.applied("apps", commit));
}

TEST_F(WaitMode, SomethingNewEndsTheWaitAndIsNoFailure) {
    world.repository.commit({{"apps/ns.yaml", world.web()}, {"apps/d.yaml", deployment("d", "")}});
    world.start_cluster();
    world.apply_repository();
    world.apply_kustomization("apps", "{}", "  wait: true\n");
    EXPECT_EQ(world.says("apps", "Healthy", "Progressing"), "waiting for health");
    const auto commit = world.repository.commit({{"apps/ns.yaml", world.web()}});
    world.nudge();
    EXPECT_TRUE(world.applied("apps", commit));
    bool told = false;
    for (const auto& event : world.events()) {
        told = told || event.reason == "HealthCheckCanceled";
        EXPECT_FALSE(event.warning) << event.reason << ": " << event.message;
    }
    EXPECT_TRUE(told);
}

TEST_F(WaitMode, ADependencyThatIsLookedAtAgainDoesNotBeginTheWaitAnew) {
    world.repository.commit({{"base/ns.yaml", world.web()}, {"apps/d.yaml", deployment("d", "")}});
    world.start_cluster();
    world.apply_repository();
    world.apply_kustomization("base");
    world.apply_kustomization("apps", "{}",
                              "  wait: true\n  timeout: 2s\n  dependsOn: [{name: base}]\n");
    EXPECT_EQ(world.says("apps", "Healthy", "Progressing"), "waiting for health");
    EXPECT_TRUE(world.eventually([&] {
        world.reconciled("ks/base");
        return world.conditions("apps").find("Healthy")->reason == "HealthCheckFailed";
    }));
}

TEST_F(WaitMode, WhatIsNeverHealthyFailsInTime) {
    world.repository.commit({{"apps/ns.yaml", world.web()}, {"apps/d.yaml", deployment("d", "")}});
    world.start_cluster();
    world.apply_repository();
    world.apply_kustomization("apps", "{}", "  wait: true\n  timeout: 1s\n");
    EXPECT_THAT(world.says("apps", "Ready", "HealthCheckFailed"), HasSubstr("not healthy in time"));
    EXPECT_EQ(world.conditions("apps").find("Healthy")->reason, "HealthCheckFailed");
}

}  // namespace
}  // namespace kled::gitops
