#include "apiserver/columns.h"

#include <string>
#include <utility>

namespace kled::api {

namespace {

json::object definition(std::string_view name, std::string_view type, std::string_view format,
                        std::string_view description, int priority) {
    json::object column;
    column["name"] = name;
    column["type"] = type;
    column["format"] = format;
    column["description"] = description;
    column["priority"] = priority;
    return column;
}

constexpr std::string_view name_description =
    "Name must be unique within a namespace. Is required when creating resources, although some "
    "resources may allow a client to request the generation of an appropriate name automatically.";
constexpr std::string_view age_description =
    "CreationTimestamp is the server time at which this object was created (RFC 3339, UTC).";

/// apimachinery duration.HumanDuration: two units at most, the second only while it matters.
std::string human_duration(std::chrono::seconds elapsed) {
    const auto seconds = elapsed.count();
    if (seconds < -1) return "<invalid>";
    if (seconds < 0) return "0s";
    const auto text = [](long long value, const char* unit) {
        return std::to_string(value) + unit;
    };
    const auto two = [&](long long big, const char* big_unit, long long small,
                         const char* small_unit) {
        return small == 0 ? text(big, big_unit) : text(big, big_unit) + text(small, small_unit);
    };
    const auto minutes = seconds / 60;
    const auto hours = minutes / 60;
    const auto days = hours / 24;
    const auto years = days / 365;
    if (seconds < 120) return text(seconds, "s");
    if (minutes < 10) return two(minutes, "m", seconds % 60, "s");
    if (hours < 3) return text(minutes, "m");
    if (hours < 8) return two(hours, "h", minutes % 60, "m");
    if (hours < 48) return text(hours, "h");
    if (days < 8) return two(days, "d", hours % 24, "h");
    if (years < 2) return text(days, "d");
    if (years < 8) return two(years, "y", days % 365, "d");
    return text(years, "y");
}

json::value age(std::string_view since, WallTime now) {
    const auto time = parse_rfc3339(since);
    if (!time) return "<unknown>";
    return json::value(
        human_duration(std::chrono::duration_cast<std::chrono::seconds>(now - *time)));
}

}  // namespace

json::array Columns::definitions() const {
    json::array columns;
    columns.push_back(definition("Name", "string", "name", name_description, 0));
    if (resource_.custom && !resource_.custom->columns.empty()) {
        for (const auto& column : resource_.custom->columns) {
            columns.push_back(definition(
                column.name, column.type, column.format,
                column.description.empty()
                    ? "Custom resource definition column (in JSONPath format): " + column.json_path
                    : column.description,
                column.priority));
        }
        return columns;
    }
    // Without columns of its own a custom kind shows its age; so does any other here.
    columns.push_back(
        definition("Age", resource_.custom ? "date" : "string", "", age_description, 0));
    return columns;
}

json::array Columns::cells(const kube::Object& object, WallTime now) const {
    json::array cells;
    cells.push_back(json::value(std::string{object.name()}));
    cells.push_back(
        age(kube::find_string(object.fields(), {"metadata", "creationTimestamp"}), now));
    return cells;
}

json::array Columns::conditions(const kube::Object&) const { return {}; }

}  // namespace kled::api
