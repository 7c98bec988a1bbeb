#include "base/error.h"
#include "base/file.h"
#include "kustomize/build.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace kled::kustomize {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> cases() {
    std::vector<fs::path> folders;
    for (const auto& entry : fs::directory_iterator{KLED_SOURCE_DIR "/kustomize/testdata"}) {
        if (entry.is_directory()) folders.push_back(entry.path());
    }
    std::sort(folders.begin(), folders.end());
    return folders;
}

std::string build_directory(const fs::path& folder) {
    auto directory = folder / "input";
    if (auto path = read_file_if_exists(folder / "path")) {
        path->erase(path->find_last_not_of('\n') + 1);
        directory /= *path;
    }
    return build(DiskFiles{}, DiskFiles::path_of(directory)).to_yaml();
}

TEST(Golden, BuildsPrintWhatKustomizePrints) {
    const bool accept = std::getenv("KLED_ACCEPT") != nullptr;
    const auto folders = cases();
    ASSERT_GE(folders.size(), 60U);
    for (const auto& folder : folders) {
        SCOPED_TRACE(folder.filename().string());
        try {
            const auto text = build_directory(folder);
            if (accept) {
                write_file_atomic(folder / "expected.yaml", text);
            } else {
                EXPECT_EQ(text, read_file(folder / "expected.yaml"));
            }
        } catch (const Error& error) {
            ADD_FAILURE() << error.what();
        }
    }
    if (accept) GTEST_SKIP() << "expectations rewritten: review the difference";
}

}  // namespace
}  // namespace kled::kustomize
