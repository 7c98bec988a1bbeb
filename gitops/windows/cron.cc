#include "gitops/windows/cron.h"

#include "base/error.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <string>

namespace kled::gitops {

namespace chr = std::chrono;

namespace {

constexpr std::size_t text_limit = 256;
constexpr int days_limit = 366 * 9;  // 29 February comes again after eight years at most

struct Field {
    std::string_view name;
    int first;
    int last;
    std::string_view names;  ///< of three letters each, of `first` on
};
constexpr Field minute_field{"minute", 0, 59, ""};
constexpr Field hour_field{"hour", 0, 23, ""};
constexpr Field day_field{"day of the month", 1, 31, ""};
constexpr Field month_field{"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"};
constexpr Field weekday_field{"day of the week", 0, 7, "sunmontuewedthufrisat"};

struct Macro {
    std::string_view name;
    std::string_view meaning;
};
constexpr std::array macros{Macro{"@yearly", "0 0 1 1 *"},  Macro{"@annually", "0 0 1 1 *"},
                            Macro{"@monthly", "0 0 1 * *"}, Macro{"@weekly", "0 0 * * 0"},
                            Macro{"@daily", "0 0 * * *"},   Macro{"@midnight", "0 0 * * *"},
                            Macro{"@hourly", "0 * * * *"}};

Error bad(const Field& field, std::string_view text) {
    return {ErrorKind::invalid,
            "'" + std::string{text} + "' is no " + std::string{field.name} + " of a schedule"};
}

int value_of(const Field& field, std::string_view text, std::string_view whole) {
    if (text.size() == 3 && !field.names.empty()) {
        std::string lower;
        for (const char c : text)
            lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        const auto at = field.names.find(lower);
        if (at != std::string_view::npos && at % 3 == 0)
            return field.first + static_cast<int>(at / 3);
    }
    if (text.empty() || text.size() > 2) throw bad(field, whole);
    int value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') throw bad(field, whole);
        value = value * 10 + (c - '0');
    }
    return value;
}

/// Calls `set` with each value of one field; true: it is all of them, as "*".
template <typename Set>
bool read_field(const Field& field, std::string_view text, const Set& set) {
    bool any = false;
    auto rest = text;
    for (bool more = true; more;) {
        const auto comma = rest.find(',');
        auto item = rest.substr(0, comma);
        more = comma != std::string_view::npos;
        if (more) rest.remove_prefix(comma + 1);
        int step = 1;
        bool stepped = false;
        if (const auto slash = item.find('/'); slash != std::string_view::npos) {
            step = value_of({field.name, 1, 99, ""}, item.substr(slash + 1), text);
            if (step == 0) throw bad(field, text);
            item = item.substr(0, slash);
            stepped = true;
        }
        int first = field.first;
        int last = field.last;
        if (item == "*" || item == "?") {
            any = any || step == 1;
        } else if (const auto dash = item.find('-'); dash != std::string_view::npos) {
            first = value_of(field, item.substr(0, dash), text);
            last = value_of(field, item.substr(dash + 1), text);
        } else {
            first = value_of(field, item, text);
            if (!stepped) last = first;
        }
        if (first < field.first || last > field.last || first > last) throw bad(field, text);
        for (int value = first; value <= last; value += step) set(static_cast<std::size_t>(value));
    }
    return any;
}

}  // namespace

Cron Cron::parse(std::string_view text) {
    const auto wrong = [&](const std::string& what) {
        return Error{ErrorKind::invalid,
                     "'" + std::string{text.substr(0, text_limit)} + "' " + what};
    };
    if (text.size() > text_limit) throw wrong("is too long for a schedule");
    const auto macro = std::ranges::find(macros, text, &Macro::name);
    auto rest = macro == macros.end() ? text : macro->meaning;
    std::vector<std::string_view> fields;
    while (!rest.empty()) {
        const auto space = rest.find_first_of(" \t");
        if (space != 0) fields.push_back(rest.substr(0, space));
        rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
    }
    if (fields.size() != 5) {
        throw wrong(
            "is no schedule: minute, hour, day of the month, month, day of the week "
            "(\"0 22 * * 1-5\")");
    }
    Cron cron;
    std::bitset<60> minutes;
    std::bitset<24> hours;
    read_field(minute_field, fields[0], [&](std::size_t i) { minutes.set(i); });
    read_field(hour_field, fields[1], [&](std::size_t i) { hours.set(i); });
    for (int hour = 0; hour < 24; ++hour)
        for (int minute = 0; minute < 60; ++minute)
            if (hours.test(static_cast<std::size_t>(hour)) &&
                minutes.test(static_cast<std::size_t>(minute)))
                cron.times_.push_back(chr::hours{hour} + chr::minutes{minute});
    cron.any_day_ = read_field(day_field, fields[2], [&](std::size_t i) { cron.days_.set(i); });
    read_field(month_field, fields[3], [&](std::size_t i) { cron.months_.set(i); });
    cron.any_weekday_ =
        read_field(weekday_field, fields[4], [&](std::size_t i) { cron.weekdays_.set(i % 7); });
    return cron;
}

