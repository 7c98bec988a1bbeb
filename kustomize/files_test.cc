#include "kustomize/files.h"

#include "base/error.h"
#include "base/file.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace kled::kustomize {
namespace {

namespace fs = std::filesystem;

TEST(Resolve, TakesAwayDotsAndStaysInsideTheRoot) {
    EXPECT_EQ(resolve("a/b", "../c/./d"), "a/c/d");
    EXPECT_EQ(resolve("", "x//y/"), "x/y");
    EXPECT_EQ(resolve("a", "/b"), "b");
    EXPECT_EQ(resolve("a", ".."), "");
    EXPECT_EQ(resolve("a", "../.."), std::nullopt);
}

TEST(MemoryFiles, ImplyTheirDirectories) {
    const MemoryFiles files{{{"a/x", "1"}, {"a-b", "2"}, {"a/y/z", "3"}}};
    EXPECT_EQ(files.find("a")->kind, Files::Kind::directory);
    EXPECT_EQ(files.find("a/y/z")->kind, Files::Kind::file);
    EXPECT_FALSE(files.find("a/y/q"));
    EXPECT_EQ(files.list(""), (std::vector<std::string>{"a", "a-b"}));
    EXPECT_EQ(files.list("a"), (std::vector<std::string>{"x", "y"}));
    EXPECT_EQ(files.read("a/x"), "1");
}

TEST(DiskFiles, FollowLinksAndSeeNoDevices) {
    const TemporaryDirectory directory;
    write_file_atomic(directory.path() / "file", "text");
    fs::create_symlink("file", directory.path() / "link");
    fs::create_symlink("nowhere", directory.path() / "dangling");
    const DiskFiles files;
    const auto root = DiskFiles::path_of(directory.path().string());
    EXPECT_EQ(files.find(root + "/link")->path, root + "/file");
    EXPECT_FALSE(files.find(root + "/dangling"));
    EXPECT_FALSE(files.find("dev/zero"));
    EXPECT_EQ(files.read(root + "/file"), "text");
    EXPECT_EQ(files.list(root), (std::vector<std::string>{"dangling", "file", "link"}));
}

TEST(DiskFiles, RefuseAFileOverTheLimit) {
    const TemporaryDirectory directory;
    write_file_atomic(directory.path() / "big", std::string(100, 'x'));
    const DiskFiles files{99};
    EXPECT_THROW((void)files.read(DiskFiles::path_of((directory.path() / "big").string())), Error);
}

}  // namespace
}  // namespace kled::kustomize
