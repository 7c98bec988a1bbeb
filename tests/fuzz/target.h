/// What each fuzz target has: one function for one input, that says when the input was taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kled::fuzz {

/// The input got through what is tested, to the end. Every seed must get here, unless its name
/// begins with "bad-": those must not.
void accepted() noexcept;
[[nodiscard]] std::size_t accepted_count() noexcept;

/// A promise was not kept: prints and aborts, which a fuzzer takes for a crash.
[[noreturn]] void broken(std::string_view promise, std::string_view detail);

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) noexcept {
    return {reinterpret_cast<const char*>(data), size};
}

/// Cuts `text` behind its first line break; the line, and in `text` the rest.
inline std::string_view take_line(std::string_view& text) noexcept {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return line;
}

}  // namespace kled::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
