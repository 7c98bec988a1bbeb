#include "kube/printers/row.h"

#include "base/error.h"
#include "kube/quantity.h"
#include "kube/selector.h"
#include "kube/table.h"

#include <algorithm>

namespace kled::kube::printers {

std::string_view text(const json::object& object, Path path) noexcept {
    return find_string(object, path);
}
std::string_view text(const json::value& value, Path path) noexcept {
    const auto* const object = value.if_object();
    return object == nullptr ? std::string_view{} : find_string(*object, path);
}
std::string text_or(std::string_view value, std::string_view otherwise) {
    return std::string{value.empty() ? otherwise : value};
}

std::int64_t number(const json::value* value, std::int64_t otherwise) noexcept {
    if (value == nullptr || !value->is_number()) return otherwise;
    if (const auto* const whole = value->if_int64()) return *whole;
    return otherwise;
}

bool truth(const json::value* value, bool otherwise) noexcept {
    return value != nullptr && value->is_bool() ? value->get_bool() : otherwise;
}

const json::array& elements(const json::value* value) noexcept {
    static const json::array nothing;
    return value == nullptr || !value->is_array() ? nothing : value->get_array();
}

std::size_t size_of(const json::value* value) noexcept {
    if (value == nullptr) return 0;
    if (const auto* const array = value->if_array()) return array->size();
    if (const auto* const object = value->if_object()) return object->size();
    return 0;
}

std::string shown(const json::value* value, std::string_view otherwise) {
    if (value == nullptr || value->is_null()) return std::string{otherwise};
    return value->is_string() ? std::string{value->get_string()} : to_json(*value);
}

std::string quantity(const json::value* value, std::string_view otherwise) {
    const auto given = shown(value, otherwise);
    try {
        return Quantity::parse(given).to_string();
    } catch (const Error&) {
        return given;
    }
}

// ---- writing
std::string lower(std::string_view given) {
    std::string text{given};
    std::ranges::transform(text, text.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return text;
}

std::string since(std::string_view time, WallTime now) {
    const auto then = parse_rfc3339(time);
    return then ? human_duration(std::chrono::duration_cast<std::chrono::seconds>(now - *then))
                : std::string{unknown};
}

std::string age(const json::object& object, WallTime now) {
    return since(text(object, {"metadata", "creationTimestamp"}), now);
}

std::string labels(const json::value* map) {
    const auto* const object = map == nullptr ? nullptr : map->if_object();
    if (object == nullptr || object->empty()) return std::string{none};
    std::vector<std::string> pairs;
    for (const auto& [key, value] : *object)
        pairs.push_back(std::string{key} + "=" + shown(&value, ""));
    std::ranges::sort(pairs);
    return joined(pairs, ",");
}

std::string selector(const json::value* value, std::string_view otherwise) {
    if (value == nullptr || !value->is_object()) return std::string{otherwise};
    try {
        return text_or(LabelSelector::from_object(value->get_object()).to_string(), otherwise);
    } catch (const Error&) {
        return "<error>";
    }
}

std::string with_more(std::span<const std::string> list, std::size_t most, std::string_view empty,
                      std::string_view separator) {
    if (list.empty()) return std::string{empty};
    auto shown_part = joined(list.first(std::min(list.size(), most)), separator);
    if (list.size() > most) shown_part += " + " + std::to_string(list.size() - most) + " more...";
    return shown_part;
}

const json::value* condition(const json::value* conditions, std::string_view type) noexcept {
    for (const auto& each : elements(conditions)) {
        if (text(each, {"type"}) == type) return &each;
    }
    return nullptr;
}

bool condition_is_true(const json::value* conditions, std::string_view type) noexcept {
    const auto* const found = condition(conditions, type);
    return found != nullptr && text(*found, {"status"}) == "True";
}

}  // namespace kled::kube::printers
