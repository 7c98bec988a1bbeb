#include "gitops/windows/time_zone.h"

#include "base/error.h"
#include "base/file.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

namespace kled::gitops {

namespace chr = std::chrono;

namespace {

constexpr std::size_t file_limit = 256U << 10U;  // the largest has 4 KiB
constexpr std::size_t name_limit = 64;
constexpr std::uint32_t transition_limit = 20'000;
constexpr std::int64_t offset_limit = 26L * 3600;  // RFC 9636 §3.2, utoff
constexpr chr::hours reach{27};                    // clocks show no other day but one beside

Error malformed(const std::string& what) { return {ErrorKind::invalid, "time zone data: " + what}; }

/// Big-endian numbers off the front.
class Bytes {
public:
    explicit Bytes(std::string_view bytes) : rest_{bytes} {}
    std::string_view take(std::uint64_t count) {
        if (count > rest_.size()) throw malformed("it ends too early");
        const auto result = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return result;
    }
    std::int64_t number(std::size_t size) {
        const auto bytes = take(size);
        // The first byte has the sign.
        std::uint64_t value = (static_cast<unsigned char>(bytes[0]) & 0x80U) != 0 ? ~0ULL : 0;
        for (const char c : bytes) value = (value << 8U) | static_cast<unsigned char>(c);
        return static_cast<std::int64_t>(value);
    }
    [[nodiscard]] std::string_view rest() const { return rest_; }

private:
    std::string_view rest_;
};

struct Header {
    char version = 0;
    std::uint64_t is_utc = 0;
    std::uint64_t is_standard = 0;
    std::uint64_t leaps = 0;
    std::uint64_t times = 0;
    std::uint64_t types = 0;
    std::uint64_t characters = 0;
    [[nodiscard]] std::uint64_t size(std::uint64_t time_size) const {
        return times * time_size + times + types * 6 + characters + leaps * (time_size + 4) +
               is_standard + is_utc;
    }
};

Header read_header(Bytes& bytes) {
    if (bytes.take(4) != "TZif") throw malformed("it does not begin with TZif");
    Header header;
    header.version = bytes.take(1).front();
    static_cast<void>(bytes.take(15));
    for (auto* count : {&header.is_utc, &header.is_standard, &header.leaps, &header.times,
                        &header.types, &header.characters}) {
        const auto value = bytes.number(4);
        if (value < 0 || value > transition_limit) throw malformed("it has too much in it");
        *count = static_cast<std::uint64_t>(value);
    }
    return header;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

}  // namespace

/// "CET-1CEST,M3.5.0,M10.5.0/3".
class TimeZone::FooterReader {
public:
    explicit FooterReader(std::string_view text) : rest_{text} {}

    Footer read() {
        Footer footer;
        name();
        footer.standard = -time(24);
        footer.summer = footer.standard + chr::hours{1};
        if (rest_.empty()) return footer;
        name();
        if (!rest_.starts_with(',')) footer.summer = -time(24);
        if (!next(',')) throw bad();
        footer.begin = rule();
        if (!next(',')) throw bad();
        footer.end = rule();
        if (!rest_.empty()) throw bad();
        return footer;
    }

private:
    [[nodiscard]] static Error bad() { return malformed("its rule for later years is not one"); }
    bool next(char c) {
        if (!rest_.starts_with(c)) return false;
        rest_.remove_prefix(1);
        return true;
    }
    void name() {
        if (next('<')) {
            const auto end = rest_.find('>');
            if (end == std::string_view::npos) throw bad();
            rest_.remove_prefix(end + 1);
            return;
        }
        const auto end = std::ranges::find_if_not(rest_, is_letter) - rest_.begin();
        if (end < 3) throw bad();
        rest_.remove_prefix(static_cast<std::size_t>(end));
    }
    int number(int limit) {
        if (rest_.empty() || !is_digit(rest_.front())) throw bad();
        int value = 0;
        while (!rest_.empty() && is_digit(rest_.front())) {
            value = value * 10 + (rest_.front() - '0');
            if (value > limit) throw bad();
            rest_.remove_prefix(1);
        }
        return value;
    }
    chr::seconds time(int hours) {
        const bool negative = next('-');
        if (!negative) next('+');
        chr::seconds value = chr::hours{number(hours)};
        if (next(':')) value += chr::minutes{number(59)};
        if (next(':')) value += chr::seconds{number(59)};
        return negative ? -value : value;
    }
    Rule rule() {
        Rule rule;
        if (next('M')) {
            rule.form = Rule::Form::weekday;
            rule.month = number(12);
            if (!next('.')) throw bad();
            rule.week = number(5);
            if (!next('.')) throw bad();
            rule.day = number(6);
            if (rule.month == 0 || rule.week == 0) throw bad();
        } else if (next('J')) {
            rule.day = number(365);
            if (rule.day == 0) throw bad();
        } else {
            rule.form = Rule::Form::day;
            rule.day = number(365);
        }
        if (next('/')) rule.time = time(167);
        return rule;
    }

