/// Limits by control groups, version 1 or 2, where we may make them.
#pragma once

#include "edge/workload.h"

#include <filesystem>
#include <string>
#include <string_view>

namespace kled::edge {

/// Puts `pid` into a group named `name` below `<hierarchy>/kled` with `limits`; made as needed.
/// Empty: done (or there is nothing to limit); else why the limits are not enforced.
[[nodiscard]] std::string enter_cgroup(const std::filesystem::path& hierarchy,
                                       std::string_view name, const Limits& limits, int pid);
/// Removes the group, whose processes have ended.
void remove_cgroup(const std::filesystem::path& hierarchy, std::string_view name) noexcept;

}  // namespace kled::edge
