// In an embedded API, where tests say how a Deployment is doing.
#include "gitops/health/health_wait.h"

#include "gitops/testing/world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <future>
#include <string>
#include <vector>

namespace kled::gitops {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class HealthWaitTest : public ::testing::Test {
protected:
    /// A Deployment of one replica whose status a test writes.
    void status(const std::string& fields) {
        auto object = *world.get("apps/v1", "Deployment", "default", "d");
        object.fields()["status"] = kube::parse_yaml("{observedGeneration: 1, " + fields + "}");
        world.sync(world.client().update_status(object));
    }
    boost::asio::awaitable<std::vector<std::string>> wait(Duration limit) {
        boost::asio::steady_timer alarm{co_await boost::asio::this_coro::executor};
        const WatchedObject one{
            .gvk = {.group = "apps", .version = "v1", .kind = "Deployment"},
            .id = {.group = "apps", .kind = "Deployment", .ns = "default", .name = "d"}};
        const Watched objects{one};
        const std::function<bool()> never = [] { return false; };
        co_return co_await wait_until_healthy(
            world.client(), objects, std::chrono::steady_clock::now() + limit, alarm, never);
    }
    void make() {
        world.apply(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: "
            "default}\nspec:\n  replicas: "
            "1\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n   "
            " spec: "
            "{containers: [{name: c, image: x}]}\n");
    }

    testing::World world;
};

TEST_F(HealthWaitTest, EndsTheMomentAllAreHealthy) {
    make();
    auto waiting = std::async(std::launch::async,
                              [this] { return world.sync(wait(std::chrono::seconds{30})); });
    status("replicas: 1, updatedReplicas: 1");
    status(
        "replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: "
        "[{type: "
        "Available, status: 'True'}]");
    EXPECT_THAT(waiting.get(), IsEmpty());
}

TEST_F(HealthWaitTest, EndsAtOnceWhenOneFailedForGood) {
    make();
    auto waiting = std::async(std::launch::async,
                              [this] { return world.sync(wait(std::chrono::seconds{30})); });
    status(
        "conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, "
        "message: no}]");
    EXPECT_THAT(waiting.get(), ElementsAre("Deployment.apps default/d: no"));
}

TEST_F(HealthWaitTest, EndsWhenTheTimeIsUp) {
    EXPECT_THAT(world.sync(wait(std::chrono::milliseconds{50})),
                ElementsAre("not healthy in time", "Deployment.apps default/d: it is not there"));
}

}  // namespace
}  // namespace kled::gitops
