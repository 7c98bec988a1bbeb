/// Limits by control groups, version 1 or 2, where we may make them.
#pragma once

#include "edge/workload.h"

#include <filesystem>
#include <string>
#include <string_view>

namespace kled::edge {

/// `<hierarchy>/kled/<agent>/<container>`: agents on one machine may run workloads of one name.
struct CgroupName {
    std::string agent;      ///< "<fleet>.<device>"
    std::string container;  ///< unique within the agent
};

/// Puts `pid` into the group with `limits`; made as needed.
/// Empty: done (or there is nothing to limit); else why the limits are not enforced.
[[nodiscard]] std::string enter_cgroup(const std::filesystem::path& hierarchy,
                                       const CgroupName& name, const Limits& limits, int pid);
/// Removes the group, whose processes have ended, and those above it that are empty then. Blocks
/// for a moment where the kernel has not let go of a process yet.
void remove_cgroup(const std::filesystem::path& hierarchy, const CgroupName& name) noexcept;
/// Removes what groups of the agent are empty: of a run that was killed before it could.
void sweep_cgroups(const std::filesystem::path& hierarchy, const std::string& agent) noexcept;

}  // namespace kled::edge
