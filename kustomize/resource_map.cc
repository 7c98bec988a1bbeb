#include "kustomize/resource_map.h"

#include "base/error.h"
#include "kustomize/scalar.h"

#include <algorithm>
#include <functional>
#include <unordered_set>

namespace kled::kustomize {

namespace {

std::size_t mix(std::size_t seed, std::string_view text) {
    return (seed ^ std::hash<std::string_view>{}(text)) * 0x9E3779B97F4A7C15U;
}

std::size_t key_of(const Gvk& gvk, std::string_view name, std::string_view effective_namespace) {
    auto key = mix(0, name);
    key = mix(key, gvk.kind);
    key = mix(key, gvk.group);
    key = mix(key, gvk.version);
    return mix(key, effective_namespace);
}

std::size_t key_of(const Id& id) { return key_of(id.gvk, id.name, id.effective_namespace()); }

bool had(const Resource& resource, const Id& id) {
    if (same(resource.id, id)) return true;
    for (std::size_t i = 0; i < resource.previous.size(); ++i) {
        if (same(resource.previous_id(i), id)) return true;
    }
    return false;
}

/// `base` with the entries of `over`, as the new value of `fields[name]`.
void merge_map(json::object& fields, std::string_view name, json::object merged) {
    if (const auto* over = fields.if_contains(name); over != nullptr && over->is_object()) {
        for (const auto& entry : over->get_object()) merged[entry.key()] = entry.value();
    }
    const auto old = fields.find(name);
    if (!merged.empty()) {
        fields[name] = std::move(merged);
    } else if (old != fields.end()) {
        fields.stable_erase(old);
    }
}

/// As the API server does it: what is in `stringData` is in `data`.
void encode_string_data(json::object& secret) {
    const auto texts = secret.find("stringData");
    if (texts == secret.end()) return;
    if (const auto* map = texts->value().if_object()) {
        json::object data;
        if (const auto* old = secret.if_contains("data"); old != nullptr && old->is_object())
            data = old->get_object();
        for (const auto& [key, value] : *map) {
            if (value.is_structured()) {
                throw Error{ErrorKind::invalid, "stringData." + std::string{key} + " is a " +
                                                    std::string{type_name(value)} + ", not text"};
            }
            data[key] = base64_lines(text_of(value));
        }
        secret["data"] = std::move(data);
    }
    secret.stable_erase(secret.find("stringData"));
}

void merge_metadata(Resource& fresh, const Resource& old) {
    for (const auto* field : {"labels", "annotations"}) {
        merge_map(fresh.object.metadata(), field,
                  texts_in(kube::find(old.object.fields(), {"metadata", field}), old.notation,
                           NullsAre::null_text));
    }
    fresh.set_name(old.id.name);
    fresh.set_namespace(old.id.ns);
    fresh.previous = old.previous;
    fresh.prefixes = old.prefixes;
    fresh.suffixes = old.suffixes;
    fresh.needs_hash = fresh.needs_hash && old.needs_hash;
    fresh.variables = old.variables;
    fresh.transformations = old.transformations;
}

}  // namespace

Resource& ResourceMap::append(Item item) {
    const auto taken = with_current_id(item->id);
    if (!taken.empty()) {
        throw Error{ErrorKind::conflict,
                    item->describe() + ": there is one already, " + taken.front()->describe()};
    }
    item->position = items_.size();
    items_.push_back(std::move(item));
    add_to_index(*items_.back());
    return *items_.back();
}

void ResourceMap::append_all(ResourceMap&& other) {
    if (items_.empty()) {
        other.check_distinct();
        *this = std::move(other);
        return;
    }
    items_.reserve(items_.size() + other.items_.size());
    for (auto& item : other.items_) {
        if (!item->removed) append(std::move(item));
    }
}

void ResourceMap::absorb(Item item) {
    const auto hits = with_any_id(item->id);
    const auto behavior = item->behavior;
    const bool modifies = behavior == Behavior::merge || behavior == Behavior::replace;
    if (hits.empty()) {
        if (modifies) {
            throw Error{ErrorKind::not_found,
                        item->id.to_string() + ": nothing of that name to " +
                            (behavior == Behavior::merge ? "merge with" : "replace")};
        }
        append(std::move(item));
        return;
    }
    if (hits.size() > 1) {
        throw Error{ErrorKind::conflict, item->id.to_string() + ": both " + hits[0]->describe() +
                                             " and " + hits[1]->describe() + " have this name"};
    }
    auto& old = *hits.front();
    if (!modifies) {
        throw Error{ErrorKind::conflict, item->id.to_string() + ": there is one already, " +
                                             old.describe() +
                                             "; set `behavior: merge` or `replace` to change it"};
    }
    merge_metadata(*item, old);
    if (behavior == Behavior::merge) {
        if (item->id.gvk.kind == "Secret") encode_string_data(old.object.fields());
        for (const auto* field : {"data", "binaryData"}) {
            merge_map(
                item->object.fields(), field,
                texts_in(old.object.fields().if_contains(field), old.notation, NullsAre::empty));
        }
        if (old.provenance) item->provenance = old.provenance;
    }
    item->behavior = old.behavior;
    // In place, so that the index stays right.
    const auto position = old.position;
    old = std::move(*item);
    old.position = position;
    changed(old);
}

std::vector<ResourceMap::Item> ResourceMap::take() && {
    by_id_.clear();
    by_name_.clear();
    return std::move(items_);
}

std::vector<Resource*> ResourceMap::pointers() const {
    std::vector<Resource*> pointers;
    pointers.reserve(items_.size());
    for (const auto& item : items_) pointers.push_back(item.get());
    return pointers;
}

template <typename Match>
ResourceMap::Hits ResourceMap::look_up(const Index& index, std::size_t key, Match match) const {
    Hits hits;
    const auto [first, last] = index.equal_range(key);
    for (auto entry = first; entry != last; ++entry) {
        auto* resource = entry->second;
        if (!resource->removed && match(*resource)) hits.push_back(resource);
    }
    if (hits.size() > 1) {
        std::sort(hits.begin(), hits.end(),
                  [](const Resource* a, const Resource* b) { return a->position < b->position; });
        hits.erase(std::unique(hits.begin(), hits.end()), hits.end());
    }
    return hits;
}

ResourceMap::Hits ResourceMap::with_current_id(const Id& id) const {
    return look_up(by_id_, key_of(id), [&](const Resource& r) { return same(r.id, id); });
}

ResourceMap::Hits ResourceMap::with_any_id(const Id& id) const {
    return look_up(by_id_, key_of(id), [&](const Resource& r) { return had(r, id); });
}

ResourceMap::Hits ResourceMap::named(std::string_view name) const {
    return look_up(by_name_, mix(0, name), [&](const Resource& r) {
        return r.id.name == name || std::any_of(r.previous.begin(), r.previous.end(),
                                                [&](const auto& p) { return p.name == name; });
    });
}

void ResourceMap::add_to_index(Resource& resource) {
    insert(by_id_, key_of(resource.id), resource);
    insert(by_name_, mix(0, resource.id.name), resource);
    for (const auto& before : resource.previous) {
        const Gvk gvk{resource.id.gvk.group, resource.id.gvk.version, before.kind};
        insert(by_id_, key_of(gvk, before.name, before.effective_namespace), resource);
        insert(by_name_, mix(0, before.name), resource);
    }
}

void ResourceMap::changed(Resource& resource) {
    const auto before = resource.id;
    resource.refresh();
    if (resource.id.gvk.group != before.gvk.group ||
        resource.id.gvk.version != before.gvk.version) {
        add_to_index(resource);  // its previous ids have got the new group and version too
        return;
    }
    insert(by_id_, key_of(resource.id), resource);
    insert(by_name_, mix(0, resource.id.name), resource);
}

void ResourceMap::insert(Index& index, std::size_t key, Resource& resource) {
    const auto [first, last] = index.equal_range(key);
    const auto there =
        std::any_of(first, last, [&](const auto& entry) { return entry.second == &resource; });
    if (!there) index.emplace(key, &resource);
}

void ResourceMap::check_distinct() const {
    std::unordered_set<std::size_t> seen;
    seen.reserve(items_.size());
    for (const auto& item : items_) {
        if (item->removed || seen.insert(key_of(item->id)).second) continue;
        const auto twins = with_current_id(item->id);
        if (twins.size() < 2) continue;
        throw Error{ErrorKind::conflict, twins[0]->describe() + " and " + twins[1]->describe() +
                                             " have become the same object"};
    }
}

void ResourceMap::sweep() {
    std::vector<Resource*> left;
    left.reserve(items_.size());
    for (const auto& item : items_) {
        if (!item->removed) left.push_back(item.get());
    }
    if (left.size() != items_.size()) reorder(std::move(left));
}

void ResourceMap::reorder(std::vector<Resource*> order) {
    std::vector<Item> items;
    items.reserve(order.size());
    for (auto* resource : order) {
        items.push_back(std::move(items_[resource->position]));
    }
    items_ = std::move(items);
    by_id_.clear();
    by_name_.clear();
    for (std::size_t i = 0; i < items_.size(); ++i) {
        items_[i]->position = i;
        add_to_index(*items_[i]);
    }
}

}  // namespace kled::kustomize
