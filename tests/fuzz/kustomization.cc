/// A tree of files, each behind a line "=== path": builds, twice the same, or fails with an Error.
#include "base/error.h"
#include "kustomize/build.h"
#include "kustomize/files.h"
#include "tests/fuzz/target.h"

#include <map>
#include <optional>
#include <string>

namespace {

using namespace kled;

std::map<std::string, std::string> files_of(std::string_view text) {
    constexpr std::string_view mark = "=== ";
    std::map<std::string, std::string> files;
    std::string* content = nullptr;
    while (!text.empty()) {
        const auto line = fuzz::take_line(text);
        if (line.starts_with(mark)) {
            const auto path = kustomize::resolve("", line.substr(mark.size()));
            content = path ? &files[*path] : nullptr;
        } else if (content != nullptr) {
            content->append(line).append("\n");
        }
    }
    return files;
}

std::optional<std::string> build(const kustomize::Files& files) {
    try {
        return kustomize::build(files, "").to_yaml();
    } catch (const Error&) {
        return std::nullopt;
    }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const kustomize::MemoryFiles files{files_of(fuzz::text_of(data, size))};
    const auto first = build(files);
    if (build(files) != first)
        fuzz::broken("two builds of one tree differ", fuzz::text_of(data, size));
    if (first) fuzz::accepted();
    return 0;
}
