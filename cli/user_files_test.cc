#include "cli/user_files.h"

#include "base/file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace kled::cli {
namespace {

namespace fs = std::filesystem;

/// In the folder `here` of a new one, until it ends.
class UserFilesTest : public ::testing::Test {
protected:
    UserFilesTest() {
        fs::create_directories(folder / "here");
        fs::current_path(folder / "here");
    }
    ~UserFilesTest() override { fs::current_path(before); }

    /// What a message says of `file` to who builds `directory`.
    static std::string shown(const std::string& directory, const fs::path& file) {
        return UserFiles{directory}.display(UserFiles::path_of(file));
    }

    TemporaryDirectory directory;
    fs::path folder = fs::canonical(directory.path());
    fs::path before = fs::current_path();
};

TEST_F(UserFilesTest, AreNamedFromHereWhereTheDirectoryIs) {
    EXPECT_EQ(shown(".", "a.yaml"), "a.yaml");
    EXPECT_EQ(shown("../other", "../other/a.yaml"), "../other/a.yaml");
    EXPECT_EQ(shown("..", ".."), "..");
    EXPECT_EQ(shown("../other", "/etc/a.yaml"), "/etc/a.yaml");
}

TEST_F(UserFilesTest, AreNamedFromTheRootWhereTheDirectoryIs) {
    const auto other = (folder / "other/a.yaml").string();
    EXPECT_EQ(shown(folder / "other", other), other);
    EXPECT_EQ(shown(folder / "here", folder / "here/a.yaml"), "a.yaml") << "no name is shorter";
}

}  // namespace
}  // namespace kled::cli
