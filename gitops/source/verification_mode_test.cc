// GitRepositories with `spec.verify`, in a cluster: what nobody trusted has signed is not deployed.
#include "gitops/git/testing_signature.h"
#include "gitops/store/cluster_store.h"
#include "gitops/testing/world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using git::testing::Signer;
using ::testing::HasSubstr;

const std::string source_api = "source.toolkit.fluxcd.io/v1";
const std::string kustomize_api = "kustomize.toolkit.fluxcd.io/v1";

std::string config(const std::string& value) {
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app, namespace: default}\ndata: {k: "
           "'" +
           value + "'}\n";
}

class VerificationMode : public ::testing::Test {
protected:
    VerificationMode() {
        world.apply_definitions({{kustomize_group, "Kustomization"}});
        world.apply("apiVersion: " + kustomize_api +
                    "\nkind: Kustomization\nmetadata: {name: apps, namespace: default}\nspec:\n"
                    "  sourceRef: {kind: GitRepository, name: fleet}\n  interval: 10m\n"
                    "  prune: true\n");
    }
    ~VerificationMode() override { world.stop_reconciler(); }

    void start() {
        world.start([](kube::Client& client) {
            return std::make_unique<ClusterStore>(client, ClusterStore::Options{});
        });
    }
    void apply_source(const std::string& more) {
        world.apply("apiVersion: " + source_api +
                    "\nkind: GitRepository\nmetadata: {name: fleet, namespace: default}\nspec:\n"
                    "  url: " +
                    world.repository.url() + "\n  interval: 10m\n  ref: {branch: main}\n" + more);
    }
    void apply_keys(const std::string& data) {
        world.apply(
            "apiVersion: v1\nkind: Secret\nmetadata: {name: keys, namespace: default}\n"
            "stringData:\n  keys: |\n    " +
            data + "\n");
    }
    SourceStatus status() {
        const auto object = world.get(source_api, "GitRepository", "default", "fleet");
        return object ? SourceStatus::from_object(*object) : SourceStatus{};
    }
    std::string verified_reason() {
        const auto now = status();
        const auto* verified = now.conditions.find("SourceVerified");
        return verified == nullptr ? "" : verified->reason;
    }
    std::string value() {
        const auto object = world.get("v1", "ConfigMap", "default", "app");
        return object ? std::string{kube::find_string(object->fields(), {"data", "k"})} : "";
    }
    static git::testing::Repository::Sign by(const Signer& signer) {
        return [&signer](const std::string& payload) { return signer.sign(payload); };
    }

    testing::World world;
    Signer alice;
    Signer mallory;
};

TEST_F(VerificationMode, OnlyWhatIsSignedIsDeployed) {
    world.repository.signed_commit({{"a.yaml", config("1")}}, by(alice));
    apply_source("  verify: {mode: HEAD, secretRef: {name: keys}}\n");
    start();
    ASSERT_TRUE(world.eventually([&] { return verified_reason() == "VerificationError"; }));
    EXPECT_EQ(value(), "");
    apply_keys("-----BEGIN PGP PUBLIC KEY BLOCK-----");
    world.nudge();
    ASSERT_TRUE(world.eventually([&] {
        const auto now = status();
        const auto* ready = now.conditions.find("Ready");
        return ready != nullptr && ready->message.find("no PGP keys") != std::string::npos;
    }));
    apply_keys(alice.public_key());
    world.nudge();
    ASSERT_TRUE(world.eventually([&] { return value() == "1"; }));
    ASSERT_TRUE(world.eventually([&] { return status().conditions.is_true("SourceVerified"); }));
    EXPECT_EQ(status().verification_mode, "HEAD");

    world.repository.signed_commit({{"a.yaml", config("2")}}, by(mallory));
    world.nudge();
    ASSERT_TRUE(world.eventually([&] { return verified_reason() == "InvalidCommitSignature"; }));
    const auto now = status();
    EXPECT_FALSE(now.conditions.is_true("Ready"));
    EXPECT_THAT(now.conditions.find("Ready")->message, HasSubstr("none of those that may sign"));
    EXPECT_EQ(value(), "1");

    world.repository.signed_commit({{"a.yaml", config("3")}}, by(alice));
    world.nudge();
    EXPECT_TRUE(world.eventually([&] { return value() == "3"; }));

    apply_source("  suspend: false\n");
    ASSERT_TRUE(world.eventually([&] { return verified_reason().empty(); }));
    EXPECT_EQ(status().verification_mode, "");
}

TEST_F(VerificationMode, AlsoWhatWasFetchedBeforeIsVerified) {
    world.repository.commit({{"a.yaml", config("1")}});
    apply_source("");
    start();
    ASSERT_TRUE(world.eventually([&] { return value() == "1"; }));
    world.stop_reconciler();
    std::filesystem::remove_all(world.repository.path());
    world.remove("v1", "ConfigMap", "default", "app");
    apply_keys(alice.public_key());
    apply_source("  verify: {mode: HEAD, secretRef: {name: keys}}\n");
    start();
    ASSERT_TRUE(world.eventually([&] {
        const auto now = status();
        const auto* ready = now.conditions.find("Ready");
        return ready != nullptr && ready->reason == "GitOperationFailed";
    }));
    ASSERT_TRUE(world.eventually([&] {
        const auto object = world.get(kustomize_api, "Kustomization", "default", "apps");
        const auto now = DeploymentStatus::from_object(*object);
        const auto* ready = now.conditions.find("Ready");
        return ready != nullptr && ready->reason == "ArtifactFailed";
    }));
    EXPECT_EQ(value(), "");
}

}  // namespace
}  // namespace kled::gitops
