/// A tree of files, each behind a line "=== path": builds, twice the same and in parts the same as
/// at once, or fails with an Error.
#include "base/error.h"
#include "kustomize/build.h"
#include "kustomize/builder.h"
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

/// Small enough that whatever a tree multiplies ends soon.
kustomize::BuildOptions options() {
    kustomize::BuildOptions options;
    options.limits = {.kustomizations = 200, .depth = 20, .objects = 2000, .bytes = 4U << 20U};
    return options;
}

std::optional<std::string> build(const kustomize::Files& files) {
    try {
        return kustomize::build(files, "", options()).to_yaml();
    } catch (const Error&) {
        return std::nullopt;
    }
}

std::optional<std::string> build_in_parts(const kustomize::Files& files) {
    try {
        return kustomize::Builder{"", options()}.build(files).to_yaml();
    } catch (const Error&) {
        return std::nullopt;
    }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const kustomize::MemoryFiles files{files_of(fuzz::text_of(data, size))};
    const auto first = build(files);
    if (build_in_parts(files) != first)
        fuzz::broken("a build in parts differs", fuzz::text_of(data, size));
    if (build(files) != first)
        fuzz::broken("two builds of one tree differ", fuzz::text_of(data, size));
    if (first) fuzz::accepted();
    return 0;
}
