#include "base/error.h"
#include "kube/unicode.h"
#include "kube/yaml.h"
#include "kube/yaml_scalar.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace kled::kube {

namespace {

struct CodePoint {
    std::uint32_t value = 0;
    std::size_t size = 0;  ///< 0: not UTF-8
};

CodePoint decode(std::string_view text, std::size_t at) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
    const auto lead = byte(0);
    if (lead < 0x80) return {lead, 1};
    const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || at + size > text.size()) return {};
    std::uint32_t value = lead & (0x7FU >> size);
    for (std::size_t i = 1; i != size; ++i) {
        if ((byte(i) & 0xC0U) != 0x80) return {};
        value = value << 6U | (byte(i) & 0x3FU);
    }
    constexpr std::array<std::uint32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
    if (value < least[size] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return {};
    return {value, size};
}

// The order of keys: sorter.go of go.yaml.in/yaml/v2.

bool is_letter(std::uint32_t c) noexcept {
    if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return is_unicode_letter(c);
}

bool is_number(std::uint32_t c) noexcept {
    return c < 0x80 ? c >= '0' && c <= '9' : is_unicode_digit(c);
}

/// The digits of `text` from `at` on, continued from `number` (Go's int64, wrapping), and how many.
std::pair<std::int64_t, std::size_t> digit_run(std::string_view text, std::size_t at,
                                               std::uint64_t number) noexcept {
    std::size_t count = 0;
    while (at < text.size()) {
        const auto c = decode(text, at);
        if (c.size == 0 || !is_number(c.value)) break;
        number = number * 10 + (c.value - '0');
        at += c.size;
        ++count;
    }
    return {static_cast<std::int64_t>(number), count};
}

/// Whether the digits just before `at` hold one that is not 0.
bool follows_digits(std::string_view text, std::size_t at) noexcept {
    while (at > 0) {
        do --at;
        while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80);
        const auto c = decode(text, at).value;
        if (!is_number(c)) return false;
        if (c != '0') return true;
    }
    return false;
}

bool natural_less(std::string_view a, std::string_view b) noexcept {
    const auto shorter = std::min(a.size(), b.size());
    auto at = static_cast<std::size_t>(
        std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(shorter), b.begin())
            .first -
        a.begin());
    if (at == shorter) return a.size() < b.size();
    const auto continues = [at](std::string_view text) {
        return (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80;
    };
    if (continues(a) || continues(b)) {
        do --at;
        while (at > 0 && (static_cast<unsigned char>(a[at]) & 0xC0U) == 0x80);
    }
    const auto ca = decode(a, at).value;
    const auto cb = decode(b, at).value;
    const bool letter_a = is_letter(ca);
    const bool letter_b = is_letter(cb);
    if (letter_a && letter_b) return ca < cb;
    if (letter_a || letter_b) return letter_b;
    const std::uint64_t before = (ca == '0' || cb == '0') && follows_digits(a, at) ? 1 : 0;
    const auto [number_a, count_a] = digit_run(a, at, before);
    const auto [number_b, count_b] = digit_run(b, at, before);
    if (number_a != number_b) return number_a < number_b;
    if (count_a != count_b) return count_a < count_b;
    return ca < cb;
}

using Entry = const json::key_value_pair*;

/// natural_less is not transitive (v10 < v1beta1 < v2 < v10), so the result depends on the
/// algorithm: ours starts from byte order and inserts, which gives what Go prints most often. Past
/// what insertion can do in reasonable time, merging; std::sort would be undefined.
std::vector<Entry> sorted_entries(const json::object& object) {
    const auto key = [](Entry entry) { return std::string_view{entry->key()}; };
    std::vector<Entry> entries;
    entries.reserve(object.size());
    for (const auto& entry : object) entries.push_back(&entry);
    std::ranges::sort(entries, {}, key);
    if (entries.size() > 1000) {
        std::ranges::stable_sort(entries, natural_less, key);
        return entries;
    }
    for (auto next = entries.begin(); next != entries.end(); ++next) {
        for (auto at = next; at != entries.begin() && natural_less(key(*at), key(*(at - 1)));
             --at) {
            std::iter_swap(at, at - 1);
        }
    }
    return entries;
}

