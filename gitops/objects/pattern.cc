#include "gitops/objects/pattern.h"

#include "base/error.h"

#include <re2/re2.h>

#include <cstddef>
#include <cstdint>

namespace kled::gitops {

namespace {

constexpr std::int64_t pattern_memory = 1 << 20;
constexpr std::size_t text_limit = 1'024;

}  // namespace

std::shared_ptr<const re2::RE2> compile_pattern(const std::string& text, const std::string& field) {
    if (text.size() > text_limit)
        throw Error{ErrorKind::invalid,
                    field + ": has more than " + std::to_string(text_limit) + " bytes"};
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(pattern_memory);
    auto pattern = std::make_shared<const re2::RE2>(text, options);
    if (!pattern->ok())
        throw Error{ErrorKind::invalid, field + ": '" + text + "': " + pattern->error()};
    if (pattern->ProgramSize() > pattern_size_limit)
        throw Error{ErrorKind::invalid, field + ": '" + text + "' is too large a pattern"};
    return pattern;
}

}  // namespace kled::gitops
