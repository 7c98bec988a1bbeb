#include "kustomize/fields.h"

#include "kustomize/scalar.h"

#include <algorithm>

namespace kled::kustomize {

namespace {

bool same_name(std::string_view a, std::string_view b) noexcept {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](char x, char y) { return lower(x) == lower(y); });
}

/// "/patches/2/target" → "patches[2].target"
std::string dotted(std::string_view pointer) {
    std::string path;
    while (!pointer.empty()) {
        pointer.remove_prefix(1);
        const auto part = pointer.substr(0, std::min(pointer.find('/'), pointer.size()));
        pointer.remove_prefix(part.size());
        const bool index = !part.empty() && part.find_first_not_of("0123456789") == part.npos;
        if (index) {
            path += "[" + std::string{part} + "]";
        } else {
            if (!path.empty()) path += '.';
            path += part;
        }
    }
    return path;
}

}  // namespace

void Problems::add(std::string problem) {
    constexpr std::size_t most = 200;
    // The same base read twice has the same problems twice.
    if (std::find(lines_.begin(), lines_.end(), problem) != lines_.end()) return;
    if (lines_.size() < most) {
        lines_.push_back(std::move(problem));
    } else {
        more_ = true;
    }
}

std::string Problems::text() const {
    std::string all;
    for (const auto& line : lines_) {
        if (!all.empty()) all += '\n';
        all += line;
    }
    if (more_) all += "\n… and more";
    return all;
}

std::string Document::at(std::string_view pointer) const {
    auto where = origin.at(pointer) + ": ";
    if (!pointer.empty()) where += dotted(pointer) + ": ";
    return where;
}

Fields::Fields(const json::value& value, std::string pointer, Document& document)
    : object_{value.if_object()}, pointer_{std::move(pointer)}, document_{document} {
    if (object_ == nullptr && !value.is_null()) {
        problem("expected a map, found a " + std::string{type_name(value)});
    }
}

Fields::~Fields() {
    if (object_ == nullptr || !document_.strict) return;
    for (const auto& field : *object_) {
        const auto known = std::any_of(asked_.begin(), asked_.end(), [&](std::string_view name) {
            return same_name(name, field.key());
        });
        if (!known) document_.problems.add(document_.at(pointer_of(field.key())) + "unknown field");
    }
}

const json::value* Fields::find(std::string_view name) {
    asked_.push_back(name);
    if (object_ == nullptr) return nullptr;
    if (const auto* exact = object_->if_contains(name)) return exact;
    for (const auto& field : *object_) {
        if (same_name(field.key(), name)) return &field.value();
    }
    return nullptr;
}

const json::value* Fields::raw(std::string_view name) {
    const auto* value = find(name);
    return value == nullptr || value->is_null() ? nullptr : value;
}

bool Fields::has(std::string_view name) { return raw(name) != nullptr; }

void Fields::mistyped(std::string_view name, std::string_view wanted,
                      const json::value& value) const {
    document_.problems.add(document_.at(pointer_of(name)) + "expected " + std::string{wanted} +
                           ", found a " + std::string{type_name(value)});
}

std::string Fields::scalar(const json::value& value, std::string_view name) {
    if (const auto* string = value.if_string()) return std::string{*string};
    if (value.is_null()) return {};
    if (!document_.strict && is_scalar(value)) return text_of(value);
    mistyped(name, is_scalar(value) ? "text (quote it)" : "text", value);
    return {};
}

std::string Fields::text(std::string_view name) { return optional_text(name).value_or(""); }

std::optional<std::string> Fields::optional_text(std::string_view name) {
    const auto* value = raw(name);
    if (value == nullptr) return std::nullopt;
    return scalar(*value, name);
}

bool Fields::flag(std::string_view name) {
    const auto* value = raw(name);
    if (value == nullptr) return false;
    if (const auto* flag = value->if_bool()) return *flag;
    mistyped(name, "true or false", *value);
    return false;
}

std::int64_t Fields::integer(std::string_view name) {
    const auto* value = raw(name);
    if (value == nullptr) return 0;
    if (const auto* number = value->if_int64()) return *number;
    mistyped(name, "a whole number", *value);
    return 0;
}

const json::array* Fields::array(std::string_view name) {
    const auto* value = raw(name);
    if (value == nullptr) return nullptr;
    if (!value->is_array()) mistyped(name, "a list", *value);
    return value->if_array();
}

std::vector<std::string> Fields::texts(std::string_view name) {
    std::vector<std::string> all;
    const auto* list = array(name);
    if (list == nullptr) return all;
    all.reserve(list->size());
    for (std::size_t i = 0; i < list->size(); ++i) {
        all.push_back(scalar((*list)[i], std::string{name} + "/" + std::to_string(i)));
    }
    return all;
}

std::map<std::string, std::string> Fields::pairs(std::string_view name) {
    std::map<std::string, std::string> all;
    const auto* value = raw(name);
    if (value == nullptr) return all;
    const auto* object = value->if_object();
    if (object == nullptr) {
        mistyped(name, "a map", *value);
        return all;
    }
    for (const auto& pair : *object) {
        all.emplace(pair.key(),
                    scalar(pair.value(), std::string{name} + "/" + std::string{pair.key()}));
    }
    return all;
}

}  // namespace kled::kustomize
