#include "gitops/git/semver.h"

#include "base/error.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace kled::gitops::git {

namespace {

constexpr std::size_t version_limit = 256;
constexpr std::size_t range_limit = 512;
constexpr std::size_t group_limit = 32;

const std::string loose_version =
    R"(v?([0-9]+)(\.[0-9]+)?(\.[0-9]+)?(-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?)"
    R"((\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?)";
const std::string operation = R"(=||!=|>|<|>=|=>|<=|=<|~|~>|\^)";
const std::string partial_version =
    R"(v?([0-9|x|X|\*]+)(\.[0-9|x|X|\*]+)?(\.[0-9|x|X|\*]+)?)"
    R"((-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?(\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?)";

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, value);
    if (failure != std::errc{} || stop != end) return std::nullopt;
    return value;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const auto end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + separator.size());
    }
}

bool is_number(std::string_view part) {
    return std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
}

/// Of one or two or three parts.
std::optional<Version> parse_loosely(std::string_view text) {
    static const RE2 pattern{loose_version};
    std::string major;
    std::string minor;
    std::string patch;
    Version version;
    if (text.size() > version_limit ||
        !RE2::FullMatch(re2::StringPiece{text.data(), text.size()}, pattern, &major, &minor, &patch,
                        nullptr, &version.pre)) {
        return std::nullopt;
    }
    const auto part = [](std::string_view digits) {
        if (digits.starts_with('.')) digits.remove_prefix(1);
        return digits.empty() ? std::optional<std::uint64_t>{0} : number(digits);
    };
    const auto numbers = std::array{part(major), part(minor), part(patch)};
    if (!std::ranges::all_of(numbers, [](const auto& n) { return n.has_value(); }))
        return std::nullopt;
    // A number in a pre-release has no leading zero.
    for (const auto item : split(version.pre, ".")) {
        if (is_number(item) && item.size() > 1 && item.front() == '0') return std::nullopt;
    }
    version.major = *numbers[0];
    version.minor = *numbers[1];
    version.patch = *numbers[2];
    return version;
}

/// One dot-separated part of a pre-release; an absent one is the lowest.
std::weak_ordering compare_part(std::string_view a, std::string_view b) {
    if (a == b) return std::weak_ordering::equivalent;
    if (a.empty() || b.empty()) return a.size() <=> b.size();
    const auto x = number(a);
    const auto y = number(b);
    if (x && y) return *x > *y ? std::weak_ordering::greater : std::weak_ordering::less;
    if (x || y) return x ? std::weak_ordering::less : std::weak_ordering::greater;
    return a > b ? std::weak_ordering::greater : std::weak_ordering::less;
}

bool is_any(std::string_view part) { return part == "x" || part == "X" || part == "*"; }

/// "1.2 - 1.4" as ">= 1.2, <= 1.4".
std::string without_hyphens(std::string text) {
    static const RE2 range{R"(\s*()" + partial_version + R"()\s+-\s+()" + partial_version +
                           R"()\s*)"};
    // \1 is the first version, \11 the second; RE2's rewriting knows one digit only.
    std::string result;
    re2::StringPiece rest{text};
    std::array<re2::StringPiece, 12> groups;
    while (range.Match(rest, 0, rest.size(), RE2::UNANCHORED, groups.data(), groups.size())) {
        result.append(rest.data(), groups[0].data());
        result += ">= " + std::string{groups[1]} + ", <= " + std::string{groups[11]} + " ";
        rest.remove_prefix(static_cast<std::size_t>(groups[0].end() - rest.begin()));
    }
    return result.append(rest.data(), rest.size());
}

}  // namespace

std::optional<Version> Version::parse(std::string_view text) {
    if (std::ranges::count(text.substr(0, version_limit), '.') < 2) return std::nullopt;
    return parse_loosely(text);
}

std::weak_ordering Version::operator<=>(const Version& other) const {
    if (const auto order = major <=> other.major; order != 0) return order;
    if (const auto order = minor <=> other.minor; order != 0) return order;
    if (const auto order = patch <=> other.patch; order != 0) return order;
    if (pre.empty() || other.pre.empty()) return pre.empty() <=> other.pre.empty();
    const auto a = split(pre, ".");
    const auto b = split(other.pre, ".");
    for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
        const auto order = compare_part(i < a.size() ? a[i] : "", i < b.size() ? b[i] : "");
        if (order != 0) return order;
    }
    return std::weak_ordering::equivalent;
}

