#include "kustomize/remote.h"

#include "kustomize/field_spec.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <map>
#include <utility>

namespace kled::kustomize {

namespace {

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
    return text.size() >= prefix.size() &&
           std::equal(prefix.begin(), prefix.end(), text.begin(), [](char a, char b) {
               return a == std::tolower(static_cast<unsigned char>(b));
           });
}

/// Go's url.ParseQuery, of what matters here; a broken escape makes all of it the default.
std::map<std::string, std::string> parse_query(std::string_view query) {
    std::map<std::string, std::string> values;
    for (const auto& pair : split_path(query, '&')) {
        std::string text;
        for (std::size_t i = 0; i < pair.size(); ++i) {
            if (pair[i] != '%') {
                text += pair[i] == '+' ? ' ' : pair[i];
                continue;
            }
            int code = 0;
            const auto* from = pair.data() + i + 1;
            const auto* to = pair.data() + std::min(i + 3, pair.size());
            if (to - from != 2 || std::from_chars(from, to, code, 16).ptr != to) return {};
            text += static_cast<char>(code);
            i += 2;
        }
        const auto equals = std::min(text.find('='), text.size());
        values.emplace(text.substr(0, equals), text.substr(std::min(equals + 1, text.size())));
    }
    return values;
}

/// Whole seconds, or Go's notation of one unit: "61", "90s", "2m". nullopt: something else.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
    std::int64_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string_view unit{read.ptr, text.data() + text.size()};
    constexpr std::int64_t most = 86'400'000;
    if (read.ec != std::errc{} || number <= 0 || number > most) return std::nullopt;
    if (unit.empty() || unit == "s") return std::chrono::seconds{number};
    if (unit == "ms") return std::chrono::milliseconds{number};
    if (unit == "m") return std::chrono::minutes{number};
    if (unit == "h") return std::chrono::hours{number};
    return std::nullopt;
}

/// "user@" at the start; empty: none.
std::string_view user_of(std::string_view text) {
    const auto end = std::find_if_not(text.begin(), text.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-';
    });
    if (end == text.begin() || end == text.end() || *end != '@' ||
        std::isalpha(static_cast<unsigned char>(text.front())) == 0) {
        return {};
    }
    return text.substr(0, static_cast<std::size_t>(end - text.begin()) + 1);
}

/// Splits the path after the host into repository and directory. False: it names no repository.
bool split_repository(std::string_view path, bool local, RepositoryUrl& result) {
    std::string_view directory;
    const auto end_with = [&](std::size_t end, std::size_t skipped) {
        directory = path.substr(std::min(end + skipped, path.size()));
        path = path.substr(0, end);
        result.explicit_split = true;
    };
    constexpr std::string_view azure = "_git/";
    if (const auto at = path.find(azure); at != path.npos) {
        end_with(std::min(path.find('/', at + azure.size()), path.size()), 1);
    } else if (const auto slashes = path.find("//"); slashes != path.npos) {
        end_with(slashes, 2);
    } else if (const auto suffix = path.find(".git"); suffix != path.npos) {
        end_with(suffix + 4, 0);
    } else if (!local) {
        // Two parts, as GitHub has them.
        const auto organization = path.find('/');
        if (organization == path.npos) return false;
        const auto end = std::min(path.find('/', organization + 1), path.size());
        directory = path.substr(std::min(end + 1, path.size()));
        path = path.substr(0, end);
    }
    if (path.empty()) return false;
    if (directory.starts_with('/')) directory.remove_prefix(1);
    const auto inside = resolve("", directory);
    if (!inside) return false;
    result.url += path;
    result.directory = *inside;
    return true;
}

}  // namespace

bool is_http_url(std::string_view text) noexcept {
    return starts_with_ignoring_case(text, "https://") ||
           starts_with_ignoring_case(text, "http://");
}

std::optional<RepositoryUrl> RepositoryUrl::parse(std::string_view text) {
    if (text.starts_with('/')) return std::nullopt;
    RepositoryUrl result;
    const auto question = std::min(text.find('?'), text.size());
    const auto query = parse_query(text.substr(std::min(question + 1, text.size())));
    text = text.substr(0, question);
    const auto asked = [&](const char* name) {
        const auto entry = query.find(name);
        return entry == query.end() ? std::string{} : entry->second;
    };
    result.ref = asked("ref").empty() ? asked("version") : asked("ref");
    if (const auto timeout = parse_duration(asked("timeout"))) result.timeout = *timeout;
    const auto submodules = asked("submodules");
    for (const auto* no : {"false", "False", "FALSE", "f", "F", "0"})
        if (submodules == no) result.submodules = false;

    if (starts_with_ignoring_case(text, "git::")) text.remove_prefix(5);
    std::string_view scheme;
    for (const std::string_view known : {"ssh://", "https://", "http://", "file://"}) {
        if (!starts_with_ignoring_case(text, known)) continue;
        scheme = known;
        text.remove_prefix(known.size());
        break;
    }
    if (scheme == "file://") {
        result.url = scheme;
        if (!split_repository(text, true, result)) return std::nullopt;
        return result;
    }
    auto user = user_of(text);
    text.remove_prefix(user.size());
    const bool github = starts_with_ignoring_case(text, "github.com/") ||
                        starts_with_ignoring_case(text, "github.com:");
    const bool scp = scheme.empty() && (!user.empty() || github);
    if (scheme.empty() && !scp) return std::nullopt;
    auto end = text.find('/');
    if (const auto colon = text.find(':');
        scp && (end == text.npos || (colon != text.npos && colon > 0 && colon < end))) {
        end = colon;
    }
    if (end == text.npos) return std::nullopt;
    if (!github) {
        result.url = std::string{scheme} + std::string{user} + std::string{text.substr(0, end + 1)};
    } else if (scheme == "ssh://" || !user.empty()) {
        result.url = std::string{user.empty() ? "git@" : user} + "github.com:";
    } else {
        result.url = "https://github.com/";
    }
    if (!split_repository(text.substr(end + 1), false, result)) return std::nullopt;
    return result;
}

}  // namespace kled::kustomize
