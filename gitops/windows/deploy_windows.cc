#include "gitops/windows/deploy_windows.h"

#include "base/error.h"
#include "gitops/objects/fields.h"
#include "kube/yaml.h"

#include <algorithm>
#include <array>

namespace kled::gitops {

namespace chr = std::chrono;

namespace {

constexpr std::size_t text_limit = 16U << 10U;
constexpr chr::hours shortest_year{365 * 24};
constexpr int edges_limit = 200;  // looked at for the next change
constexpr std::array<std::string_view, 4> known{"schedule", "duration", "timeZone", "kind"};

template <typename Read>
auto in_field(const Reader& fields, std::string_view name, const Read& read) {
    try {
        return read(fields.text(name));
    } catch (const Error& error) {
        throw fields.bad(name, error.what());
    }
}

}  // namespace

DeployWindows DeployWindows::from_json(const kube::json::value& list, const std::string& path) {
    const Error not_a_list{ErrorKind::invalid, path + ": not a list of windows"};
    if (!list.is_array()) throw not_a_list;
    if (list.get_array().size() > count_limit) {
        throw Error{ErrorKind::invalid,
                    path + ": more than " + std::to_string(count_limit) + " windows"};
    }
    DeployWindows result;
    for (std::size_t i = 0; i < list.get_array().size(); ++i) {
        const auto& item = list.get_array()[i];
        if (!item.is_object()) throw not_a_list;
        const Reader fields{&item.get_object(), path + "[" + std::to_string(i) + "]"};
        for (const auto& entry : item.get_object()) {
            if (std::ranges::find(known, std::string_view{entry.key()}) == known.end())
                throw fields.bad(entry.key(), "no field of a window");
        }
        const auto kind = fields.text("kind");
        if (!kind.empty() && kind != "allow" && kind != "deny")
            throw fields.bad("kind", "'" + kind + "' is neither allow nor deny");
        static_cast<void>(fields.required("schedule"));
        static_cast<void>(fields.required("duration"));
        const auto duration =
            chr::floor<chr::seconds>(in_field(fields, "duration", parse_duration));
        if (duration < chr::minutes{1} || duration > shortest_year)
            throw fields.bad("duration", "not between a minute and a year");
        auto schedule = in_field(fields, "schedule", Cron::parse);
        if (schedule.never()) {
            throw fields.bad("schedule", "'" + fields.text("schedule") +
                                             "' is on days that no year has: the window would "
                                             "never begin");
        }
        result.windows_.push_back({.schedule = std::move(schedule),
                                   .duration = duration,
                                   .zone = in_field(fields, "timeZone",
                                                    [](const std::string& name) {
                                                        return name.empty() ? TimeZone{}
                                                                            : TimeZone::load(name);
                                                    }),
                                   .allow = kind != "deny"});
    }
    return result;
}

DeployWindows DeployWindows::parse(std::string_view yaml, const std::string& path) {
    if (yaml.size() > text_limit)
        throw Error{ErrorKind::exhausted, path + ": longer than any list of windows"};
    kube::YamlOptions options;
    options.max_nodes = 1000;
    options.max_depth = 16;
    kube::json::value list;
    try {
        list = kube::parse_yaml(yaml, options);
    } catch (const Error& error) {
        throw error.within(path);
    }
    return from_json(list, path);
}

bool DeployWindows::open_at(chr::sys_seconds at) const {
    bool allowed = true;
    bool any_allows = false;
    for (const auto& window : windows_) {
        if (!window.allow) {
            if (window.begun(at)) return false;
            continue;
        }
        if (!any_allows) allowed = false;
        any_allows = true;
        allowed = allowed || window.begun(at).has_value();
    }
    return allowed;
}

std::optional<chr::sys_seconds> DeployWindows::next_edge(chr::sys_seconds after) const {
    std::optional<chr::sys_seconds> first;
    for (const auto& window : windows_) {
        const auto begun = window.begun(after);
        // That it begins anew before it ended changes nothing before it ends.
        const auto edge = begun ? std::optional{*begun + window.duration}
                                : window.schedule.next(after, window.zone);
        if (edge && (!first || *edge < *first)) first = edge;
    }
    return first;
}

std::optional<chr::sys_seconds> DeployWindows::next_chance(chr::sys_seconds after) const {
    auto denied_until = after;
    for (const auto& window : windows_) {
        const auto begun = window.allow ? std::nullopt : window.begun(after);
        if (begun) denied_until = std::max(denied_until, *begun + window.duration);
    }
    if (denied_until > after) return denied_until;
    std::optional<chr::sys_seconds> allowed_from;
    for (const auto& window : windows_) {
        const auto next = window.allow ? window.schedule.next(after, window.zone) : std::nullopt;
        if (next) allowed_from = std::min(allowed_from.value_or(*next), *next);
    }
    return allowed_from;
}

DeployWindows::Verdict DeployWindows::at(WallTime now) const {
    const auto start = chr::floor<chr::seconds>(now);
    Verdict verdict{.open = open_at(start)};
    auto at = start;
    for (int i = 0; i < edges_limit; ++i) {
        const auto edge = verdict.open ? next_edge(at) : next_chance(at);
        if (!edge || *edge > start + 5 * shortest_year) break;
        at = *edge;
        if (open_at(at) == verdict.open) continue;
        verdict.until = at;
        break;
    }
    return verdict;
}

}  // namespace kled::gitops
