#include "gitops/git/tree.h"

#include "base/error.h"
#include "base/file.h"
#include "gitops/git/testing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops::git {
namespace {

using ::testing::ElementsAre;
using testing::File;
using testing::Files;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Kind = kustomize::Files::Kind;

class TreeTest : public ::testing::Test {
protected:
    Revision fetch(const Files& files) {
        remote.commit(files);
        Access access;
        access.local_repositories = true;
        return mirror.fetch({.branch = "main"}, access, {});
    }
    Tree tree(const Files& files) { return Tree{mirror, fetch(files), limit}; }

    std::size_t limit = Tree::default_limit_bytes;
    testing::Repository remote;
    TemporaryDirectory directory;
    Mirror mirror{directory.path() / "mirror", remote.url()};
};

TEST_F(TreeTest, FindsReadsAndLists) {
    const auto t = tree({{"b.yaml", "b"}, {"a/x", "x"}, {"a.yaml", "a"}});
    EXPECT_EQ(t.find("")->kind, Kind::directory);
    EXPECT_EQ(t.find("a")->kind, Kind::directory);
    EXPECT_EQ(t.find("a/x")->kind, Kind::file);
    EXPECT_FALSE(t.find("a/y"));
    EXPECT_FALSE(t.find("b.yaml/x"));
    EXPECT_EQ(t.read("a/x"), "x");
    EXPECT_THAT(t.list(""), ElementsAre("a", "a.yaml", "b.yaml"));
}

TEST_F(TreeTest, FollowsLinksInsideTheTree) {
    const auto t = tree({{"a/x", "x"},
                         {"b/up", File::link("../a/x")},
                         {"c", File::link("b/../a")},
                         {"d", File::link("c")}});
    EXPECT_EQ(t.find("b/up")->path, "a/x");
    EXPECT_EQ(t.find("d/x")->path, "a/x");
    EXPECT_EQ(t.read("d/x"), "x");
    EXPECT_TRUE(t.remarks().empty());
}

TEST_F(TreeTest, SeesNothingBehindALinkOutOfTheRepository) {
    const auto t =
        tree({{"a/out", File::link("../../etc/passwd")}, {"b", File::link("/etc/passwd")}});
    EXPECT_FALSE(t.find("a/out"));
    EXPECT_FALSE(t.find("b"));
    EXPECT_THAT(t.remarks(),
                ElementsAre("a/out leads out of the repository by a symbolic link",
                            "b is a symbolic link to '/etc/passwd', outside of the repository"));
}

TEST_F(TreeTest, ListsWithoutWhatFluxLeavesOutOfAnArtifact) {
    const auto t =
        tree({{"a.yaml", "a"}, {".github/workflows/ci.yaml", "x"}, {".gitlab-ci.yml", "x"}});
    EXPECT_THAT(t.list(""), ElementsAre("a.yaml"));
}

TEST_F(TreeTest, LeavesOutWhatIgnoreFilesSay) {
    const Files files{{".sourceignore", "*.md\n/apps/*\n!/apps/deploy\n"},
                      {"apps/.sourceignore", "secret.yaml\n"},
                      {"apps/deploy/a.yaml", "a"},
                      {"apps/deploy/secret.yaml", "s"},
                      {"apps/other.yaml", "o"},
                      {"README.md", "r"},
                      {"logo.png", "p"}};
    const auto t = tree(files);
    EXPECT_THAT(t.list(""), ElementsAre(".sourceignore", "apps", "logo.png"));
    EXPECT_THAT(t.list("apps"), ElementsAre("deploy"));
    EXPECT_TRUE(t.find("apps/deploy/a.yaml"));
    EXPECT_FALSE(t.find("apps/deploy/secret.yaml"));
    EXPECT_FALSE(t.find("README.md"));
    EXPECT_THAT(t.remarks(),
                ElementsAre("apps/deploy/secret.yaml is left out by spec.ignore or a "
                            ".sourceignore file",
                            "README.md is left out by spec.ignore or a .sourceignore file"));
    EXPECT_THROW(static_cast<void>(t.read("README.md")), Error);
}

TEST_F(TreeTest, LetsTheSourceItselfSayWhatIsLeftOut) {
    auto revision = fetch({{"a.yaml", "a"}, {"b.yaml", "b"}, {".gitlab-ci.yml", "x"}});
    revision.ignore = "b.yaml\n";
    const Tree t{mirror, revision};
    EXPECT_THAT(t.list(""), ElementsAre(".gitlab-ci.yml", "a.yaml")) << "in place of the defaults";
    EXPECT_FALSE(t.find("b.yaml"));
}

TEST_F(TreeTest, ShowsOnlyTheFoldersOfASparseCheckout) {
    auto revision = fetch({{"apps/web/a.yaml", "a"}, {"apps/db/b.yaml", "b"}, {"c.yaml", "c"}});
    revision.sparse = {"./apps/web"};
    const Tree t{mirror, revision};
    EXPECT_THAT(t.list(""), ElementsAre("apps"));
    EXPECT_THAT(t.list("apps"), ElementsAre("web"));
    EXPECT_TRUE(t.find("apps/web/a.yaml"));
    EXPECT_FALSE(t.find("apps/db/b.yaml"));
}

TEST_F(TreeTest, EndsACircleOfLinks) {
    const auto t = tree({{"a", File::link("b")}, {"b", File::link("a")}});
    EXPECT_FALSE(t.find("a"));
    EXPECT_EQ(t.remarks().size(), 1U);
}

TEST_F(TreeTest, SeesNothingInASubmodule) {
    const auto t = tree({{"a", File::submodule()}});
    EXPECT_FALSE(t.find("a/x"));
    EXPECT_THAT(t.remarks(),
                ElementsAre("a is a submodule; its files are read with spec.recurseSubmodules"));
}

TEST_F(TreeTest, RefusesAFileOverTheLimitWithoutReadingIt) {
    limit = 10;
    const auto t = tree({{"big", std::string(11, 'x')}});
    try {
        static_cast<void>(t.read("big"));
        FAIL() << "it was read";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::exhausted);
        EXPECT_STREQ(error.what(), "big: 11 bytes; a file kled reads has at most 10");
    }
}

