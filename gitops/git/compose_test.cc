#include "gitops/git/compose.h"

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

class ComposeTest : public ::testing::Test {
protected:
    /// A source with a mirror of its own, at a commit with `files`.
    struct Source {
        explicit Source(const std::filesystem::path& directory)
            : mirror{std::make_shared<Mirror>(directory, remote.url())} {}
        Revision fetch(const Files& files) {
            remote.commit(files);
            Access access;
            access.local_repositories = true;
            return mirror->fetch({.branch = "main"}, access, {});
        }
        testing::Repository remote;
        std::shared_ptr<Mirror> mirror;
    };
    /// The tree that a repository with just `files` has.
    Oid tree_of(const Files& files) {
        Source plain{directory.path() / "plain"};
        return plain.fetch(files).tree;
    }
    static Include part(const Source& source, Revision revision, std::string from, std::string to) {
        return {.name = "other",
                .mirror = source.mirror,
                .revision = std::move(revision),
                .from = std::move(from),
                .to = std::move(to)};
    }
    template <typename Work>
    static ErrorKind kind_of(Work work) {
        try {
            work();
        } catch (const Error& error) {
            return error.kind();
        }
        return ErrorKind::internal;
    }

    TemporaryDirectory directory;
    Source ours{directory.path() / "ours"};
    Source other{directory.path() / "other"};
};

TEST_F(ComposeTest, IsTheTreeThatOneRepositoryWouldHave) {
    const auto base = ours.fetch({{"a.b", "1"}, {"a/x", "2"}, {"z", "3"}});
    const auto more = other.fetch({{"k/y", "4"}, {"k/sub/deep", "5"}, {"l", "6"}});
    Composer composer{*ours.mirror, base};
    composer.include(part(other, more, "k", "a/lib/k"));
    composer.include(part(other, more, "", "all"));
    composer.include(part(other, more, "l", "one/file"));
    const auto& result = composer.revision();
    EXPECT_EQ(result.name, base.name);
    EXPECT_EQ(result.tree, tree_of({{"a.b", "1"},
                                    {"a/x", "2"},
                                    {"z", "3"},
                                    {"a/lib/k/y", "4"},
                                    {"a/lib/k/sub/deep", "5"},
                                    {"all/k/y", "4"},
                                    {"all/k/sub/deep", "5"},
                                    {"all/l", "6"},
                                    {"one/file", "6"}}));
    EXPECT_TRUE(composer.present());
    const Tree tree{*ours.mirror, result};
    EXPECT_EQ(tree.read("a/lib/k/sub/deep"), "5");
    EXPECT_THAT(tree.list("a"), ElementsAre("lib", "x"));
    // What changed between two of them is found as in any other.
    const auto changes = tree.changes_since(base.tree);
    ASSERT_TRUE(changes);
    EXPECT_THAT(*changes, ElementsAre("a/lib", "all", "one"));
}

TEST_F(ComposeTest, TakesWhatTheOthersArchiveHas) {
    const auto base = ours.fetch({{"a", "1"}});
    auto more = other.fetch({{".sourceignore", "secret/\n"},
                             {"secret/x", "2"},
                             {"kept/y", "3"},
                             {"kept/link", File::link("y")},
                             {"kept/module", File::submodule()},
                             {"thin/z", "4"}});
    more.sparse = {"kept", "secret"};
    Composer composer{*ours.mirror, base};
    composer.include(part(other, more, "", "lib"));
    EXPECT_EQ(composer.revision().tree, tree_of({{"a", "1"}, {"lib/kept/y", "3"}}));
}

TEST_F(ComposeTest, WhatIsThinnedOutKeepsWhatIsIncluded) {
    auto base = ours.fetch({{"a/x", "1"}, {"b/x", "1"}});
    base.sparse = {"a"};
    const auto more = other.fetch({{"y", "2"}});
    Composer composer{*ours.mirror, base};
    composer.include(part(other, more, "", "lib"));
    const Tree tree{*ours.mirror, composer.revision()};
    EXPECT_THAT(tree.list(""), ElementsAre("a", "lib"));
}

TEST_F(ComposeTest, IncludesWhatIncludes) {
    Source third{directory.path() / "third"};
    Composer inner{*other.mirror, other.fetch({{"y", "2"}})};
    inner.include(part(third, third.fetch({{"z", "3"}}), "", "third"));
    Composer composer{*ours.mirror, ours.fetch({{"a", "1"}})};
    composer.include(part(other, inner.revision(), "", "lib"));
    EXPECT_EQ(composer.revision().parts.size(), 2U);
    EXPECT_EQ((Tree{*ours.mirror, composer.revision()}.read("lib/third/z")), "3");
}

TEST_F(ComposeTest, NothingIsCoveredUp) {
    const auto base = ours.fetch({{"a/x", "1"}});
    const auto more = other.fetch({{"y", "2"}});
    Composer composer{*ours.mirror, base};
    EXPECT_EQ(kind_of([&] { composer.include(part(other, more, "", "a")); }), ErrorKind::conflict);
    EXPECT_EQ(kind_of([&] { composer.include(part(other, more, "", "a/x/y")); }),
              ErrorKind::conflict);
    EXPECT_EQ(kind_of([&] { composer.include(part(other, more, "", "")); }), ErrorKind::conflict);
    EXPECT_EQ(kind_of([&] { composer.include(part(other, more, "absent", "b")); }),
              ErrorKind::not_found);
    EXPECT_EQ(composer.revision().tree, base.tree);
}

TEST_F(ComposeTest, IsMissedWhenAPartIsAway) {
    Composer composer{*ours.mirror, ours.fetch({{"a", "1"}})};
    composer.include(part(other, other.fetch({{"y", "2"}}), "", "lib"));
    std::filesystem::remove_all(directory.path() / "other");
    EXPECT_FALSE(composer.present());
    EXPECT_EQ(kind_of([&] { static_cast<void>(Tree{*ours.mirror, composer.revision()}); }),
              ErrorKind::unavailable);
}

TEST_F(ComposeTest, WhatAnEarlierProcessPutTogetherIsMadeAnew) {
    const auto base = ours.fetch({{"a", "1"}});
    const auto more = other.fetch({{"y", "2"}});
    Revision before;
    {
        Composer composer{*ours.mirror, base};
        composer.include(part(other, more, "", "lib"));
        before = composer.revision();
    }
    Mirror again{directory.path() / "ours", ours.remote.url()};
    Composer::trim(again);
    EXPECT_FALSE((Composer{again, before}.present()));
    Composer composer{again, base};
    composer.include(part(other, more, "", "lib"));
    EXPECT_EQ(composer.revision().tree, before.tree);
    EXPECT_EQ((Tree{again, composer.revision()}.read("lib/y")), "2");
    Composer::trim(again);
    EXPECT_TRUE(composer.present());
}

}  // namespace
}  // namespace kled::gitops::git
