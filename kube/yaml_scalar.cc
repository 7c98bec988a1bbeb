#include "kube/yaml_scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

namespace kled::kube {

namespace {

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// Takes from the front of `text` as many characters as `accepts` likes.
template <typename Accepts>
std::string_view take(std::string_view& text, Accepts accepts) {
    const auto end = std::ranges::find_if_not(text, accepts);
    const auto taken = text.substr(0, static_cast<std::size_t>(end - text.begin()));
    text.remove_prefix(taken.size());
    return taken;
}

bool take(std::string_view& text, char c) {
    if (!text.starts_with(c)) return false;
    text.remove_prefix(1);
    return true;
}

template <typename Integer>
std::optional<Integer> parse_digits(std::string_view digits, int base) {
    Integer number = 0;
    const auto* end = digits.data() + digits.size();
    const auto [stop, failure] = std::from_chars(digits.data(), end, number, base);
    if (digits.empty() || failure != std::errc{} || stop != end) return std::nullopt;
    return number;
}

/// strconv.ParseInt, then ParseUint (which takes no sign).
std::optional<json::value> parse_integer(std::string_view text, int base) {
    const bool negative = text.starts_with('-');
    const bool sign = negative || text.starts_with('+');
    const auto magnitude = parse_digits<std::uint64_t>(text.substr(sign ? 1 : 0), base);
    if (!magnitude) return std::nullopt;
    constexpr auto top = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (*magnitude <= top) {
        const auto number = static_cast<std::int64_t>(*magnitude);
        return json::value(negative ? -number : number);
    }
    if (negative && *magnitude == top + 1) {
        return json::value(std::numeric_limits<std::int64_t>::min());
    }
    if (sign) return std::nullopt;
    return json::value(*magnitude);
}

/// The base-0 syntax of Go: 0x, 0b, 0o, a leading 0, or decimal, each after an optional sign.
std::optional<json::value> parse_prefixed_integer(std::string_view text) {
    const bool sign = text.starts_with('-') || text.starts_with('+');
    const auto digits = text.substr(sign ? 1 : 0);
    if (digits.size() < 2 || digits[0] != '0') return parse_integer(text, 10);
    int base = 8;
    std::size_t prefix = 2;
    switch (digits[1]) {
        case 'x':
        case 'X': base = 16; break;
        case 'b':
        case 'B': base = 2; break;
        case 'o':
        case 'O': break;
        default: prefix = 1;
    }
    if (!sign) {
        const auto rest = digits.substr(prefix);
        if (rest.starts_with('-') || rest.starts_with('+')) return std::nullopt;
        return parse_integer(rest, base);
    }
    const auto magnitude = parse_digits<std::uint64_t>(digits.substr(prefix), base);
    if (!magnitude) return std::nullopt;
    return parse_integer(std::string{text.substr(0, 1)} + std::to_string(*magnitude), 10);
}

/// `[-+]?(\.D+|D+(\.D*)?)([eE][-+]?D+)?`
bool is_float(std::string_view text) {
    if (!take(text, '-')) take(text, '+');
    const auto whole = take(text, is_digit);
    if (take(text, '.')) {
        if (take(text, is_digit).empty() && whole.empty()) return false;
    } else if (whole.empty()) {
        return false;
    }
    if (!take(text, 'e') && !take(text, 'E')) return text.empty();
    if (!take(text, '-')) take(text, '+');
    return !take(text, is_digit).empty() && text.empty();
}

std::optional<double> parse_float(std::string_view text) {
    if (!is_float(text)) return std::nullopt;
    if (text.starts_with('+')) text.remove_prefix(1);
    double number = 0;
    const auto failure = std::from_chars(text.data(), text.data() + text.size(), number).ec;
    if (failure == std::errc{}) return number;
    // Out of range: too small is zero, too big stays text. The sign of the exponent tells them
    // apart, except for absurdly long mantissas, which strtod decides.
    number = std::strtod(std::string{text}.c_str(), nullptr);
    if (std::isinf(number)) return std::nullopt;
    return number;
}

/// Go's time.Parse with the four layouts of yaml; nullopt for text that is none of them.
std::optional<std::string> parse_timestamp(std::string_view text) {
    const auto number = [&text](std::size_t max_digits, int& out) {
        std::size_t n = 0;
        out = 0;
        while (n < max_digits && n < text.size() && is_digit(text[n])) {
            out = out * 10 + (text[n++] - '0');
        }
        text.remove_prefix(n);
        return n;
    };
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
    if (number(4, year) != 4 || !take(text, '-') || number(2, month) == 0 || !take(text, '-') ||
        number(2, day) == 0) {
        return std::nullopt;
    }
    const std::chrono::year_month_day date{std::chrono::year{year},
                                           std::chrono::month{static_cast<unsigned>(month)},
                                           std::chrono::day{static_cast<unsigned>(day)}};
    if (!date.ok()) return std::nullopt;
    std::string_view fraction;
    std::string zone = "Z";
    if (!text.empty()) {
        const bool zoned = text.front() == 'T' || text.front() == 't';
        if (!zoned && text.front() != ' ') return std::nullopt;
        text.remove_prefix(1);
        if (number(2, hour) == 0 || !take(text, ':') || number(2, minute) == 0 ||
            !take(text, ':') || number(2, second) == 0 || hour > 23 || minute > 59 || second > 59) {
            return std::nullopt;
        }
        if (text.size() > 1 && (text[0] == '.' || text[0] == ',') && is_digit(text[1])) {
            text.remove_prefix(1);
            fraction = take(text, is_digit).substr(0, 9);
            fraction = fraction.substr(0, fraction.find_last_not_of('0') + 1);
        }
        if (zoned && !take(text, 'Z')) {
            int hours = 0, minutes = 0;
            if (text.empty() || (text.front() != '+' && text.front() != '-')) return std::nullopt;
            const auto offset = text;
            text.remove_prefix(1);
            if (number(2, hours) != 2 || !take(text, ':') || number(2, minutes) != 2 ||
                hours > 23 || minutes > 59) {
                return std::nullopt;
            }
            if (hours != 0 || minutes != 0) zone = offset.substr(0, 6);
        }
        if (!text.empty()) return std::nullopt;
    }
    std::array<char, 32> buffer{};
    const auto size = std::snprintf(buffer.data(), buffer.size(), "%04d-%02d-%02dT%02d:%02d:%02d",
                                    year, month, day, hour, minute, second);
    std::string out{buffer.data(), static_cast<std::size_t>(size)};
    if (!fraction.empty()) out.append(".").append(fraction);
    return out.append(zone);
}

Scalar resolve_number(std::string_view text) {
    if (auto time = parse_timestamp(text)) return {ScalarKind::timestamp, json::value(*time)};
    std::string without;
    if (text.find('_') != std::string_view::npos) {
        std::ranges::copy_if(text, std::back_inserter(without), [](char c) { return c != '_'; });
        text = without;
    }
    if (auto integer = parse_prefixed_integer(text)) return {ScalarKind::integer, *integer};
    if (const auto number = parse_float(text)) return {ScalarKind::floating, json::value(*number)};
    // `0b-1` and `0o-7`, which strconv takes once the prefix is cut away.
    const bool negative = text.starts_with('-');
    const auto prefixed = text.substr(negative ? 1 : 0);
    if (prefixed.starts_with("0b") || prefixed.starts_with("0o")) {
        const int base = prefixed[1] == 'b' ? 2 : 8;
        const auto digits = (negative ? "-" : "") + std::string{prefixed.substr(2)};
        if (auto integer = parse_integer(digits, base)) return {ScalarKind::integer, *integer};
    }
    return {};
}

/// `.5`, `.1_0`: an underscore only between two digits.
Scalar resolve_fraction(std::string_view text) {
    std::string without;
    for (std::size_t i = 0; i != text.size(); ++i) {
        if (text[i] != '_') {
            without += text[i];
        } else if (!is_digit(text[i - 1]) || i + 1 == text.size() || !is_digit(text[i + 1])) {
            return {};
        }
    }
    if (const auto number = parse_float(without))
        return {ScalarKind::floating, json::value(*number)};
    return {};
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
    return std::ranges::find(words, text) != words.end();
}

std::string general(std::string_view scientific) {
    const auto e = scientific.find('e');
    if (e == std::string_view::npos) {  // as the keys of sigs.k8s.io/yaml
        if (scientific.ends_with("nan")) return ".nan";
        return scientific.starts_with('-') ? "-.inf" : ".inf";
    }
    int exponent = 0;
    const auto* digits = scientific.data() + e + 1;
    std::from_chars(*digits == '+' ? digits + 1 : digits, scientific.data() + scientific.size(),
                    exponent);
    // to_chars writes at least two digits of exponent, as Go does.
    if (exponent < -4 || exponent >= 6) return std::string{scientific};
    std::string out;
    if (scientific.front() == '-') out += '-';
    std::string mantissa;
    std::ranges::copy_if(scientific.substr(0, e), std::back_inserter(mantissa), is_digit);
    if (exponent < 0) {
        return out.append("0.")
            .append(static_cast<std::size_t>(-exponent) - 1, '0')
            .append(mantissa);
    }
    const auto whole = static_cast<std::size_t>(exponent) + 1;
    if (mantissa.size() <= whole) return out.append(mantissa).append(whole - mantissa.size(), '0');
    return out.append(mantissa, 0, whole).append(".").append(mantissa, whole);
}

template <typename Float>
std::string general_of(Float number) {
    std::array<char, 32> buffer{};
    const auto* end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number,
                                    std::chars_format::scientific)
                          .ptr;
    return general({buffer.data(), static_cast<std::size_t>(end - buffer.data())});
}

}  // namespace

