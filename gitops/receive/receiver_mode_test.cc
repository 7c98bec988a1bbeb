// Receivers in a cluster: from a request at their path to what they name looking.
#include "crypto/hash.h"
#include "gitops/receive/receiver_objects.h"
#include "gitops/store/cluster_store.h"
#include "gitops/testing/world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

const std::string source_api = "source.toolkit.fluxcd.io/v1";
const std::string notification_api = "notification.toolkit.fluxcd.io/v1";

class ReceiverMode : public ::testing::Test {
protected:
    ReceiverMode() { world.apply_definitions({{notification_group, "Receiver"}}); }
    ~ReceiverMode() override { world.stop_reconciler(); }

    void start(ReceiverObjects::Options options = {}) {
        world.start([](kube::Client& client) {
            return std::make_unique<ClusterStore>(client, ClusterStore::Options{});
        });
        receivers = std::make_unique<ReceiverObjects>(world.executor(), world.client(),
                                                      world.recorded(), options);
        world.beside(receivers->run());
    }
    void apply_token(const std::string& token) {
        world.apply(
            "apiVersion: v1\nkind: Secret\nmetadata: {name: webhook, namespace: default}\n"
            "stringData: {token: " +
            token + "}\n");
    }
    void apply_receiver(const std::string& more) {
        world.apply("apiVersion: " + notification_api +
                    "\nkind: Receiver\nmetadata: {name: push, namespace: default}\nspec:\n"
                    "  secretRef: {name: webhook}\n  interval: 10m\n" +
                    more);
    }
    void apply_source(const std::string& name, const std::string& metadata = "") {
        world.apply("apiVersion: " + source_api +
                    "\nkind: GitRepository\nmetadata: {name: " + name + ", namespace: default" +
                    metadata + "}\nspec:\n  url: " + world.repository.url() +
                    "\n  interval: 10m\n  ref: {branch: main}\n");
    }
    ReceiverStatus status() {
        const auto object = world.get(notification_api, "Receiver", "default", "push");
        return object ? ReceiverStatus::from_object(*object) : ReceiverStatus{};
    }
    /// Its path, when it is ready for its present generation.
    std::string path() {
        world.eventually([this] { return status().conditions.is_true("Ready"); });
        return status().webhook_path;
    }
    unsigned post(const std::string& target, const std::string& signature = "") {
        net::Request request;
        request.method = "POST";
        request.target = target;
        request.body = "{}";
        if (!signature.empty()) request.headers.set("X-Signature", signature);
        return world.sync(receivers->answer(std::move(request))).status;
    }
    std::string revision(const std::string& name) {
        const auto object = world.get(source_api, "GitRepository", "default", name);
        return object ? SourceStatus::from_object(*object).artifact_revision : "";
    }
    std::string request(const std::string& name) {
        const auto object = world.get(source_api, "GitRepository", "default", name);
        return object ? std::string{reconcile_request(*object)} : "";
    }

    testing::World world;
    std::unique_ptr<ReceiverObjects> receivers;
};

TEST_F(ReceiverMode, ATokenInASecretThatIsFollowedCountsAtOnce) {
    apply_token("before");
    apply_receiver("  type: generic\n  resources: [{kind: GitRepository, name: fleet}]\n");
    start();
    EXPECT_EQ(path(), "/hook/" + crypto::sha256_hex("beforepushdefault"));
    world.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: webhook, namespace: default, labels: "
        "{reconcile.fluxcd.io/watch: Enabled}}\nstringData: {token: after}\n");
    const auto now = "/hook/" + crypto::sha256_hex("afterpushdefault");
    EXPECT_TRUE(world.eventually([&] { return status().webhook_path == now; }));
    EXPECT_NE(post(now), 404U);
}

