#include "gitops/transform/redactions.h"

#include "base/encoding.h"
#include "kube/object.h"

#include <algorithm>

namespace kled::gitops {

namespace {

constexpr std::string_view blank = " \t\r\n";
constexpr std::string_view between_words = " \t\r\n\"'[]{}(),:;=<>|";
constexpr std::size_t word = 8;        // with a digit: more likely a password than a word
constexpr std::size_t long_word = 16;  // whatever it is made of

/// What a parser takes out of a text and quotes.
bool telling(std::string_view part) {
    return part.size() >= long_word ||
           (part.size() >= word && part.find_first_of("0123456789") != std::string_view::npos);
}

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(blank);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

void replace_all(std::string& text, std::string_view what) {
    constexpr std::string_view mark = "***";
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + mark.size()))
        text.replace(at, what.size(), mark);
}

/// Without the quotes.
std::string escaped(std::string_view value) {
    const auto quoted = kube::to_json(kube::json::value(kube::json::string{value}));
    return quoted.substr(1, quoted.size() - 2);
}

}  // namespace

void Redactions::add(std::string_view value) {
    const std::scoped_lock lock{mutex_};
    const auto keep = [this](std::string_view part) {
        part = trimmed(part);
        if (part.size() >= shortest) values_.emplace_back(std::string{part});
    };
    keep(value);
    const auto whole = trimmed(value);
    if (whole.find_first_of(between_words) == std::string_view::npos) return;
    for (auto rest = whole; !rest.empty();) {
        const auto part = rest.substr(0, rest.find_first_of(between_words));
        rest.remove_prefix(std::min(part.size() + 1, rest.size()));
        if (telling(part)) keep(part);
    }
    if (whole.find('\n') == std::string_view::npos) return;
    for (auto rest = value; !rest.empty();) {
        const auto line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        keep(line);
    }
}

std::string Redactions::redact(std::string text) const {
    const std::scoped_lock lock{mutex_};
    std::vector<std::string_view> values;
    for (const auto& value : values_) values.push_back(value.reveal());
    // One that is part of another must not leave the rest of that one behind.
    std::ranges::stable_sort(values, std::ranges::greater{}, &std::string_view::size);
    for (const auto value : values) {
        replace_all(text, value);
        auto other = escaped(value);
        replace_all(text, other);
        wipe(other);
        other = to_base64(value);
        while (other.ends_with('=')) other.pop_back();
        replace_all(text, other);
        wipe(other);
    }
    return text;
}

}  // namespace kled::gitops