VersionRange VersionRange::parse(std::string_view text) {
    static const RE2 valid{R"((\s*()" + operation + R"()\s*()" + partial_version +
                           R"()\s*)((?:\s+|,\s*)()" + operation + R"()\s*()" + partial_version +
                           R"()\s*)*)"};
    static const RE2 each{"((?:" + operation + R"()\s*(?:)" + partial_version + "))"};
    const auto bad = [&] {
        return Error{ErrorKind::invalid, "'" + std::string{text} + "' is no range of versions"};
    };
    if (text.size() > range_limit) throw Error{ErrorKind::exhausted, "the range is too long"};
    const auto rewritten = without_hyphens(std::string{text});
    const auto groups = split(rewritten, "||");
    if (groups.size() > group_limit)
        throw Error{ErrorKind::exhausted, "the range has too many alternatives"};
    VersionRange result;
    for (const auto group : groups) {
        const re2::StringPiece piece{group.data(), group.size()};
        if (!RE2::FullMatch(piece, valid)) throw bad();
        All all;
        re2::StringPiece rest = piece;
        std::string one;
        while (RE2::FindAndConsume(&rest, each, &one)) {
            all.comparisons.push_back(comparison(one));
            all.names_pre_release =
                all.names_pre_release || !all.comparisons.back().with.pre.empty();
        }
        result.any_.push_back(std::move(all));
    }
    return result;
}

VersionRange::Comparison VersionRange::comparison(std::string_view text) {
    static const RE2 pattern{"(" + operation + R"()\s*()" + partial_version + ")"};
    Comparison result;
    std::string version;
    std::string major;
    std::string minor;
    std::string patch;
    std::string pre;
    if (!RE2::FullMatch(re2::StringPiece{text.data(), text.size()}, pattern, &result.operation,
                        &version, &major, &minor, &patch, &pre)) {
        throw Error{ErrorKind::invalid, "'" + std::string{text} + "' is no range of versions"};
    }
    const auto absent = [](std::string_view part) {
        return part.size() < 2 || is_any(part.substr(1));
    };
    if (is_any(major)) {
        version = "0.0.0" + pre;
        result.partial = true;
    } else if (absent(minor)) {
        version = major + ".0.0" + pre;
        result.partial = result.without_minor = true;
    } else if (absent(patch)) {
        version = major + minor + ".0" + pre;
        result.partial = result.without_patch = true;
    }
    const auto parsed = parse_loosely(version);
    if (!parsed)
        throw Error{ErrorKind::invalid, "'" + std::string{text} + "' is no range of versions"};
    result.with = *parsed;
    return result;
}

bool VersionRange::contains(const Version& version) const {
    return std::ranges::any_of(any_, [&](const All& all) {
        if (!version.pre.empty() && !all.names_pre_release) return false;
        return std::ranges::all_of(all.comparisons,
                                   [&](const Comparison& c) { return c.holds(version); });
    });
}

bool VersionRange::Comparison::holds(const Version& v) const {
    const auto tilde = [&] {
        if (v < with) return false;
        if (with.major == 0 && with.minor == 0 && with.patch == 0 && !without_minor &&
            !without_patch) {
            return true;
        }
        return v.major == with.major && (without_minor || v.minor == with.minor);
    };
    const auto caret = [&] {
        if (v < with) return false;
        if (with.major > 0 || without_minor) return v.major == with.major;
        if (v.major > 0) return false;
        if (with.minor > 0 || without_patch) return v.minor == with.minor;
        return v.minor == 0 && v.patch == with.patch;
    };
    const auto different = [&] {
        if (!partial) return v != with;
        if (v.major != with.major || (!without_minor && v.minor != with.minor)) return true;
        if (without_minor) return false;
        if (!without_patch) return v.patch != with.patch || v != with;
        const bool pre_release = !v.pre.empty() || !with.pre.empty();
        return pre_release && (Version{.pre = v.pre} <=> Version{.pre = with.pre}) != 0;
    };
    const auto greater = [&] {
        if (!partial) return v > with;
        if (v.major != with.major) return v.major > with.major;
        if (without_minor) return false;  // 11.1 is not more than 11
        if (without_patch) return v.minor > with.minor;
        return v > with;
    };
    const auto at_most = [&] {
        if (!partial) return v <= with;
        if (v.major != with.major) return v.major < with.major;
        return without_minor || v.minor <= with.minor;
    };
    if (operation == "!=") return different();
    if (operation == ">") return greater();
    if (operation == "<") return v < with;
    if (operation == ">=" || operation == "=>") return v >= with;
    if (operation == "<=" || operation == "=<") return at_most();
    if (operation == "~" || operation == "~>") return tilde();
    if (operation == "^") return caret();
    return partial ? tilde() : v == with;
}

}  // namespace kled::gitops::git
