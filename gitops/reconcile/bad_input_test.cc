// What a repository or a sender of webhooks may do wrong, against the whole loop: each ends in a
// message that names it, what was applied stays, and the next good push is applied.
#include "base/task_group.h"
#include "crypto/hash.h"
#include "gitops/objects/objects.h"
#include "gitops/receive/receiver.h"
#include "gitops/testing/world.h"
#include "net/http_client.h"
#include "net/http_server.h"

#include <boost/asio/this_coro.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using git::testing::File;
using git::testing::Files;
using ::testing::HasSubstr;

std::string config(const std::string& value) {
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\ndata: {k: '" +
           value + "'}\n";
}

/// Ten references to ten references and so on: a thousand million values when expanded.
std::string bomb() {
    std::string text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nx0: &x0 [y]\n";
    for (int i = 1; i < 10; ++i) {
        const auto before = "*x" + std::to_string(i - 1);
        text += "x" + std::to_string(i) + ": &x" + std::to_string(i) + " [" + before;
        for (int k = 0; k < 9; ++k) text += "," + before;
        text += "]\n";
    }
    return text;
}

class BadInput : public ::testing::Test {
protected:
    BadInput() {
        commit = world.repository.commit(good);
        world.start_from_files("apps");
    }
    Summary summary(const std::string& name = "ks/flux-system") {
        const auto all = world.sync(find_objects(world.client(), ""));
        return summarise(select(all, name).object);
    }
    bool applied() {
        return world.eventually([&] {
            try {
                const auto now = summary();
                return now.ready == "True" && now.revision == "main@sha1:" + commit;
            } catch (const Error&) {
                return false;
            }
        });
    }
    kube::Object live() { return *world.get("v1", "ConfigMap", "default", "a"); }
    std::size_t inventory() {
        const auto all = world.sync(find_objects(world.client(), ""));
        return DeploymentStatus::from_object(select(all, "ks/flux-system").object).inventory.size();
    }
    /// Pushes `files` and returns what it says about them, once what was there is seen untouched.
    std::string refusal(const Files& files) {
        const auto before = live();
        world.repository.commit(files);
        world.nudge();
        const bool failed = world.eventually([&] { return summary().ready == "False"; });
        EXPECT_TRUE(failed) << summary().message;
        EXPECT_EQ(live(), before);
        EXPECT_EQ(inventory(), 1U);
        return summary().message;
    }
    void recovers() {
        good.insert_or_assign("apps/a.yaml", config("after"));
        commit = world.repository.commit(good);
        world.nudge();
        EXPECT_TRUE(applied()) << summary().message;
        EXPECT_EQ(kube::find_string(live().fields(), {"data", "k"}), "after");
    }

    testing::World world;
    Files good{{"apps/a.yaml", config("before")}};
    std::string commit;
};

TEST_F(BadInput, BrokenYaml) {
    ASSERT_TRUE(applied());
    EXPECT_THAT(refusal({{"apps/a.yaml", "kind: ConfigMap\nmetadata: [\n"}}),
                HasSubstr("apps/a.yaml:"));
    recovers();
}

TEST_F(BadInput, AYamlBomb) {
    ASSERT_TRUE(applied());
    EXPECT_THAT(refusal({{"apps/a.yaml", bomb()}}), HasSubstr("apps/a.yaml"));
    recovers();
}

TEST_F(BadInput, ACircleOfKustomizations) {
    ASSERT_TRUE(applied());
    EXPECT_THAT(refusal({{"apps/kustomization.yaml", "resources: [../other]\n"},
                         {"other/kustomization.yaml", "resources: [../apps]\n"}}),
                HasSubstr("cycle"));
    recovers();
}

TEST_F(BadInput, ALinkOutOfTheRepository) {
    ASSERT_TRUE(applied());
    EXPECT_THAT(refusal({{"apps/kustomization.yaml", "resources: [a.yaml]\n"},
                         {"apps/a.yaml", File::link("/etc/passwd")}}),
                HasSubstr("apps/a.yaml is a symbolic link to '/etc/passwd', outside of the "
                          "repository"));
    recovers();
}

TEST_F(BadInput, AFileOfAHundredMegabytes) {
    ASSERT_TRUE(applied());
    EXPECT_THAT(refusal({{"apps/a.yaml", std::string(100U << 20U, '#')}}),
                HasSubstr("apps/a.yaml: 104857600 bytes; a file kled reads has at most"));
    recovers();
}

TEST_F(BadInput, ADeletedBranch) {
    ASSERT_TRUE(applied());
    const auto before = live();
    world.repository.commit(good, "other");
    world.repository.remove_branch("main");
    world.nudge();
    ASSERT_TRUE(world.eventually([&] { return summary("source/flux-system").ready == "False"; }));
    EXPECT_THAT(summary("source/flux-system").message,
                HasSubstr("branch 'main' does not exist in the repository"));
    EXPECT_EQ(summary("source/flux-system").revision, "main@sha1:" + commit) << "the last good one";
    EXPECT_EQ(live(), before);
    recovers();
}

TEST_F(BadInput, AForcedPush) {
    ASSERT_TRUE(applied());
    good.insert_or_assign("apps/a.yaml", config("of another history"));
    commit = world.repository.replace(good);
    world.nudge();
    ASSERT_TRUE(applied()) << summary().message;
    EXPECT_EQ(kube::find_string(live().fields(), {"data", "k"}), "of another history");
    EXPECT_EQ(inventory(), 1U);
}

/// The listener as kledd has it, with the loop behind it.
class BadWebhook : public BadInput {
protected:
    static constexpr std::string_view secret = "a shared secret";

    BadWebhook() { world.sync(listen()); }
    ~BadWebhook() override { world.sync(stop()); }

    boost::asio::awaitable<void> listen() {
        auto loop = co_await boost::asio::this_coro::executor;
        tasks = std::make_unique<TaskGroup>(loop);
        net::ServerOptions options;
        options.body_limit = webhook_body_limit;
        Nudge nudge = [this](std::string url) { return look(std::move(url)); };
        server = std::make_unique<net::HttpServer>(
            loop, std::move(options),
            webhook_handler(std::make_shared<const Secret>(std::string{secret}), std::move(nudge)));
        tasks->spawn(server->run());
    }
    boost::asio::awaitable<void> stop() {
        tasks->cancel();
        co_await even_if_cancelled;
        co_await tasks->join();
        server.reset();
    }
    boost::asio::awaitable<std::size_t> look(std::string) {
        ++looked;
        co_return world.reconciler().nudge("");
    }
    boost::asio::awaitable<unsigned> post(std::string body, std::string signature) {
        auto loop = co_await boost::asio::this_coro::executor;
        const net::ClientOptions options;
        net::HttpClient client{
            loop, net::parse_url("http://127.0.0.1:" + std::to_string(server->port())), options};
        net::Request request;
        request.method = "POST";
        request.target = "/hook/generic";
        request.headers.set("X-Signature", signature);
        request.body = std::move(body);
        const auto response = co_await client.send(std::move(request));
        co_return response.status;
    }
    unsigned deliver(const std::string& body, const std::string& signature) {
        return world.sync(post(body, signature));
    }
    static std::string signature(const std::string& body) {
        return "sha256=" + crypto::hmac_hex("sha256", secret, body);
    }

    std::unique_ptr<TaskGroup> tasks;
    std::unique_ptr<net::HttpServer> server;
    int looked = 0;
};

TEST_F(BadWebhook, WithAWrongSignatureIsRefusedAndNobodyLooks) {
    ASSERT_TRUE(applied());
    EXPECT_EQ(deliver("{}", signature("{ }")), 401U);
    EXPECT_EQ(deliver("{}", ""), 401U);
    EXPECT_EQ(looked, 0);
}

TEST_F(BadWebhook, ThatIsTooLargeIsRefusedHoweverItIsSigned) {
    ASSERT_TRUE(applied());
    const std::string large(webhook_body_limit + 1, ' ');
    EXPECT_EQ(deliver(large, signature(large)), 413U);
    EXPECT_EQ(looked, 0);
    EXPECT_EQ(deliver("{}", signature("{}")), 200U) << "the listener goes on";
    EXPECT_EQ(looked, 1);
}

TEST_F(BadWebhook, ReplayedChangesNothing) {
    ASSERT_TRUE(applied());
    const auto before = live();
    for (int i = 0; i < 5; ++i) EXPECT_EQ(deliver("{}", signature("{}")), 200U);
    EXPECT_EQ(looked, 5);
    const auto found = world.sync(find_objects(world.client(), ""));
    const auto& source = select(found, "source/flux-system");
    world.sync(request_reconcile(world.client(), source, "after the replays"));
    ASSERT_TRUE(world.eventually([&] {
        const auto now = *world.sync(read_again(world.client(), source));
        return kube::find_string(now.fields(), {"status", "lastHandledReconcileAt"}) ==
               "after the replays";
    }));
    EXPECT_EQ(live(), before);
    recovers();
}

}  // namespace
}  // namespace kled::gitops
