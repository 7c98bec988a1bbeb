#include "kube/patch.h"

#include "base/error.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::kube {

namespace {

constexpr std::size_t max_depth = 512;          // as deep as parse_json lets a value be
constexpr std::size_t max_copied = 16U << 20U;  // bytes, roughly; copies of copies grow by powers
constexpr std::size_t max_operations = 10'000;  // as the API server

/// A JSON pointer (RFC 6901), taken apart.
struct Pointer {
    std::string text;
    std::vector<std::string> steps;
};

Pointer parse_pointer(const json::string& text) {
    Pointer pointer{.text = std::string{text}, .steps = {}};
    std::string_view rest = pointer.text;
    if (!rest.empty() && rest.front() != '/') {
        throw Error{ErrorKind::invalid, "path \"" + pointer.text + "\" does not begin with '/'"};
    }
    while (!rest.empty()) {
        rest.remove_prefix(1);
        const auto step = rest.substr(0, rest.find('/'));
        rest.remove_prefix(step.size());
        auto& decoded = pointer.steps.emplace_back();
        for (std::size_t i = 0; i != step.size(); ++i) {
            if (step[i] != '~') {
                decoded += step[i];
                continue;
            }
            const auto escaped = step.substr(++i, 1);
            if (escaped != "0" && escaped != "1") {
                throw Error{ErrorKind::invalid,
                            "path \"" + pointer.text + "\": '~' must be ~0 or ~1"};
            }
            decoded += escaped == "0" ? '~' : '/';
        }
    }
    return pointer;
}

struct Extent {
    std::size_t bytes = 0;
    std::size_t height = 0;
};

Extent measure(const json::value& value) {
    Extent extent{.bytes = 16, .height = 0};
    const auto below = [&extent](const json::value& child) {
        const auto [bytes, height] = measure(child);
        extent.bytes += bytes;
        extent.height = std::max(extent.height, height + 1);
    };
    if (const auto* string = value.if_string()) extent.bytes += string->size();
    if (const auto* array = value.if_array()) {
        for (const auto& element : *array) below(element);
    }
    if (const auto* object = value.if_object()) {
        for (const auto& [key, member] : *object) {
            extent.bytes += key.size();
            below(member);
        }
    }
    return extent;
}

[[noreturn]] void absent(const Pointer& pointer) {
    throw Error{ErrorKind::not_found, "path \"" + pointer.text + "\" does not exist"};
}

/// The place `step` names in a list of `size`; negative steps count from the end, as the API
/// server has it. Error(invalid) for what is no number, Error(not_found) outside.
std::size_t index_of(const std::string& step, std::size_t size, const Pointer& pointer) {
    std::int64_t index = 0;
    const auto* end = step.data() + step.size();
    const auto [stop, failure] = std::from_chars(step.data(), end, index);
    const auto digits = step.starts_with('-') ? step.substr(1) : step;
    if (failure != std::errc{} || stop != end || (digits.size() > 1 && digits[0] == '0')) {
        throw Error{ErrorKind::invalid,
                    "path \"" + pointer.text + "\": \"" + step + "\" is not a place in a list"};
    }
    if (index < 0) index += static_cast<std::int64_t>(size);
    if (index < 0 || static_cast<std::size_t>(index) >= size) absent(pointer);
    return static_cast<std::size_t>(index);
}

json::value* child(json::value& parent, const std::string& step, const Pointer& pointer) {
    if (auto* object = parent.if_object()) return object->if_contains(step);
    if (auto* array = parent.if_array()) return &(*array)[index_of(step, array->size(), pointer)];
    return nullptr;
}

/// What the first `count` steps lead to.
json::value& walk(json::value& root, const Pointer& pointer, std::size_t count) {
    auto* value = &root;
    for (std::size_t i = 0; i != count; ++i) {
        value = child(*value, pointer.steps[i], pointer);
        if (value == nullptr) absent(pointer);
    }
    return *value;
}

void add(json::value& root, const Pointer& pointer, json::value value) {
    if (pointer.steps.size() + measure(value).height > max_depth) {
        throw Error{ErrorKind::exhausted,
                    "the result is nested deeper than " + std::to_string(max_depth)};
    }
    if (pointer.steps.empty()) {
        root = std::move(value);
        return;
    }
    auto& parent = walk(root, pointer, pointer.steps.size() - 1);
    const auto& step = pointer.steps.back();
    if (auto* object = parent.if_object()) {
        object->insert_or_assign(step, std::move(value));
    } else if (auto* array = parent.if_array()) {
        const auto at = step == "-" ? array->size() : index_of(step, array->size() + 1, pointer);
        array->insert(array->begin() + at, std::move(value));
    } else {
        absent(pointer);
    }
}

json::value remove(json::value& root, const Pointer& pointer) {
    if (pointer.steps.empty()) return std::exchange(root, json::value{});
    auto& parent = walk(root, pointer, pointer.steps.size() - 1);
    const auto& step = pointer.steps.back();
    auto* found = child(parent, step, pointer);
    if (found == nullptr) absent(pointer);
    auto value = std::move(*found);
    if (auto* object = parent.if_object()) {
        object->stable_erase(object->find(step));
    } else {
        auto& array = parent.get_array();
        array.erase(array.begin() + (found - array.data()));
    }
    return value;
}

/// As the API server and kustomize: an absent member of a map is null, a path that leads nowhere
/// fails.
const json::value& look_up(json::value& root, const Pointer& pointer) {
    static const json::value nothing;
    if (pointer.steps.empty()) return root;
    auto& parent = walk(root, pointer, pointer.steps.size() - 1);
    const auto* member = child(parent, pointer.steps.back(), pointer);
    if (member != nullptr) return *member;
    if (!parent.is_object()) absent(pointer);
    return nothing;
}

void replace(json::value& root, const Pointer& pointer, const json::value& value) {
    if (pointer.steps.size() + measure(value).height > max_depth) {
        throw Error{ErrorKind::exhausted,
                    "the result is nested deeper than " + std::to_string(max_depth)};
    }
    if (pointer.steps.empty()) {
        root = value;
        return;
    }
    auto& parent = walk(root, pointer, pointer.steps.size() - 1);
    const auto& step = pointer.steps.back();
    if (auto* object = parent.if_object()) {
        (*object)[step] = value;  // also what was not there
    } else if (auto* member = child(parent, step, pointer)) {
        *member = value;
    } else {
        absent(pointer);
    }
}

void test(json::value& root, const Pointer& pointer, const json::value& wanted) {
    if (look_up(root, pointer) != wanted) {
        throw Error{ErrorKind::conflict,
                    "test of \"" + pointer.text + "\" failed: the value is another one"};
    }
}

const json::string& text_field(const json::object& operation, std::string_view name) {
    const auto* value = operation.if_contains(name);
    const auto* text = value == nullptr ? nullptr : value->if_string();
    if (text == nullptr) {
        throw Error{ErrorKind::invalid, "\"" + std::string{name} + "\" must be given, as a string"};
    }
    return *text;
}

const json::value& value_field(const json::object& operation) {
    const auto* value = operation.if_contains("value");
    if (value == nullptr) throw Error{ErrorKind::invalid, "\"value\" must be given"};
    return *value;
}

void apply(json::value& target, const json::object& operation, std::size_t& copied) {
    const std::string_view name = text_field(operation, "op");
    const auto path = parse_pointer(text_field(operation, "path"));
    if (name == "add") {
        add(target, path, value_field(operation));
    } else if (name == "remove") {
        remove(target, path);
    } else if (name == "replace") {
        replace(target, path, value_field(operation));
    } else if (name == "move") {
        const auto from = parse_pointer(text_field(operation, "from"));
        if (from.steps.size() < path.steps.size() &&
            std::ranges::equal(from.steps, std::span{path.steps}.first(from.steps.size()))) {
            throw Error{ErrorKind::invalid, "\"" + from.text + "\" cannot move into itself"};
        }
        auto value = remove(target, from);
        add(target, path, std::move(value));
    } else if (name == "copy") {
        const auto& value = look_up(target, parse_pointer(text_field(operation, "from")));
        copied += measure(value).bytes;
        if (copied > max_copied) {
            throw Error{ErrorKind::exhausted,
                        "copies of more than " + std::to_string(max_copied) + " bytes"};
        }
        add(target, path, json::value(value));
    } else if (name == "test") {
        test(target, path, value_field(operation));
    } else {
        throw Error{ErrorKind::invalid, "unknown op \"" + std::string{name} +
                                            "\": one of add, remove, replace, move, copy, test"};
    }
}

}  // namespace

