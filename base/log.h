/// Structured logging: a line says which part speaks, what happened, and with which values.
///     log::info("gitops", "applied", {{"kustomization", name}, {"revision", revision}});
/// Text for people (colours only on a terminal), one JSON object a line for machines; to stderr.
/// Thread-safe. No secret is ever a value (base/secret.h has no conversion to one).
#pragma once

#include "base/clock.h"

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace kled::log {

enum class Level { debug, info, warn, error };
enum class Format { text, json };

struct Field {
    std::string_view key;
    std::string value;
    bool bare = false;  ///< JSON takes the value as it is: a number, true or false

    Field(std::string_view k, std::string_view v) : key{k}, value{v} {}
    Field(std::string_view k, const char* v) : key{k}, value{v} {}
    Field(std::string_view k, std::string v) : key{k}, value{std::move(v)} {}
    Field(std::string_view k, bool v) : key{k}, value{v ? "true" : "false"}, bare{true} {}
    Field(std::string_view k, double v);
    template <std::integral Number>
    Field(std::string_view k, Number v) : key{k}, value{std::to_string(v)}, bare{true} {}
};
using Fields = std::initializer_list<Field>;

/// Once at start, before any thread logs. Default: info, text.
void configure(Level level, Format format) noexcept;
/// Throws Error(invalid) for a name that is none of debug, info, warn, error (text, json).
Level parse_level(std::string_view name);
Format parse_format(std::string_view name);

[[nodiscard]] bool enabled(Level level) noexcept;
void write(Level level, std::string_view part, std::string_view message, Fields fields = {});

/// The line that `write` puts out, with its newline; whatever the values hold, it is one line.
[[nodiscard]] std::string render(Format format, bool colours, WallTime time, Level level,
                                 std::string_view part, std::string_view message, Fields fields);

inline void debug(std::string_view part, std::string_view message, Fields fields = {}) {
    if (enabled(Level::debug)) write(Level::debug, part, message, fields);
}
inline void info(std::string_view part, std::string_view message, Fields fields = {}) {
    write(Level::info, part, message, fields);
}
inline void warn(std::string_view part, std::string_view message, Fields fields = {}) {
    write(Level::warn, part, message, fields);
}
inline void error(std::string_view part, std::string_view message, Fields fields = {}) {
    write(Level::error, part, message, fields);
}

}  // namespace kled::log
