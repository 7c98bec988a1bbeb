#include "base/clock.h"

#include "base/error.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>

namespace kled {

namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

std::string rfc3339(WallTime time, bool micro) {
    const auto day = floor<days>(time);
    const std::chrono::year_month_day date{day};
    const std::chrono::hh_mm_ss clock{floor<microseconds>(time - day)};
    std::array<char, 48> buffer{};
    const int year = static_cast<int>(date.year());
    const auto month = static_cast<unsigned>(date.month());
    const auto dom = static_cast<unsigned>(date.day());
    const auto h = static_cast<int>(clock.hours().count());
    const auto m = static_cast<int>(clock.minutes().count());
    const auto s = static_cast<int>(clock.seconds().count());
    const auto us = static_cast<int>(clock.subseconds().count());
    const int size =
        micro ? std::snprintf(buffer.data(), buffer.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ",
                              year, month, dom, h, m, s, us)
              : std::snprintf(buffer.data(), buffer.size(), "%04d-%02u-%02uT%02d:%02d:%02dZ", year,
                              month, dom, h, m, s);
    return {buffer.data(), static_cast<std::size_t>(size)};
}

/// Reads from the front of a text; every step says whether it was there.
class Reader {
public:
    explicit Reader(std::string_view text) noexcept : rest_{text} {}

