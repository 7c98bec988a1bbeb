#include "gitops/git/gitmodules.h"

#include "base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops::git {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string refused(std::string_view text) {
    try {
        static_cast<void>(parse_gitmodules(text));
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return error.what();
    }
    return "it was read";
}

TEST(Gitmodules, AreReadAsGitDoes) {
    EXPECT_THAT(parse_gitmodules("\xEF\xBB\xBF# what we use\r\n"
                                 "[submodule \"lib/b\"]\r\n"
                                 "\tpath = lib/b/\r\n"
                                 "\tURL = ../b.git ; beside us\r\n"
                                 "\tbranch = main\n"
                                 "[core] bare = true\n"
                                 "[submodule \"a \\\"one\\\"\"] path=\"a b\"\n"
                                 "  url = https://x.example/\\\n"
                                 "a.git\n"
                                 "  shallow\n"
                                 "[SubModule \"a \\\"one\\\"\"]\n  url = \"ssh://x/#a\"\n"
                                 "[submodule \"half\"]\n  path = half\n"),
                ElementsAre(Submodule{.path = "a b", .url = "ssh://x/#a"},
                            Submodule{.path = "lib/b", .url = "../b.git"}));
    EXPECT_THAT(parse_gitmodules(""), IsEmpty());
    EXPECT_THAT(parse_gitmodules("[include]\n  path = /etc/passwd\n"), IsEmpty());
}

TEST(Gitmodules, AreRefusedWithTheLine) {
    EXPECT_THAT(refused("[submodule \"a\"]\n  path = \"a\n"), HasSubstr(".gitmodules:"));
    EXPECT_THAT(refused("\n\n[submodule \"a\n]"), HasSubstr(".gitmodules:"));
    EXPECT_THAT(refused("[submodule \"a\"\n"), HasSubstr("no ']'"));
    EXPECT_THAT(refused("[submodule \"a\"]\n  = x"), HasSubstr(".gitmodules:2: "));
    EXPECT_THAT(refused("[submodule \"a\"]\n  url x"), HasSubstr("'=' is missing after 'url'"));
    EXPECT_THAT(refused("[submodule \"a\"]\n  url = \\q"), HasSubstr("'\\'"));
    EXPECT_THAT(refused("[submodule \"a"), HasSubstr("no end"));
    EXPECT_THAT(refused("["), HasSubstr("no ']'"));
    EXPECT_THAT(refused(std::string_view{"\0", 1}), HasSubstr("neither"));
}

TEST(Gitmodules, ALinesPathStaysInside) {
    for (const std::string path : {"../x", "a/../../x", "/etc", ".", "a/./b", "a//b", ".git/hooks",
                                   "a/.GIT/modules", ".."}) {
        EXPECT_THAT(refused("[submodule \"a\"]\n  url = ../a\n  path = " + path + "\n"),
                    HasSubstr("no path inside the repository"))
            << path;
    }
}

}  // namespace
}  // namespace kled::gitops::git
