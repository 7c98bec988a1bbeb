#include "kube/table.h"

#include "kube/printers/row.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

namespace kled::kube {

namespace {

using printers::number;
using printers::text;
using printers::text_or;

std::vector<TableColumn> columns_of(std::string_view text) {
    std::vector<TableColumn> columns;
    while (!text.empty()) {
        auto name = text.substr(0, text.find('|'));
        text.remove_prefix(std::min(name.size() + 1, text.size()));
        TableColumn column;
        if (name.ends_with('+')) {
            column.priority = 1;
            name.remove_suffix(1);
        }
        static constexpr std::array<std::pair<char, std::string_view>, 3> types{
            {{'#', "integer"}, {'?', "boolean"}, {'@', "date"}}};
        for (const auto& [sign, type] : types) {
            if (!name.ends_with(sign)) continue;
            column.type = type;
            name.remove_suffix(1);
        }
        if (name == "Name" || name.ends_with('!')) column.format = "name";
        column.name = name.substr(0, name.find('!'));
        columns.push_back(std::move(column));
    }
    return columns;
}

/// A cell of a custom resource's column; null where the value is not of the column's type.
json::value custom_cell(const json::value& value, const TableColumn& column, WallTime now) {
    if (column.type == "string")
        return json::string(value.is_null()     ? "<no value>"
                            : value.is_string() ? std::string{value.get_string()}
                                                : to_json(value));
    if (column.type == "integer" && value.is_number()) {
        if (!value.is_double()) return value;
        constexpr double limit = 9.2e18;
        return static_cast<std::int64_t>(std::clamp(value.get_double(), -limit, limit));
    }
    if (column.type == "number" && value.is_number()) return value;
    if (column.type == "boolean" && value.is_bool()) return value;
    if (column.type == "date" && value.is_string()) {
        const auto then = parse_rfc3339(value.get_string());
        return then ? json::string(human_duration(
                          std::chrono::duration_cast<std::chrono::seconds>(now - *then)))
                    : json::string("<invalid>");
    }
    return nullptr;
}

void generic_cells(printers::Row& row) { row.name().age(); }

}  // namespace

/// All printers of built-in kinds, made at first use.
class Kinds {
public:
    Kinds() {
        for (const auto kinds :
             {printers::control_kinds(), printers::core_kinds(), printers::network_kinds(),
              printers::pod_kinds(), printers::storage_kinds(), printers::workload_kinds()}) {
            for (const auto& kind : kinds)
                printers_.emplace(std::pair{kind.group, kind.kind}, make(kind.columns, kind.cells));
        }
    }
    [[nodiscard]] const TablePrinter& of(const GroupVersionKind& gvk) const {
        const auto found =
            printers_.find(std::pair{std::string_view{gvk.group}, std::string_view{gvk.kind}});
        return found == printers_.end() ? generic_ : found->second;
    }

private:
    static TablePrinter make(std::string_view columns, TablePrinter::Cells cells) {
        TablePrinter printer;
        printer.columns_ = columns_of(columns);
        printer.cells_ = cells;
        return printer;
    }
    std::map<std::pair<std::string_view, std::string_view>, TablePrinter> printers_;
    TablePrinter generic_ = make("Name|Age", printers::cells_of<generic_cells>);
};

const TablePrinter& TablePrinter::of(const GroupVersionKind& gvk) {
    static const Kinds all;
    return all.of(gvk);
}

TablePrinter TablePrinter::of_custom_resource(const json::array& columns) {
    TablePrinter printer;
    printer.columns_.push_back(
        {.name = "Name", .type = "string", .format = "name", .description = "", .priority = 0});
    const auto add = [&](TableColumn column, std::string_view path) {
        printer.columns_.push_back(std::move(column));
        printer.paths_.push_back(JsonPath::parse(path));
    };
    for (const auto& column : columns) {
        const auto path = text(column, {"jsonPath"});
        add({.name = std::string{text(column, {"name"})},
             .type = std::string{text(column, {"type"})},
             .format = std::string{text(column, {"format"})},
             .description = text_or(
                 text(column, {"description"}),
                 "Custom resource definition column (in JSONPath format): " + std::string{path}),
             .priority = static_cast<int>(
                 std::clamp<std::int64_t>(number(find(column, {"priority"})), 0, 1'000'000))},
            path);
    }
    if (columns.empty())
        add({.name = "Age", .type = "date", .format = "", .description = "", .priority = 0},
            ".metadata.creationTimestamp");
    return printer;
}

json::array TablePrinter::cells(const Object& object, WallTime now) const {
    json::array cells;
    cells.reserve(columns_.size());
    if (cells_ != nullptr) {
        cells_(object, now, cells);
        return cells;
    }
    cells.emplace_back(json::string(object.name()));
    for (std::size_t i = 0; i < paths_.size(); ++i) {
        const auto found = paths_[i].find(object.fields());
        cells.push_back(found.empty() ? json::value(nullptr)
                                      : custom_cell(*found.front(), columns_[i + 1], now));
    }
    return cells;
}

json::object TablePrinter::row(const Object& object, IncludeObject include, WallTime now) const {
    json::object row;
    row.emplace("cells", cells(object, now));
    const auto phase = object.kind() == "Pod" && object.api_version() == "v1"
                           ? find_string(object.fields(), {"status", "phase"})
                           : std::string_view{};
    if (phase == "Succeeded" || phase == "Failed") {
        row.emplace("conditions",
                    json::array{json::object{
                        {"type", "Completed"},
                        {"status", "True"},
                        {"reason", phase},
                        {"message", phase == "Failed" ? "The pod failed."
                                                      : "The pod has completed successfully."}}});
    }
    if (include == IncludeObject::object) {
        row.emplace("object", object.fields());
    } else if (include == IncludeObject::metadata) {
        json::object partial{{"kind", "PartialObjectMetadata"}, {"apiVersion", "meta.k8s.io/v1"}};
        partial.emplace("metadata",
                        object.metadata() == nullptr ? json::object{} : *object.metadata());
        row.emplace("object", std::move(partial));
    }
    return row;
}

json::object TablePrinter::table(json::object list_metadata, bool with_columns) const {
    json::object table{{"kind", "Table"}, {"apiVersion", "meta.k8s.io/v1"}};
    table.emplace("metadata", std::move(list_metadata));
    json::array definitions;
    if (with_columns) {
        for (const auto& column : columns_) {
            definitions.push_back(json::object{{"name", column.name},
                                               {"type", column.type},
                                               {"format", column.format},
                                               {"description", column.description},
                                               {"priority", column.priority}});
        }
    }
    table.emplace("columnDefinitions", std::move(definitions));
    table.emplace("rows", json::array{});
    return table;
}

std::string human_duration(std::chrono::seconds duration) {
    const auto all = duration.count();
    const auto shown_pair = [](std::int64_t big, const char* big_unit, std::int64_t small,
                               const char* small_unit) {
        return std::to_string(big) + big_unit +
               (small == 0 ? "" : std::to_string(small) + small_unit);
    };
    if (all < -1) return "<invalid>";
    if (all < 0) return "0s";
    if (all < 120) return std::to_string(all) + "s";
    const auto minutes = all / 60;
    if (minutes < 10) return shown_pair(minutes, "m", all % 60, "s");
    if (minutes < 180) return std::to_string(minutes) + "m";
    const auto hours = all / 3600;
    if (hours < 8) return shown_pair(hours, "h", minutes % 60, "m");
    if (hours < 48) return std::to_string(hours) + "h";
    const auto days = hours / 24;
    if (hours < 24 * 8) return shown_pair(days, "d", hours % 24, "h");
    if (days < 365 * 2) return std::to_string(days) + "d";
    if (days < 365 * 8) return shown_pair(days / 365, "y", days % 365, "d");
    return std::to_string(days / 365) + "y";
}

}  // namespace kled::kube
