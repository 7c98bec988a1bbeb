/// What the printers read an object with, and write their cells with. Nothing here throws.
#pragma once

#include "base/clock.h"
#include "kube/object.h"
#include "kube/printers/kinds.h"

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kube::printers {

constexpr std::string_view none = "<none>";
constexpr std::string_view unset = "<unset>";
constexpr std::string_view unknown = "<unknown>";

using Path = std::initializer_list<std::string_view>;

// ---- reading

[[nodiscard]] std::string_view text(const json::object& object, Path path) noexcept;
[[nodiscard]] std::string_view text(const json::value& value, Path path) noexcept;
[[nodiscard]] std::string text_or(std::string_view value, std::string_view otherwise);
[[nodiscard]] std::int64_t number(const json::value* value, std::int64_t otherwise = 0) noexcept;
[[nodiscard]] bool truth(const json::value* value, bool otherwise = false) noexcept;
[[nodiscard]] const json::array& elements(const json::value* value) noexcept;
[[nodiscard]] std::size_t size_of(const json::value* value) noexcept;
/// An IntOrString, a number or a text.
[[nodiscard]] std::string shown(const json::value* value, std::string_view otherwise);
/// As Go prints it: in its shortest form.
[[nodiscard]] std::string quantity(const json::value* value, std::string_view otherwise = "0");
/// The one of `type`; nullptr where there is none.
[[nodiscard]] const json::value* condition(const json::value* conditions,
                                           std::string_view type) noexcept;
[[nodiscard]] bool condition_is_true(const json::value* conditions, std::string_view type) noexcept;

// ---- writing

template <class Parts>
std::string joined(const Parts& parts, std::string_view separator) {
    std::string all;
    bool first = true;
    for (const auto& part : parts) {
        if (!first) all += separator;
        first = false;
        all += part;
    }
    return all;
}
/// At most `most` of them, and how many more there are.
[[nodiscard]] std::string with_more(std::span<const std::string> list, std::size_t most,
                                    std::string_view empty, std::string_view separator = ",");
[[nodiscard]] std::string lower(std::string_view given);
/// How long ago an RFC 3339 time was.
[[nodiscard]] std::string since(std::string_view time, WallTime now);
[[nodiscard]] std::string age(const json::object& object, WallTime now);
/// {"b": "2", "a": "1"} → "a=1,b=2".
[[nodiscard]] std::string labels(const json::value* map);
[[nodiscard]] std::string selector(const json::value* value, std::string_view otherwise = none);

/// What a printer writes its cells with.
struct Row {
    const Object& object;
    WallTime now;
    json::array& cells;

    [[nodiscard]] const json::object& fields() const noexcept { return object.fields(); }
    [[nodiscard]] const json::value* at(Path path) const noexcept {
        return find(object.fields(), path);
    }
    [[nodiscard]] std::string_view text(Path path) const noexcept {
        return find_string(object.fields(), path);
    }
    [[nodiscard]] std::int64_t number(Path path) const noexcept {
        return printers::number(at(path));
    }

    Row& add(std::string_view value) {
        cells.emplace_back(json::string(value));
        return *this;
    }
    Row& add(std::int64_t value) {
        cells.emplace_back(value);
        return *this;
    }
    Row& flag(bool value) {
        cells.emplace_back(value);
        return *this;
    }
    Row& name() { return add(object.name()); }
    Row& age() { return add(printers::age(object.fields(), now)); }
    /// The names and the images of containers.
    Row& containers(Path path) {
        std::vector<std::string_view> names;
        std::vector<std::string_view> images;
        for (const auto& container : elements(at(path))) {
            names.push_back(printers::text(container, {"name"}));
            images.push_back(printers::text(container, {"image"}));
        }
        return add(joined(names, ",")).add(joined(images, ","));
    }
};
template <void (*Cells)(Row&)>
void cells_of(const Object& object, WallTime now, json::array& cells) {
    Row row{object, now, cells};
    Cells(row);
}

inline void created_at_cells(Row& row) {
    row.name().add(row.text({"metadata", "creationTimestamp"}));
}

}  // namespace kled::kube::printers
