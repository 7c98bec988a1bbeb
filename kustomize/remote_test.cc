#include "kustomize/remote.h"

#include "base/error.h"
#include "kustomize/build.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace kled::kustomize {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

const std::string config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n";

/// "repository | directory | ref", or "a path".
std::string parsed(std::string_view text) {
    const auto url = RepositoryUrl::parse(text);
    return url ? url->url + " | " + url->directory + " | " + url->ref : "a path";
}

TEST(RepositoryUrl, IsSplitWhereKustomizeSplitsIt) {
    EXPECT_EQ(parsed("https://github.com/org/repo"), "https://github.com/org/repo |  | ");
    EXPECT_EQ(parsed("https://github.com/org/repo/a/b?ref=v1"),
              "https://github.com/org/repo | a/b | v1");
    EXPECT_EQ(parsed("https://github.com/org/repo//a/b?version=v2"),
              "https://github.com/org/repo | a/b | v2");
    EXPECT_EQ(parsed("https://example.com/deep/er/repo.git/a?ref=main"),
              "https://example.com/deep/er/repo.git | a | main");
    EXPECT_EQ(parsed("https://me@dev.azure.com/org/project/_git/repo/a/b"),
              "https://me@dev.azure.com/org/project/_git/repo | a/b | ");
    EXPECT_EQ(parsed("github.com/org/repo//a"), "https://github.com/org/repo | a | ");
    EXPECT_EQ(parsed("git@github.com:org/repo.git//a"), "git@github.com:org/repo.git | a | ");
    EXPECT_EQ(parsed("git::https://gitlab.com/org/repo.git//a"),
              "https://gitlab.com/org/repo.git | a | ");
    EXPECT_EQ(parsed("git@example.com:org/repo.git?ref=x%2Fy"),
              "git@example.com:org/repo.git |  | x/y");
    EXPECT_EQ(parsed("ssh://git@example.com:2222/org/repo.git//a"),
              "ssh://git@example.com:2222/org/repo.git | a | ");
    EXPECT_EQ(parsed("file:///srv/repo//a/b?ref=main"), "file:///srv/repo | a/b | main");
    EXPECT_EQ(parsed("file:///srv/repo"), "file:///srv/repo |  | ");
}

TEST(RepositoryUrl, LeavesPathsAndUrlsOfFilesAlone) {
    for (const auto* path :
         {"../base", "base", "/etc", "repo.git/base", "https://example.com/x.yaml",
          "ftp://example.com/a/b", "https://github.com/org/repo//../../etc"}) {
        EXPECT_EQ(parsed(path), "a path") << path;
    }
}

TEST(RepositoryUrl, HasATimeoutAndSaysWhetherSubmodulesAreWanted) {
    const auto plain = RepositoryUrl::parse("https://github.com/org/repo");
    EXPECT_EQ(plain->timeout, 27s);
    EXPECT_TRUE(plain->submodules);
    const auto given =
        RepositoryUrl::parse("https://github.com/org/repo?timeout=2m&submodules=false");
    EXPECT_EQ(given->timeout, 2min);
    EXPECT_FALSE(given->submodules);
    EXPECT_EQ(RepositoryUrl::parse("https://github.com/org/repo?timeout=90")->timeout, 90s);
    EXPECT_EQ(RepositoryUrl::parse("https://github.com/org/repo?timeout=-1")->timeout, 27s);
}

/// The rest of the world, in memory.
struct World : Remotes {
    std::map<std::string, std::shared_ptr<const Files>> repositories;
    std::map<std::string, std::string> urls;
    std::vector<std::string> asked;

    std::shared_ptr<const Files> repository(const RepositoryUrl& where) override {
        asked.push_back(where.url + "@" + where.ref);
        const auto found = repositories.find(where.url);
        if (found == repositories.end()) throw Error{ErrorKind::not_found, where.url + ": gone"};
        return found->second;
    }
    std::string file(const std::string& url) override {
        asked.push_back(url);
        const auto found = urls.find(url);
        if (found == urls.end()) throw Error{ErrorKind::not_found, url + ": 404"};
        return found->second;
    }
};