TEST_F(TreeTest, AgreesWithAnotherRevisionOnWhatWasRead) {
    const Files first{{"a/x", "1"}, {"a/y", "1"}, {"b", "1"}, {"l", File::link("a")}};
    ReadSet seen;
    {
        const auto t = tree(first);
        static_cast<void>(t.read("a/x"));
        static_cast<void>(t.find("l/x"));
        static_cast<void>(t.find("c"));
        static_cast<void>(t.list("a"));
        seen = t.read_set();
    }
    const auto agrees = [&](const Files& changes) {
        auto files = first;
        for (const auto& [path, file] : changes) files.insert_or_assign(path, file);
        return tree(files).agrees_with(seen);
    };
    EXPECT_TRUE(agrees({}));
    EXPECT_TRUE(agrees({{"a/y", "2"}})) << "listed, not read";
    EXPECT_TRUE(agrees({{"b", "2"}})) << "never looked at";
    EXPECT_FALSE(agrees({{"a/x", "2"}}));
    EXPECT_FALSE(agrees({{"a/z", "1"}})) << "the directory was listed";
    EXPECT_FALSE(agrees({{"c", "1"}})) << "it was looked for";
    EXPECT_FALSE(agrees({{"l", File::link("d")}, {"d/x", "1"}})) << "the link was followed";
}

TEST_F(TreeTest, SaysWhatChangedBetweenTwoTrees) {
    const auto from = fetch({{"a/b/same", "1"},
                             {"a/b/text", "1"},
                             {"a/mode", "1"},
                             {"a/file", "1"},
                             {"gone/x/y", "1"},
                             {"to-link/x", "1"},
                             {"same/x", "1"}});
    File executable{"1"};
    executable.mode = GIT_FILEMODE_BLOB_EXECUTABLE;
    const auto to = fetch({{"a/b/same", "1"},
                           {"a/b/text", "2"},
                           {"a/mode", executable},
                           {"a/file/below", "1"},
                           {"new/x/y", "1"},
                           {"to-link", File::link("same")},
                           {"same/x", "1"}});
    const Tree now{mirror, to};
    const auto changes = now.changes_since(from.tree);
    ASSERT_TRUE(changes);
    EXPECT_THAT(*changes,
                UnorderedElementsAre("a/b/text", "a/mode", "a/file", "gone", "new", "to-link"));
    EXPECT_THAT(*now.changes_since(to.tree), IsEmpty());
    EXPECT_FALSE(now.changes_since(*Oid::parse(std::string(40, '1'))));
}

TEST_F(TreeTest, IsPlainUntilALinkOrAnIgnoreFileSpeaks) {
    const auto linked = tree({{"a", "1"}, {"b", File::link("a")}, {"d/.sourceignore", "# none"}});
    EXPECT_TRUE(linked.find("a"));
    EXPECT_TRUE(linked.plain());
    EXPECT_TRUE(linked.find("b"));
    EXPECT_FALSE(linked.plain());
    EXPECT_FALSE(tree({{"a", "1"}, {"d/.sourceignore", "x"}}).plain());
}

}  // namespace
}  // namespace kled::gitops::git
