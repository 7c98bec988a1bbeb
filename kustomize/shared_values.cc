#include "kustomize/shared_values.h"

#include "kube/pointer.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <utility>

namespace kled::kustomize {

namespace {

/// Takes the first part off a JSON pointer.
std::string take_part(std::string_view& pointer) {
    pointer.remove_prefix(1);
    const auto end = std::min(pointer.find('/'), pointer.size());
    std::string part;
    for (std::size_t i = 0; i < end; ++i) {
        if (pointer[i] == '~' && i + 1 < end) {
            part += pointer[++i] == '1' ? '/' : '~';
        } else {
            part += pointer[i];
        }
    }
    pointer.remove_prefix(end);
    return part;
}

json::value* step_into(json::value& value, const std::string& part) {
    if (auto* map = value.if_object()) return map->if_contains(part);
    auto* list = value.if_array();
    std::size_t index = 0;
    const auto read = std::from_chars(part.data(), part.data() + part.size(), index);
    if (list == nullptr || read.ec != std::errc{} || index >= list->size()) return nullptr;
    return &(*list)[index];
}

using Seen = std::function<void(const json::value&)>;

/// The field at `pointer`; `seen` is called for each value on the way there.
json::value* resolve(json::object& object, std::string_view pointer, const Seen& seen = {}) {
    auto* value = object.if_contains(take_part(pointer));
    while (value != nullptr) {
        if (seen) seen(*value);
        if (pointer.empty()) break;
        value = step_into(*value, take_part(pointer));
    }
    return value;
}

enum class Effect { none, write, drop };

/// What merging `patch` does to the field at `pointer`.
Effect effect_of(const json::object& patch, std::string_view pointer) {
    const auto* map = &patch;
    for (;;) {
        if (const auto* directive = map->if_contains("$patch")) {
            if (*directive != "merge") return Effect::drop;
        }
        const auto* value = map->if_contains(take_part(pointer));
        if (value == nullptr) return Effect::none;
        if (pointer.empty())
            return value->is_null() || value->is_structured() ? Effect::drop : Effect::write;
        map = value->if_object();
        if (map == nullptr) return Effect::drop;
    }
}

/// Maps are merged key by key, in the order of their names.
bool merged_before(std::string_view a, std::string_view b) {
    while (!a.empty() && !b.empty()) {
        const auto x = take_part(a);
        const auto y = take_part(b);
        if (x != y) return x < y;
    }
    return a.size() < b.size();
}

}  // namespace

void SharedValues::add(const std::string& key, std::vector<std::string> maps) {
    if (maps.size() < 2) return;
    for (auto& place : maps) kube::append_step(place, key);
    groups_.push_back({std::move(maps)});
}

void SharedValues::written(json::object& object, const json::value& field) const {
    for (const auto& group : groups_) {
        const auto same = [&](const std::string& place) {
            return resolve(object, place) == &field;
        };
        if (std::none_of(group.places.begin(), group.places.end(), same)) continue;
        for (const auto& place : group.places) {
            auto* other = resolve(object, place);
            if (other != nullptr && other != &field) *other = field;
        }
    }
}

template <typename Drop>
void SharedValues::drop(Drop drop) {
    for (auto& group : groups_) std::erase_if(group.places, drop);
    std::erase_if(groups_, [](const Group& group) { return group.places.size() < 2; });
}

void SharedValues::replaced(json::object& object, const json::value& field) {
    drop([&](const std::string& place) {
        bool inside = false;
        resolve(object, place, [&](const json::value& value) { inside |= &value == &field; });
        return inside;
    });
}

void SharedValues::forget_below(std::string_view pointer) {
    drop([&](std::string_view place) {
        return place.starts_with(pointer) && place.substr(pointer.size()).starts_with('/');
    });
}

SharedValues::Writes SharedValues::before_merge(const json::object& patch) {
    Writes writes;
    drop([&](const std::string& place) {
        const auto effect = effect_of(patch, place);
        if (effect == Effect::write) writes.push_back(place);
        return effect == Effect::drop;
    });
    std::sort(writes.begin(), writes.end(), merged_before);
    return writes;
}

void SharedValues::after_merge(json::object& object, const Writes& writes) const {
    std::vector<std::pair<json::value*, json::value>> merged;  // before one changes another
    for (const auto& place : writes) {
        if (auto* field = resolve(object, place)) merged.emplace_back(field, *field);
    }
    for (const auto& [field, value] : merged) {
        *field = value;
        written(object, *field);
    }
}

}  // namespace kled::kustomize
