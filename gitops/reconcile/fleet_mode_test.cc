// EdgeDeployments, which go to a fleet.
#include "gitops/testing/cluster_mode.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace kled::gitops {
namespace {

using ::testing::ElementsAre;

/// Remembers what it was given; while it is held, a delivery has begun and does not end.
class Fleet : public kube::Target {
public:
    boost::asio::awaitable<void> deliver(kube::Rendered rendered) override {
        const std::string name{rendered.owner.name()};
        note(begun_, name);
        boost::asio::steady_timer pause{co_await boost::asio::this_coro::executor};
        while (held_) {
            pause.expires_after(std::chrono::milliseconds{5});
            co_await pause.async_wait(boost::asio::use_awaitable);
        }
        note(delivered_, name + " " + std::to_string(rendered.objects.size()));
        const std::scoped_lock lock{mutex_};
        const auto* placement = kube::find(rendered.owner.fields(), {"spec", "placement"});
        placements_[name] = placement == nullptr ? "" : kube::to_json(*placement);
    }
    void hold(bool held) { held_ = held; }
    bool has_begun(const std::string& name) {
        const std::scoped_lock lock{mutex_};
        return std::ranges::find(begun_, name) != begun_.end();
    }
    /// Of the last version of `name` that was delivered.
    std::string placement(const std::string& name) {
        const std::scoped_lock lock{mutex_};
        return placements_[name];
    }
    boost::asio::awaitable<void> withdraw(kube::ObjectId owner) override {
        const std::scoped_lock lock{mutex_};
        delivered_.push_back(owner.name + " withdrawn");
        co_return;
    }
    std::vector<std::string> delivered() {
        const std::scoped_lock lock{mutex_};
        return delivered_;
    }

private:
    void note(std::vector<std::string>& list, std::string text) {
        const std::scoped_lock lock{mutex_};
        list.push_back(std::move(text));
    }

    std::mutex mutex_;
    std::atomic<bool> held_ = false;
    std::vector<std::string> begun_;
    std::vector<std::string> delivered_;
    std::map<std::string, std::string> placements_;
};

class FleetMode : public testing::ClusterMode {
protected:
    FleetMode() { world.apply_definitions({{"edge.kled.io", "EdgeDeployment"}}); }
    void start() {
        Reconciler::Options options;
        options.targets.emplace("EdgeDeployment", fleet);
        world.start(
            [](kube::Client& client) {
                ClusterStore::Options kinds;
                kinds.target_kinds.insert("EdgeDeployment");
                return std::make_unique<ClusterStore>(client, std::move(kinds));
            },
            std::move(options));
    }

    std::shared_ptr<Fleet> fleet = std::make_shared<Fleet>();
};

TEST_F(FleetMode, HandsAnEdgeDeploymentToTheFleet) {
    start();
    world.apply_repository();
    const std::string edge =
        "apiVersion: edge.kled.io/v1\nkind: EdgeDeployment\nmetadata: {name: e, namespace: "
        "default}\nspec:\n"
        "  sourceRef: {kind: GitRepository, name: fleet}\n  path: ";
    world.apply(edge + "apps\n  placement: {selector: {matchLabels: {a: b}}}\n");
    ASSERT_TRUE(world.eventually([&] { return !fleet->delivered().empty(); }));
    EXPECT_THAT(fleet->delivered(), ElementsAre("e 2"));
    EXPECT_EQ(world.value("a"), "absent");
    world.apply(edge + "nowhere\n  placement: {selector: {matchLabels: {a: b}}}\n");
    EXPECT_TRUE(world.eventually([&] {
        const auto object = *world.get("edge.kled.io/v1", "EdgeDeployment", "default", "e");
        const auto conditions = Conditions::from_status(object.status());
        const auto* rendered = conditions.find("Rendered");
        return rendered != nullptr && rendered->status == "False";
    }));
    world.remove("edge.kled.io/v1", "EdgeDeployment", "default", "e");
    EXPECT_TRUE(world.eventually([&] { return fleet->delivered().back() == "e withdrawn"; }));
}

TEST_F(FleetMode, DeliversAVersionThatComesWhileTheOneBeforeIsOnItsWay) {
    start();
    world.apply_repository();
    const auto edge = [this](const std::string& name, const std::string& label) {
        world.apply(
            "apiVersion: edge.kled.io/v1\nkind: EdgeDeployment\nmetadata: {name: " + name +
            ", namespace: default}\nspec:\n  sourceRef: {kind: GitRepository, name: fleet}\n"
            "  path: apps\n  placement: {selector: {matchLabels: {zone: " +
            label + "}}}\n");
    };
    fleet->hold(true);
    edge("e", "north");
    ASSERT_TRUE(world.eventually([&] { return fleet->has_begun("e"); }));
    edge("e", "south");
    // Its watch tells of what is behind it too: the new version of "e" is known.
    edge("f", "north");
    ASSERT_TRUE(world.eventually([&] { return fleet->has_begun("f"); }));
    fleet->hold(false);
    EXPECT_TRUE(world.eventually([&] {
        return fleet->placement("e") == R"({"selector":{"matchLabels":{"zone":"south"}}})";
    })) << fleet->placement("e");
}

}  // namespace
}  // namespace kled::gitops
