/// Schedules as those of a CronJob: "0 22 * * 1-5". Pure.
#pragma once

#include "gitops/windows/time_zone.h"

#include <bitset>
#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

namespace kled::gitops {

/// Minute, hour, day of the month, month, day of the week, with lists, ranges, steps and English
/// names of three letters; or "@daily" and its like. As Kubernetes reads it (robfig/cron v3): when
/// both days are restricted, either will do.
class Cron {
public:
    /// Error(invalid) names the field.
    static Cron parse(std::string_view text);

    /// Whether no year has such a day, as 30 February.
    [[nodiscard]] bool never() const;

    /// The first moment after `after` at which clocks of `zone` show a time of the schedule;
    /// nullopt: not within nine years. Where clocks are set back over a time it comes twice; where
    /// they are set forward over it, at the moment of that.
    [[nodiscard]] std::optional<std::chrono::sys_seconds> next(std::chrono::sys_seconds after,
                                                               const TimeZone& zone) const;
    /// The last one that is not after `until` and less than `within` before it.
    [[nodiscard]] std::optional<std::chrono::sys_seconds> last(std::chrono::sys_seconds until,
                                                               std::chrono::seconds within,
                                                               const TimeZone& zone) const;

private:
    [[nodiscard]] bool includes(std::chrono::local_days day) const;
    /// The first of a day's after `after`.
    [[nodiscard]] std::optional<std::chrono::sys_seconds> first_after(
        std::chrono::sys_seconds after, std::chrono::local_days day, const TimeZone& zone) const;
    /// The last of a day's that is not after `until`.
    [[nodiscard]] std::optional<std::chrono::sys_seconds> last_until(std::chrono::sys_seconds until,
                                                                     std::chrono::local_days day,
                                                                     const TimeZone& zone) const;
    /// All of a day's on which clocks are set, ascending.
    [[nodiscard]] std::vector<std::chrono::sys_seconds> moments(std::chrono::local_days day,
                                                                const TimeZone& zone) const;

    std::vector<std::chrono::minutes> times_;  // of a day, ascending
    std::bitset<32> days_;                     // from 1
    std::bitset<13> months_;
    std::bitset<7> weekdays_;  // from Sunday
    bool any_day_ = false;
    bool any_weekday_ = false;
};

}  // namespace kled::gitops
