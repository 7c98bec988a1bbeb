/// The text with `${}` in it as an author of manifests may write it; some variables are set.
#include "gitops/transform/envsubst.h"

#include "base/error.h"
#include "tests/fuzz/target.h"

#include <string>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace kled;
    const gitops::Lookup lookup = [](std::string_view name) -> std::optional<std::string> {
        if (name == "a")
            return "abc/d\xC3\xA9"
                   "f.tar.gz";
        if (name == "n") return "3";
        if (name == "e") return "";
        return std::nullopt;
    };
    const gitops::EnvsubstLimits limits{.depth = 20, .bytes = 65'536, .steps = 1'000'000};
    const auto text = fuzz::text_of(data, size);
    try {
        const auto result = gitops::envsubst(text, lookup, limits);
        fuzz::accepted();
        const bool nothing_to_do = text.find('$') == text.npos && text.find('\0') == text.npos;
        if (nothing_to_do && result != text) fuzz::broken("a text without '$' stays", text);
    } catch (const Error&) {
    }
    return 0;
}