    bool digits(int count, int& value) noexcept {
        value = 0;
        for (int i = 0; i < count; ++i, rest_.remove_prefix(1)) {
            if (rest_.empty() || rest_[0] < '0' || rest_[0] > '9') return false;
            value = value * 10 + (rest_[0] - '0');
        }
        return true;
    }
    bool literal(char c) noexcept {
        if (rest_.empty() || rest_[0] != c) return false;
        rest_.remove_prefix(1);
        return true;
    }
    /// Digits after a point, as nanoseconds; those past the ninth are dropped.
    bool fraction(std::int64_t& nanos) noexcept {
        nanos = 0;
        std::int64_t scale = 100'000'000;
        bool any = false;
        for (; !rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9'; rest_.remove_prefix(1)) {
            nanos += (rest_[0] - '0') * scale;
            scale /= 10;
            any = true;
        }
        return any;
    }
    [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }

private:
    std::string_view rest_;
};

struct Unit {
    std::string_view name;
    std::int64_t nanos;
};
// Longest first where one begins with another.
constexpr std::array<Unit, 8> units{{{"ns", 1},
                                     {"us", 1'000},
                                     {"\xc2\xb5s", 1'000},  // U+00B5 micro sign
                                     {"\xce\xbcs", 1'000},  // U+03BC Greek mu
                                     {"ms", 1'000'000},
                                     {"s", 1'000'000'000},
                                     {"m", 60'000'000'000},
                                     {"h", 3'600'000'000'000}}};

/// Go's `time.ParseDuration` without the sign; nullopt also when 64 bits of nanoseconds overflow.
std::optional<std::int64_t> parse_nanos(std::string_view text) noexcept {
    constexpr auto max = std::numeric_limits<std::int64_t>::max();
    if (text == "0") return 0;
    std::int64_t total = 0;
    if (text.empty()) return std::nullopt;
    while (!text.empty()) {
        std::int64_t whole = 0;
        bool any = false;
        for (; !text.empty() && text[0] >= '0' && text[0] <= '9'; text.remove_prefix(1)) {
            if (whole > (max - 9) / 10) return std::nullopt;
            whole = whole * 10 + (text[0] - '0');
            any = true;
        }
        double fraction = 0;
        if (!text.empty() && text[0] == '.') {
            text.remove_prefix(1);
            for (double scale = 0.1; !text.empty() && text[0] >= '0' && text[0] <= '9';
                 text.remove_prefix(1), scale /= 10) {
                fraction += (text[0] - '0') * scale;
                any = true;
            }
        }
        if (!any) return std::nullopt;
        const Unit* unit = nullptr;
        for (const auto& candidate : units) {
            if (text.starts_with(candidate.name)) {
                unit = &candidate;
                break;
            }
        }
        if (unit == nullptr) return std::nullopt;
        text.remove_prefix(unit->name.size());
        if (whole > max / unit->nanos) return std::nullopt;
        const auto part = whole * unit->nanos;
        // Rounded, since 0.1 is not a binary fraction.
        const auto rest = std::llround(fraction * static_cast<double>(unit->nanos));
        if (part > max - rest || total > max - rest - part) return std::nullopt;
        total += part + rest;
    }
    return total;
}

}  // namespace

std::string to_rfc3339(WallTime time) { return rfc3339(time, false); }
std::string to_rfc3339_micro(WallTime time) { return rfc3339(time, true); }

std::optional<WallTime> parse_rfc3339(std::string_view text) noexcept {
    Reader reader{text};
    int year = 0;
    int month = 0;
    int day = 0;
    int hour = 0;
    int minute = 0;
    int second = 0;
    std::int64_t nanos = 0;
    if (!(reader.digits(4, year) && reader.literal('-') && reader.digits(2, month) &&
          reader.literal('-') && reader.digits(2, day) && reader.literal('T') &&
          reader.digits(2, hour) && reader.literal(':') && reader.digits(2, minute) &&
          reader.literal(':') && reader.digits(2, second)))
        return std::nullopt;
    if (reader.literal('.') && !reader.fraction(nanos)) return std::nullopt;
    minutes offset{0};
    if (!reader.literal('Z')) {
        const bool east = reader.literal('+');
        int offset_hours = 0;
        int offset_minutes = 0;
        if (!east && !reader.literal('-')) return std::nullopt;
        if (!(reader.digits(2, offset_hours) && reader.literal(':') &&
              reader.digits(2, offset_minutes)) ||
            offset_hours > 23 || offset_minutes > 59)
            return std::nullopt;
        offset = hours{offset_hours} + minutes{offset_minutes};
        if (!east) offset = -offset;
    }
    const std::chrono::year_month_day date{std::chrono::year{year},
                                           std::chrono::month{static_cast<unsigned>(month)},
                                           std::chrono::day{static_cast<unsigned>(day)}};
    if (!reader.at_end() || !date.ok() || hour > 23 || minute > 59 || second > 59)
        return std::nullopt;
    // WallTime counts nanoseconds in 64 bits: 1677 to 2262.
    if (year < 1678 || year > 2261) return std::nullopt;
    return std::chrono::sys_days{date} + hours{hour} + minutes{minute} - offset + seconds{second} +
           nanoseconds{nanos};
}

Duration parse_duration(std::string_view text) {
    auto digits = text;
    if (digits.starts_with('+')) digits.remove_prefix(1);
    const auto nanos = parse_nanos(digits);
    if (!nanos) {
        throw Error{ErrorKind::invalid, "\"" + std::string{text} +
                                            "\" is not a duration; write it like 30s, 5m or "
                                            "1h30m"};
    }
    return std::chrono::duration_cast<Duration>(nanoseconds{*nanos});
}

std::string format_duration(Duration duration) {
    auto left = duration.count();
    if (left == 0) return "0s";
    std::string text;
    if (left < 0) {
        text = "-";
        left = -left;
    }
    if (left < 1000) return text + std::to_string(left) + "ms";
    const auto ms = left % 1000;
    const auto s = left / 1000 % 60;
    const auto m = left / 60'000 % 60;
    const auto h = left / 3'600'000;
    if (h > 0) text += std::to_string(h) + "h";
    if (h > 0 || m > 0) text += std::to_string(m) + "m";
    text += std::to_string(s);
    if (ms > 0) {
        auto digits = std::to_string(1000 + ms).substr(1);
        digits.erase(digits.find_last_not_of('0') + 1);
        text += "." + digits;
    }
    return text + "s";
}

}  // namespace kled
