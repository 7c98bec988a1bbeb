// Several reconcilers on one cluster: each follows the objects with its labels.
#include "gitops/store/cluster_store.h"
#include "gitops/testing/world.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

namespace kled::gitops {
namespace {

const std::string source_api = "source.toolkit.fluxcd.io/v1";

class ShardingMode : public ::testing::Test {
protected:
    explicit ShardingMode(testing::World::Wrap wrap = [](auto way) { return way; })
        : world{std::move(wrap)} {
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
    void start() {
        world.start([](kube::Client& client) {
            ClusterStore::Options options;
            options.label_selector = "sharding.fluxcd.io/key=a";
            return std::make_unique<ClusterStore>(client, std::move(options));
        });
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
    start();
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
    start();
    ASSERT_TRUE(world.eventually([&] { return ready("ours"); }));
    EXPECT_TRUE(world.eventually([&] { return !std::filesystem::exists(cache / "default_gone"); }));
    EXPECT_TRUE(std::filesystem::exists(cache / "default_theirs"));
}

/// As to an account that may list nothing but what has the labels of its shard.
class OwnShardOnly : public kube::Transport {
public:
    explicit OwnShardOnly(std::shared_ptr<kube::Transport> way) : way_{std::move(way)} {}
    boost::asio::awaitable<net::Response> send(net::Request request) override {
        const auto path = request.target.substr(0, request.target.find('?'));
        const bool all = path.ends_with("/gitrepositories") &&
                         request.target.find("labelSelector=") == std::string::npos;
        if (!all || request.method != "GET") co_return co_await way_->send(std::move(request));
        net::Response response;
        response.status = 403;
        response.body =
            R"({"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403})";
        co_return response;
    }
    boost::asio::awaitable<net::StreamResponse> open(net::Request request) override {
        return way_->open(std::move(request));
    }

private:
    std::shared_ptr<kube::Transport> way_;
};

class ShardThatSeesNoOther : public ShardingMode {
protected:
    ShardThatSeesNoOther()
        : ShardingMode{[](auto way) { return std::make_shared<OwnShardOnly>(std::move(way)); }} {}
};

TEST_F(ShardThatSeesNoOther, ItSweepsTheCachesOfWhatItSawGoAndLeavesTheRest) {
    const auto cache = world.directory.path() / "cache";
    std::filesystem::create_directories(cache / "default_unknown");
    apply_source("ours", "a");
    start();
    ASSERT_TRUE(world.eventually([&] { return ready("ours"); }));
    ASSERT_TRUE(std::filesystem::exists(cache / "default_ours"));
    world.remove(source_api, "GitRepository", "default", "ours");
    EXPECT_TRUE(world.eventually([&] { return !std::filesystem::exists(cache / "default_ours"); }));
    EXPECT_TRUE(std::filesystem::exists(cache / "default_unknown"))
        << "another's, for all it knows";
}

}  // namespace
}  // namespace kled::gitops