bool Cron::never() const {
    constexpr std::array<std::size_t, 13> longest{0,  31, 29, 31, 30, 31, 30,
                                                  31, 31, 30, 31, 30, 31};
    if (!any_day_ && !any_weekday_) return months_.none();  // a day of the week will do
    for (std::size_t month = 1; month < longest.size(); ++month) {
        if (!months_.test(month)) continue;
        for (std::size_t day = 1; day <= longest[month]; ++day)
            if (days_.test(day)) return false;
    }
    return true;
}

bool Cron::includes(chr::local_days day) const {
    const chr::year_month_day date{day};
    if (!months_.test(static_cast<unsigned>(date.month()))) return false;
    const bool by_day = days_.test(static_cast<unsigned>(date.day()));
    const bool by_weekday = weekdays_.test(chr::weekday{day}.c_encoding());
    return any_day_ || any_weekday_ ? by_day && by_weekday : by_day || by_weekday;
}

namespace {

/// When that day begins, if it has one offset and so have those beside it.
std::optional<chr::sys_seconds> steady_midnight(chr::local_days day, const TimeZone& zone) {
    const chr::sys_seconds as_utc{day.time_since_epoch()};
    const auto offset = zone.steady_offset(as_utc - chr::hours{27}, as_utc + chr::hours{51});
    return offset ? std::optional{as_utc - *offset} : std::nullopt;
}

}  // namespace

std::optional<chr::sys_seconds> Cron::first_after(chr::sys_seconds after, chr::local_days day,
                                                  const TimeZone& zone) const {
    if (!includes(day)) return std::nullopt;
    if (const auto midnight = steady_midnight(day, zone)) {
        const auto time = std::ranges::upper_bound(times_, after - *midnight);
        return time == times_.end() ? std::nullopt : std::optional{*midnight + *time};
    }
    const auto all = moments(day, zone);
    const auto first = std::ranges::upper_bound(all, after);
    return first == all.end() ? std::nullopt : std::optional{*first};
}

std::optional<chr::sys_seconds> Cron::last_until(chr::sys_seconds until, chr::local_days day,
                                                 const TimeZone& zone) const {
    if (!includes(day)) return std::nullopt;
    if (const auto midnight = steady_midnight(day, zone)) {
        const auto after = std::ranges::upper_bound(times_, until - *midnight);
        return after == times_.begin() ? std::nullopt : std::optional{*midnight + *(after - 1)};
    }
    const auto all = moments(day, zone);
    const auto after = std::ranges::upper_bound(all, until);
    return after == all.begin() ? std::nullopt : std::optional{*(after - 1)};
}

std::vector<chr::sys_seconds> Cron::moments(chr::local_days day, const TimeZone& zone) const {
    std::vector<chr::sys_seconds> result;
    for (const auto time : times_)
        for (const auto moment : zone.moments(day + chr::seconds{time})) result.push_back(moment);
    std::ranges::sort(result);
    return result;
}

namespace {

chr::local_days day_at(chr::sys_seconds when, const TimeZone& zone) {
    return chr::local_days{chr::floor<chr::days>((when + zone.offset(when)).time_since_epoch())};
}

}  // namespace

std::optional<chr::sys_seconds> Cron::next(chr::sys_seconds after, const TimeZone& zone) const {
    std::optional<chr::sys_seconds> found;
    auto day = day_at(after, zone) - chr::days{1};
    for (int i = 0; i < days_limit; ++i, day += chr::days{1}) {
        // Clocks that are set back around midnight show times of the next day first.
        const bool decided = found.has_value();
        const auto first = first_after(after, day, zone);
        if (first && (!found || *first < *found)) found = first;
        if (decided) break;
    }
    return found;
}

std::optional<chr::sys_seconds> Cron::last(chr::sys_seconds until, chr::seconds within,
                                           const TimeZone& zone) const {
    std::optional<chr::sys_seconds> found;
    const auto earliest = day_at(until - within, zone) - chr::days{1};
    for (auto day = day_at(until, zone) + chr::days{1}; day >= earliest; day -= chr::days{1}) {
        const bool decided = found.has_value();
        const auto last = last_until(until, day, zone);
        if (last && *last > until - within && (!found || *last > *found)) found = last;
        if (decided) break;
    }
    return found;
}

}  // namespace kled::gitops