constexpr std::uint32_t byte_order_mark = 0xFEFF;

constexpr bool is_break(std::uint32_t c) noexcept {
    return c == '\n' || c == '\r' || c == 0x85 || c == 0x2028 || c == 0x2029;
}

constexpr bool is_printable(std::uint32_t c) noexcept {
    return c == '\n' || (c >= 0x20 && c <= 0x7E) || (c >= 0xA0 && c <= 0xD7FF) ||
           (c >= 0xE000 && c <= 0xFFFD && c != byte_order_mark);
}

/// What yaml_emitter_analyze_scalar finds, as far as block context needs it.
struct Analysis {
    bool multiline = false;
    bool plain = true;
    bool single_quoted = true;
    bool literal = true;
};

Analysis analyze(std::string_view text) {
    Analysis result;
    if (text.empty()) {
        result.literal = false;
        return result;
    }
    bool indicators = text.starts_with("---") || text.starts_with("...");
    bool special = false;
    bool space_break = false;
    bool break_space = false;
    bool after_space = false;
    bool after_break = false;
    bool after_blank = true;
    for (std::size_t at = 0; at < text.size();) {
        const auto [c, size] = decode(text, at);
        if (size == 0) throw Error{ErrorKind::invalid, "YAML: a text is not UTF-8"};
        const bool first = at == 0;
        at += size;
        const bool before_blank = at == text.size() || text[at] == ' ' || text[at] == '\t';
        switch (c) {
            case ',':
            case '[':
            case ']':
            case '{':
            case '}':
            case '&':
            case '*':
            case '!':
            case '|':
            case '>':
            case '\'':
            case '"':
            case '%':
            case '@':
            case '`': indicators |= first; break;
            case '-':
            case '?': indicators |= first && before_blank; break;
            case ':': indicators |= before_blank; break;
            case '#': indicators |= after_blank; break;
            default: special |= !is_printable(c);
        }
        if (c == ' ') {
            break_space |= after_break;
            after_space = true;
            after_break = false;
        } else if (is_break(c)) {
            result.multiline = true;
            space_break |= after_space;
            after_space = false;
            after_break = true;
        } else {
            after_space = after_break = false;
        }
        after_blank = c == ' ' || c == '\t' || c == 0 || is_break(c);
    }
    // A break at either end, which forbids a plain scalar too, is `multiline`.
    const bool outer_space = text.front() == ' ' || text.back() == ' ';
    result.plain = !indicators && !outer_space && !result.multiline && !space_break && !special;
    result.single_quoted = !break_space && !space_break && !special;
    result.literal = text.back() != ' ' && !space_break && !special;
    return result;
}

bool resolves_to_text(std::string_view text) {
    return resolve_scalar(text, YamlDialect::configuration).kind == ScalarKind::string &&
           !is_base60(text);
}

/// The emitter of libyaml 0.2.5, and so of Go's port of it, in block style with indent 2 and width
/// 80. Why not libyaml's: docs/decisions/010-yaml.md.
class Emitter {
public:
    explicit Emitter(std::string& out) : out_{out} {}

    void document(const json::value& root) {
        node(root, 0, Place::root);
        if (column_ != 0) out_ += '\n';
    }
    void document(const json::object& root) {
        if (root.empty()) {
            put("{}");
        } else {
            mapping(root, 0, false);
        }
        if (column_ != 0) out_ += '\n';
        column_ = 0;
    }

private:
    static constexpr std::size_t width = 80;
    static constexpr std::size_t step = 2;
    static constexpr std::size_t longest_simple_key = 128;

    enum class Place {
        root,
        after_key,        ///< behind `key:`
        after_indicator,  ///< behind `-`, `?` or the `:` of an explicit key: a block goes on here
    };

    void put(std::string_view ascii) {
        out_ += ascii;
        column_ += ascii.size();
    }

    void line_at(std::size_t indent) {
        if (column_ != 0) out_ += '\n';
        out_.append(indent, ' ');
        column_ = indent;
    }

