// Kustomizations that are deleted, and what they brought.
#include "gitops/testing/cluster_mode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace kled::gitops {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

using Deletion = testing::ClusterMode;

TEST_F(Deletion, TakesAwayWhatADeletedKustomizationBrought) {
    world.start_cluster();
    world.apply_repository();
    apply_apps();
    ASSERT_TRUE(world.eventually([&] { return world.value("a") == "1"; }));
    ASSERT_TRUE(is_ready());
    remove_apps();
    EXPECT_TRUE(is_gone());
    EXPECT_EQ(world.value("a"), "absent");
}

/// Of what it brought, something is held by a finalizer.
struct Held : Deletion {
    void bring(const std::string& timeout) {
        files.insert_or_assign("apps/a.yaml",
                               "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: "
                               "web, finalizers: [example.org/held]}\n");
        world.repository.commit(files);  // before anybody looks
        world.start_cluster();
        world.apply_repository();
        apply_apps("  deletionPolicy: WaitForTermination\n  timeout: " + timeout + "\n");
        ASSERT_TRUE(is_ready());
        EXPECT_EQ(kube::find(apps().fields(), {"status", "history"})->get_array().size(), 1U);
        remove_apps();
    }
};

TEST_F(Held, WaitsWithGoingUntilWhatItBroughtIsGone) {
    bring("10m");
    ASSERT_TRUE(
        world.eventually([&] { return world.get("v1", "ConfigMap", "web", "a")->deleting(); }));
    EXPECT_TRUE(world.get(kustomize_api, "Kustomization", "default", "apps"));
    auto held = *world.get("v1", "ConfigMap", "web", "a");
    held.metadata()["finalizers"].emplace_array();
    world.sync(world.client().update(held));
    EXPECT_TRUE(is_gone());
}

TEST_F(Held, WaitsNoLongerThanItsTimeout) {
    bring("1s");
    EXPECT_TRUE(is_gone());
    EXPECT_TRUE(world.get("v1", "ConfigMap", "web", "a")->deleting());
    EXPECT_THAT(messages_of("PruneFailed"), Contains(HasSubstr("ConfigMap web/a")));
}

TEST_F(Deletion, SaysWhatStaysWhereItGoesAlone) {
    world.start_cluster();
    world.apply_repository();
    apply_apps("  deletionPolicy: Orphan\n");
    ASSERT_TRUE(is_ready());
    remove_apps();
    ASSERT_TRUE(is_gone());
    EXPECT_THAT(messages_of("Removed"),
                Contains(AllOf(HasSubstr("what it had brought stays"), HasSubstr("ConfigMap"))));
}

}  // namespace
}  // namespace kled::gitops
