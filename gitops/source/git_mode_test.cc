// GitRepositories of the cluster: which revision, what of it, and what others may fetch.
#include "base/file.h"
#include "gitops/testing/cluster_mode.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace kled::gitops {
namespace {

using GitMode = testing::ClusterMode;

TEST_F(GitMode, ASourceTellsWhereItsArchiveIs) {
    auto artifacts = std::make_shared<Artifacts>(world.directory.path() / "artifacts");
    artifacts->advertise("http://kled:9790");
    Reconciler::Options options;
    options.artifacts = artifacts;
    const auto artifact = [this] { return SourceStatus::from_object(git_repository()); };
    const auto stored = [&](const std::string& commit) {
        return world.eventually(
            [&] { return artifact().artifact_revision == "main@sha1:" + commit; });
    };
    world.start_cluster(options);
    world.apply_repository();
    auto commit = world.repository.commit(files);
    world.nudge();
    ASSERT_TRUE(stored(commit));
    const auto first = artifact();
    EXPECT_EQ(first.artifact.url,
              "http://kled:9790/gitrepository/default/fleet/" + commit + ".tar.gz");
    EXPECT_TRUE(artifacts->has(first.artifact));

    // Another start finds it as it was, and makes it anew when the disk was lost.
    world.stop_reconciler();
    artifacts->remove({"default", "fleet"});
    world.start_cluster(options);
    ASSERT_TRUE(world.eventually([&] { return artifacts->has(first.artifact); }));
    EXPECT_EQ(artifact(), first);

    world.apply_repository("  ignore: apps/ns.yaml\n");
    ASSERT_TRUE(
        world.eventually([&] { return artifact().artifact.digest != first.artifact.digest; }));
    EXPECT_EQ(artifact().artifact.path, first.artifact.path);

    world.remove(source_api, "GitRepository", "default", "fleet");
    EXPECT_TRUE(world.eventually([&] {
        return !artifacts->has(first.artifact) &&
               !artifacts->locate("/gitrepository/default/fleet/latest.tar.gz");
    }));
}

TEST_F(GitMode, AnArchiveThatCannotBeIsACondition) {
    Reconciler::Options options;
    options.artifacts = std::make_shared<Artifacts>(world.directory.path() / "artifacts");
    write_file_atomic(world.directory.path() / "artifacts", "in its place");
    world.start_cluster(options);
    world.apply_repository();
    world.repository.commit(files);
    world.nudge();
    ASSERT_TRUE(world.eventually([&] {
        const auto source = git_repository();
        return summarise(source).ready == "False" &&
               Conditions::from_status(source.status()).find("Ready")->reason ==
                   "ArchiveOperationFailed";
    }));
}

TEST_F(GitMode, TakesTheHighestTagAndLeavesOutWhatIsIgnored) {
    files.insert_or_assign("apps/b.yaml", world.config("b", "1"));
    const auto first = world.repository.commit(files);
    world.repository.tag("v1.2.0", first);
    world.start_cluster();
    const auto source = [&](const std::string& spec) {
        world.apply("apiVersion: " + source_api +
                    "\nkind: GitRepository\nmetadata: {name: fleet, namespace: default}\nspec:\n  "
                    "url: " +
                    world.repository.url() + "\n  interval: 10m\n" + spec);
    };
    source("  ref: {semver: '1.x'}\n  ignore: b.yaml\n");
    apply_apps();
    ASSERT_TRUE(is_ready());
    EXPECT_EQ(summarise(apps()).revision, "v1.2.0@sha1:" + first);
    EXPECT_EQ(world.value("a"), "1");
    EXPECT_EQ(world.value("b"), "absent");
    files.insert_or_assign("apps/a.yaml", world.config("a", "2"));
    const auto second = world.repository.commit(files);
    world.repository.tag("v1.10.0", second);
    world.nudge();
    ASSERT_TRUE(world.eventually([&] { return world.value("a") == "2"; }));
    // The same revision with other rules is another one to build.
    source("  ref: {semver: '1.x'}\n  ignore: ''\n");
    EXPECT_TRUE(world.eventually([&] { return world.value("b") == "1"; }));
}

TEST_F(GitMode, KeepsWhatThereWasUntilAnotherUrlHasSomething) {
    world.start_cluster();
    world.apply_repository();
    apply_apps();
    ASSERT_TRUE(is_ready());
    const auto is = [&](const std::string& type, const std::string& reason) {
        return world.eventually([&] {
            const auto source = world.get(source_api, "GitRepository", "default", "fleet");
            const auto conditions = Conditions::from_status(source->status());
            const auto* condition = conditions.find(type);
            return condition != nullptr && condition->reason == reason &&
                   condition->observed_generation == source->generation();
        });
    };
    EXPECT_TRUE(is("ArtifactInStorage", "Succeeded"));
    world.point_repository_to(world.repository.url() + "-absent");
    EXPECT_TRUE(is("FetchFailed", "GitOperationFailed"));
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: web}\n"
        "data: {k: 'drift'}\n");
    EXPECT_TRUE(world.eventually([&] { return world.value("a") == "1"; }));
    apply_apps("  commonMetadata: {labels: {x: y}}\n");
    EXPECT_TRUE(world.eventually([&] {
        const auto a = world.get("v1", "ConfigMap", "web", "a");
        return kube::find_string(a->fields(), {"metadata", "labels", "x"}) == "y";
    })) << "it is built from what there was";

    git::testing::Repository other;
    auto files_there = files;
    files_there.insert_or_assign("apps/a.yaml", world.config("a", "other"));
    other.commit(files_there);
    world.point_repository_to(other.url());
    EXPECT_TRUE(world.eventually([&] { return world.value("a") == "other"; }));
    const auto cache = world.directory.path() / "cache" / "default_fleet";
    EXPECT_TRUE(world.eventually([&] {
        return std::distance(std::filesystem::directory_iterator{cache}, {}) == 1;
    })) << "the mirror of the first is gone";
    world.remove(source_api, "GitRepository", "default", "fleet");
    EXPECT_TRUE(world.eventually([&] { return !std::filesystem::exists(cache); }));
}

