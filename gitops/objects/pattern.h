/// Patterns that users write into objects.
#pragma once

#include <memory>
#include <string>

namespace re2 {
class RE2;
}

namespace kled::gitops {

/// Of what RE2 makes of a pattern: what each byte of a text may cost.
inline constexpr int pattern_size_limit = 2'000;

/// By RE2's rules, as Go's regexp. Error(invalid) naming `field`.
[[nodiscard]] std::shared_ptr<const re2::RE2> compile_pattern(const std::string& text,
                                                              const std::string& field);

}  // namespace kled::gitops
