// Kustomizations that an annotation pins to a commit, in an embedded API.
#include "gitops/objects/annotations.h"
#include "gitops/testing/cluster_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using git::testing::Files;
using ::testing::HasSubstr;

const std::string pin{pin_annotation};

struct PinMode : ::testing::Test {
    std::string commit(const std::string& value) {
        return world.repository.commit(
            {{"apps/ns.yaml", world.web()}, {"apps/a.yaml", world.config("a", value)}});
    }
    testing::ClusterWorld world;
};

TEST_F(PinMode, APinIsKeptWhileTheSourceGoesOn) {
    const auto first = commit("1");
    const auto second = commit("2");
    world.start_cluster();
    world.apply_repository();
    world.apply_kustomization("apps");
    ASSERT_TRUE(world.applied("apps", second));

    world.annotate_object("ks/apps", {{pin, first}});
    ASSERT_TRUE(world.applied("apps", first));
    EXPECT_EQ(world.value("a"), "1");

    // Neither a new commit nor another start undoes it, and drift goes back to the pinned one.
    const auto third = commit("3");
    ASSERT_TRUE(world.fetched(third));
    world.stop_reconciler();
    world.apply(world.config("a", "by hand"));
    world.start_cluster();
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(world.value("a"), "1");
    EXPECT_TRUE(world.applied("apps", first));

    world.annotate_object("ks/apps", {{pin, "main@sha1:" + second}});
    ASSERT_TRUE(world.applied("apps", second)) << "as Flux writes a revision";
    world.annotate_object("ks/apps", {{pin, ""}});
    ASSERT_TRUE(world.applied("apps", third));
    EXPECT_EQ(world.value("a"), "3");
}

TEST_F(PinMode, APinOfWhatIsNotThereIsACondition) {
    const auto first = commit("1");
    const std::string unknown(40, 'a');
    world.start_cluster();
    world.apply_repository();
    world.apply_kustomization("apps", "{" + pin + ": " + unknown + "}");
    EXPECT_THAT(world.says("apps", "Ready", "RevisionNotFound"),
                HasSubstr("revision " + unknown +
                          " of GitRepository default/fleet: it is not among what was fetched"));
    EXPECT_EQ(world.value("a"), "absent");
    world.annotate_object("ks/apps", {{pin, "main"}});
    EXPECT_THAT(world.says("apps", "Stalled", "InvalidSpec"),
                HasSubstr("metadata.annotations[gitops.kled.io/revision]: 'main' is neither"));
    world.annotate_object("ks/apps", {{pin, first}});
    EXPECT_TRUE(world.applied("apps", first));
}

TEST_F(PinMode, WhatDependsOnAPinnedOneGoesOn) {
    const Files files{{"apps/ns.yaml", world.web()},
                      {"apps/a.yaml", world.config("a", "1")},
                      {"more/b.yaml", world.config("b", "1")}};
    const auto first = world.repository.commit(files);
    const auto second = world.repository.commit(files);
    world.start_cluster();
    world.apply_repository();
    world.apply_kustomization("apps", "{" + pin + ": " + first + "}");
    world.apply_kustomization("more", "{}", "  dependsOn: [{name: apps}]\n");
    ASSERT_TRUE(world.applied("apps", first));
    EXPECT_TRUE(world.applied("more", second));
}

TEST(PinInFileMode, APinOnTheConfigMapOutlivesARestart) {
    testing::World world;
    const auto files = [](const std::string& value) {
        return Files{
            {"clusters/dev/apps.yaml",
             "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: "
             "apps}\nspec:\n  interval: 10m\n  path: apps\n  prune: true\n  sourceRef: {kind: "
             "GitRepository, name: flux-system}\n"},
            {"apps/ns.yaml", testing::ClusterWorld::web()},
            {"apps/a.yaml", testing::ClusterWorld::config("a", value)}};
    };
    const auto revision = [&] {
        const auto all = world.sync(find_objects(world.client(), ""));
        return summarise(select(all, "ks/apps").object).revision;
    };
    const auto becomes = [&](const std::string& commit) {
        return world.eventually([&] {
            try {
                return revision() == "main@sha1:" + commit;
            } catch (const Error&) {
                return false;
            }
        });
    };
    const auto first = world.repository.commit(files("1"));
    world.start_from_files();
    ASSERT_TRUE(becomes(first));
    const auto all = world.sync(find_objects(world.client(), ""));
    world.sync(annotate(world.client(), select(all, "ks/apps"), {{pin, first}}));
    world.stop_reconciler();

    const auto second = world.repository.commit(files("2"));
    std::vector<std::string> revisions;
    world.on_event = [&](const Event& event) {
        if (event.about.name() == "apps") revisions.push_back(event.revision);
    };
    world.start_from_files();
    ASSERT_TRUE(world.eventually([&] {
        const auto now = world.sync(find_objects(world.client(), ""));
        return summarise(select(now, "source/flux-system").object).revision ==
                   "main@sha1:" + second &&
               summarise(select(now, "ks/flux-system").object).revision == "main@sha1:" + second;
    }));
    const auto value = world.get("v1", "ConfigMap", "web", "a");
    EXPECT_EQ(kube::find_string(value->fields(), {"data", "k"}), "1");
    EXPECT_EQ(revision(), "main@sha1:" + first);
    world.stop_reconciler();
    for (const auto& one : revisions) EXPECT_EQ(one, "main@sha1:" + first);
}

}  // namespace
}  // namespace kled::gitops
