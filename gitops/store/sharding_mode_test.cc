// Several reconcilers on one cluster: each follows the objects with its labels.
#include "gitops/store/cluster_store.h"
#include "gitops/testing/world.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

const std::string source_api = "source.toolkit.fluxcd.io/v1";

class ShardingMode : public ::testing::Test {
protected:
    ShardingMode() {
        world.apply_definitions({{source_group, "GitRepository"}});
        world.repository.commit({{"a.yaml", "1"}});
    }
    ~ShardingMode() override { world.stop_reconciler(); }

    void apply_source(const std::string& name, const std::string& shard) {
        world.apply("apiVersion: " + source_api + "\nkind: GitRepository\nmetadata: {name: " +
                    name + ", namespace: default, labels: {sharding.fluxcd.io/key: " + shard +
                    "}}\nspec:\n  url: " + world.repository.url() +
                    "\n  interval: 10m\n  ref: {branch: main}\n");
    }
    bool ready(const std::string& name) {
        const auto object = world.get(source_api, "GitRepository", "default", name);
        return SourceStatus::from_object(*object).conditions.is_true("Ready");
    }

    testing::World world;
};

TEST_F(ShardingMode, OnlyObjectsWithItsLabelsAreItsOwn) {
    apply_source("theirs", "b");
    apply_source("ours", "a");
    world.start([](kube::Client& client) {
        ClusterStore::Options options;
        options.label_selector = "sharding.fluxcd.io/key=a";
        return std::make_unique<ClusterStore>(client, std::move(options));
    });
    ASSERT_TRUE(world.eventually([&] { return ready("ours"); }));
    EXPECT_EQ(world.nudge(), 1U);
    EXPECT_FALSE(ready("theirs"));

    apply_source("theirs", "a");
    EXPECT_TRUE(world.eventually([&] { return ready("theirs"); }));
    EXPECT_EQ(world.nudge(), 2U);
    apply_source("theirs", "b");
    EXPECT_TRUE(world.eventually([&] { return world.nudge() == 1; }));
    EXPECT_TRUE(ready("theirs"));
}

TEST_F(ShardingMode, ItSweepsNoCacheOfAnotherShard) {
    apply_source("theirs", "b");
    apply_source("ours", "a");
    const auto cache = world.directory.path() / "cache";
    for (const auto* name : {"default_theirs", "default_gone"})
        std::filesystem::create_directories(cache / name);
    world.start([](kube::Client& client) {
        ClusterStore::Options options;
        options.label_selector = "sharding.fluxcd.io/key=a";
        return std::make_unique<ClusterStore>(client, std::move(options));
    });
    ASSERT_TRUE(world.eventually([&] { return ready("ours"); }));
    EXPECT_TRUE(world.eventually([&] { return !std::filesystem::exists(cache / "default_gone"); }));
    EXPECT_TRUE(std::filesystem::exists(cache / "default_theirs"));
}

}  // namespace
}  // namespace kled::gitops
