#include "gitops/git/submodules.h"

#include "base/error.h"
#include "base/file.h"
#include "gitops/git/testing.h"
#include "gitops/git/tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops::git {
namespace {

using testing::File;
using testing::Files;
using ::testing::HasSubstr;

const std::string https = "https://git.example/org/app.git";

std::optional<ErrorKind> refused(std::string_view parent, std::string_view url) {
    try {
        static_cast<void>(submodule_url(parent, url));
    } catch (const Error& error) {
        return error.kind();
    }
    return std::nullopt;
}

TEST(SubmoduleUrl, IsRelativeToTheRepository) {
    EXPECT_EQ(submodule_url(https, "../lib.git"), "https://git.example/org/lib.git");
    EXPECT_EQ(submodule_url(https, "../../other/lib"), "https://git.example/other/lib");
    EXPECT_EQ(submodule_url(https + "/", "./lib"), "https://git.example/org/app.git/lib");
    EXPECT_EQ(submodule_url("git@git.example:org/app", "../lib"), "git@git.example:org/lib");
    EXPECT_EQ(submodule_url("git@git.example:app", "../lib"), "git@git.example:lib");
    EXPECT_EQ(submodule_url("git@git.example:/srv/app", "../lib"), "git@git.example:/srv/lib");
    EXPECT_EQ(submodule_url("ssh://git@x:22/a/b", "../../c"), "ssh://git@x:22/c");
    EXPECT_EQ(submodule_url("file:///srv/app", "../lib"), "file:///srv/lib");
    EXPECT_EQ(submodule_url("/srv/app", "../lib"), "/srv/lib");
    EXPECT_EQ(refused(https, "../../../lib"), ErrorKind::invalid);
    EXPECT_EQ(refused(https, "../a/../../../../b"), ErrorKind::invalid);
    EXPECT_EQ(refused("git@git.example:app", "../../lib"), ErrorKind::invalid);
    EXPECT_EQ(refused(https, "../"), ErrorKind::invalid);
    EXPECT_EQ(refused(https, "./.."), ErrorKind::invalid);
}

TEST(SubmoduleUrl, AbsoluteIsOfAKindThatKledReads) {
    for (const std::string url : {"https://other.example/lib", "http://other.example/lib",
                                  "ssh://git@other.example/lib", "git@other.example:lib"})
        EXPECT_EQ(submodule_url(https, url), url);
    for (const std::string url :
         {"", "git://other.example/lib", "ext::sh -c id", "ext::id", "-oProxyCommand=id",
          "ftp://other.example/lib", "https://", "https:///x", "lib",
          "javascript:", "https://a.example/b\nc", "fd::17", "file://host/x"})
        EXPECT_NE(refused(https, url), std::nullopt) << url;
    EXPECT_EQ(refused(https, "/etc"), ErrorKind::denied);
    EXPECT_EQ(refused(https, "file:///etc"), ErrorKind::denied);
    EXPECT_EQ(submodule_url("file:///srv/app", "/srv/lib"), "/srv/lib");
}

TEST(SubmoduleAccess, SecretsGoToTheSameServerOnly) {
    Access access;
    access.user = "me";
    access.password = std::make_shared<const Secret>("p");
    access.bearer_token = std::make_shared<const Secret>("t");
    access.ca_pem = "ca";
    const auto shown = [&](const std::string& url) {
        const auto result = submodule_access(access, https, url);
        EXPECT_EQ(result.ca_pem, "ca");
        EXPECT_EQ(result.password == nullptr, result.bearer_token == nullptr);
        return result.password != nullptr;
    };
    EXPECT_TRUE(shown("https://git.example/org/lib"));
    EXPECT_TRUE(shown("https://git.example:443/org/lib"));
    EXPECT_FALSE(shown("http://git.example/org/lib"));
    EXPECT_FALSE(shown("https://git.example:8443/org/lib"));
    EXPECT_FALSE(shown("https://git.example.evil.example/org/lib"));
    EXPECT_FALSE(shown("git@git.example:org/lib"));
}

class SubmodulesTest : public ::testing::Test {
protected:
    SubmodulesTest() { access.local_repositories = true; }

    static std::string line(const std::string& path, const std::string& url) {
        return "[submodule \"" + path + "\"]\n  path = " + path + "\n  url = " + url + "\n";
    }
    Revision filled(const Files& files) {
        remote.commit(files);
        auto revision = mirror.fetch({.branch = "main"}, access, {});
        return modules.fill(mirror, std::move(revision), access, {});
    }
    std::pair<ErrorKind, std::string> failure(const Files& files) {
        try {
            filled(files);
        } catch (const Error& error) {
            return {error.kind(), error.what()};
        }
        return {ErrorKind::internal, "it was filled"};
    }
    std::size_t folders() {
        std::error_code absent;
        std::size_t count = 0;
        for ([[maybe_unused]] const auto& entry :
             std::filesystem::directory_iterator{directory.path() / "modules", absent})
            ++count;
        return count;
    }

