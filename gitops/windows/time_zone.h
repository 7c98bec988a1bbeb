/// What clocks of a place show: the system's time zone data (TZif, RFC 9636), read by value. Pure
/// but for `load`. C++20's own time zones are missing in libstdc++ 12.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops {

class TimeZone {
public:
    /// Always 0.
    TimeZone() : offsets_{std::chrono::seconds{0}} {}
    /// Of the content of a file. Error(invalid): not TZif, past a limit, or one that counts leap
    /// seconds.
    static TimeZone parse(std::string_view tzif);
    /// By its name, "Europe/Berlin", from $TZDIR or where systems have it. Error(invalid): there is
    /// no zone of this name.
    static TimeZone load(std::string_view name);

    /// How far clocks there are ahead of UTC.
    [[nodiscard]] std::chrono::seconds offset(std::chrono::sys_seconds at) const;

    /// When clocks there show `local`: once, or twice where they are set back over it. A time that
    /// they are set forward over is the moment of that.
    [[nodiscard]] std::vector<std::chrono::sys_seconds> moments(
        std::chrono::local_seconds local) const;

    /// The offset from `from` to `to`, where there is only one.
    [[nodiscard]] std::optional<std::chrono::seconds> steady_offset(
        std::chrono::sys_seconds from, std::chrono::sys_seconds to) const;

private:
    /// POSIX.1 TZ, the part behind the names: when summer time begins and ends, year for year.
    struct Rule {
        enum class Form { julian, day, weekday };  // J60 (no 29 February), 59, M3.5.0
        Form form = Form::julian;
        int month = 0;
        int week = 0;
        int day = 0;
        std::chrono::seconds time{7200};  // of the clock that is left
        [[nodiscard]] std::chrono::local_seconds in(std::chrono::year year) const;
    };
    struct Footer {
        std::chrono::seconds standard{0};
        std::chrono::seconds summer{0};
        std::optional<Rule> begin;  // none: no summer time
        Rule end{};
        [[nodiscard]] std::chrono::seconds offset(std::chrono::sys_seconds at) const;
    };
    class FooterReader;

    std::vector<std::int64_t> transitions_;  // ascending, since 1970
    std::vector<std::uint8_t> types_;        // of each transition
    std::vector<std::chrono::seconds> offsets_;
    std::optional<Footer> footer_;  // after the last transition
};

}  // namespace kled::gitops
