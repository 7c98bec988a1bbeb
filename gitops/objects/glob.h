/// Shell patterns as Go's path.Match reads them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace kled::gitops {

/// A code point, as Go's utf8 decodes it: what is no UTF-8 is one byte and U+FFFD. Of an empty
/// text: no byte and 0.
struct Rune {
    static constexpr std::uint32_t replacement = 0xFFFD;
    std::uint32_t point = 0;
    std::size_t width = 0;

    static Rune first_of(std::string_view text) noexcept;
};

/// `*` any text, `?` one code point, `[a-z]` and `[^a-z]` one of a class, `\` makes the next
/// literal.
/// '/' is a character like any other: match one name at a time where it is not.
/// nullopt: the pattern is malformed, as far as the text made it be read.
/// `steps` counts the work and may throw to end it.
template <typename Steps>
class Glob {
public:
    Glob(std::string_view pattern, Steps steps) : pattern_{pattern}, steps_{steps} {}

    [[nodiscard]] std::optional<bool> matches(std::string_view name) const {
        auto rest = pattern_;
        while (!rest.empty()) {
            bool star = false;
            while (rest.starts_with('*')) {
                rest.remove_prefix(1);
                star = true;
            }
            const auto chunk = rest.substr(0, chunk_length(rest));
            rest.remove_prefix(chunk.size());
            if (star && chunk.empty()) return true;
            // Behind a star at every place, otherwise here; the last chunk must reach the end.
            bool found = false;
            for (std::size_t skip = 0; skip <= (star ? name.size() : 0); ++skip) {
                const auto after = match_chunk(chunk, name.substr(skip));
                if (!after) return std::nullopt;
                if (!*after || (rest.empty() && !(*after)->empty())) continue;
                name = **after;
                found = true;
                break;
            }
            if (!found) return false;
        }
        return name.empty();
    }

private:
    static std::size_t chunk_length(std::string_view pattern) {
        bool in_class = false;
        std::size_t i = 0;
        for (; i < pattern.size(); ++i) {
            switch (pattern[i]) {
                case '\\': i += i + 1 < pattern.size() ? 1 : 0; break;
                case '[': in_class = true; break;
                case ']': in_class = false; break;
                case '*':
                    if (!in_class) return i;
                    break;
                default: break;
            }
        }
        return i;
    }

    using Rest = std::optional<std::string_view>;

    /// What follows a match at the beginning of `text`; inner nullopt: no match; outer: malformed.
    [[nodiscard]] std::optional<Rest> match_chunk(std::string_view chunk,
                                                  std::string_view text) const {
        steps_(1);
        while (!chunk.empty()) {
            steps_(1);
            if (text.empty()) return Rest{};
            switch (chunk.front()) {
                case '[': {
                    const auto rune = Rune::first_of(text);
                    text.remove_prefix(rune.width);
                    chunk.remove_prefix(1);
                    const auto in = match_class(chunk, rune.point);
                    if (!in) return std::nullopt;
                    if (!*in) return Rest{};
                    continue;
                }
                case '?':
                    text.remove_prefix(Rune::first_of(text).width);
                    chunk.remove_prefix(1);
                    continue;
                case '\\':
                    chunk.remove_prefix(1);
                    if (chunk.empty()) return std::nullopt;
                    break;
                default: break;
            }
            if (chunk.front() != text.front()) return Rest{};
            text.remove_prefix(1);
            chunk.remove_prefix(1);
        }
        return Rest{text};
    }

    /// `chunk` is behind the '['; afterwards behind the ']'.
    std::optional<bool> match_class(std::string_view& chunk, std::uint32_t point) const {
        const bool negated = chunk.starts_with('^');
        if (negated) chunk.remove_prefix(1);
        bool in = false;
        for (bool first = true;; first = false) {
            steps_(1);
            if (!first && chunk.starts_with(']')) {
                chunk.remove_prefix(1);
                return in != negated;
            }
            const auto low = class_member(chunk);
            if (!low) return std::nullopt;
            auto high = low;
            if (chunk.front() == '-') {
                chunk.remove_prefix(1);
                high = class_member(chunk);
                if (!high) return std::nullopt;
            }
            in = in || (*low <= point && point <= *high);
        }
    }

    static std::optional<std::uint32_t> class_member(std::string_view& chunk) {
        if (chunk.empty() || chunk.front() == '-' || chunk.front() == ']') return std::nullopt;
        if (chunk.front() == '\\') chunk.remove_prefix(1);
        const auto rune = Rune::first_of(chunk);
        if (rune.width == 0 || (rune.point == Rune::replacement && rune.width == 1))
            return std::nullopt;
        chunk.remove_prefix(rune.width);
        if (chunk.empty()) return std::nullopt;  // the class is not closed
        return rune.point;
    }

    std::string_view pattern_;
    Steps steps_;
};

inline Rune Rune::first_of(std::string_view text) noexcept {
    if (text.empty()) return {};
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const auto first = byte(0);
    if (first < 0x80) return {first, 1};
    const std::size_t width = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    constexpr std::uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    std::uint32_t point = first & (0xFFU >> (width + 1));
    if (first < 0xC2 || first > 0xF4 || text.size() < width) return {replacement, 1};
    for (std::size_t i = 1; i < width; ++i) {
        if ((byte(i) & 0xC0U) != 0x80) return {replacement, 1};
        point = point << 6U | (byte(i) & 0x3FU);
    }
    const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
    if (point < smallest[width] || point > 0x10FFFF || surrogate) return {replacement, 1};
    return {point, width};
}

}  // namespace kled::gitops
