#include "gitops/git/change.h"

#include "base/error.h"
#include "base/file.h"
#include "gitops/git/testing.h"
#include "gitops/git/tree.h"

#include <boost/system/system_error.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops::git {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

bool is_yaml(std::string_view name) { return name.ends_with(".yaml"); }

class ChangeTest : public ::testing::Test {
protected:
    Revision fetch(const std::string& branch = "main") {
        return mirror.fetch({.branch = branch}, access, stop.get_token());
    }
    std::map<std::string, std::string> files(const Change& change, const std::string& path,
                                             std::size_t limit = 1000) {
        std::map<std::string, std::string> found;
        too_large = change.visit(
            path, limit, is_yaml,
            [&](const std::string& file, std::string text) { found[file] = std::move(text); },
            stop.get_token());
        return found;
    }
    ErrorKind failure(const std::function<void()>& work) {
        try {
            work();
        } catch (const Error& error) {
            message = error.what();
            return error.kind();
        }
        ADD_FAILURE() << "nothing was thrown";
        return ErrorKind::internal;
    }
    /// The tip of a branch as the remote repository has it now.
    std::string tip(const std::string& branch) { return fetch(branch).commit.hex(); }

    testing::Repository remote;
    TemporaryDirectory directory;
    Mirror mirror{directory.path() / "mirror", remote.url()};
    std::stop_source stop;
    Access access = [] {
        Access a;
        a.local_repositories = true;
        return a;
    }();
    Author author{.name = "Bot", .email = "bot@example.org"};
    std::vector<std::string> too_large;
    std::string message;
};

TEST_F(ChangeTest, VisitsTheFilesThatAreWantedAndNoLinks) {
    remote.commit({{"a.yaml", "1"},
                   {"apps/b.yaml", "2"},
                   {"apps/deep/c.yaml", "3"},
                   {"apps/notes.txt", "4"},
                   {"apps/large.yaml", std::string(2000, 'x')},
                   {"apps/out.yaml", testing::File::link("../../../etc/passwd")},
                   {"apps/module.yaml", testing::File::submodule()},
                   {"elsewhere", testing::File::link("apps")}});
    const Change change{mirror, fetch()};
    EXPECT_THAT(files(change, ""), ElementsAre(Pair("a.yaml", "1"), Pair("apps/b.yaml", "2"),
                                               Pair("apps/deep/c.yaml", "3")));
    EXPECT_THAT(too_large, ElementsAre("apps/large.yaml"));
    EXPECT_THAT(files(change, "./apps/deep/"), ElementsAre(Pair("apps/deep/c.yaml", "3")));
    EXPECT_THAT(files(change, "/apps/b.yaml"), ElementsAre(Pair("apps/b.yaml", "2")));
    EXPECT_THAT(files(change, "../../apps/deep/../deep"),
                ElementsAre(Pair("apps/deep/c.yaml", "3")))
        << "never above the root";
    EXPECT_THAT(files(change, "elsewhere"), IsEmpty()) << "a link";
    EXPECT_EQ(failure([&] { files(change, "none"); }), ErrorKind::not_found);
    stop.request_stop();
    EXPECT_THROW(files(change, ""), boost::system::system_error);
}