    std::string_view rest_;
};

chr::local_seconds TimeZone::Rule::in(chr::year year) const {
    const chr::local_days first{year / chr::January / 1};
    if (form == Form::day) return first + chr::days{day} + time;
    if (form == Form::julian) {
        const bool after_february = day > 31 + 28;
        return first + chr::days{day - 1 + (after_february && year.is_leap() ? 1 : 0)} + time;
    }
    const chr::month which{static_cast<unsigned>(month)};
    const chr::weekday weekday{static_cast<unsigned>(day)};
    if (week == 5) return chr::local_days{year / which / weekday[chr::last]} + time;
    return chr::local_days{year / which / weekday[static_cast<unsigned>(week)]} + time;
}

chr::seconds TimeZone::Footer::offset(chr::sys_seconds at) const {
    if (!begin) return standard;
    const auto year = chr::year_month_day{chr::floor<chr::days>(at + standard)}.year();
    // Of two at one moment, the end of a year and the next one's beginning, the beginning counts.
    std::array<std::pair<chr::sys_seconds, bool>, 6> changes;
    std::size_t i = 0;
    for (const auto y : {year - chr::years{1}, year, year + chr::years{1}}) {
        changes[i++] = {chr::sys_seconds{begin->in(y).time_since_epoch() - standard}, true};
        changes[i++] = {chr::sys_seconds{end.in(y).time_since_epoch() - summer}, false};
    }
    std::ranges::sort(changes);
    bool is_summer = false;
    for (const auto& [when, to_summer] : changes) {
        if (when > at) break;
        is_summer = to_summer;
    }
    return is_summer ? summer : standard;
}

TimeZone TimeZone::parse(std::string_view tzif) {
    if (tzif.size() > file_limit) throw malformed("it is larger than any");
    Bytes bytes{tzif};
    auto header = read_header(bytes);
    std::size_t time_size = 4;
    if (header.version >= '2') {  // the same again, with years before 1901 and after 2038
        static_cast<void>(bytes.take(header.size(time_size)));
        header = read_header(bytes);
        time_size = 8;
    }
    if (header.leaps > 0) throw malformed("it counts leap seconds, which other clocks do not");
    if (header.types == 0 || header.types > 256) throw malformed("it has no offsets");
    TimeZone zone;
    for (std::uint64_t i = 0; i < header.times; ++i) {
        const auto when = bytes.number(time_size);
        if (i > 0 && when <= zone.transitions_.back()) throw malformed("it is out of order");
        zone.transitions_.push_back(when);
    }
    for (std::uint64_t i = 0; i < header.times; ++i) {
        const auto type = static_cast<std::uint8_t>(bytes.take(1).front());
        if (type >= header.types) throw malformed("it has no such offset");
        zone.types_.push_back(type);
    }
    zone.offsets_.clear();
    for (std::uint64_t i = 0; i < header.types; ++i) {
        const auto offset = bytes.number(4);
        if (offset <= -offset_limit || offset >= offset_limit)
            throw malformed("an offset is more than a day");
        zone.offsets_.emplace_back(offset);
        static_cast<void>(bytes.take(2));
    }
    static_cast<void>(bytes.take(header.characters + header.is_standard + header.is_utc));
    if (time_size == 8) {
        auto footer = bytes.rest();
        if (footer.size() < 2 || !footer.starts_with('\n') || !footer.ends_with('\n'))
            throw malformed("its rule for later years is missing");
        footer = footer.substr(1, footer.size() - 2);
        if (!footer.empty()) zone.footer_ = FooterReader{footer}.read();
    }
    return zone;
}

TimeZone TimeZone::load(std::string_view name) {
    if (name == "UTC" || name == "Etc/UTC") return {};
    const Error unknown{ErrorKind::invalid,
                        "'" + std::string{name} +
                            "' is no time zone of this system: a name as \"Europe/Berlin\" or "
                            "\"UTC\", as `timedatectl list-timezones` has them"};
    // A name is not a way out of the folder.
    const bool fine =
        !name.empty() && name.size() <= name_limit && is_letter(name.front()) &&
        name.find("//") == std::string_view::npos && std::ranges::all_of(name, [](char c) {
            return is_letter(c) || is_digit(c) || c == '/' || c == '_' || c == '-' || c == '+';
        });
    if (!fine) throw unknown;
    std::vector<std::filesystem::path> folders{"/usr/share/zoneinfo", "/etc/zoneinfo"};
    if (const auto* own = std::getenv("TZDIR"); own != nullptr && *own == '/')
        folders.insert(folders.begin(), own);
    std::error_code absent;
    if (std::ranges::none_of(folders, [&](const auto& folder) {
            return std::filesystem::is_directory(folder, absent);
        })) {
        throw Error{ErrorKind::invalid,
                    "'" + std::string{name} +
                        "': this system has no time zones: install tzdata, name its folder in the "
                        "environment of kledd (TZDIR), or use UTC"};
    }
    for (const auto& folder : folders) {
        std::error_code failed;
        const auto path = folder / name;
        if (!std::filesystem::is_regular_file(path, failed)) continue;
        try {
            return parse(read_file(path, file_limit));
        } catch (const Error& error) {
            throw Error{ErrorKind::invalid, path.string() + ": " + error.what()};
        }
    }
    throw unknown;
}

chr::seconds TimeZone::offset(chr::sys_seconds at) const {
    const auto seconds = static_cast<std::int64_t>(at.time_since_epoch().count());
    if (footer_ && (transitions_.empty() || seconds >= transitions_.back()))
        return footer_->offset(at);
    const auto next = std::ranges::upper_bound(transitions_, seconds);
    if (next == transitions_.begin()) return offsets_.front();
    return offsets_[types_[static_cast<std::size_t>(next - transitions_.begin()) - 1]];
}

std::optional<chr::seconds> TimeZone::steady_offset(chr::sys_seconds from,
                                                    chr::sys_seconds to) const {
    const auto result = offset(from);
    for (auto at = from; at < to; at += chr::hours{3})
        if (offset(at) != result) return std::nullopt;
    if (offset(to) != result) return std::nullopt;
    return result;
}

std::vector<chr::sys_seconds> TimeZone::moments(chr::local_seconds local) const {
    const chr::sys_seconds as_utc{local.time_since_epoch()};
    std::vector<chr::sys_seconds> result;
    for (auto probe = as_utc - reach; probe <= as_utc + reach; probe += chr::hours{3}) {
        const auto when = as_utc - offset(probe);
        if (when + offset(when) == as_utc && std::ranges::find(result, when) == result.end())
            result.push_back(when);
    }
    std::ranges::sort(result);
    if (!result.empty()) return result;
    // Before the jump clocks show less, after it more.
    auto before = as_utc - reach;
    auto after = as_utc + reach;
    while (after - before > chr::seconds{1}) {
        const auto middle = before + (after - before) / 2;
        (middle + offset(middle) < as_utc ? before : after) = middle;
    }
    return {after};
}

}  // namespace kled::gitops