    Access access;
    testing::Repository remote;
    testing::Repository lib;
    testing::Repository inner;
    TemporaryDirectory directory;
    Mirror mirror{directory.path() / "mirror", remote.url()};
    Submodules modules{directory.path() / "modules"};
};

TEST_F(SubmodulesTest, AreReadInTheirPlaces) {
    const auto deep = inner.commit({{"z", "3"}});
    const auto old = lib.commit({{"y", "2"},
                                 {"inner", File::submodule(deep)},
                                 {".gitmodules", line("inner", inner.url())}});
    lib.commit({{"y", "newer, which nobody asked for"}});
    const Files files{{"a", "1"},
                      {"vendor/lib", File::submodule(old)},
                      {"elsewhere", File::submodule()},
                      {".gitmodules", line("vendor/lib", lib.url()) + line("gone", "../gone")}};
    const auto revision = filled(files);
    const Tree tree{mirror, revision};
    EXPECT_EQ(tree.read("vendor/lib/y"), "2");
    EXPECT_EQ(tree.read("vendor/lib/inner/z"), "3");
    EXPECT_FALSE(tree.find("elsewhere/x"));
    EXPECT_EQ(folders(), 2U);

    // The same commits are found with no server.
    std::filesystem::remove_all(lib.path());
    std::filesystem::remove_all(inner.path());
    Submodules later{directory.path() / "modules"};
    auto plain = mirror.fetch({.branch = "main"}, access, {});
    EXPECT_EQ(later.fill(mirror, std::move(plain), access, {}).tree, revision.tree);

    EXPECT_EQ(filled({{"a", "1"}}).parts.size(), 0U);
    EXPECT_EQ(folders(), 0U);
}

TEST_F(SubmodulesTest, RelativeUrlsAreOfTheirOwnRepository) {
    const auto commit = lib.commit({{"y", "2"}});
    const auto up = lib.path().parent_path().filename().string();
    const auto revision = filled({{"lib", File::submodule(commit)},
                                  {".gitmodules", line("lib", "../../" + up + "/repository.git")}});
    EXPECT_EQ((Tree{mirror, revision}.read("lib/y")), "2");
}

TEST_F(SubmodulesTest, FailureSaysWhichAndWhy) {
    const auto commit = lib.commit({{"y", "2"}});
    const auto absent = failure(
        {{"lib", File::submodule(std::string(40, 'a'))}, {".gitmodules", line("lib", lib.url())}});
    EXPECT_EQ(absent.first, ErrorKind::not_found);
    EXPECT_THAT(absent.second, HasSubstr("submodule 'lib': "));
    const auto hostile =
        failure({{"lib", File::submodule(commit)}, {".gitmodules", line("lib", "ext::sh")}});
    EXPECT_EQ(hostile.first, ErrorKind::invalid);
    EXPECT_EQ(failure({{".gitmodules", line("../lib", lib.url())}}).first, ErrorKind::invalid);
    EXPECT_EQ(failure({{".gitmodules", std::string(300'000, '#')}}).first, ErrorKind::exhausted);
}

TEST_F(SubmodulesTest, AreLimitedInDepthAndNumber) {
    // Each commit of `lib` has the one before as its submodule.
    auto commit = lib.commit({{"y", "0"}});
    for (std::size_t i = 0; i < Submodules::depth_limit; ++i)
        commit =
            lib.commit({{"m", File::submodule(commit)}, {".gitmodules", line("m", lib.url())}});
    const auto deep =
        failure({{"lib", File::submodule(commit)}, {".gitmodules", line("lib", lib.url())}});
    EXPECT_EQ(deep.first, ErrorKind::exhausted);
    EXPECT_THAT(deep.second, HasSubstr("too deep"));

    const auto one = inner.commit({{"z", "3"}});
    Files many;
    std::string lines;
    for (std::size_t i = 0; i <= Submodules::count_limit; ++i) {
        const auto path = "m" + std::to_string(i);
        many.emplace(path, File::submodule(one));
        lines += line(path, inner.url());
    }
    many.emplace(".gitmodules", lines);
    const auto wide = failure(many);
    EXPECT_EQ(wide.first, ErrorKind::exhausted);
    EXPECT_THAT(wide.second, HasSubstr("too many"));
}

}  // namespace
}  // namespace kled::gitops::git
