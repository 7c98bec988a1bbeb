/// Time as values: deadlines are monotonic, timestamps are wall time in RFC 3339.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace kled {

using Duration = std::chrono::milliseconds;
using SteadyTime = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;

/// "2026-11-21T10:00:00Z", as metav1.Time; and with six digits, as metav1.MicroTime.
[[nodiscard]] std::string to_rfc3339(WallTime time);
[[nodiscard]] std::string to_rfc3339_micro(WallTime time);
[[nodiscard]] std::optional<WallTime> parse_rfc3339(std::string_view text) noexcept;

/// Go's duration syntax, as in every `interval:` of Kubernetes: "1h30m", "500ms", "0s".
/// Throws Error(invalid) with the text for anything else, negative values included.
[[nodiscard]] Duration parse_duration(std::string_view text);
/// "1m30s": what parse_duration reads back.
[[nodiscard]] std::string format_duration(Duration duration);

}  // namespace kled
