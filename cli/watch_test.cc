#include "cli/watch.h"

#include "base/file.h"
#include "kustomize/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace kled::cli {
namespace {

using testing::Contains;

TEST(Watch, SeesFilesThatChangeComeAndGo) {
    const TemporaryDirectory directory;
    const auto path = [&](const char* name) {
        return kustomize::DiskFiles::path_of(directory.path() / name);
    };
    write_file_atomic(directory.path() / "there", "1");
    Watch watch;
    watch.add({path("there"), path("new/deep/file")});
    write_file_atomic(directory.path() / "there", "2");
    EXPECT_THAT(watch.wait(), Contains(path("there")));
    std::filesystem::remove(directory.path() / "there");
    EXPECT_THAT(watch.wait(), Contains(path("there")));
    make_directories(directory.path() / "new");
    EXPECT_THAT(watch.wait(), Contains(path("new")));
    watch.add({path("new/deep/file")});
    make_directories(directory.path() / "new/deep");
    EXPECT_THAT(watch.wait(), Contains(path("new/deep")));
    watch.add({path("new/deep/file")});
    write_file_atomic(directory.path() / "new/deep/file", "x");
    EXPECT_THAT(watch.wait(), Contains(path("new/deep/file")));
}

}  // namespace
}  // namespace kled::cli
