/// Runs a target over files, without a fuzzer: `seeds DIRECTORY...`. Fails unless every file is
/// accepted, and those named bad-* are not.
#include "base/file.h"
#include "tests/fuzz/target.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <vector>

int main(int argc, char** argv) {
    std::vector<std::filesystem::path> files;
    for (int i = 1; i < argc; ++i) {
        for (const auto& entry : std::filesystem::directory_iterator{argv[i]}) {
            files.push_back(entry.path());
        }
    }
    std::ranges::sort(files);
    int wrong = 0;
    for (const auto& file : files) {
        const auto content = kled::read_file(file);
        const auto before = kled::fuzz::accepted_count();
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(content.data()),
                               content.size());
        const bool taken = kled::fuzz::accepted_count() != before;
        const bool wanted = !file.filename().string().starts_with("bad-");
        if (taken == wanted) continue;
        std::fprintf(stderr, "%s: %s\n", file.c_str(), wanted ? "not accepted" : "accepted");
        ++wrong;
    }
    std::printf("%zu seeds, %zu accepted, %d wrong\n", files.size(), kled::fuzz::accepted_count(),
                wrong);
    return files.empty() || wrong != 0 ? 1 : 0;
}