TEST_F(ChangeTest, PushesACommitThatChangesNothingElse) {
    auto script = testing::File{"run"};
    script.mode = GIT_FILEMODE_BLOB_EXECUTABLE;
    const auto first = remote.commit({{"a/x.yaml", "old"}, {"a/run.yaml", script}, {"b", "same"}});
    Change change{mirror, fetch()};
    change.commit({{"a/x.yaml", "new"}, {"a/run.yaml", "run faster"}}, "Images\n\nx\n", author,
                  1'700'000'000);
    EXPECT_TRUE(change.send({.reference = "refs/heads/main"}, access, stop.get_token()));
    EXPECT_FALSE(change.send({.reference = "refs/heads/main"}, access, stop.get_token()));
    EXPECT_EQ(tip("main"), change.id().hex());
    Mirror other{directory.path() / "other", remote.url()};
    const auto revision = other.fetch({.branch = "main"}, access, stop.get_token());
    const Tree tree{other, revision};
    EXPECT_EQ(tree.read("a/x.yaml"), "new");
    EXPECT_EQ(tree.read("b"), "same");
    std::vector<std::string> executable;
    tree.visit([&](const Tree::Item& item) {
        if (item.executable) executable.push_back(item.path);
    });
    EXPECT_THAT(executable, ElementsAre("a/run.yaml"));
    RepositoryPtr repository;
    git_repository* raw = nullptr;
    check(git_repository_open(&raw, remote.path().c_str()), "test");
    repository.reset(raw);
    const auto oid = to_git(change.id());
    git_commit* commit = nullptr;
    check(git_commit_lookup(&commit, raw, &oid), "test");
    const CommitPtr keeper{commit};
    EXPECT_STREQ(git_commit_message(commit), "Images\n\nx\n");
    EXPECT_STREQ(git_commit_author(commit)->email, "bot@example.org");
    EXPECT_EQ(from_git(*git_commit_parent_id(commit, 0)).hex(), first);
}

TEST_F(ChangeTest, LeavesNothingInTheCacheThatWasNotFetched) {
    remote.commit({{"x.yaml", "old"}});
    const auto base = fetch();
    Oid made;
    {
        Change change{mirror, base};
        change.commit({{"x.yaml", "new"}}, "m", author, 1);
        made = change.id();
    }
    EXPECT_EQ(mirror.find(made, "x"), std::nullopt);
}

TEST_F(ChangeTest, DoesNotPushOverWhatOthersPushed) {
    remote.commit({{"x.yaml", "old"}});
    Change change{mirror, fetch()};
    change.commit({{"x.yaml", "new"}}, "m", author, 1);
    const auto theirs = remote.commit({{"x.yaml", "theirs"}});
    EXPECT_EQ(
        failure([&] { change.send({.reference = "refs/heads/main"}, access, stop.get_token()); }),
        ErrorKind::conflict);
    EXPECT_EQ(tip("main"), theirs);
    EXPECT_TRUE(
        change.send({.reference = "refs/heads/main", .force = true}, access, stop.get_token()));
    EXPECT_EQ(tip("main"), change.id().hex());
}

TEST_F(ChangeTest, MovesABranchToACommitThatIsKnown) {
    const auto first = remote.commit({{"x.yaml", "1"}});
    const auto second = remote.commit({{"x.yaml", "2"}});
    fetch();
    const auto move = [&](const std::string& commit, const std::string& url) {
        return push_commit(mirror, *Oid::parse(commit), url, {.reference = "refs/heads/production"},
                           access, stop.get_token());
    };
    EXPECT_TRUE(move(first, remote.url()));
    EXPECT_TRUE(move(second, remote.url()));
    EXPECT_FALSE(move(second, remote.url()));
    EXPECT_EQ(tip("production"), second);
    EXPECT_EQ(failure([&] { move(first, remote.url()); }), ErrorKind::conflict);
    EXPECT_EQ(tip("production"), second);
    const testing::Repository other;  // has none of it
    EXPECT_TRUE(move(second, other.url()));
    Mirror there{directory.path() / "there", other.url()};
    const auto arrived = there.fetch({.branch = "production"}, access, stop.get_token());
    EXPECT_EQ(Tree(there, arrived).read("x.yaml"), "2");
    EXPECT_EQ(failure([&] { move(std::string(40, 'a'), remote.url()); }), ErrorKind::unavailable);
    EXPECT_EQ(message.find(remote.url() + ": commit aaaa"), 0U) << message;
}

TEST_F(ChangeTest, MakesABranchAndKnowsItAgain) {
    remote.commit({{"x.yaml", "old"}});
    const auto base = fetch();
    Change change{mirror, base};
    change.commit({{"x.yaml", "new"}}, "m", author, 1);
    EXPECT_FALSE(change.same_as(base.commit));
    EXPECT_TRUE(change.send({.reference = "refs/heads/images"}, access, stop.get_token()));
    const auto pushed = fetch("images").commit;
    Change again{mirror, base};
    again.commit({{"x.yaml", "new"}}, "another", author, 2);
    EXPECT_NE(again.id(), pushed);
    EXPECT_TRUE(again.same_as(pushed));
    Change different{mirror, base};
    different.commit({{"x.yaml", "newer"}}, "m", author, 2);
    EXPECT_FALSE(different.same_as(pushed));
}

TEST_F(ChangeTest, RefusesAuthorsNamesAndOptionsThatGitDoesNotTake) {
    remote.commit({{"x.yaml", "old"}});
    Change change{mirror, fetch()};
    EXPECT_EQ(failure([&] { change.commit({{"x.yaml", "n"}}, "m", {.name = "", .email = ""}, 1); }),
              ErrorKind::invalid);
    change.commit({{"x.yaml", "n"}}, "m", {.name = "", .email = "bot@example.org"}, 1);
    EXPECT_EQ(failure([&] {
                  change.send({.reference = "refs/heads/main", .options = {"a"}}, access,
                              stop.get_token());
              }),
              ErrorKind::invalid);
    EXPECT_EQ(full_reference("main", "f"), "refs/heads/main");
    EXPECT_EQ(full_reference("refs/for/main", "f"), "refs/for/main");
    for (const auto* name : {"", "a..b", "a b", "refs/heads/", "a~1", "x.lock"})
        EXPECT_EQ(failure([&] { static_cast<void>(full_reference(name, "f")); }),
                  ErrorKind::invalid)
            << name;
    access.local_repositories = false;
    EXPECT_EQ(
        failure([&] { change.send({.reference = "refs/heads/main"}, access, stop.get_token()); }),
        ErrorKind::denied);
}

}  // namespace
}  // namespace kled::gitops::git
