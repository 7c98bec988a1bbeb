/// When something new may be deployed. Pure but for the names of time zones.
#pragma once

#include "base/clock.h"
#include "gitops/windows/cron.h"
#include "kube/object.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops {

/// A list of windows, each of which begins at the times of its schedule. Within one that denies,
/// nothing new comes; where any allows, something new comes only within one of these.
class DeployWindows {
public:
    static constexpr std::size_t count_limit = 10;

    /// Always open.
    DeployWindows() = default;
    /// [{schedule: "0 22 * * 1-5", duration: 6h, timeZone: Europe/Berlin, kind: allow}], `timeZone`
    /// UTC and `kind` allow where they are missing. Error(invalid) "<path>[0].schedule: …".
    static DeployWindows from_json(const kube::json::value& list, const std::string& path);
    /// The same as YAML. Error(invalid|exhausted).
    static DeployWindows parse(std::string_view yaml, const std::string& path);

    struct Verdict {
        bool open = true;
        /// When it will be otherwise; nullopt: not within five years, or that is not known yet.
        std::optional<WallTime> until{};
    };
    [[nodiscard]] Verdict at(WallTime now) const;

private:
    struct Window {
        Cron schedule;
        std::chrono::seconds duration;
        TimeZone zone;
        bool allow;
        /// When it began, if `at` is within.
        [[nodiscard]] std::optional<std::chrono::sys_seconds> begun(
            std::chrono::sys_seconds at) const {
            return schedule.last(at, duration, zone);
        }
    };
    [[nodiscard]] bool open_at(std::chrono::sys_seconds at) const;
    /// Of a time that is not open, the next at which it may be: those that only close it are passed
    /// over, which may be many.
    [[nodiscard]] std::optional<std::chrono::sys_seconds> next_chance(
        std::chrono::sys_seconds after) const;
    /// When a window next begins or ends.
    [[nodiscard]] std::optional<std::chrono::sys_seconds> next_edge(
        std::chrono::sys_seconds after) const;

    std::vector<Window> windows_;
};

}  // namespace kled::gitops
