#include "edge/runtime/cgroup.h"

#include "base/error.h"
#include "base/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <thread>
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

/// The kernel's two versions have these under the mount point.
constexpr std::array places{"kled", "memory/kled", "cpu/kled"};

void enter(const fs::path& group, const std::vector<Setting>& settings, int pid) {
    make_directories(group);
    for (const auto& [file, value] : settings) set(group / file, value);
    set(group / "cgroup.procs", std::to_string(pid));
}

/// A group is busy until the kernel has let go of its last process, a moment after its end; there
/// is no event for that in version 1.
void remove_when_free(const fs::path& group) noexcept {
    constexpr int attempts = 50;
    for (int i = 0; i < attempts && ::rmdir(group.c_str()) != 0 && errno == EBUSY; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds{20});
}

void remove_parents(const fs::path& place, const std::string& agent) noexcept {
    ::rmdir((place / agent).c_str());
    ::rmdir(place.c_str());
}

void limit(const fs::path& hierarchy, const CgroupName& name, const Limits& limits, int pid) {
    const auto quota =
        std::to_string(std::max(limits.cpu_millis * period_us / 1000, least_quota_us));
    const auto memory = std::to_string(limits.memory_bytes);
    const auto group = fs::path{name.agent} / name.container;
    if (fs::exists(hierarchy / "cgroup.controllers")) {
        const auto ours = hierarchy / "kled";
        make_directories(ours / name.agent);
        for (const auto& parent : {hierarchy, ours, ours / name.agent}) {
            if (limits.memory_bytes != 0) set(parent / "cgroup.subtree_control", "+memory");
            if (limits.cpu_millis != 0) set(parent / "cgroup.subtree_control", "+cpu");
        }
        std::vector<Setting> settings;
        if (limits.memory_bytes != 0) settings.emplace_back("memory.max", memory);
        if (limits.cpu_millis != 0)
            settings.emplace_back("cpu.max", quota + " " + std::to_string(period_us));
        enter(ours / group, settings, pid);
        return;
    }
    if (limits.memory_bytes != 0)
        enter(hierarchy / "memory/kled" / group, {{"memory.limit_in_bytes", memory}}, pid);
    if (limits.cpu_millis != 0) {
        enter(hierarchy / "cpu/kled" / group,
              {{"cpu.cfs_period_us", std::to_string(period_us)}, {"cpu.cfs_quota_us", quota}}, pid);
    }
}

}  // namespace

std::string enter_cgroup(const fs::path& hierarchy, const CgroupName& name, const Limits& limits,
                         int pid) {
    if (limits == Limits{}) return {};
    std::string why;
    // Another agent may remove a parent that is empty between our making it and our using it.
    for (int attempts = 3; attempts > 0; --attempts) {
        try {
            limit(hierarchy, name, limits, pid);
            return {};
        } catch (const Error& error) {
            why = error.what();
            if (error.kind() != ErrorKind::not_found) break;
        }
    }
    return why;
}

void remove_cgroup(const fs::path& hierarchy, const CgroupName& name) noexcept {
    for (const auto* place : places) {
        remove_when_free(hierarchy / place / name.agent / name.container);
        // Where earlier agents put it, all in one folder.
        ::rmdir((hierarchy / place / name.container).c_str());
        remove_parents(hierarchy / place, name.agent);
    }
}

void sweep_cgroups(const fs::path& hierarchy, const std::string& agent) noexcept {
    for (const auto* place : places) {
        std::error_code none;
        fs::directory_iterator entry{hierarchy / place / agent, none};
        for (; !none && entry != fs::directory_iterator{}; entry.increment(none))
            ::rmdir(entry->path().c_str());  // control files are no folders, and stay
        remove_parents(hierarchy / place, agent);
    }
}

}  // namespace kled::edge
