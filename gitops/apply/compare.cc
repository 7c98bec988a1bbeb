#include "gitops/apply/compare.h"

#include "kube/yaml.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace kled::gitops {

namespace json = boost::json;

namespace {

constexpr std::size_t context_lines = 3;
constexpr std::size_t table_limit = 16'000'000;  // cells of the comparison below

void erase(json::object& object, std::string_view key) {
    if (const auto* found = object.find(key); found != object.end()) object.stable_erase(found);
}

/// An empty map and none are one: an API server drops the empty ones.
void erase_if_empty(json::object& object, std::string_view key) {
    const auto* found = object.find(key);
    if (found != object.end() && found->value().is_object() && found->value().get_object().empty())
        object.stable_erase(found);
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const auto end = text.find('\n');
        lines.push_back(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return lines;
}

struct Edit {
    char mark;  ///< ' ', '-', '+'
    std::string_view line;
};

/// The longest common subsequence by the usual table; what both start and end with is left out of
/// it first, so it is small for what people change.
std::vector<Edit> edits(const std::vector<std::string_view>& a,
                        const std::vector<std::string_view>& b) {
    std::vector<Edit> result;
    std::size_t head = 0;
    while (head < a.size() && head < b.size() && a[head] == b[head])
        result.push_back({' ', a[head++]});
    std::size_t tail = 0;
    while (tail < a.size() - head && tail < b.size() - head &&
           a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) {
        ++tail;
    }
    const auto rows = a.size() - head - tail;
    const auto columns = b.size() - head - tail;
    std::size_t i = 0;
    std::size_t j = 0;
    if (rows * columns <= table_limit) {
        std::vector<std::uint32_t> table((rows + 1) * (columns + 1));
        const auto at = [&](std::size_t row, std::size_t column) -> std::uint32_t& {
            return table[row * (columns + 1) + column];
        };
        for (auto row = rows; row-- > 0;) {
            for (auto column = columns; column-- > 0;) {
                at(row, column) = a[head + row] == b[head + column]
                                      ? at(row + 1, column + 1) + 1
                                      : std::max(at(row + 1, column), at(row, column + 1));
            }
        }
        while (i < rows && j < columns) {
            if (a[head + i] == b[head + j]) {
                result.push_back({' ', a[head + i++]});
                ++j;
            } else if (at(i + 1, j) >= at(i, j + 1)) {
                result.push_back({'-', a[head + i++]});
            } else {
                result.push_back({'+', b[head + j++]});
            }
        }
    }
    while (i < rows) result.push_back({'-', a[head + i++]});
    while (j < columns) result.push_back({'+', b[head + j++]});
    for (auto k = a.size() - tail; k < a.size(); ++k) result.push_back({' ', a[k]});
    return result;
}

}  // namespace

kube::Object without_bookkeeping(const kube::Object& object) {
    kube::Object result{object.fields()};
    erase(result.fields(), "status");
    if (result.fields().empty()) return result;
    auto& metadata = result.metadata();
    for (const auto* key : {"managedFields", "resourceVersion", "generation", "uid",
                            "creationTimestamp", "selfLink"}) {
        erase(metadata, key);
    }
    erase_if_empty(metadata, "annotations");
    erase_if_empty(metadata, "labels");
    return result;
}

bool same_state(const kube::Object& live, const kube::Object& result) {
    return without_bookkeeping(live) == without_bookkeeping(result);
}

void mask_secrets(kube::Object& before, kube::Object& after) {
    for (const auto* field : {"data", "stringData"}) {
        const auto map_of = [&](kube::Object& object) -> json::object* {
            if (object.kind() != "Secret" || !object.gvk().group.empty()) return nullptr;
            auto* value = object.fields().if_contains(field);
            return value != nullptr && value->is_object() ? &value->get_object() : nullptr;
        };
        auto* a = map_of(before);
        auto* b = map_of(after);
        std::vector<std::string> changed;
        if (a != nullptr && b != nullptr) {
            for (const auto& item : *a) {
                const auto* other = b->if_contains(item.key());
                if (other != nullptr && *other != item.value()) changed.emplace_back(item.key());
            }
        }
        const auto mask = [&](json::object* map, std::string_view where) {
            if (map == nullptr) return;
            for (auto& item : *map) {
                const bool differs = std::ranges::count(changed, std::string_view{item.key()}) > 0;
                item.value() = differs ? "*** (" + std::string{where} + ")" : "***";
            }
        };
        mask(a, "before");
        mask(b, "after");
    }
}

std::string unified_diff(const kube::Object& before, const kube::Object& after) {
    const auto text = [](const kube::Object& object) {
        return object.fields().empty() ? std::string{}
                                       : kube::to_yaml(json::value(object.fields()));
    };
    const auto a = text(before);
    const auto b = text(after);
    if (a == b) return {};
    const auto all = edits(lines_of(a), lines_of(b));
    std::string result;
    std::size_t line_a = 1;
    std::size_t line_b = 1;
    for (std::size_t i = 0; i < all.size();) {
        // A hunk reaches from some lines before a change to where none is near any more.
        std::size_t next = i;
        while (next < all.size() && all[next].mark == ' ') ++next;
        if (next == all.size()) break;
        const auto start = next - std::min(next - i, context_lines);
        line_a += start - i;
        line_b += start - i;
        auto end = next;
        for (auto k = next; k < all.size() && k <= end + 2 * context_lines; ++k)
            if (all[k].mark != ' ') end = k;
        end = std::min(end + context_lines + 1, all.size());
        std::string body;
        std::size_t count_a = 0;
        std::size_t count_b = 0;
        for (auto k = start; k < end; ++k) {
            body += all[k].mark;
            body += all[k].line;
            body += '\n';
            if (all[k].mark != '+') ++count_a;
            if (all[k].mark != '-') ++count_b;
        }
        const auto range = [](std::size_t line, std::size_t count) {
            return std::to_string(count == 0 ? line - 1 : line) + "," + std::to_string(count);
        };
        result += "@@ -" + range(line_a, count_a) + " +" + range(line_b, count_b) + " @@\n" + body;
        line_a += count_a;
        line_b += count_b;
        i = end;
    }
    return result;
}

}  // namespace kled::gitops
