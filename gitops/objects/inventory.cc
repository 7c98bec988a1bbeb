#include "gitops/objects/inventory.h"

#include <algorithm>

namespace kled::gitops {

namespace json = boost::json;

namespace {

// RBAC names may hold ':', which Flux's form does not allow; Kubernetes names never hold '_'.
std::string escaped(std::string_view name) {
    std::string result;
    for (const char c : name) {
        if (c == ':') {
            result += "__";
        } else {
            result += c;
        }
    }
    return result;
}

std::string unescaped(std::string_view name) {
    std::string result;
    while (!name.empty()) {
        if (name.starts_with("__")) {
            result += ':';
            name.remove_prefix(2);
        } else {
            result += name.front();
            name.remove_prefix(1);
        }
    }
    return result;
}

}  // namespace

std::string inventory_id(const kube::ObjectId& id) {
    return id.ns + "_" + escaped(id.name) + "_" + id.group + "_" + id.kind;
}

std::optional<kube::ObjectId> parse_inventory_id(std::string_view text) {
    kube::ObjectId id;
    const auto first = text.find('_');
    const auto last = text.rfind('_');
    if (first == std::string_view::npos || last == first) return std::nullopt;
    const auto middle = text.rfind('_', last - 1);
    if (middle == first) return std::nullopt;
    id.ns = text.substr(0, first);
    id.kind = text.substr(last + 1);
    id.group = text.substr(middle + 1, last - middle - 1);
    id.name = unescaped(text.substr(first + 1, middle - first - 1));
    if (id.kind.empty() || id.name.empty()) return std::nullopt;
    return id;
}

Inventory Inventory::from_status(const json::object* status) {
    Inventory result;
    const auto* list = status == nullptr ? nullptr : kube::find(*status, {"inventory", "entries"});
    if (list == nullptr || !list->is_array()) return result;
    for (const auto& item : list->get_array()) {
        if (!item.is_object()) continue;
        const auto& fields = item.get_object();
        if (const auto id = parse_inventory_id(kube::find_string(fields, {"id"})))
            result.add(*id, std::string{kube::find_string(fields, {"v"})});
    }
    return result;
}

json::object Inventory::to_json() const {
    json::array list;
    for (const auto& [id, version] : entries()) {
        json::object entry;
        entry["id"] = inventory_id(id);
        entry["v"] = version;
        list.emplace_back(std::move(entry));
    }
    json::object result;
    result["entries"] = std::move(list);
    return result;
}

const Inventory::Entries& Inventory::entries() const noexcept {
    static const Entries none;
    return entries_ == nullptr ? none : *entries_;
}

Inventory::Entries& Inventory::own() {
    // From one thread at a time: nobody begins to share what only this one holds.
    if (entries_ == nullptr || entries_.use_count() > 1)
        entries_ = std::make_shared<Entries>(entries());
    return *entries_;
}

void Inventory::add(const kube::ObjectId& id, const std::string& version) {
    const auto found = entries().find(id);
    if (found != entries().end() && found->second == version) return;
    own().insert_or_assign(id, version);
}

void Inventory::remove(const kube::ObjectId& id) {
    if (contains(id)) own().erase(id);
}

bool Inventory::contains_all(const Inventory& other) const {
    return entries_ == other.entries_ ||
           std::ranges::includes(entries(), other.entries(), {}, &Entries::value_type::first,
                                 &Entries::value_type::first);
}

void Inventory::merge(const Inventory& other) {
    for (const auto& [id, version] : other.entries()) add(id, version);
}

Inventory::EntryList Inventory::minus(const Inventory& other) const {
    EntryList result;
    if (entries_ == other.entries_) return result;
    auto theirs = other.entries().begin();
    for (const auto& [id, version] : entries()) {
        while (theirs != other.entries().end() && theirs->first < id) ++theirs;
        if (theirs == other.entries().end() || theirs->first != id)
            result.emplace_back(id, version);
    }
    return result;
}

}  // namespace kled::gitops
