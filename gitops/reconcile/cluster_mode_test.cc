// What to deploy as objects of the cluster, under the definitions that we ship.
#include "gitops/testing/cluster_mode.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace kled::gitops {
namespace {

using ClusterMode = testing::ClusterMode;

TEST_F(ClusterMode, FollowsObjectsOfTheCluster) {
    world.start_cluster();
    world.apply_repository();
    apply_apps();
    const auto commit = world.repository.commit(files);
    world.nudge();
    ASSERT_TRUE(world.applied("apps", commit)) << summarise(apps()).message;
    EXPECT_EQ(world.value("a"), "1");
    const auto status = DeploymentStatus::from_object(apps());
    EXPECT_EQ(status.observed_generation, apps().generation());
    EXPECT_EQ(status.inventory.size(), 2U);
    EXPECT_EQ(summarise(git_repository()).revision, "main@sha1:" + commit);
}

TEST_F(ClusterMode, OnlySourcesLeavesTheRestToAnother) {
    Reconciler::Options options;
    options.only_sources = true;
    world.start_cluster(options);
    apply_apps();
    world.apply_repository();
    const auto commit = world.repository.commit(files);
    ASSERT_TRUE(world.fetched(commit));
    const auto given = apps();
    EXPECT_EQ(kube::find(given.fields(), {"metadata", "finalizers"}), nullptr);
    EXPECT_EQ(given.status(), nullptr);
    EXPECT_EQ(world.value("a"), "absent");
    // A source that another held goes all the same.
    world.apply("apiVersion: " + source_api +
                "\nkind: GitRepository\nmetadata: {name: fleet, namespace: default, finalizers: "
                "[finalizers.fluxcd.io]}\nspec:\n  url: " +
                world.repository.url() + "\n  interval: 10m\n  ref: {branch: main}\n");
    world.remove(source_api, "GitRepository", "default", "fleet");
    EXPECT_TRUE(world.eventually(
        [&] { return !world.get(source_api, "GitRepository", "default", "fleet"); }));
}

TEST_F(ClusterMode, RepairsDriftWhenAsked) {
    world.start_cluster();
    world.apply_repository();
    apply_apps();
    ASSERT_TRUE(is_ready());
    world.apply(world.config("a", "by hand"));
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(world.value("a"), "1");
    world.remove("v1", "ConfigMap", "web", "a");
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(world.value("a"), "1");
}

TEST_F(ClusterMode, DoesNothingWhileSuspended) {
    world.start_cluster();
    world.apply_repository();
    apply_apps();
    ASSERT_TRUE(is_ready());
    apply_apps("  suspend: true\n");
    files.insert_or_assign("apps/a.yaml", world.config("a", "2"));
    const auto commit = world.repository.commit(files);
    ASSERT_TRUE(world.fetched(commit));
    EXPECT_EQ(world.value("a"), "1");
    apply_apps("  suspend: false\n");
    ASSERT_TRUE(world.applied("apps", commit));
    EXPECT_EQ(world.value("a"), "2");
}

TEST_F(ClusterMode, APathThatIsNotThereIsTheArtifactsFault) {
    world.start_cluster();
    world.apply_repository();
    apply_apps();
    ASSERT_TRUE(world.eventually([&] { return world.value("a") == "1"; }));
    const auto ready_reason = [&] {
        const auto conditions = Conditions::from_status(apps().status());
        return conditions.find("Ready")->reason;
    };
    world.apply("apiVersion: " + kustomize_api +
                "\nkind: Kustomization\nmetadata: {name: apps, namespace: default}\nspec:\n"
                "  interval: 10m\n  path: ./none/such\n  prune: true\n"
                "  sourceRef: {kind: GitRepository, name: fleet}\n");
    EXPECT_TRUE(world.eventually([&] { return ready_reason() == "ArtifactFailed"; }));
    EXPECT_EQ(summarise(apps()).message,
              "kustomization path not found: stat none/such: no such file or directory");
    EXPECT_EQ(world.value("a"), "1") << "nothing is pruned";
    auto files_next = files;
    files_next.emplace("none/such/ns.yaml", files.at("apps/ns.yaml"));
    files_next.emplace("none/such/b.yaml", world.config("b", "1"));
    const auto next = world.repository.commit(files_next);
    world.nudge();
    EXPECT_TRUE(world.applied("apps", next));
    EXPECT_EQ(world.value("b"), "1");
}

TEST_F(ClusterMode, EndsAtAppliedWhereNoControllersRun) {
    files.insert_or_assign("apps/d.yaml",
                           "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: "
                           "web}\nspec:\n  selector: "
                           "{matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n   "
                           " spec: {containers: [{name: "
                           "c, image: x}]}\n");
    const auto commit = world.repository.commit(files);
    world.start_cluster();
    world.apply_repository();
    apply_apps("  wait: true\n  timeout: 1m\n");
    ASSERT_TRUE(world.applied("apps", commit)) << summarise(apps()).message;
    EXPECT_EQ(summarise(apps()).state, "Applied");
    EXPECT_EQ(DeploymentStatus::from_object(apps()).conditions.find("Healthy")->status, "Unknown");
}

TEST_F(ClusterMode, StaysInItsNamespaceWhereItMust) {
    Reconciler::Options options;
    options.no_cross_namespace_refs = true;
    world.start_cluster(std::move(options));
    world.apply_repository();
    world.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: tenant}\n");
    world.apply("apiVersion: " + kustomize_api +
                "\nkind: Kustomization\nmetadata: {name: k, namespace: tenant}\nspec:\n  interval: "
                "10m\n  path: apps\n  prune: true\n  sourceRef: {kind: GitRepository, name: fleet, "
                "namespace: default}\n");
    apply_apps();
    ASSERT_TRUE(is_ready());
    const auto k = *world.get(kustomize_api, "Kustomization", "tenant", "k");
    EXPECT_EQ(summarise(k).state, "Stalled");
    EXPECT_EQ(summarise(k).message,
              "can't access 'GitRepository/default/fleet', cross-namespace references have been "
              "blocked");
}

TEST_F(ClusterMode, SaysThatItIsWellAgainAlsoWithoutANewRevision) {
    world.start_cluster();
    world.apply_repository();
    apply_apps();
    ASSERT_TRUE(is_ready());
    const auto count = [&](const std::string& reason) { return messages_of(reason).size(); };
    EXPECT_EQ(count("ReconciliationSucceeded"), 1U);
    apply_apps("  serviceAccountName: bounded\n");  // refused by the embedded API
    ASSERT_TRUE(is_ready("False"));
    apply_apps();
    ASSERT_TRUE(is_ready());
    EXPECT_TRUE(world.eventually([&] { return count("ReconciliationSucceeded") == 2; }));

    world.apply_repository("  secretRef: {name: none}\n");
    const auto fetches = [&](const std::string& status) {
        return world.eventually([&] { return summarise(git_repository()).ready == status; });
    };
    ASSERT_TRUE(fetches("False"));
    world.apply_repository();
    ASSERT_TRUE(fetches("True"));
    EXPECT_TRUE(world.eventually([&] { return count("Succeeded") == 1; }));
    EXPECT_EQ(count("NewArtifact"), 1U);
}

}  // namespace
}  // namespace kled::gitops