TEST_F(GitMode, KeepsWhatThereWasAlsoWhenTheUrlChangedWhileItWasDown) {
    world.start_cluster();
    world.apply_repository();
    apply_apps();
    ASSERT_TRUE(is_ready());
    const auto drifts_back = [&] {
        world.apply(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: web}\n"
            "data: {k: 'drift'}\n");
        return world.eventually([&] { return world.value("a") == "1"; });
    };
    const auto cache = world.directory.path() / "cache" / "default_fleet";
    const auto mirrors = [&] {
        return std::distance(std::filesystem::directory_iterator{cache}, {});
    };
    for (int i = 0; i < 2; ++i) {
        world.stop_reconciler();
        world.point_repository_to(world.repository.url() + "-absent");
        world.start_cluster();
        EXPECT_TRUE(drifts_back()) << i;
    }
    // Back there, it is fetched again.
    auto files_next = files;
    files_next.insert_or_assign("apps/a.yaml", world.config("a", "2"));
    const auto next = world.repository.commit(files_next);
    world.point_repository_to(world.repository.url());
    EXPECT_TRUE(world.eventually([&] { return world.value("a") == "2"; }));
    EXPECT_TRUE(world.applied("apps", next));
    world.stop_reconciler();
    git::testing::Repository other;
    auto files_there = files;
    files_there.insert_or_assign("apps/a.yaml", world.config("a", "other"));
    other.commit(files_there);
    world.point_repository_to(other.url() + "-absent");
    world.start_cluster();
    EXPECT_TRUE(world.eventually([&] {
        const auto source = world.get(source_api, "GitRepository", "default", "fleet");
        return summarise(*source).ready == "False";
    }));
    world.point_repository_to(other.url());
    EXPECT_TRUE(world.eventually([&] { return world.value("a") == "other"; }));
    EXPECT_TRUE(world.eventually([&] { return mirrors() == 1; }));
}

TEST_F(GitMode, CachesOfWhatWentWhileItWasDownGo) {
    world.start_cluster();
    world.apply_repository();
    apply_apps();
    ASSERT_TRUE(is_ready());
    world.stop_reconciler();
    const auto cache = world.directory.path() / "cache";
    const std::vector<std::string> gone{
        "default_gone",           "default_gone+modules", "default_gone+OCIRepository",
        "default_gone+Bucket",    "default_fleet+Bucket", "default_gone+ExternalArtifact",
        "default_x+Kustomization"};
    const std::vector<std::string> left{"default_fleet", "default_apps+Kustomization", "lost+found",
                                        "notes"};
    for (const auto& list : {gone, left})
        for (const auto& name : list) std::filesystem::create_directories(cache / name / "objects");
    world.start_cluster();
    for (const auto& name : gone) {
        EXPECT_TRUE(world.eventually([&] { return !std::filesystem::exists(cache / name); }))
            << name;
    }
    for (const auto& name : left) EXPECT_TRUE(std::filesystem::exists(cache / name)) << name;
}