TEST_F(ReceiverMode, APushIsSeenAtOnce) {
    world.repository.commit({{"a.yaml", "1"}});
    apply_token("s3cret");
    apply_source("fleet");
    apply_receiver("  type: generic-hmac\n  resources: [{kind: GitRepository, name: fleet}]\n");
    start();
    EXPECT_EQ(path(), "/hook/" + crypto::sha256_hex("s3cretpushdefault"));
    ASSERT_TRUE(world.eventually([&] { return !revision("fleet").empty(); }));

    const auto commit = world.repository.commit({{"a.yaml", "2"}});
    EXPECT_EQ(post(path(), "sha256=00"), 400U);
    EXPECT_EQ(post(path()), 400U);
    EXPECT_EQ(post("/hook/0000"), 404U);
    EXPECT_EQ(request("fleet"), "");
    EXPECT_EQ(post(path(), "sha256=" + crypto::hmac_hex("sha256", "s3cret", "{}")), 200U);
    EXPECT_TRUE(world.eventually([&] { return revision("fleet") == "main@sha1:" + commit; }));
    // Another asks again, however soon it comes.
    const auto first = request("fleet");
    EXPECT_EQ(post(path(), "sha256=" + crypto::hmac_hex("sha256", "s3cret", "{}")), 200U);
    EXPECT_NE(request("fleet"), first);

    world.remove(notification_api, "Receiver", "default", "push");
    EXPECT_TRUE(world.eventually(
        [&] { return post("/hook/" + crypto::sha256_hex("s3cretpushdefault")) == 404; }));
}

TEST_F(ReceiverMode, NamesByLabel) {
    world.repository.commit({{"a.yaml", "1"}});
    apply_token("t");
    apply_source("one", ", labels: {team: web}");
    apply_source("two", ", labels: {team: web}");
    apply_source("three");
    apply_receiver(
        "  type: generic\n  resources: [{apiVersion: source.toolkit.fluxcd.io/v1, kind: "
        "GitRepository, name: '*', matchLabels: {team: web}}]\n");
    start();
    EXPECT_EQ(post(path()), 200U);
    EXPECT_NE(request("one"), "");
    EXPECT_NE(request("two"), "");
    EXPECT_EQ(request("three"), "");
}

TEST_F(ReceiverMode, WhatIsNotThereFailsAndTheOthersAreAskedAllTheSame) {
    world.repository.commit({{"a.yaml", "1"}});
    apply_token("t");
    apply_source("fleet");
    apply_receiver(
        "  type: generic\n  resources:\n  - {kind: GitRepository, name: absent}\n"
        "  - {kind: Bucket, name: a}\n  - {kind: GitRepository, name: fleet, namespace: other}\n"
        "  - {kind: GitRepository, name: fleet}\n");
    start({.no_cross_namespace_refs = true});
    EXPECT_EQ(post(path()), 500U);
    EXPECT_NE(request("fleet"), "");
}

TEST_F(ReceiverMode, IsReadyWhenItsTokenIs) {
    apply_receiver("  type: generic\n  resources: [{kind: GitRepository, name: fleet}]\n");
    start();
    ASSERT_TRUE(world.eventually([&] { return status().conditions.find("Ready") != nullptr; }));
    EXPECT_EQ(status().conditions.find("Ready")->reason, "TokenNotFound");
    EXPECT_TRUE(status().conditions.is_true("Reconciling"));
    EXPECT_EQ(status().webhook_path, "");
    apply_token("t");
    EXPECT_EQ(path(), "/hook/" + crypto::sha256_hex("tpushdefault"));
    EXPECT_EQ(status().conditions.find("Reconciling"), nullptr);

    apply_receiver(
        "  type: generic\n  suspend: true\n  resources: [{kind: GitRepository, name: fleet}]\n");
    EXPECT_TRUE(world.eventually([&] { return post(path()) == 503; }));

    apply_receiver("  type: gcr\n  resources: [{kind: GitRepository, name: fleet}]\n");
    EXPECT_TRUE(world.eventually([&] { return status().conditions.is_true("Stalled"); }));
    EXPECT_EQ(status().webhook_path, "");
}

}  // namespace
}  // namespace kled::gitops
