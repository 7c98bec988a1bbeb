// GitRepositories that are made of several repositories: includes and submodules, in a cluster.
#include "gitops/store/cluster_store.h"
#include "gitops/testing/world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using git::testing::File;
using git::testing::Files;
using ::testing::HasSubstr;

const std::string source_api = "source.toolkit.fluxcd.io/v1";
const std::string kustomize_api = "kustomize.toolkit.fluxcd.io/v1";

std::string config(const std::string& name, const std::string& value) {
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name +
           ", namespace: default}\ndata: {k: '" + value + "'}\n";
}

class IncludeMode : public ::testing::Test {
protected:
    IncludeMode() { world.apply_definitions({{kustomize_group, "Kustomization"}}); }
    ~IncludeMode() override { world.stop_reconciler(); }

    void start(Reconciler::Options options = {}) {
        world.start(
            [](kube::Client& client) {
                return std::make_unique<ClusterStore>(client, ClusterStore::Options{});
            },
            std::move(options));
    }
    void apply_source(const std::string& name, const std::string& url,
                      const std::string& more = "") {
        world.apply("apiVersion: " + source_api + "\nkind: GitRepository\nmetadata: {name: " +
                    name + ", namespace: default}\nspec:\n  url: " + url +
                    "\n  interval: 10m\n  ref: {branch: main}\n" + more);
    }
    void apply_kustomization(const std::string& path) {
        world.apply("apiVersion: " + kustomize_api +
                    "\nkind: Kustomization\nmetadata: {name: apps, namespace: default}\nspec:\n"
                    "  sourceRef: {kind: GitRepository, name: fleet}\n  interval: 10m\n"
                    "  prune: true\n  path: " +
                    path + "\n");
    }
    SourceStatus status(const std::string& name) {
        const auto object = world.get(source_api, "GitRepository", "default", name);
        return object ? SourceStatus::from_object(*object) : SourceStatus{};
    }
    std::string ready_reason(const std::string& name) {
        const auto now = status(name);
        const auto* ready = now.conditions.find("Ready");
        return ready == nullptr ? "" : ready->reason;
    }
    std::string value(const std::string& name) {
        const auto object = world.get("v1", "ConfigMap", "default", name);
        return object ? std::string{kube::find_string(object->fields(), {"data", "k"})} : "";
    }

    testing::World world;
    git::testing::Repository other;
};

TEST_F(IncludeMode, TheOthersFilesAreDeployedAndFollowed) {
    const auto commit =
        world.repository.commit({{"apps/kustomization.yaml", "resources: [own.yaml, lib/c.yaml]\n"},
                                 {"apps/own.yaml", config("own", "1")}});
    other.commit({{"base/c.yaml", config("shared", "1")}, {"unrelated.yaml", "x"}});
    apply_source("fleet", world.repository.url(),
                 "  include: [{repository: {name: lib}, fromPath: base, toPath: ./apps/lib}]\n");
    apply_kustomization("apps");
    start();
    ASSERT_TRUE(world.eventually([&] { return ready_reason("fleet") == "NotFound"; }));
    EXPECT_TRUE(status("fleet").conditions.is_true("IncludeUnavailable"));

    apply_source("lib", other.url());
    ASSERT_TRUE(world.eventually([&] { return value("shared") == "1"; }));
    EXPECT_EQ(value("own"), "1");
    const auto first = status("fleet");
    EXPECT_EQ(first.artifact_revision, "main@sha1:" + commit);
    EXPECT_TRUE(first.conditions.is_true("Ready"));
    EXPECT_EQ(first.conditions.find("IncludeUnavailable"), nullptr);
    ASSERT_EQ(first.included.size(), 1U);
    EXPECT_EQ(first.included[0], kube::json::value(status("lib").artifact_json()));

    // A change of the other alone: another artifact of the same commit.
    other.commit({{"base/c.yaml", config("shared", "2")}});
    world.nudge();
    EXPECT_TRUE(world.eventually([&] { return value("shared") == "2"; }));
    ASSERT_TRUE(world.eventually([&] {
        return status("fleet").included ==
               kube::json::array{kube::json::value(status("lib").artifact_json())};
    }));
    EXPECT_EQ(status("fleet").artifact_revision, first.artifact_revision);
    EXPECT_NE(status("fleet").artifact.digest, first.artifact.digest);

    // Without it, Kustomize misses the file.
    apply_source("fleet", world.repository.url(), "  include: []\n");
    ASSERT_TRUE(world.eventually([&] { return status("fleet").included.empty(); }));
    EXPECT_TRUE(world.eventually([&] {
        const auto object = world.get(kustomize_api, "Kustomization", "default", "apps");
        const auto now = DeploymentStatus::from_object(*object);
        const auto* ready = now.conditions.find("Ready");
        return ready != nullptr && ready->reason == "BuildFailed";
    }));
}