    /// To the place of a block's next entry: its own line, or behind the indicator it starts at.
    void entry_at(std::size_t indent, bool here) {
        if (!here) return line_at(indent);
        out_.append(indent - column_, ' ');
        column_ = indent;
    }

    /// `indent`: of the collection that holds the value.
    void node(const json::value& value, std::size_t indent, Place place) {
        const bool here = place == Place::after_indicator;
        if (const auto* object = value.if_object(); object != nullptr && !object->empty()) {
            return mapping(*object, place == Place::root ? 0 : indent + step, here);
        }
        if (const auto* array = value.if_array(); array != nullptr && !array->empty()) {
            return sequence(*array, here ? indent + step : indent, here);
        }
        if (place != Place::root) put(" ");
        scalar(value, indent + step);
    }

    void sequence(const json::array& array, std::size_t indent, bool here) {
        for (const auto& item : array) {
            entry_at(indent, here);
            here = false;
            put("-");
            node(item, indent, Place::after_indicator);
        }
    }

    void mapping(const json::object& object, std::size_t indent, bool here) {
        for (const auto* entry : sorted_entries(object)) {
            entry_at(indent, here);
            here = false;
            const std::string_view key = entry->key();
            const auto analysis = analyze(key);
            if (!analysis.multiline && key.size() <= longest_simple_key) {
                text(key, analysis, indent + step, true);
                put(":");
                node(entry->value(), indent, Place::after_key);
            } else {
                put("? ");
                text(key, analysis, indent + step, false);
                line_at(indent);
                put(":");
                node(entry->value(), indent, Place::after_indicator);
            }
        }
    }

    void scalar(const json::value& value, std::size_t indent) {
        switch (value.kind()) {
            case json::kind::null: put("null"); break;
            case json::kind::bool_: put(value.get_bool() ? "true" : "false"); break;
            case json::kind::int64: put(std::to_string(value.get_int64())); break;
            case json::kind::uint64: put(std::to_string(value.get_uint64())); break;
            case json::kind::double_: number(value.get_double()); break;
            case json::kind::string: {
                const std::string_view string = value.get_string();
                text(string, analyze(string), indent, false);
                break;
            }
            case json::kind::array: put("[]"); break;
            case json::kind::object: put("{}"); break;
        }
    }

    void number(double number) {
        if (!std::isfinite(number)) {
            throw Error{ErrorKind::invalid, "YAML: a number is infinite or not a number"};
        }
        const auto value = number_value(number);
        if (value.is_double()) return put(general_number(number));
        scalar(value, 0);
    }

    void text(std::string_view text, const Analysis& analysis, std::size_t indent,
              bool simple_key) {
        if (text.find('\n') != std::string_view::npos) {
            if (analysis.literal && !simple_key) return literal(text, indent);
            return double_quoted(text, indent, simple_key);
        }
        if (!resolves_to_text(text)) return double_quoted(text, indent, simple_key);
        if (analysis.plain) return plain(text, indent, simple_key);
        if (analysis.single_quoted) return single_quoted(text, indent, simple_key);
        double_quoted(text, indent, simple_key);
    }

    void copy(std::string_view text, std::size_t at, std::size_t size) {
        out_.append(text, at, size);
        ++column_;
    }

    /// A lone space past the width, where a line may end.
    [[nodiscard]] bool folds(std::string_view text, std::size_t at, bool after_space,
                             bool simple_key) const noexcept {
        return !simple_key && !after_space && column_ > width && at != 0 && at + 1 != text.size();
    }

