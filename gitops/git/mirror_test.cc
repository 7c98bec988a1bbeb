#include "gitops/git/mirror.h"

#include "base/error.h"
#include "base/file.h"
#include "gitops/git/testing.h"
#include "gitops/git/tree.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

namespace kled::gitops::git {
namespace {

class MirrorTest : public ::testing::Test {
protected:
    Revision fetch(const Reference& reference) { return mirror.fetch(reference, access, {}); }

    /// The kind and the text of what fetching `reference` throws.
    std::pair<ErrorKind, std::string> failure(const Reference& reference) {
        try {
            static_cast<void>(fetch(reference));
        } catch (const Error& error) {
            return {error.kind(), error.what()};
        }
        return {ErrorKind::internal, "nothing was thrown"};
    }

    std::string content(const Revision& revision, const std::string& path) {
        return Tree{mirror, revision}.read(path);
    }

    testing::Repository remote;
    TemporaryDirectory directory;
    Mirror mirror{directory.path() / "mirror", remote.url()};
    Access access = [] {
        Access a;
        a.local_repositories = true;
        return a;
    }();
};

TEST_F(MirrorTest, NamesARevisionAsFluxDoes) {
    const auto commit = remote.commit({{"a", "1"}});
    remote.tag("v1", commit);
    EXPECT_EQ(fetch({.branch = "main"}).name, "main@sha1:" + commit);
    EXPECT_EQ(fetch({.tag = "v1"}).name, "v1@sha1:" + commit);
    EXPECT_EQ(fetch({.commit = commit}).name, "sha1:" + commit);
    EXPECT_EQ(fetch({.branch = "main", .commit = commit}).name, "main@sha1:" + commit);
    EXPECT_EQ(fetch({.name = "refs/heads/main"}).name, "refs/heads/main@sha1:" + commit);
}

TEST_F(MirrorTest, FollowsABranch) {
    remote.commit({{"a", "1"}});
    fetch({.branch = "main"});
    const auto second = remote.commit({{"a", "2"}});
    const auto revision = fetch({.branch = "main"});
    EXPECT_EQ(revision.commit.hex(), second);
    EXPECT_EQ(content(revision, "a"), "2");
}

TEST_F(MirrorTest, PeelsAnAnnotatedTag) {
    const auto commit = remote.commit({{"a", "1"}});
    remote.annotated_tag("v1", commit);
    EXPECT_EQ(fetch({.tag = "v1"}).commit.hex(), commit);
}

TEST_F(MirrorTest, TakesTheHighestTagInARange) {
    const auto one = remote.commit({{"a.yaml", "1"}});
    const auto two = remote.commit({{"a.yaml", "2"}});
    const auto three = remote.commit({{"a.yaml", "3"}});
    remote.annotated_tag("v1.9.0", one);
    remote.tag("v1.10.0", two);
    remote.tag("v2.0.0", three);
    remote.tag("v1.11.0-rc.1", three);
    remote.tag("nightly", three);
    EXPECT_EQ(fetch({.tag = "v2.0.0", .semver = "1.x"}).name, "v1.10.0@sha1:" + two);
    EXPECT_EQ(fetch({.semver = ">=1.0.0-0 <2.0.0-0"}).name, "v1.11.0-rc.1@sha1:" + three);
    EXPECT_EQ(
        failure({.semver = "~3"}).second,
        printable_url(remote.url()) + ": a tag in the range '~3' does not exist in the repository");
    EXPECT_EQ(failure({.semver = "one"}).first, ErrorKind::invalid);
}

TEST_F(MirrorTest, FindsAnOlderCommitOnAnyBranch) {
    const auto old = remote.commit({{"a", "1"}}, "feature");
    remote.commit({{"a", "2"}}, "feature");
    EXPECT_EQ(content(fetch({.commit = old}), "a"), "1");
}

TEST_F(MirrorTest, NeedsNoServerForACommitItHas) {
    const auto commit = remote.commit({{"a", "1"}});
    fetch({.branch = "main"});
    std::filesystem::remove_all(remote.path());
    EXPECT_EQ(content(fetch({.commit = commit}), "a"), "1");
}

TEST_F(MirrorTest, FollowsAForcedPushAndKeepsWhatItHad) {
    remote.commit({{"a", "1"}});
    const auto before = fetch({.branch = "main"});
    remote.replace({{"a", "other history"}});
    EXPECT_EQ(content(fetch({.branch = "main"}), "a"), "other history");
    EXPECT_EQ(content(before, "a"), "1");
}

TEST_F(MirrorTest, SaysThatABranchIsGoneAndKeepsWhatItHad) {
    remote.commit({{"a", "1"}});
    remote.commit({{"a", "x"}}, "other");
    const auto before = fetch({.branch = "main"});
    remote.remove_branch("main");
    EXPECT_EQ(failure({.branch = "main"}),
              std::pair(ErrorKind::not_found,
                        remote.url() + ": branch 'main' does not exist in the repository"));
    EXPECT_EQ(content(before, "a"), "1");
}

TEST_F(MirrorTest, SaysWhatIsMissing) {
    EXPECT_EQ(failure({.branch = "main"}),
              std::pair(ErrorKind::not_found, remote.url() + ": the repository is empty"));
    remote.commit({{"a", "1"}});
    EXPECT_EQ(failure({.tag = "v9"}).second,
              remote.url() + ": tag 'v9' does not exist in the repository");
    const std::string absent(40, 'a');
    EXPECT_EQ(failure({.commit = absent}).second,
              remote.url() + ": commit " + absent + " is on no branch or tag of the repository");
    EXPECT_EQ(
        failure({.commit = "abc"}),
        std::pair(ErrorKind::invalid, std::string{"spec.ref.commit: 'abc' is not 40 hex digits"}));
    std::filesystem::remove_all(remote.path());
    EXPECT_EQ(failure({.branch = "main"}),
              std::pair(ErrorKind::not_found,
                        remote.url() + ": there is no repository at " + remote.path().string()));
}

TEST_F(MirrorTest, RefusesAReferenceThatIsNone) {
    remote.commit({{"a", "1"}});
    EXPECT_EQ(failure({.branch = "a..b"}).first, ErrorKind::invalid);
    EXPECT_EQ(failure({.name = "HEAD"}).first, ErrorKind::invalid);
    EXPECT_EQ(failure({.branch = "*"}).first, ErrorKind::invalid);
}

TEST_F(MirrorTest, ReadsLocalRepositoriesOnlyWhereThatIsAllowed) {
    access.local_repositories = false;
    EXPECT_EQ(failure({.branch = "main"}).first, ErrorKind::denied);
}

TEST_F(MirrorTest, MakesADamagedCacheAnew) {
    const auto commit = remote.commit({{"a", "1"}});
    fetch({.branch = "main"});
    std::filesystem::remove(directory.path() / "mirror" / "HEAD");
    EXPECT_EQ(fetch({.branch = "main"}).commit.hex(), commit);
}

TEST_F(MirrorTest, ACacheThatCannotBeOpenedNowIsNotDamaged) {
    const auto commit = remote.commit({{"a", "1"}});
    fetch({.branch = "main"});
    const auto config = directory.path() / "mirror" / "config";
    const auto away = directory.path() / "config";
    std::filesystem::rename(config, away);
    // Opening a socket fails, and that for root too.
    ASSERT_EQ(::mknod(config.c_str(), S_IFSOCK | 0600U, 0), 0);
    EXPECT_EQ(failure({.branch = "main"}).first, ErrorKind::exhausted);
    std::filesystem::rename(away, config);
    EXPECT_TRUE(mirror.find(*Oid::parse(commit), "main"));
}

TEST_F(MirrorTest, FetchesAgainWhatItHasAndCannotRead) {
    const auto commit = remote.commit({{"a", "1"}});
    fetch({.branch = "main"});
    for (const auto& entry :
         std::filesystem::directory_iterator{directory.path() / "mirror" / "objects" / "pack"}) {
        if (entry.path().extension() != ".pack") continue;
        auto bytes = read_file(entry.path());
        std::fill(bytes.begin() + 12, bytes.end() - 20, '\0');  // all but header and sum
        write_file_atomic(entry.path(), bytes, 0600);
    }
    EXPECT_EQ(fetch({.branch = "main"}).commit.hex(), commit);
}

TEST_F(MirrorTest, GoesOnWhereAKilledProcessStopped) {
    remote.commit({{"a", "1"}});
    fetch({.branch = "main"});
    const auto second = remote.commit({{"a", "2"}});
    const auto place = directory.path() / "mirror";
    for (const auto* left : {"refs/kled/heads/main.lock", "packed-refs.lock", "config.lock",
                             "objects/pack/pack_git2_abc"}) {
        write_file_atomic(place / left, "", 0600);
    }
    Mirror next{place, remote.url()};
    EXPECT_EQ(next.fetch({.branch = "main"}, access, {}).commit.hex(), second);
    EXPECT_FALSE(std::filesystem::exists(place / "objects/pack/pack_git2_abc"));
}

TEST_F(MirrorTest, MakesTheCacheOfAnotherUrlAnew) {
    const auto commit = remote.commit({{"a", "1"}});
    fetch({.branch = "main"});
    const testing::Repository other;
    Mirror moved{directory.path() / "mirror", other.url()};
    EXPECT_FALSE(moved.find(*Oid::parse(commit), "main"));
    EXPECT_THROW(static_cast<void>(moved.fetch({.branch = "main"}, access, {})), Error);
}

TEST_F(MirrorTest, KeepsFewPacksOverManyFetches) {
    std::string last;
    for (int i = 0; i < 100; ++i) {
        last = remote.commit({{"a", std::to_string(i)}});
        fetch({.branch = "main"});
    }
    const auto packs =
        std::filesystem::directory_iterator{directory.path() / "mirror/objects/pack"};
    EXPECT_LT(std::distance(begin(packs), end(packs)), 100);
    EXPECT_EQ(content(fetch({.commit = last}), "a"), "99");
}

TEST_F(MirrorTest, KeepsWhatIsUsedHoweverOftenTheBranchIsMovedFromIt) {
    const auto good = remote.commit({{"a", "good"}});
    const auto revision = fetch({.branch = "main"});
    mirror.use(revision.commit);
    for (int i = 0; i < 60; ++i) {
        remote.replace({{"a", std::to_string(i)}});
        fetch({.branch = "main"});
    }
    EXPECT_EQ(content(revision, "a"), "good");
    EXPECT_TRUE(mirror.find(*Oid::parse(good), "main"));
}

TEST_F(MirrorTest, StopsWhenAsked) {
    remote.commit({{"a", "1"}});
    std::stop_source source;
    source.request_stop();
    try {
        static_cast<void>(mirror.fetch({.branch = "main"}, access, source.get_token()));
        FAIL() << "it went on";
    } catch (const boost::system::system_error& error) {
        EXPECT_EQ(error.code(), boost::asio::error::operation_aborted);
    }
}

TEST_F(MirrorTest, StopsAtTheTimeLimit) {
    remote.commit({{"a", "1"}});
    access.timeout = std::chrono::milliseconds{0};
    EXPECT_EQ(failure({.branch = "main"}).first, ErrorKind::unavailable);
}

TEST(PrintableUrl, HasNoPassword) {
    EXPECT_EQ(printable_url("https://user:secret@host/x@y"), "https://user@host/x@y");
    EXPECT_EQ(printable_url("ssh://git@host/x"), "ssh://git@host/x");
    EXPECT_EQ(printable_url("git@host:x"), "git@host:x");
    EXPECT_EQ(printable_url("https://host:443/x"), "https://host:443/x");
}

TEST(SameRepository, LooksThroughTheWaysToWriteAUrl) {
    EXPECT_TRUE(same_repository("https://host/o/r", "https://host/o/r.git"));
    EXPECT_TRUE(same_repository("ssh://git@host/o/r.git", "git@host:o/r.git"));
    EXPECT_TRUE(same_repository("https://me:x@host/o/r/", "http://host/o/r"));
    EXPECT_TRUE(same_repository("file:///srv/r.git", "/srv/r.git"));
    EXPECT_FALSE(same_repository("https://host/o/r", "https://host/o/s"));
    EXPECT_FALSE(same_repository("https://host/o/r", "https://other/o/r"));
}

}  // namespace
}  // namespace kled::gitops::git