std::string built(const std::map<std::string, std::string>& tree, Remotes& remotes) {
    try {
        BuildOptions options;
        options.remotes = &remotes;
        return build(MemoryFiles{tree}, "top", options).to_yaml();
    } catch (const Error& error) {
        return std::string{"error: "} + error.what();
    }
}

std::shared_ptr<const Files> repository(std::map<std::string, std::string> files) {
    return std::make_shared<MemoryFiles>(std::move(files));
}

TEST(RemoteBase, IsBuiltInItsOwnTree) {
    World world;
    world.repositories["https://example.com/org/repo.git"] =
        repository({{"deploy/kustomization.yaml", "resources: [../base]\nnamePrefix: remote-\n"},
                    {"base/kustomization.yaml", "resources: [a.yaml]\n"},
                    {"base/a.yaml", config_map}});
    EXPECT_EQ(built({{"top/kustomization.yaml",
                      "resources: ['https://example.com/org/repo.git//deploy?ref=v1']\n"}},
                    world),
              "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: remote-settings\n");
    EXPECT_THAT(world.asked, testing::ElementsAre("https://example.com/org/repo.git@v1"));
}

TEST(RemoteBase, ReachesNothingOfTheTreeThatNamesIt) {
    World world;
    world.repositories["https://example.com/org/repo.git"] =
        repository({{"kustomization.yaml", "resources: [../top/secret]\n"}});
    EXPECT_THAT(
        built({{"top/kustomization.yaml", "resources: ['https://example.com/org/repo.git']\n"},
               {"top/secret/kustomization.yaml", "resources: [a.yaml]\n"},
               {"top/secret/a.yaml", config_map}},
              world),
        HasSubstr("no such file or directory: ../top/secret"));
}

TEST(RemoteBase, ThatNamesItselfIsACycle) {
    World world;
    world.repositories["https://example.com/org/repo.git"] = repository(
        {{"kustomization.yaml", "resources: ['https://example.com/org/repo.git?ref=other']\n"}});
    EXPECT_THAT(
        built({{"top/kustomization.yaml", "resources: ['https://example.com/org/repo.git']\n"}},
              world),
        HasSubstr("a cycle: https://example.com/org/repo.git"));
}

TEST(RemoteFile, IsAManifestOrAPatch) {
    World world;
    world.urls["https://example.com/a.yaml"] = config_map;
    world.urls["https://example.com/patch.yaml"] = config_map + "data: {a: b}\n";
    EXPECT_EQ(built({{"top/kustomization.yaml",
                      "resources: ['https://example.com/a.yaml']\n"
                      "patches: [{path: 'https://example.com/patch.yaml'}]\n"}},
                    world),
              "apiVersion: v1\ndata:\n  a: b\nkind: ConfigMap\nmetadata:\n  name: settings\n");
}

TEST(RemoteFile, IsTriedBeforeARepositoryOfTheSameUrl) {
    World world;
    world.urls["https://example.com/org/repo/dir"] = "<html>no manifest</html>";
    world.repositories["https://example.com/org/repo"] = repository(
        {{"dir/kustomization.yaml", "resources: [a.yaml]\n"}, {"dir/a.yaml", config_map}});
    EXPECT_THAT(
        built({{"top/kustomization.yaml", "resources: ['https://example.com/org/repo/dir']\n"}},
              world),
        HasSubstr("name: settings"));
    EXPECT_THAT(world.asked, testing::ElementsAre("https://example.com/org/repo/dir",
                                                  "https://example.com/org/repo@"));
}

TEST(RemoteBase, IsNamedInOriginAnnotations) {
    World world;
    world.repositories["https://example.com/org/repo.git"] = repository(
        {{"dir/kustomization.yaml", "resources: [a.yaml]\n"}, {"dir/a.yaml", config_map}});
    EXPECT_EQ(built({{"top/kustomization.yaml",
                      "resources: ['https://example.com/org/repo.git//dir?ref=v1']\n"
                      "buildMetadata: [originAnnotations]\n"}},
                    world),
              "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  annotations:\n"
              "    config.kubernetes.io/origin: |\n"
              "      path: dir/a.yaml\n"
              "      repo: https://example.com/org/repo.git\n"
              "      ref: v1\n"
              "  name: settings\n");
}

}  // namespace
}  // namespace kled::kustomize
