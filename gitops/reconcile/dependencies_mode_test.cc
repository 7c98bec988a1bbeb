// Kustomizations that wait for each other.
#include "gitops/testing/cluster_mode.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace kled::gitops {
namespace {

class Dependants : public testing::ClusterMode {
protected:
    Dependants() {
        for (const auto* name : {"one", "two", "three"})
            files.insert_or_assign(std::string{name} + "/a.yaml",
                                   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " +
                                       std::string{name} + ", namespace: default}\n");
        world.repository.commit(files);
        world.start_cluster();
        world.apply_repository();
        world.eventually([this] { return summarise(git_repository()).ready == "True"; });
    }
    /// Kustomization `name` of its own folder, which waits for `dependencies` ("{name: b}").
    static std::string link(const std::string& name, const std::string& dependencies) {
        return "apiVersion: " + kustomize_api + "\nkind: Kustomization\nmetadata: {name: " + name +
               ", namespace: default}\nspec:\n  interval: 10m\n  path: " + name +
               "\n  prune: true\n  sourceRef: {kind: GitRepository, name: fleet}\n  dependsOn: [" +
               dependencies + "]\n";
    }
    auto state(const std::string& name) {
        return summarise(*world.get(kustomize_api, "Kustomization", "default", name));
    }
    bool says(const std::string& name, const std::string& text) {
        return world.eventually(
            [&] { return state(name).message.find(text) != std::string::npos; });
    }
    bool ready_within(const std::string& name, std::chrono::milliseconds limit) {
        return world.eventually([&] { return state(name).ready == "True"; }, limit);
    }
};

TEST_F(Dependants, MayHaveASourceOfTheSameNameInAnotherNamespace) {
    world.repository.commit(files, "other");
    world.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n");
    world.apply("apiVersion: " + source_api +
                "\nkind: GitRepository\nmetadata: {name: fleet, namespace: other}\nspec:\n  url: " +
                world.repository.url() + "\n  interval: 10m\n  ref: {branch: other}\n");
    auto one = link("one", "{name: two}");
    const std::string own = "{kind: GitRepository, name: fleet}";
    one.replace(one.find(own), own.size(), "{kind: GitRepository, name: fleet, namespace: other}");
    world.apply(one);
    world.apply(link("two", ""));
    EXPECT_TRUE(world.eventually([&] {
        const auto now = state("one");
        return now.ready == "True" && now.revision.starts_with("other@sha1:");
    })) << state("one").message;
}

TEST_F(Dependants, BeginWhenADependencyThatCameLaterIsReady) {
    world.apply(link("one", "{name: two}"));
    ASSERT_TRUE(says("one", "dependency 'default/two' does not exist"));
    world.apply(link("two", "{name: three}"));
    ASSERT_TRUE(says("two", "dependency 'default/three' does not exist"));
    world.apply(link("three", ""));
    EXPECT_TRUE(ready_within("three", std::chrono::seconds{1})) << state("three").message;
    EXPECT_TRUE(ready_within("two", std::chrono::milliseconds{500})) << state("two").message;
    EXPECT_TRUE(ready_within("one", std::chrono::milliseconds{500})) << state("one").message;
}

TEST_F(Dependants, BeginWhenADependencyIsMadeAgain) {
    world.apply(link("two", ""));
    ASSERT_TRUE(ready_within("two", std::chrono::seconds{2}));
    world.remove(kustomize_api, "Kustomization", "default", "two");
    world.apply(link("one", "{name: two}"));
    ASSERT_TRUE(world.eventually([&] { return state("one").ready == "False"; }));
    ASSERT_TRUE(world.eventually(
        [&] { return !world.get(kustomize_api, "Kustomization", "default", "two"); }));
    world.apply(link("two", ""));
    EXPECT_TRUE(ready_within("one", std::chrono::seconds{1})) << state("one").message;
}

TEST_F(Dependants, ThatWaitForEachOtherSaySoAndGoOnWhenTheyNoLongerDo) {
    world.apply(link("one", "{name: two}"));
    world.apply(link("two", "{name: three}"));
    world.apply(link("three", "{name: one}"));
    EXPECT_TRUE(says("three", "three -> one -> two -> three")) << state("three").message;
    EXPECT_TRUE(says("one", "one -> two -> three -> one")) << state("one").message;
    EXPECT_TRUE(says("two", "two -> three -> one -> two")) << state("two").message;
    world.apply(link("three", ""));
    EXPECT_TRUE(ready_within("one", std::chrono::seconds{2})) << state("one").message;
}

TEST_F(Dependants, ThatWaitForThemselvesSaySo) {
    world.apply(link("one", "{name: one}"));
    EXPECT_TRUE(says("one", "one -> one"));
    world.apply(link("one", ""));
    EXPECT_TRUE(ready_within("one", std::chrono::seconds{1})) << state("one").message;
}

}  // namespace
}  // namespace kled::gitops
