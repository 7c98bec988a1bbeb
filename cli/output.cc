#include "cli/output.h"

#include "base/clock.h"
#include "cli/flag_values.h"
#include "kube/yaml.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>

namespace kled::cli {

namespace {

std::string lower(std::string_view text) {
    std::string out{text};
    std::ranges::transform(out, out.begin(), [](unsigned char c) {
        return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    });
    return out;
}

void print_table(const Table& table, std::size_t columns) {
    std::vector<std::size_t> widths(columns);
    const auto measure = [&](const std::vector<std::string>& row) {
        for (std::size_t i = 0; i < columns && i < row.size(); ++i)
            widths[i] = std::max(widths[i], row[i].size());
    };
    const auto write = [&](const std::vector<std::string>& row) {
        std::string line;
        for (std::size_t i = 0; i < columns && i < row.size(); ++i) {
            line += row[i];
            if (i + 1 < columns) line.append(widths[i] - row[i].size() + 3, ' ');
        }
        line.erase(line.find_last_not_of(' ') + 1);
        std::cout << line << '\n';
    };
    measure(table.columns);
    for (const auto& row : table.rows) measure(row);
    write(table.columns);
    for (const auto& row : table.rows) write(row);
}

kube::json::object as_list(const std::vector<kube::Object>& objects) {
    kube::json::array items;
    for (const auto& object : objects) items.emplace_back(object.fields());
    kube::json::object list;
    list["apiVersion"] = "v1";
    list["kind"] = "List";
    list["items"] = std::move(items);
    return list;
}

}  // namespace

void add_output_flag(CLI::App& verb, Output& output, const std::string& flag,
                     const std::vector<Output>& forms) {
    static const std::map<Output, std::string> names{{Output::table, "table"},
                                                     {Output::wide, "wide"},
                                                     {Output::name, "name"},
                                                     {Output::json, "json"},
                                                     {Output::yaml, "yaml"}};
    std::string all;
    for (std::size_t i = 0; i < forms.size(); ++i) {
        const bool last = i + 1 == forms.size();
        all += (i == 0 ? "" : last ? " or " : ", ") + names.at(forms[i]);
    }
    const auto choose = [&output, forms, all](const std::string& text) {
        const auto is_meant = [&](Output form) { return names.at(form) == lower(text); };
        const auto found = std::ranges::find_if(forms, is_meant);
        if (found == forms.end())
            throw CLI::ValidationError{"-o", "'" + text + "' is not one of " + all};
        output = *found;
    };
    std::vector<std::string> words;
    for (const auto form : forms) words.push_back(names.at(form));
    complete_flag(*verb.add_option_function<std::string>(flag, choose, all)->option_text("FORMAT"),
                  std::move(words));
}

void print(Output output, const Table& table, const std::vector<kube::Object>& objects,
           bool single) {
    switch (output) {
        case Output::table:
            print_table(table, std::min(table.columns.size(), table.wide_from));
            return;
        case Output::wide: print_table(table, table.columns.size()); return;
        case Output::name:
            for (const auto& object : objects) {
                const auto group = object.gvk().group;
                std::cout << lower(object.kind()) << (group.empty() ? "" : "." + group) << '/'
                          << object.name() << '\n';
            }
            return;
        case Output::json:
        case Output::yaml: {
            const bool alone = single && objects.size() == 1;
            const kube::json::value value(alone ? objects.front().fields() : as_list(objects));
            if (output == Output::yaml)
                std::cout << kube::to_yaml(value);
            else
                std::cout << kube::to_json(value) << '\n';
        }
    }
}

std::string in_one_line(const std::string& text) {
    const auto more = std::ranges::count(text, '\n');
    if (more == 0) return text;
    return text.substr(0, text.find('\n')) + " (+" + std::to_string(more) +
           (more == 1 ? " line" : " lines") + ": -o yaml)";
}

std::string age(std::string_view rfc3339) {
    const auto then = parse_rfc3339(rfc3339);
    if (!then) return "<unknown>";
    const auto seconds = std::max<std::int64_t>(
        0,
        std::chrono::duration_cast<std::chrono::seconds>(WallTime::clock::now() - *then).count());
    const auto minutes = seconds / 60;
    const auto hours = minutes / 60;
    const auto days = hours / 24;
    const auto two = [](std::int64_t big, char b, std::int64_t small, char s) {
        return std::to_string(big) + b + (small == 0 ? "" : std::to_string(small) + s);
    };
    // The thresholds of apimachinery's duration.HumanDuration.
    if (seconds < 120) return std::to_string(seconds) + "s";
    if (minutes < 10) return two(minutes, 'm', seconds % 60, 's');
    if (hours < 3) return std::to_string(minutes) + "m";
    if (hours < 8) return two(hours, 'h', minutes % 60, 'm');
    if (hours < 48) return std::to_string(hours) + "h";
    if (days < 8) return two(days, 'd', hours % 24, 'h');
    if (days < 365 * 2) return std::to_string(days) + "d";
    if (days < 365 * 8) return two(days / 365, 'y', days % 365, 'd');
    return std::to_string(days / 365) + "y";
}

}  // namespace kled::cli
