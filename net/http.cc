#include "net/http.h"

#include "base/error.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace kled::net {

namespace {

constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equal_without_case(std::string_view a, std::string_view b) noexcept {
    return std::ranges::equal(a, b, {}, lower, lower);
}

auto named(std::string_view name) {
    return [name](const auto& field) { return equal_without_case(field.first, name); };
}

int hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// nullopt for a bad escape, and for an escaped NUL: it would cut the text short in a C interface.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && plus_is_space) {
            decoded += ' ';
        } else if (text[i] != '%') {
            decoded += text[i];
        } else {
            if (i + 2 >= text.size()) return std::nullopt;
            const int value = hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]);
            if (value <= 0 || hex_digit(text[i + 1]) < 0 || hex_digit(text[i + 2]) < 0)
                return std::nullopt;
            decoded += static_cast<char>(value);
            i += 2;
        }
    }
    return decoded;
}

bool is_visible(char c) noexcept { return c > ' ' && c != '\x7f'; }

}  // namespace

std::string_view Headers::get(std::string_view name) const noexcept {
    const auto field = std::ranges::find_if(fields_, named(name));
    return field == fields_.end() ? std::string_view{} : field->second;
}

bool Headers::has(std::string_view name) const noexcept {
    return std::ranges::any_of(fields_, named(name));
}

void Headers::set(std::string_view name, std::string value) {
    remove(name);
    add(name, std::move(value));
}

void Headers::add(std::string_view name, std::string value) {
    fields_.emplace_back(name, std::move(value));
}

void Headers::remove(std::string_view name) { std::erase_if(fields_, named(name)); }

std::optional<std::string_view> Target::parameter(std::string_view name) const noexcept {
    for (const auto& [key, value] : query) {
        if (key == name) return value;
    }
    return std::nullopt;
}

Target parse_target(std::string_view target) {
    const auto decode = [target](std::string_view text, bool plus_is_space) {
        auto decoded = percent_decode(text, plus_is_space);
        if (!decoded) {
            throw Error{ErrorKind::invalid, "request target '" +
                                                std::string{target.substr(0, 200)} +
                                                "': bad percent-encoding"};
        }
        return *std::move(decoded);
    };
    const auto question = target.find('?');
    Target parsed{.path = decode(target.substr(0, question), false), .query = {}};
    if (question == std::string_view::npos) return parsed;

    auto rest = target.substr(question + 1);
    while (!rest.empty()) {
        const auto pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
        if (pair.empty()) continue;
        const auto equals = std::min(pair.find('='), pair.size());
        const auto value = pair.substr(std::min(equals + 1, pair.size()));
        parsed.query.emplace_back(decode(pair.substr(0, equals), true), decode(value, true));
    }
    return parsed;
}

std::string percent_encode(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string encoded;
    encoded.reserve(text.size());
    for (const char c : text) {
        const bool unreserved = (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
                                c == '-' || c == '.' || c == '_' || c == '~';
        if (unreserved) {
            encoded += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            encoded += '%';
            encoded += digits[byte >> 4U];
            encoded += digits[byte & 15U];
        }
    }
    return encoded;
}

Url parse_url(std::string_view text) {
    const auto fail = [text](const std::string& why) -> Error {
        // What stands before the last '@' may be a password.
        const auto at = text.find_last_of('@');
        const auto shown = at == std::string_view::npos ? text : text.substr(at + 1);
        return {ErrorKind::invalid, "URL '" + std::string{shown.substr(0, 200)} + "': " + why};
    };
    if (!std::ranges::all_of(text, is_visible))
        throw fail("has spaces or characters that are not ASCII");

    Url url;
    if (text.starts_with("unix:")) {
        auto path = text.substr(5);
        if (path.starts_with("//")) path.remove_prefix(2);
        if (!path.starts_with('/')) throw fail("unix: needs an absolute path");
        url.scheme = "unix";
        url.host = path;
        url.target = "/";
        return url;
    }

    const auto colon = text.find("://");
    if (colon == std::string_view::npos) throw fail("has no scheme; write http:// or https://");
    std::ranges::transform(text.substr(0, colon), std::back_inserter(url.scheme), lower);
    if (url.scheme != "http" && url.scheme != "https")
        throw fail("scheme '" + url.scheme + "' is none of http, https, unix");

    auto rest = text.substr(colon + 3);
    rest = rest.substr(0, rest.find('#'));
    const auto slash = std::min(rest.find_first_of("/?"), rest.size());
    auto authority = rest.substr(0, slash);
    url.target = rest.substr(slash);
    if (!url.target.starts_with('/')) url.target.insert(0, 1, '/');

    if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
        const auto info = authority.substr(0, at);
        const auto split = std::min(info.find(':'), info.size());
        auto user = percent_decode(info.substr(0, split), false);
        auto password = percent_decode(info.substr(std::min(split + 1, info.size())), false);
        if (!user || !password) throw fail("bad percent-encoding in user or password");
        url.user = *std::move(user);
        url.password = *std::move(password);
        authority.remove_prefix(at + 1);
    }
    if (authority.starts_with('[')) {
        const auto end = authority.find(']');
        if (end == std::string_view::npos) throw fail("'[' without ']'");
        url.host = authority.substr(1, end - 1);
        authority.remove_prefix(end + 1);
        if (!authority.empty() && authority.front() != ':') throw fail("text after ']'");
    } else {
        url.host = authority.substr(0, authority.find(':'));
        authority.remove_prefix(url.host.size());
    }
    if (url.host.empty()) throw fail("has no host");
    if (url.host.find_first_of("\"<>\\^`{|}%") != std::string::npos)
        throw fail("bad character in the host");

    url.port = url.scheme == "https" ? "443" : "80";
    if (authority.size() > 1) {
        authority.remove_prefix(1);
        std::uint16_t port = 0;
        const auto* const end = authority.data() + authority.size();
        const auto [stop, error] = std::from_chars(authority.data(), end, port);
        if (error != std::errc{} || stop != end || port == 0)
            throw fail("port '" + std::string{authority} + "' is not 1 to 65535");
        url.port = authority;
    }
    return url;
}

}  // namespace kled::net
