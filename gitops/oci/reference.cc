#include "gitops/oci/reference.h"

#include "base/error.h"

#include <algorithm>
#include <charconv>

namespace kled::gitops::oci {

namespace {

constexpr std::string_view hub = "docker.io";
constexpr std::size_t tag_limit = 128;
constexpr std::size_t name_limit = 255;
constexpr std::size_t shown = 200;

bool is_lower(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_upper(char c) noexcept { return c >= 'A' && c <= 'Z'; }
bool is_hex(char c) noexcept { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

/// [a-z0-9]+ with '.', '_', "__" or any number of '-' between such.
bool is_component(std::string_view text) noexcept {
    if (text.empty() || !is_lower(text.front()) || !is_lower(text.back())) return false;
    for (std::size_t i = 0; i < text.size();) {
        const auto end = std::find_if(text.begin() + static_cast<std::ptrdiff_t>(i), text.end(),
                                      [](char c) { return is_lower(c); });
        const auto between = text.substr(i, static_cast<std::size_t>(end - text.begin()) - i);
        const bool dashes = std::ranges::all_of(between, [](char c) { return c == '-'; });
        if (!dashes && between != "." && between != "_" && between != "__") return false;
        i = static_cast<std::size_t>(end - text.begin());
        while (i < text.size() && is_lower(text[i])) ++i;
    }
    return true;
}

bool is_port(std::string_view text) noexcept {
    std::uint16_t port = 0;
    const auto* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, port);
    return error == std::errc{} && stop == end && port != 0;
}

bool is_host(std::string_view text) noexcept {
    std::string_view rest;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos || end < 3) return false;
        const auto address = text.substr(1, end - 1);
        if (!std::ranges::all_of(address, [](char c) {
                return is_hex(c) || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
            }))
            return false;
        rest = text.substr(end + 1);
    } else {
        const auto colon = std::min(text.find(':'), text.size());
        auto name = text.substr(0, colon);
        rest = text.substr(colon);
        while (true) {
            const auto dot = name.find('.');
            const auto label = name.substr(0, dot);
            const bool plain = std::ranges::all_of(
                label, [](char c) { return is_lower(c) || is_upper(c) || c == '-'; });
            if (label.empty() || !plain || label.front() == '-' || label.back() == '-')
                return false;
            if (dot == std::string_view::npos) break;
            name.remove_prefix(dot + 1);
        }
    }
    return rest.empty() || (rest.front() == ':' && is_port(rest.substr(1)));
}

/// What stands before the first '/' is a host, and no part of a name on Docker Hub.
bool looks_like_host(std::string_view text) noexcept {
    return text == "localhost" || text.find_first_of(".:[") != std::string_view::npos ||
           std::ranges::any_of(text, is_upper);
}

}  // namespace

bool is_digest(std::string_view text) noexcept {
    constexpr std::string_view algorithm = "sha256:";
    return text.size() == algorithm.size() + 64 && text.starts_with(algorithm) &&
           std::ranges::all_of(text.substr(algorithm.size()), is_hex);
}

bool is_tag(std::string_view text) noexcept {
    const auto is_word = [](char c) { return is_lower(c) || is_upper(c) || c == '_'; };
    return !text.empty() && text.size() <= tag_limit && is_word(text.front()) &&
           std::ranges::all_of(text, [&](char c) { return is_word(c) || c == '.' || c == '-'; });
}

Reference Reference::parse(std::string_view text) {
    const auto bad = [&](const std::string& why) {
        return Error{ErrorKind::invalid, "'" + std::string{text.substr(0, shown)} + "' " + why};
    };
    if (text.find("://") != std::string_view::npos)
        throw bad("has a scheme; write registry.example.org/team/app");
    Reference result;
    auto rest = text;
    if (const auto at = rest.find('@'); at != std::string_view::npos) {
        result.digest = rest.substr(at + 1);
        if (!is_digest(result.digest)) throw bad("has no digest (sha256:<64 hex digits>) behind @");
        rest = rest.substr(0, at);
    }
    const auto slash = rest.rfind('/');
    const auto colon = rest.find(':', slash == std::string_view::npos ? 0 : slash);
    if (colon != std::string_view::npos) {
        result.tag = rest.substr(colon + 1);
        if (!is_tag(result.tag)) throw bad("has no valid tag behind the last colon");
        rest = rest.substr(0, colon);
    }
    const auto first = rest.substr(0, rest.find('/'));
    if (first.size() < rest.size() && looks_like_host(first)) {
        result.host = first;
        rest.remove_prefix(first.size() + 1);
    } else {
        result.host = hub;
    }
    if (!is_host(result.host)) throw bad("has no valid host before the first slash");
    if (result.host == "index.docker.io" || result.host == "registry-1.docker.io")
        result.host = hub;
    result.repository = rest;
    if (result.host == hub && rest.find('/') == std::string_view::npos && !rest.empty())
        result.repository.insert(0, "library/");
    if (result.name().size() > name_limit)
        throw bad("is longer than " + std::to_string(name_limit) + " characters");
    std::string_view parts = result.repository;
    while (true) {
        const auto end = parts.find('/');
        if (!is_component(parts.substr(0, end))) {
            throw bad(
                "is no name of a repository: parts of small letters and digits, with single "
                "'.', '_', '__' or '-' between them");
        }
        if (end == std::string_view::npos) break;
        parts.remove_prefix(end + 1);
    }
    return result;
}

std::string Reference::api_host() const { return host == hub ? "registry-1.docker.io" : host; }

}  // namespace kled::gitops::oci