TEST_F(GitMode, ArchivesOfWhatWentWhileItWasDownGo) {
    auto artifacts = std::make_shared<Artifacts>(world.directory.path() / "artifacts");
    Reconciler::Options options;
    options.artifacts = artifacts;
    options.artifacts_swept_every = Duration{20};
    world.start_cluster(options);
    world.apply_repository();
    const auto artifact = [this] { return SourceStatus::from_object(git_repository()).artifact; };
    ASSERT_TRUE(world.eventually([&] { return artifacts->has(artifact()); }));
    const auto gone = world.directory.path() / "artifacts" / "gitrepository" / "default" / "gone";
    std::filesystem::create_directories(gone);
    EXPECT_TRUE(world.eventually([&] { return !std::filesystem::exists(gone); }));
    EXPECT_TRUE(artifacts->has(artifact()));
}

TEST_F(GitMode, FollowsARepositoryThatWentAndCameAgain) {
    world.start_cluster();
    world.apply_repository();
    apply_apps();
    ASSERT_TRUE(is_ready());
    world.remove(source_api, "GitRepository", "default", "fleet");
    ASSERT_TRUE(says("GitRepository default/fleet does not exist"));
    files.insert_or_assign("apps/a.yaml", world.config("a", "2"));
    auto commit = world.repository.commit(files);
    world.apply_repository();
    EXPECT_TRUE(world.applied("apps", commit));
    EXPECT_EQ(world.value("a"), "2");
    // Also where it comes before what the first one had on disk is gone.
    world.remove(source_api, "GitRepository", "default", "fleet");
    world.apply_repository();
    files.insert_or_assign("apps/a.yaml", world.config("a", "3"));
    commit = world.repository.commit(files);
    ASSERT_TRUE(world.fetched(commit));
    EXPECT_TRUE(world.applied("apps", commit));
    EXPECT_EQ(world.value("a"), "3");
}

TEST_F(GitMode, KeepsWhatItBroughtWhenTheRepositoryGoes) {
    world.start_cluster();
    world.apply_repository();
    apply_apps();
    ASSERT_TRUE(is_ready());
    world.remove(source_api, "GitRepository", "default", "fleet");
    EXPECT_TRUE(says("GitRepository default/fleet does not exist"));
    EXPECT_EQ(world.value("a"), "1");
}

TEST_F(GitMode, KnowsACloudsServersByTheIdentityOfAnAccount) {
    world.start_cluster();
    const auto message = [&](const std::string& more) {
        world.apply("apiVersion: " + source_api +
                    "\nkind: GitRepository\nmetadata: {name: cloud, namespace: default}\nspec:\n  "
                    "interval: 10m\n" +
                    more);
        std::string said;
        world.eventually([&] {
            const auto object = *world.get(source_api, "GitRepository", "default", "cloud");
            const auto summary = summarise(object);
            const auto* status = object.status();
            const auto* seen =
                status == nullptr ? nullptr : status->if_contains("observedGeneration");
            said = summary.message;
            return summary.ready == "False" && seen != nullptr && seen->is_int64() &&
                   seen->get_int64() == object.generation();
        });
        return said;
    };
    EXPECT_EQ(message("  provider: aws\n  serviceAccountName: deployer\n"
                      "  url: https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/shop\n"),
              "spec.serviceAccountName: ServiceAccount default/deployer does not exist");
    EXPECT_EQ(message("  provider: azure\n  serviceAccountName: deployer\n"
                      "  url: https://dev.example.org/org/project/_git/shop\n"),
              "spec.url: is no repository of Azure DevOps: "
              "https://dev.azure.com/ORGANISATION/PROJECT/_git/NAME");
    // Behind a proxy of his own, such an authority would let its owner read along.
    world.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: own-ca, namespace: default}\n"
        "stringData: {ca.crt: x}\n");
    EXPECT_EQ(message("  provider: azure\n  serviceAccountName: deployer\n"
                      "  secretRef: {name: own-ca}\n"
                      "  url: https://dev.azure.com/org/project/_git/shop\n"),
              "Secret default/own-ca: ca.crt is not taken with spec.provider: azure");
}

TEST_F(GitMode, ReadsItsCredentialsFromASecretAndSaysWhenThereIsNone) {
    world.start_cluster();
    world.apply_repository("  secretRef: {name: login}\n");
    EXPECT_TRUE(world.eventually([&] {
        const auto source = git_repository();
        return summarise(source).message == "Secret default/login does not exist";
    }));
}

}  // namespace
}  // namespace kled::gitops
