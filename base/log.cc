#include "base/log.h"

#include "base/encoding.h"
#include "base/error.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace kled::log {

namespace {

std::atomic<Level> threshold{Level::info};
std::atomic<Format> chosen_format{Format::text};

struct LevelName {
    std::string_view name;
    std::string_view column;  // as wide as the widest
    std::string_view colour;
};
constexpr std::array<LevelName, 4> level_names{{{"debug", "debug", "\x1b[2m"},
                                                {"info", "info ", "\x1b[32m"},
                                                {"warn", "warn ", "\x1b[33m"},
                                                {"error", "error", "\x1b[31m"}}};
constexpr std::string_view colour_off = "\x1b[0m";
constexpr std::string_view dim = "\x1b[2m";

const LevelName& name_of(Level level) { return level_names[static_cast<std::size_t>(level)]; }

/// The escapes of JSON; bytes that are not UTF-8 become U+FFFD, one each.
void append_escaped(std::string& line, std::string_view text) {
    const bool valid = is_utf8(text);
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        switch (c) {
            case '"': line += "\\\""; break;
            case '\\': line += "\\\\"; break;
            case '\n': line += "\\n"; break;
            case '\r': line += "\\r"; break;
            case '\t': line += "\\t"; break;
            default:
                if (byte < 0x20 || byte == 0x7f) {
                    std::array<char, 8> code{};
                    std::snprintf(code.data(), code.size(), "\\u%04x", byte);
                    line += code.data();
                } else if (byte >= 0x80 && !valid) {
                    line += "\xef\xbf\xbd";
                } else {
                    line += c;
                }
        }
    }
}

void append_quoted(std::string& line, std::string_view text) {
    line += '"';
    append_escaped(line, text);
    line += '"';
}

bool reads_unquoted(std::string_view value) {
    return !value.empty() && is_utf8(value) && std::ranges::none_of(value, [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte <= 0x20 || byte == 0x7f || c == '"' || c == '=' || c == '\\';
    });
}

std::string milliseconds(WallTime time) {
    auto text = to_rfc3339_micro(time);
    text.replace(text.size() - 4, 4, "Z");
    return text;
}

bool colours_wanted() {
    static const bool wanted = ::isatty(STDERR_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
    return wanted;
}

/// Whole lines, one after the other; a reader that is gone or stuck loses lines, never stops us.
void put(std::string_view line) noexcept {
    static std::mutex mutex;
    const std::lock_guard lock{mutex};
    while (!line.empty()) {
        const auto n = ::write(STDERR_FILENO, line.data(), line.size());
        if (n >= 0) {
            line.remove_prefix(static_cast<std::size_t>(n));
        } else if (errno == EAGAIN) {
            pollfd writable{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
            if (::poll(&writable, 1, 1000) <= 0) return;
        } else if (errno != EINTR) {
            return;
        }
    }
}

}  // namespace

Field::Field(std::string_view k, double v) : key{k}, bare{std::isfinite(v)} {
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), v).ptr;
    value.assign(digits.data(), end);
}

void configure(Level level, Format format) noexcept {
    threshold = level;
    chosen_format = format;
}

Level parse_level(std::string_view name) {
    for (std::size_t i = 0; i < level_names.size(); ++i)
        if (level_names[i].name == name) return static_cast<Level>(i);
    throw Error{ErrorKind::invalid,
                "log level \"" + std::string{name} + "\": must be one of debug, info, warn, error"};
}

Format parse_format(std::string_view name) {
    if (name == "text") return Format::text;
    if (name == "json") return Format::json;
    throw Error{ErrorKind::invalid,
                "log format \"" + std::string{name} + "\": must be text or json"};
}

bool enabled(Level level) noexcept { return level >= threshold.load(std::memory_order_relaxed); }

std::string render(Format format, bool colours, WallTime time, Level level, std::string_view part,
                   std::string_view message, Fields fields) {
    const auto& name = name_of(level);
    std::string line;
    line.reserve(160);
    if (format == Format::json) {
        line += R"({"time":")" + to_rfc3339_micro(time) + R"(","level":")";
        line += name.name;
        line += R"(","part":)";
        append_quoted(line, part);
        line += R"(,"message":)";
        append_quoted(line, message);
        for (const auto& field : fields) {
            line += ',';
            append_quoted(line, field.key);
            line += ':';
            if (field.bare) {
                line += field.value;
            } else {
                append_quoted(line, field.value);
            }
        }
        return line + "}\n";
    }
    const auto coloured = [&](std::string_view colour, std::string_view text) {
        if (colours) line += colour;
        line += text;
        if (colours) line += colour_off;
    };
    coloured(dim, milliseconds(time));
    line += ' ';
    coloured(name.colour, name.column);
    line += ' ';
    append_escaped(line, part);
    line += ": ";
    append_escaped(line, message);
    for (const auto& field : fields) {
        line += ' ';
        coloured(dim, std::string{field.key} + '=');
        if (reads_unquoted(field.value)) {
            line += field.value;
        } else {
            append_quoted(line, field.value);
        }
    }
    return line + '\n';
}

void write(Level level, std::string_view part, std::string_view message, Fields fields) {
    if (!enabled(level)) return;
    const auto format = chosen_format.load(std::memory_order_relaxed);
    put(render(format, format == Format::text && colours_wanted(), std::chrono::system_clock::now(),
               level, part, message, fields));
}

}  // namespace kled::log
