// Prunes that wait for somebody to say so, in an embedded API.
#include "gitops/apply/prune_approval.h"
#include "gitops/objects/annotations.h"
#include "gitops/testing/cluster_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using git::testing::Files;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string confirm = "{" + std::string{prune_annotation} + ": confirm}";

struct PruneMode : ::testing::Test {
    void push(const Files& next) {
        commit = world.repository.commit(next);
        world.nudge();
    }
    std::string pending() {
        return world.says("apps", std::string{prune_approval_condition}, "WaitingForApproval");
    }
    void approve(const std::string& digest) {
        world.annotate_object("ks/apps", {{std::string{prune_approved_annotation}, digest}});
    }
    bool settled() {
        return world.eventually(
            [&] { return world.conditions("apps").find(prune_approval_condition) == nullptr; });
    }
    /// `apps` with a, b and c, under `annotations`.
    void begin(const std::string& annotations) {
        commit = world.repository.commit(files);
        world.start_cluster();
        world.apply_repository();
        world.apply_kustomization("apps", annotations);
        ASSERT_TRUE(world.applied("apps", commit));
    }

    testing::ClusterWorld world;
    std::string commit;
    Files files{{"apps/ns.yaml", world.web()},
                {"apps/a.yaml", world.config("a", "1")},
                {"apps/b.yaml", world.config("b", "1")},
                {"apps/c.yaml", world.config("c", "1")}};
};

TEST_F(PruneMode, WhatGitDropsWaitsAndTheRestIsApplied) {
    begin(confirm);
    files.erase("apps/b.yaml");
    files.insert_or_assign("apps/a.yaml", world.config("a", "2"));
    push(files);
    ASSERT_TRUE(world.applied("apps", commit)) << "it waits for nobody else";
    EXPECT_EQ(world.value("a"), "2");
    EXPECT_EQ(world.value("b"), "1");
    EXPECT_THAT(pending(), HasSubstr("1 object waits for an approval to be pruned:\n"
                                     "ConfigMap web/b"));
    EXPECT_THAT(world.conditions("apps").find("Ready")->message,
                HasSubstr("; 1 not pruned yet: waiting for `kled gitops approve`"));
    const auto first = pending_digest(world.conditions("apps"));
    ASSERT_EQ(first.size(), 71U);

    // Another list: what was said of the first does not count for it, not even for its part.
    files.erase("apps/c.yaml");
    push(files);
    ASSERT_TRUE(world.applied("apps", commit));
    approve(first);
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(world.value("b"), "1");
    EXPECT_EQ(world.value("c"), "1");
    const auto second = pending_digest(world.conditions("apps"));
    EXPECT_NE(second, first);

    // Also after another start.
    world.stop_reconciler();
    world.start_cluster();
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(pending_digest(world.conditions("apps")), second);
    approve(second);
    ASSERT_TRUE(settled());
    EXPECT_EQ(world.value("a"), "2");
    EXPECT_EQ(world.value("b"), "absent");
    EXPECT_EQ(world.value("c"), "absent");
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_THAT(world.conditions("apps").find("Ready")->message, Not(HasSubstr("pruned")));
    EXPECT_EQ(DeploymentStatus::from_object(*world.kustomization("apps")).inventory.size(), 2U);
}

TEST_F(PruneMode, TheSameNamesOnceMoreAreAnotherList) {
    begin(confirm);
    auto without = files;
    without.erase("apps/b.yaml");
    push(without);
    pending();
    const auto first = pending_digest(world.conditions("apps"));
    approve(first);
    ASSERT_TRUE(settled());
    push(files);
    ASSERT_TRUE(world.eventually([&] { return world.value("b") == "1"; }));
    push(without);
    ASSERT_TRUE(world.applied("apps", commit));
    EXPECT_THAT(pending(), HasSubstr("ConfigMap web/b"));
    EXPECT_NE(pending_digest(world.conditions("apps")), first);
    EXPECT_EQ(world.value("b"), "1");
}

TEST_F(PruneMode, WhatComesBackNoLongerWaits) {
    begin(confirm);
    auto without = files;
    without.erase("apps/b.yaml");
    push(without);
    pending();
    push(files);
    ASSERT_TRUE(world.applied("apps", commit));
    ASSERT_TRUE(settled());
    EXPECT_EQ(world.value("b"), "1");
}

TEST_F(PruneMode, AnObjectMayAskForItself) {
    files.insert_or_assign("apps/b.yaml", world.config("b", "1", confirm));
    begin("{}");
    files.erase("apps/b.yaml");
    files.erase("apps/c.yaml");
    push(files);
    ASSERT_TRUE(world.applied("apps", commit));
    EXPECT_THAT(pending(), HasSubstr("1 object waits"));
    EXPECT_EQ(world.value("b"), "1");
    EXPECT_EQ(world.value("c"), "absent");
    approve(pending_digest(world.conditions("apps")));
    ASSERT_TRUE(settled());
    EXPECT_EQ(world.value("b"), "absent");
}

TEST_F(PruneMode, ADeletedKustomizationTakesNothingWithItUnasked) {
    begin(confirm);
    world.remove("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "default", "apps");
    EXPECT_THAT(pending(), HasSubstr("4 objects wait"));
    EXPECT_EQ(world.value("a"), "1");
    approve(pending_digest(world.conditions("apps")));
    ASSERT_TRUE(world.eventually([&] { return !world.kustomization("apps"); }));
    EXPECT_EQ(world.value("a"), "absent");
}

}  // namespace
}  // namespace kled::gitops
