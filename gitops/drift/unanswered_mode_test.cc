// What becomes of writes that the API server does not answer.
#include "gitops/testing/cluster_world.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

namespace kled::gitops {
namespace {

namespace asio = boost::asio;
using git::testing::Files;
using ::testing::HasSubstr;

/// What a server does with the ConfigMap `c1`, and what it sees.
struct Answers {
    std::atomic<bool> held = false;  ///< what kled writes to it gets none
    std::atomic<int> waiting = 0;
    std::atomic<int> followed = 0;  ///< watches of ConfigMaps that kled brought
};

class Holding : public kube::Transport {
public:
    Holding(std::shared_ptr<kube::Transport> way, Answers& answers)
        : way_{std::move(way)}, answers_{answers} {}
    asio::awaitable<net::Response> send(net::Request request) override {
        const bool writes = request.method == "PATCH" &&
                            request.target.find("/configmaps/c1?") != std::string::npos &&
                            request.target.find("kustomize-controller") != std::string::npos;
        asio::steady_timer timer{co_await asio::this_coro::executor};
        while (writes && answers_.held) {
            answers_.waiting = 1;
            timer.expires_after(std::chrono::milliseconds{5});
            co_await timer.async_wait(asio::use_awaitable);
        }
        co_return co_await way_->send(std::move(request));
    }
    asio::awaitable<net::StreamResponse> open(net::Request request) override {
        if (request.target.find("/configmaps?") != std::string::npos &&
            request.target.find("kustomize.toolkit.fluxcd.io") != std::string::npos)
            ++answers_.followed;
        return way_->open(std::move(request));
    }

private:
    std::shared_ptr<kube::Transport> way_;
    Answers& answers_;
};

struct Unanswered : ::testing::Test {
    Answers answers;
    testing::ClusterWorld world{
        [this](auto way) { return std::make_shared<Holding>(std::move(way), answers); }};
};

TEST_F(Unanswered, ARepairEndsWithTheTimeoutAndIsMadeLater) {
    Files files{{"apps/ns.yaml", world.web()}};
    for (int i = 0; i < 200; ++i) {  // enough for one to be repaired alone
        const auto name = "c" + std::to_string(i);
        files.insert_or_assign("apps/" + name + ".yaml", world.config(name, "1"));
    }
    const auto commit = world.repository.commit(files);
    world.start_cluster();
    world.apply_repository();
    world.apply_kustomization("apps", "{}", "  timeout: 3s\n");
    ASSERT_TRUE(world.applied("apps", commit));
    answers.held = true;
    world.remove("v1", "ConfigMap", "web", "c1");
    EXPECT_THAT(world.says("apps", "Ready", "ReconciliationFailed"),
                HasSubstr("repairing: no answer within 3s"));
    answers.held = false;
    EXPECT_TRUE(world.eventually([&] { return world.value("c1") == "1"; }));
    EXPECT_TRUE(world.applied("apps", commit));
}

TEST_F(Unanswered, AKustomizationThatGoesMeanwhileIsNotFollowedUntilItComesAgain) {
    const auto commit = world.repository.commit(
        {{"apps/ns.yaml", world.web()},
         {"apps/c1.yaml", world.config("c1", "1")},
         {"other/ns.yaml", "{apiVersion: v1, kind: Namespace, metadata: {name: other}}"}});
    answers.held = true;
    world.start_cluster();
    world.apply_repository();
    world.apply_kustomization("apps");
    ASSERT_TRUE(world.eventually([&] { return answers.waiting == 1; }));
    auto going = *world.kustomization("apps");
    going.metadata()["finalizers"].emplace_array();
    world.sync(world.client().update(going));
    world.remove("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "default", "apps");
    // What comes after it in the same watch says that this was seen.
    world.apply_kustomization("other");
    ASSERT_TRUE(world.applied("other", commit));
    answers.held = false;
    ASSERT_TRUE(world.eventually([&] {
        return std::ranges::any_of(world.events(), [](const Event& event) {
            return event.message.find("web/c1 created") != std::string::npos;
        });
    }));
    ASSERT_TRUE(world.reconciled("ks/other"));
    EXPECT_EQ(answers.followed, 0);

    world.apply_kustomization("apps");
    ASSERT_TRUE(world.applied("apps", commit));
    world.remove("v1", "ConfigMap", "web", "c1");
    EXPECT_TRUE(world.eventually([&] { return world.value("c1") == "1"; }));
    EXPECT_GT(answers.followed, 0);
}

}  // namespace
}  // namespace kled::gitops
