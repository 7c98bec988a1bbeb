#include "gitops/git/remotes.h"

#include "base/error.h"
#include "base/file.h"
#include "gitops/git/testing.h"
#include "kustomize/build.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace kled::gitops::git {
namespace {

using ::testing::HasSubstr;

class RemoteCacheTest : public ::testing::Test {
protected:
    RemoteCache cache(bool offline = false) {
        RemoteCache::Options options;
        options.directory = directory.path() / "cache";
        options.access.local_repositories = true;
        options.offline = offline;
        return RemoteCache{std::move(options)};
    }

    /// What building a kustomization of this one resource gives.
    std::string built(RemoteCache& remotes, const std::string& resource) {
        const kustomize::MemoryFiles files{
            {{"top/kustomization.yaml", "resources: ['" + resource + "']\n"}}};
        kustomize::BuildOptions options;
        options.remotes = &remotes;
        try {
            return kustomize::build(files, "top", options).to_yaml();
        } catch (const Error& error) {
            return std::string{"error: "} + error.what();
        }
    }

    static testing::Files base(const std::string& value) {
        return {{"dir/kustomization.yaml",
                 "configMapGenerator:\n- {name: c, files: [f]}\n"
                 "generatorOptions: {disableNameSuffixHash: true}\n"},
                {"dir/f", value}};
    }

    testing::Repository remote;
    TemporaryDirectory directory;
};

TEST_F(RemoteCacheTest, FindsBranchesTagsCommitsAndHead) {
    const auto first = remote.commit(base("first"));
    remote.tag("v1", first);
    remote.commit(base("second"));
    auto remotes = cache();
    EXPECT_THAT(built(remotes, remote.url() + "//dir?ref=v1"), HasSubstr("f: first"));
    EXPECT_THAT(built(remotes, remote.url() + "//dir?ref=main"), HasSubstr("f: second"));
    EXPECT_THAT(built(remotes, remote.url() + "//dir?ref=refs/heads/main"), HasSubstr("f: second"));
    EXPECT_THAT(built(remotes, remote.url() + "//dir?ref=" + first), HasSubstr("f: first"));
    remote.point_head("main");
    EXPECT_THAT(built(remotes, remote.url() + "//dir"), HasSubstr("f: second"));
    EXPECT_THAT(built(remotes, remote.url() + "//dir?ref=v9"),
                HasSubstr("branch or tag 'v9' does not exist in the repository"));
    EXPECT_THAT(built(remotes, remote.url() + "//gone?ref=v1"),
                HasSubstr("no such file or directory"));
}

TEST_F(RemoteCacheTest, BuildsOfflineWhatItHasFetched) {
    const auto commit = remote.commit(base("kept"));
    {
        auto online = cache();
        (void)built(online, remote.url() + "//dir?ref=main");
    }
    std::filesystem::rename(remote.path(), remote.path().string() + ".away");
    auto offline = cache(true);
    EXPECT_THAT(built(offline, remote.url() + "//dir?ref=main"), HasSubstr("f: kept"));
    EXPECT_THAT(built(offline, remote.url() + "//dir?ref=" + commit), HasSubstr("f: kept"));
    EXPECT_THAT(built(offline, remote.url() + "//dir?ref=other"),
                HasSubstr("not fetched before, and this is offline"));
    // A commit needs no server even where there could be one.
    auto online = cache();
    EXPECT_THAT(built(online, remote.url() + "//dir?ref=" + commit), HasSubstr("f: kept"));
    EXPECT_THAT(built(online, remote.url() + "//dir?ref=main"),
                HasSubstr("there is no repository"));
}

TEST_F(RemoteCacheTest, AsksAServerOnceForOneBuild) {
    remote.commit(base("first"));
    auto remotes = cache();
    EXPECT_THAT(built(remotes, remote.url() + "//dir?ref=main"), HasSubstr("f: first"));
    remote.commit(base("second"));
    EXPECT_THAT(built(remotes, remote.url() + "//dir?ref=main"), HasSubstr("f: first"));
    auto later = cache();
    EXPECT_THAT(built(later, remote.url() + "//dir?ref=main"), HasSubstr("f: second"));
}

TEST_F(RemoteCacheTest, NamesThePlaceInTheRepositoryInErrors) {
    const auto commit = remote.commit({{"dir/kustomization.yaml", "resourses: []\n"}});
    auto remotes = cache();
    EXPECT_THAT(built(remotes, remote.url() + "//dir?ref=main"),
                HasSubstr("repository.git@" + commit.substr(0, 12) + "//dir/kustomization.yaml:1"));
}

TEST_F(RemoteCacheTest, RefusesLocalRepositoriesUnlessAllowed) {
    remote.commit(base("x"));
    RemoteCache::Options options;
    options.directory = directory.path() / "cache";
    RemoteCache remotes{std::move(options)};
    EXPECT_THAT(built(remotes, remote.url() + "//dir?ref=main"), HasSubstr("error: "));
}

}  // namespace
}  // namespace kled::gitops::git
