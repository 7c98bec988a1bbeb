// Read back by the system's tar: what we write has to be a tar to others.
#include "gitops/git/archive.h"

#include "base/error.h"
#include "base/file.h"
#include "gitops/git/testing.h"

#include <boost/system/system_error.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>

namespace kled::gitops::git {
namespace {

using ::testing::ElementsAre;
using testing::File;
using testing::Files;

File program(std::string text) {
    File file{std::move(text)};
    file.mode = GIT_FILEMODE_BLOB_EXECUTABLE;
    return file;
}

class ArchiveTest : public ::testing::Test {
protected:
    Revision fetch(const Files& files) {
        remote.commit(files);
        Access access;
        access.local_repositories = true;
        return mirror.fetch({.branch = "main"}, access, {});
    }
    std::string archive(const Revision& revision, const ArchiveLimits& limits = {},
                        const std::stop_token& stop = {}) {
        const Tree tree{mirror, revision, limits.file};
        std::string bytes;
        const Sink sink = [&](std::string_view piece) { bytes += piece; };
        write_archive(tree, sink, stop, limits);
        return bytes;
    }
    /// What `tar` says of it, a line each.
    std::vector<std::string> tar(const std::string& bytes, const std::string& flags) {
        const auto file = directory.path() / "a.tar.gz";
        write_file_atomic(file, bytes);
        const auto command = "TZ=UTC LC_ALL=C.UTF-8 tar " + flags + " " + file.string();
        std::vector<std::string> lines;
        auto* pipe = ::popen(command.c_str(), "r");
        std::array<char, 1024> line{};
        while (std::fgets(line.data(), line.size(), pipe) != nullptr) {
            lines.emplace_back(line.data());
            lines.back().pop_back();
        }
        EXPECT_EQ(::pclose(pipe), 0);
        return lines;
    }

    testing::Repository remote;
    TemporaryDirectory directory;
    Mirror mirror{directory.path() / "mirror", remote.url()};
};

TEST_F(ArchiveTest, IsWhatFluxMakesOfATree) {
    const auto bytes = archive(fetch({{"b.yaml", "bb"},
                                      {"a/run.sh", program("#!")},
                                      {"a.yaml", "a"},
                                      {"link", File::link("b.yaml")},
                                      {"module", File::submodule()}}));
    EXPECT_THAT(tar(bytes, "--full-time --numeric-owner -tvzf"),
                ElementsAre("drwxr-x--- 0/0               0 1970-01-01 00:00:00 .",
                            "drwxr-x--- 0/0               0 1970-01-01 00:00:00 a",
                            "-rwx------ 0/0               2 1970-01-01 00:00:00 a/run.sh",
                            "-rw------- 0/0               1 1970-01-01 00:00:00 a.yaml",
                            "-rw------- 0/0               2 1970-01-01 00:00:00 b.yaml"));
}

TEST_F(ArchiveTest, HoldsEveryByte) {
    std::string large(300'000, 'x');
    for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * i >> 3U);
    const auto bytes =
        archive(fetch({{"empty", ""}, {"block", std::string(512, 'b')}, {"z", large}}));
    const auto out = directory.path() / "out";
    make_directories(out);
    tar(bytes, "-C " + out.string() + " -xzf");
    EXPECT_EQ(read_file(out / "empty"), "");
    EXPECT_EQ(read_file(out / "block"), std::string(512, 'b'));
    EXPECT_EQ(read_file(out / "z"), large);
}

TEST_F(ArchiveTest, NamesOfAnyLengthAndScript) {
    const std::string deep = std::string(90, 'd') + "/" + std::string(60, 'e');
    const auto bytes = archive(fetch({{deep, "1"}, {"größe", "2"}}));
    EXPECT_THAT(tar(bytes, "--quoting-style=literal -tzf"),
                ElementsAre(".", std::string(90, 'd'), deep, "größe"));
}

TEST_F(ArchiveTest, LeavesOutWhatTheRulesLeaveOut) {
    auto revision = fetch({{".github/ci.yaml", "x"}, {"a.yaml", "a"}, {"p.png", "x"}});
    EXPECT_THAT(tar(archive(revision), "-tzf"), ElementsAre(".", "a.yaml"));
    revision =
        fetch({{"a.yaml", "a"}, {"docs/guide", "x"}, {"docs/keep.yaml", "x"}, {"p.png", "x"}});
    revision.ignore = "docs/*\n!docs/keep.yaml\n";
    EXPECT_THAT(tar(archive(revision), "-tzf"),
                ElementsAre(".", "a.yaml", "docs", "docs/keep.yaml", "p.png"));
    revision.ignore = {};
    revision.sparse = {"docs"};
    EXPECT_THAT(tar(archive(revision), "-tzf"),
                ElementsAre(".", "docs", "docs/guide", "docs/keep.yaml"));
}

TEST_F(ArchiveTest, TheSameTreeGivesTheSameBytes) {
    const auto one = archive(fetch({{"a/b", "1"}, {"c", "2"}}));
    fetch({{"a/b", "other"}});
    EXPECT_EQ(archive(fetch({{"a/b", "1"}, {"c", "2"}})), one);
}

TEST_F(ArchiveTest, HasLimitsAndCanBeStopped) {
    const auto revision = fetch({{"a", std::string(3000, 'a')}, {"b", std::string(3000, 'b')}});
    EXPECT_THROW(archive(revision, {.file = 1000, .total = 100'000}), Error);
    EXPECT_THROW(archive(revision, {.file = 5000, .total = 5000}), Error);
    std::stop_source stop;
    stop.request_stop();
    EXPECT_THROW(archive(revision, {}, stop.get_token()), boost::system::system_error);
}

}  // namespace
}  // namespace kled::gitops::git
