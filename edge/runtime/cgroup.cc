#include "edge/runtime/cgroup.h"

#include "base/error.h"
#include "base/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

namespace kled::edge {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t period_us = 100'000;
constexpr std::uint64_t least_quota_us = 1'000;  // the kernel takes no less

using Setting = std::pair<std::string, std::string>;

/// One write: a control file takes a value in one piece.
void set(const fs::path& file, const std::string& value) {
    const FileDescriptor fd{::open(file.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!fd || ::write(fd.get(), value.data(), value.size()) < 0)
        throw from_errno(errno, file.string());
}

void enter(const fs::path& parent, std::string_view name, const std::vector<Setting>& settings,
           int pid) {
    const auto group = parent / name;
    make_directories(group);
    for (const auto& [file, value] : settings) set(group / file, value);
    set(group / "cgroup.procs", std::to_string(pid));
}

}  // namespace

std::string enter_cgroup(const fs::path& hierarchy, std::string_view name, const Limits& limits,
                         int pid) {
    if (limits == Limits{}) return {};
    const auto quota =
        std::to_string(std::max(limits.cpu_millis * period_us / 1000, least_quota_us));
    const auto memory = std::to_string(limits.memory_bytes);
    try {
        if (fs::exists(hierarchy / "cgroup.controllers")) {
            make_directories(hierarchy / "kled");
            for (const auto& parent : {hierarchy, hierarchy / "kled"}) {
                if (limits.memory_bytes != 0) set(parent / "cgroup.subtree_control", "+memory");
                if (limits.cpu_millis != 0) set(parent / "cgroup.subtree_control", "+cpu");
            }
            std::vector<Setting> settings;
            if (limits.memory_bytes != 0) settings.emplace_back("memory.max", memory);
            if (limits.cpu_millis != 0)
                settings.emplace_back("cpu.max", quota + " " + std::to_string(period_us));
            enter(hierarchy / "kled", name, settings, pid);
            return {};
        }
        if (limits.memory_bytes != 0)
            enter(hierarchy / "memory/kled", name, {{"memory.limit_in_bytes", memory}}, pid);
        if (limits.cpu_millis != 0) {
            enter(hierarchy / "cpu/kled", name,
                  {{"cpu.cfs_period_us", std::to_string(period_us)}, {"cpu.cfs_quota_us", quota}},
                  pid);
        }
        return {};
    } catch (const Error& error) {
        return error.what();
    }
}

void remove_cgroup(const fs::path& hierarchy, std::string_view name) noexcept {
    for (const auto* parent : {"kled", "memory/kled", "cpu/kled"})
        ::rmdir((hierarchy / parent / name).c_str());
}

}  // namespace kled::edge
