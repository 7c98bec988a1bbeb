// Kustomizations that may change at certain times only, in an embedded API.
#include "gitops/objects/annotations.h"
#include "gitops/testing/cluster_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace kled::gitops {
namespace {

using ::testing::HasSubstr;

const std::string windows{windows_annotation};
constexpr auto never = R"([{schedule: "* * * * *", duration: 1m, kind: deny}])";

/// A window that denies, and ends `left` from now.
std::string denied_for(std::chrono::seconds left) {
    using namespace std::chrono;
    const auto now = floor<seconds>(system_clock::now());
    const auto begin = floor<minutes>(now) - minutes{1};
    const hh_mm_ss time{begin - floor<days>(begin)};
    return "[{schedule: \"" + std::to_string(time.minutes().count()) + " " +
           std::to_string(time.hours().count()) +
           " * * *\", duration: " + std::to_string((now + left - begin).count()) +
           "s, kind: deny}]";
}

struct WindowsMode : ::testing::Test {
    std::string commit(const std::string& value) {
        return world.repository.commit(
            {{"apps/ns.yaml", world.web()}, {"apps/a.yaml", world.config("a", value)}});
    }
    /// Value "1" is applied; its commit.
    std::string begin() {
        auto first = commit("1");
        world.start_cluster();
        world.apply_repository();
        world.apply_kustomization("apps");
        EXPECT_TRUE(world.applied("apps", first));
        return first;
    }
    std::string ready_message() { return world.conditions("apps").find("Ready")->message; }
    testing::ClusterWorld world;
};

TEST_F(WindowsMode, ANewRevisionWaitsAndTheOldOneIsKept) {
    const auto first = begin();

    world.annotate_object("ks/apps", {{windows, never}});
    const auto second = commit("2");
    ASSERT_TRUE(world.fetched(second));
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_TRUE(world.applied("apps", first));
    EXPECT_THAT(ready_message(), HasSubstr("; main@sha1:" + second +
                                           " waits for a deploy window, and none will open"));
    world.apply(world.config("a", "by hand"));
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(world.value("a"), "1") << "drift is no news";

    // Let in by name: this one and no later one, also after another start.
    world.annotate_object("ks/apps", {{std::string{deploy_now_annotation}, second}});
    ASSERT_TRUE(world.applied("apps", second));
    const auto third = commit("3");
    ASSERT_TRUE(world.fetched(third));
    world.stop_reconciler();
    world.start_cluster();
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_TRUE(world.applied("apps", second));
    EXPECT_EQ(world.value("a"), "2");

    world.annotate_object("ks/apps", {{windows, ""}});
    EXPECT_TRUE(world.applied("apps", third));
}

TEST_F(WindowsMode, WhatWaitsComesWhenTheWindowOpens) {
    begin();
    const auto second = commit("2");
    world.annotate_object("ks/apps", {{windows, denied_for(std::chrono::seconds{5})}});
    ASSERT_TRUE(world.fetched(second));
    EXPECT_EQ(world.value("a"), "1");
    EXPECT_TRUE(world.applied("apps", second)) << "nobody asks for it";
}

TEST_F(WindowsMode, WhatIsNoLongerFetchedStaysAsItIsUntilAWindowOpens) {
    const auto first = begin();
    world.annotate_object("ks/apps", {{windows, never}});
    // History was rewritten, and the cache is another machine's.
    world.stop_reconciler();
    std::filesystem::remove_all(world.directory.path() / "cache");
    const auto second = world.repository.replace(
        {{"apps/ns.yaml", world.web()}, {"apps/a.yaml", world.config("a", "2")}});
    world.start_cluster();
    ASSERT_TRUE(world.fetched(second));
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_TRUE(world.applied("apps", first));
    EXPECT_THAT(ready_message(),
                HasSubstr("Applied revision: main@sha1:" + first +
                          ", which is no longer among what was fetched: it stays as it is, whoever "
                          "changes it; main@sha1:" +
                          second + " waits for a deploy window"));
    EXPECT_EQ(world.value("a"), "1");
    // What the Kustomization asks for besides cannot be done without it.
    world.apply_kustomization("apps", "{" + windows + ": '" + never + "'}", "  force: true\n");
    EXPECT_THAT(world.says("apps", "Ready", "RevisionNotFound"), HasSubstr("waits for a deploy"));
    world.annotate_object("ks/apps", {{windows, ""}});
    EXPECT_TRUE(world.applied("apps", second));
}

TEST_F(WindowsMode, WhatDependsOnOneThatIsHeldSaysSo) {
    const auto files = [&](const std::string& value) {
        return git::testing::Files{{"apps/ns.yaml", world.web()},
                                   {"apps/a.yaml", world.config("a", value)},
                                   {"more/b.yaml", world.config("b", value)}};
    };
    const auto first = world.repository.commit(files("1"));
    world.start_cluster();
    world.apply_repository();
    world.apply_kustomization("more", "{}", "  dependsOn: [{name: apps}]\n");
    EXPECT_THAT(world.says("more", "Ready", "DependencyNotReady"), HasSubstr("does not exist"));
    world.apply_kustomization("apps", "{" + windows + ": '" + never + "'}");
    const auto says = [&](const std::string& text) {
        std::string said;
        const bool so = world.eventually([&] {
            said = world.conditions("more").find("Ready")->message;
            return said.find(text) != std::string::npos;
        });
        return so ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << said;
    };
    EXPECT_TRUE(says("dependency 'default/apps' is not ready: main@sha1:" + first +
                     " waits for a deploy window, and none will open"));
    world.annotate_object("ks/apps", {{windows, ""}});
    ASSERT_TRUE(world.applied("more", first));
    world.annotate_object("ks/apps", {{windows, never}});
    const auto second = world.repository.commit(files("2"));
    ASSERT_TRUE(world.fetched(second));
    EXPECT_TRUE(says("dependency 'default/apps' has not applied main@sha1:" + second +
                     " yet: main@sha1:" + second + " waits for a deploy window"));
    world.annotate_object("ks/apps", {{windows, ""}, {std::string{pipeline_annotation}, "shop"}});
    EXPECT_TRUE(says("yet: it waits for a revision from Pipeline shop"));
}

TEST_F(WindowsMode, NothingAtAllComesBeforeAWindowOpens) {
    commit("1");
    world.start_cluster();
    world.apply_repository();
    world.apply_kustomization(
        "apps", "{" + windows + ": '[{schedule: \"* * * * *\", duration: 1m, kind: deny}]'}");
    EXPECT_THAT(world.says("apps", "Ready", "OutsideDeployWindow"), HasSubstr("none will open"));
    EXPECT_EQ(world.value("a"), "absent");
    world.annotate_object("ks/apps", {{windows, "[{schedule: '61 * * * *', duration: 1h}]"}});
    EXPECT_THAT(world.says("apps", "Stalled", "InvalidSpec"),
                HasSubstr("metadata.annotations[gitops.kled.io/deploy-windows][0].schedule: "));
}

}  // namespace
}  // namespace kled::gitops