TEST_F(IncludeMode, GoesOnAfterARestartWithoutTheServers) {
    world.repository.commit({{"apps/own.yaml", config("own", "1")}});
    other.commit({{"c.yaml", config("shared", "1")}});
    apply_source("fleet", world.repository.url(),
                 "  include: [{repository: {name: lib}, toPath: apps/lib}]\n");
    apply_source("lib", other.url());
    apply_kustomization("apps");
    start();
    ASSERT_TRUE(world.eventually([&] { return value("shared") == "1"; }));
    world.stop_reconciler();
    std::filesystem::remove_all(world.repository.path());
    std::filesystem::remove_all(other.path());
    world.remove("v1", "ConfigMap", "default", "shared");
    start();
    EXPECT_TRUE(world.eventually([&] { return value("shared") == "1"; }));
    EXPECT_TRUE(world.eventually([&] { return ready_reason("fleet") == "GitOperationFailed"; }));
}

TEST_F(IncludeMode, SaysWhatIsInTheWay) {
    world.repository.commit({{"apps/own.yaml", config("own", "1")}});
    other.commit({{"c.yaml", "x"}});
    apply_source("lib", other.url(), "  include: [{repository: {name: fleet}}]\n");
    apply_source("fleet", world.repository.url(),
                 "  include: [{repository: {name: lib}, toPath: apps}]\n");
    start();
    ASSERT_TRUE(world.eventually([&] { return ready_reason("fleet") == "IncludeCycle"; }));
    ASSERT_TRUE(world.eventually([&] { return ready_reason("lib") == "IncludeCycle"; }));
    apply_source("lib", other.url(), "  include: []\n");
    ASSERT_TRUE(world.eventually([&] { return ready_reason("fleet") == "CopyFailure"; }));
    const auto now = status("fleet");
    EXPECT_THAT(now.conditions.find("Ready")->message,
                HasSubstr("failed to copy 'lib' include from '' to 'apps': something is there"));
    EXPECT_TRUE(now.conditions.is_true("IncludeUnavailable"));
    apply_source("fleet", world.repository.url(), "  include: [{repository: {name: lib}}]\n");
    EXPECT_TRUE(world.eventually([&] { return ready_reason("fleet") == "Succeeded"; }));
}

TEST_F(IncludeMode, BasesOfOtherRepositoriesAreReadUnlessThatIsRefused) {
    const auto base = [](const std::string& value) {
        return Files{{"base/kustomization.yaml", "resources: [c.yaml]\n"},
                     {"base/c.yaml", config("shared", value)}};
    };
    other.commit(base("1"));
    world.repository.commit(
        {{"apps/kustomization.yaml", "resources: ['" + other.url() + "//base?ref=main']\n"}});
    apply_source("fleet", world.repository.url());
    apply_kustomization("apps");
    Reconciler::Options refused;
    refused.remote_bases = false;
    start(std::move(refused));
    const auto message = [this] {
        const auto object = world.get(kustomize_api, "Kustomization", "default", "apps");
        const auto now = DeploymentStatus::from_object(*object);
        const auto* ready = now.conditions.find("Ready");
        return ready == nullptr ? "" : ready->message;
    };
    ASSERT_TRUE(world.eventually([&] {
        return message().find("--gitops-no-remote-bases") != std::string::npos;
    })) << message();
    world.stop_reconciler();

    start();
    ASSERT_TRUE(world.eventually([&] { return value("shared") == "1"; }));
    // The other repository changes without a sign: it is asked at each reconciliation.
    other.commit(base("2"));
    world.apply("apiVersion: " + kustomize_api +
                "\nkind: Kustomization\nmetadata: {name: apps, namespace: default, annotations: "
                "{reconcile.fluxcd.io/requestedAt: now}}\nspec:\n"
                "  sourceRef: {kind: GitRepository, name: fleet}\n  interval: 10m\n"
                "  prune: true\n  path: apps\n");
    EXPECT_TRUE(world.eventually([&] { return value("shared") == "2"; }));
    const auto cache = world.directory.path() / "cache" / "default_apps+Kustomization";
    EXPECT_TRUE(std::filesystem::exists(cache));
    world.remove(kustomize_api, "Kustomization", "default", "apps");
    EXPECT_TRUE(world.eventually([&] { return !std::filesystem::exists(cache); }));
}

TEST_F(IncludeMode, SubmodulesAreReadWhereThatIsAskedFor) {
    const auto commit = other.commit({{"c.yaml", config("shared", "1")}});
    const Files files{
        {"apps/own.yaml", config("own", "1")},
        {"apps/lib", File::submodule(commit)},
        {".gitmodules", "[submodule \"lib\"]\n path = apps/lib\n url = " + other.url() + "\n"}};
    world.repository.commit(files);
    apply_source("fleet", world.repository.url());
    apply_kustomization("apps");
    start();
    ASSERT_TRUE(world.eventually([&] { return value("own") == "1"; }));
    EXPECT_EQ(value("shared"), "");
    apply_source("fleet", world.repository.url(), "  recurseSubmodules: true\n");
    EXPECT_TRUE(world.eventually([&] { return value("shared") == "1"; }));
    EXPECT_TRUE(world.eventually([&] { return ready_reason("fleet") == "Succeeded"; }));

    // It is gone with its source.
    const auto cache = world.directory.path() / "cache" / "default_fleet+modules";
    EXPECT_TRUE(std::filesystem::exists(cache));
    world.remove(source_api, "GitRepository", "default", "fleet");
    EXPECT_TRUE(world.eventually([&] { return !std::filesystem::exists(cache); }));
}

}  // namespace
}  // namespace kled::gitops