void apply_json_patch(json::value& target, const json::value& operations) {
    const auto* list = operations.if_array();
    if (list == nullptr) throw Error{ErrorKind::invalid, "JSON patch: not a list of operations"};
    if (list->size() > max_operations) {
        throw Error{ErrorKind::exhausted,
                    "JSON patch: more than " + std::to_string(max_operations) + " operations"};
    }
    json::value result(target);  // braces would make a list
    std::size_t copied = 0;
    for (std::size_t i = 0; i != list->size(); ++i) {
        try {
            const auto* operation = (*list)[i].if_object();
            if (operation == nullptr) throw Error{ErrorKind::invalid, "not a mapping"};
            apply(result, *operation, copied);
        } catch (const Error& error) {
            throw error.within("JSON patch: operation " + std::to_string(i));
        }
    }
    target = std::move(result);
}

void apply_merge_patch(json::value& target, const json::value& patch) {
    const auto* changes = patch.if_object();
    if (changes == nullptr) {
        target = patch;
        return;
    }
    if (!target.is_object()) target.emplace_object();
    auto& object = target.get_object();
    for (const auto& [key, change] : *changes) {
        if (!change.is_null()) {
            apply_merge_patch(object[key], change);
        } else if (const auto found = object.find(key); found != object.end()) {
            object.stable_erase(found);
        }
    }
}

json::value create_merge_patch(const json::value& from, const json::value& to) {
    if (!from.is_object() || !to.is_object()) return to;
    const auto& before = from.get_object();
    json::object patch;
    for (const auto& [key, value] : to.get_object()) {
        const auto* old = before.if_contains(key);
        if (old == nullptr) {
            patch.emplace(key, value);
        } else if (*old != value) {
            patch.emplace(key, create_merge_patch(*old, value));
        }
    }
    for (const auto& entry : before) {
        if (!to.get_object().contains(entry.key())) patch.emplace(entry.key(), nullptr);
    }
    return patch;
}

}  // namespace kled::kube
