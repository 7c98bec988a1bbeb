/// How answers are printed: `-o table|wide|name|json|yaml`.
#pragma once

#include "kube/object.h"

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace kled::cli {

enum class Output { table, wide, name, json, yaml };

/// Adds `-o, --output` (or `flag`) to a verb, with the forms it has.
void add_output_flag(CLI::App& verb, Output& output, const std::string& flag = "-o,--output",
                     const std::vector<Output>& forms = {Output::table, Output::wide, Output::name,
                                                         Output::json, Output::yaml});

/// Columns of text; `wide_from` on are for `-o wide` only. Nothing is cut.
struct Table {
    std::vector<std::string> columns;
    std::size_t wide_from = static_cast<std::size_t>(-1);
    std::vector<std::vector<std::string>> rows;
};

/// Prints `objects` by `output`: the table for people, `kind/name` lines, a List in JSON or YAML
/// (one object alone when `single`).
void print(Output output, const Table& table, const std::vector<kube::Object>& objects,
           bool single = false);

/// For a table: the first line, and how many more `-o yaml` shows.
[[nodiscard]] std::string in_one_line(const std::string& text);

/// "5s", "3m20s", "2h", "4d": as kubectl prints ages.
[[nodiscard]] std::string age(std::string_view rfc3339);

}  // namespace kled::cli
