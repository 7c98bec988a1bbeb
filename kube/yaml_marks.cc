// What is remembered of how a YAML text is written, for those who print it again.
#include "base/error.h"
#include "kube/yaml.h"

#include <algorithm>
#include <functional>

namespace kled::kube {

std::size_t quoted_mark(std::string_view key, std::string_view value) noexcept {
    const std::hash<std::string_view> hash;
    return hash(key) * 0x9E3779B97F4A7C15U ^ hash(value);
}

std::size_t nothing_mark(std::string_view key) noexcept { return ~quoted_mark(key, ""); }

std::size_t spelling_mark(std::string_view key, const json::value& value) {
    return quoted_mark(key, to_json(value));
}

namespace {

/// Whether yaml.v3 writes a text as a block and not in quotes.
bool may_be_a_block(std::string_view text) {
    if (text.ends_with(' ') || text.find(" \n") != text.npos) return false;
    return std::ranges::all_of(text, [](unsigned char c) {
        return c == '\n' || c == '\t' || (c >= ' ' && c < 0x7F) || (c >= 0x80 && c < 0xF0);
    });
}

}  // namespace

std::string refolded(const std::string& text) {
    const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
    const bool is_plain_prose = !text.starts_with(' ') && !text.starts_with('\n') &&
                                !text.ends_with("\n\n") && text.find("\n ") == text.npos &&
                                text.find("\n\t") == text.npos;
    if (is_plain_prose || !may_be_a_block(text)) return text;
    std::string written = "a: >";
    if (text.starts_with(' ') || text.starts_with('\n')) written += '2';
    if (!text.ends_with('\n')) written += '-';
    if (text == "\n" || text.ends_with("\n\n")) written += '+';
    written += '\n';
    const auto start = text.find_first_not_of('\n');
    const bool doubles = start != text.npos && !is_blank(text[start]);
    bool breaks = true;
    bool further_in = true;
    for (const auto c : text) {
        if (c == '\n') {
            if (!breaks && !further_in && doubles) written += '\n';
            breaks = true;
        } else if (breaks) {
            written += "  ";
            further_in = is_blank(c);
            breaks = false;
        }
        written += c;
    }
    try {
        return std::string{parse_yaml(written).get_object().at("a").get_string()};
    } catch (const Error&) {
        return text;  // a tab where the first line begins: kustomize cannot read it either
    }
}

}  // namespace kled::kube