Scalar resolve_scalar(std::string_view text, YamlDialect dialect) {
    using enum ScalarKind;
    constexpr auto infinity = std::numeric_limits<double>::infinity();
    if (text.empty() || text == "~") return {null, nullptr};
    const char first = text.front();
    if (is_digit(first)) return resolve_number(text);
    switch (first) {
        case '+':
        case '-':
            if (text.size() == 5 && is_one_of(text.substr(1), {".inf", ".Inf", ".INF"})) {
                return {floating, json::value(first == '-' ? -infinity : infinity)};
            }
            return resolve_number(text);
        case '.':
            if (is_one_of(text, {".inf", ".Inf", ".INF"})) return {floating, json::value(infinity)};
            if (is_one_of(text, {".nan", ".NaN", ".NAN"})) {
                return {floating, json::value(std::numeric_limits<double>::quiet_NaN())};
            }
            return resolve_fraction(text);
        case 't':
        case 'T':
            if (is_one_of(text, {"true", "True", "TRUE"})) return {boolean, json::value(true)};
            return {};
        case 'f':
        case 'F':
            if (is_one_of(text, {"false", "False", "FALSE"})) return {boolean, json::value(false)};
            return {};
        case 'n':
        case 'N':
            if (is_one_of(text, {"null", "Null", "NULL"})) return {null, nullptr};
            break;
        case 'y':
        case 'Y':
        case 'o':
        case 'O': break;
        default: return {};
    }
    if (dialect == YamlDialect::configuration && text.size() <= 3) {
        if (is_one_of(text, {"y", "Y", "yes", "Yes", "YES", "on", "On", "ON"})) {
            return {boolean, json::value(true)};
        }
        if (is_one_of(text, {"n", "N", "no", "No", "NO", "off", "Off", "OFF"})) {
            return {boolean, json::value(false)};
        }
    }
    return {};
}

bool is_base60(std::string_view text) noexcept {
    // ^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$
    const auto digit_or_underscore = [](char c) { return is_digit(c) || c == '_'; };
    if (!take(text, '-')) take(text, '+');
    if (text.empty() || !is_digit(text.front())) return false;
    take(text, digit_or_underscore);
    if (!text.starts_with(':')) return false;
    while (take(text, ':')) {
        const auto group = take(text, is_digit);
        if (group.empty() || group.size() > 2 || (group.size() == 2 && group[0] > '5'))
            return false;
    }
    if (take(text, '.')) take(text, digit_or_underscore);
    return text.empty();
}

std::string general_number(double number) { return general_of(number); }
std::string general_number(float number) { return general_of(number); }

}  // namespace kled::kube