    void plain(std::string_view text, std::size_t indent, bool simple_key) {
        if (simple_key || column_ + text.size() <= width) {  // bytes are at least columns
            out_ += text;
            column_ += static_cast<std::size_t>(std::ranges::count_if(
                text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80; }));
            return;
        }
        bool after_space = false;
        for (std::size_t at = 0; at < text.size();) {
            const auto size = decode(text, at).size;
            const bool space = text[at] == ' ';
            if (space && folds(text, at, after_space, simple_key) && text[at + 1] != ' ') {
                line_at(indent);
            } else {
                copy(text, at, size);
            }
            after_space = space;
            at += size;
        }
    }

    void single_quoted(std::string_view text, std::size_t indent, bool simple_key) {
        put("'");
        bool after_space = false;
        bool after_break = false;
        for (std::size_t at = 0; at < text.size();) {
            const auto [c, size] = decode(text, at);
            if (is_break(c)) {
                out_.append(text, at, size);
                column_ = 0;
                after_break = true;
            } else if (c == ' ') {
                if (folds(text, at, after_space, simple_key) && text[at + 1] != ' ') {
                    line_at(indent);
                } else {
                    copy(text, at, size);
                }
                after_space = true;
            } else {
                if (after_break) line_at(indent);
                if (c == '\'') put("'");
                copy(text, at, size);
                after_space = after_break = false;
            }
            at += size;
        }
        put("'");
    }

    void double_quoted(std::string_view text, std::size_t indent, bool simple_key) {
        // Go tests the first character for each one, so after a leading mark all are escaped.
        const bool escape_all = text.starts_with("\xEF\xBB\xBF");
        put("\"");
        bool after_space = false;
        for (std::size_t at = 0; at < text.size();) {
            const auto [c, size] = decode(text, at);
            if (escape_all || !is_printable(c) || is_break(c) || c == '"' || c == '\\') {
                escape(c);
                after_space = false;
            } else if (c == ' ') {
                if (folds(text, at, after_space, simple_key)) {
                    line_at(indent);
                    if (text[at + 1] == ' ') put("\\");
                } else {
                    copy(text, at, size);
                }
                after_space = true;
            } else {
                copy(text, at, size);
                after_space = false;
            }
            at += size;
        }
        put("\"");
    }

    void escape(std::uint32_t c) {
        switch (c) {
            case 0: return put("\\0");
            case '\a': return put("\\a");
            case '\b': return put("\\b");
            case '\t': return put("\\t");
            case '\n': return put("\\n");
            case '\v': return put("\\v");
            case '\f': return put("\\f");
            case '\r': return put("\\r");
            case 0x1B: return put("\\e");
            case '"': return put("\\\"");
            case '\\': return put("\\\\");
            case 0x85: return put("\\N");
            case 0xA0: return put("\\_");
            case 0x2028: return put("\\L");
            case 0x2029: return put("\\P");
            default: break;
        }
        constexpr std::string_view digits = "0123456789ABCDEF";
        put(c <= 0xFF ? "\\x" : c <= 0xFFFF ? "\\u" : "\\U");
        for (int shift = c <= 0xFF ? 4 : c <= 0xFFFF ? 12 : 28; shift >= 0; shift -= 4) {
            put(digits.substr(c >> static_cast<unsigned>(shift) & 0xFU, 1));
        }
    }

    void literal(std::string_view text, std::size_t indent) {
        put("|");
        if (text.front() == ' ' || is_break(decode(text, 0).value)) put("2");
        if (text.back() != '\n' && !ends_in_break(text)) {
            put("-");
        } else if (const auto head = without_last(text); head.empty() || ends_in_break(head)) {
            put("+");
        }
        out_ += '\n';
        column_ = 0;
        bool after_break = true;
        for (std::size_t at = 0; at < text.size();) {
            const auto [c, size] = decode(text, at);
            if (is_break(c)) {
                out_.append(text, at, size);
                column_ = 0;
                after_break = true;
            } else {
                if (after_break) line_at(indent);
                after_break = false;
                copy(text, at, size);
            }
            at += size;
        }
    }

    static std::string_view without_last(std::string_view text) noexcept {
        auto size = text.size() - 1;
        while ((static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80) --size;
        return text.substr(0, size);
    }

    static bool ends_in_break(std::string_view text) noexcept {
        return is_break(decode(text, without_last(text).size()).value);
    }

    std::string& out_;
    std::size_t column_ = 0;
};

}  // namespace

std::string to_yaml(const json::value& value) {
    std::string out;
    Emitter{out}.document(value);
    return out;
}

std::string to_yaml_stream(const std::vector<const json::object*>& documents) {
    std::string out;
    for (const auto* document : documents) {
        if (!out.empty()) out += "---\n";
        Emitter{out}.document(*document);
    }
    return out;
}

}  // namespace kled::kube
