#include "gitops/drift/record.h"

#include "base/error.h"
#include "crypto/hash.h"
#include "gitops/apply/compare.h"
#include "kube/field_set.h"

#include <algorithm>

namespace kled::gitops {

namespace json = boost::json;

namespace {

constexpr std::size_t longest_name = 128;  // as the API server bounds a manager's

const json::array* managers_of(const kube::Object& object) {
    const auto* list = kube::find(object.fields(), {"metadata", "managedFields"});
    return list != nullptr ? list->if_array() : nullptr;
}

bool is_own(const json::object& entry, std::string_view manager) {
    return kube::find_string(entry, {"manager"}) == manager &&
           kube::find_string(entry, {"operation"}) == "Apply" &&
           kube::find_string(entry, {"subresource"}).empty();
}

kube::FieldSet fields_of(const json::object& entry) {
    const auto* fields = entry.if_contains("fieldsV1");
    if (fields == nullptr || !fields->is_object()) return {};
    return kube::FieldSet::from_json(fields->get_object());
}

kube::FieldSet own_fields(const kube::Object& object, std::string_view manager) {
    kube::FieldSet result;
    const auto* list = managers_of(object);
    if (list == nullptr) return result;
    for (const auto& item : *list) {
        if (item.is_object() && is_own(item.get_object(), manager))
            result = result.united(fields_of(item.get_object()));
    }
    return result;
}

/// When `manager` last wrote what it holds; empty: never.
std::string time_of(const kube::Object& object, std::string_view manager) {
    std::string latest;
    const auto* list = managers_of(object);
    if (list == nullptr) return latest;
    for (const auto& item : *list) {
        if (!item.is_object() || !is_own(item.get_object(), manager)) continue;
        latest = std::max(latest, std::string{kube::find_string(item.get_object(), {"time"})});
    }
    return latest;
}

/// What others hold and wrote not before `since` (RFC 3339 in UTC: as texts).
kube::FieldSet of_others_since(const kube::Object& object, std::string_view manager,
                               std::string_view since) {
    kube::FieldSet result;
    for (const auto& item : *managers_of(object)) {
        if (!item.is_object() || is_own(item.get_object(), manager)) continue;
        const auto& entry = item.get_object();
        if (kube::find_string(entry, {"time"}) >= since) result = result.united(fields_of(entry));
    }
    return result;
}

bool differ_only_in(const json::value& a, const json::value& b, const kube::FieldSet& fields);

bool differ_only_at(const json::value* a, const json::value* b,
                    const kube::FieldSet::Entry* entry) {
    if (entry == nullptr) return false;
    if (entry->member && entry->below.empty()) return true;
    return a == nullptr || b == nullptr || differ_only_in(*a, *b, entry->below);
}

/// Whether two maps or lists with keys differ in nothing but the members of `fields`.
bool differ_only_in(const json::value& a, const json::value& b, const kube::FieldSet& fields) {
    using Kind = kube::PathElement::Kind;
    if (a.is_object() && b.is_object()) {
        const auto& from = a.get_object();
        const auto& to = b.get_object();
        const auto same = [&](const auto& item) {
            const auto* x = from.if_contains(item.key());
            const auto* y = to.if_contains(item.key());
            if (x != nullptr && y != nullptr && *x == *y) return true;
            return differ_only_at(x, y, fields.find(Kind::field, item.key()));
        };
        return std::ranges::all_of(from, same) && std::ranges::all_of(to, same);
    }
    if (!a.is_array() || !b.is_array()) return false;
    const auto same = [&](const json::value& element, const json::array& others) {
        if (std::ranges::find(others, element) != others.end()) return true;
        const auto entry = std::ranges::find_if(
            fields.entries(), [&](const auto& one) { return is_element(element, one.element); });
        if (entry == fields.entries().end()) return false;
        const auto other = std::ranges::find_if(
            others, [&](const json::value& one) { return is_element(one, entry->element); });
        return differ_only_at(&element, other == others.end() ? nullptr : &*other, &*entry);
    };
    const auto& from = a.get_array();
    const auto& to = b.get_array();
    return std::ranges::all_of(from, [&](const auto& one) { return same(one, to); }) &&
           std::ranges::all_of(to, [&](const auto& one) { return same(one, from); });
}

}  // namespace

bool is_element(const json::value& element, const kube::PathElement& key) {
    using Kind = kube::PathElement::Kind;
    if (key.kind == Kind::value) return kube::to_canonical_json(element) == key.text;
    const auto* fields = element.if_object();
    if (key.kind != Kind::key || fields == nullptr) return false;
    const auto keys = kube::parse_json(key.text);
    bool any = false;
    for (const auto& one : keys.as_object()) {
        const auto* value = fields->if_contains(one.key());
        if (value == nullptr) continue;
        if (*value != one.value()) return false;
        any = true;
    }
    return any;
}

bool only_others_changed(const kube::Object& live, const kube::Object& wanted,
                         std::string_view manager) {
    try {
        const auto held = own_fields(live, manager);
        const auto wants = own_fields(wanted, manager);
        if (held.empty() || !held.without(wants).empty()) return false;  // Git dropped something
        const auto lost = wants.without(held);
        if (!lost.without(of_others_since(live, manager, time_of(live, manager))).empty())
            return false;  // nobody holds what Git says: it is new there
        const json::value from(without_bookkeeping(live).fields());
        const json::value to(without_bookkeeping(wanted).fields());
        return differ_only_in(from, to, lost);
    } catch (const Error&) {
        return false;  // a record that cannot be read tells nothing
    }
}

std::uint64_t record_of(const kube::Object& object, std::string_view manager) {
    const auto* list = managers_of(object);
    if (list == nullptr) return 0;
    std::string record;
    for (const auto& item : *list) {
        if (!item.is_object() || !is_own(item.get_object(), manager)) continue;
        // Not its time: that changes with a write of the same.
        if (const auto* fields = item.get_object().if_contains("fieldsV1"))
            record += kube::to_canonical_json(*fields) + '\n';
    }
    return record.empty() ? 0 : std::max<std::uint64_t>(crypto::xxh3(record), 1);
}

std::string rivals(const kube::Object& live, const kube::Object& wanted, std::string_view manager) {
    std::string names;
    try {
        const auto lost = own_fields(wanted, manager).without(own_fields(live, manager));
        const auto* list = managers_of(live);
        if (lost.empty() || list == nullptr) return names;
        for (const auto& item : *list) {
            if (!item.is_object() || is_own(item.get_object(), manager)) continue;
            const auto& entry = item.get_object();
            if (fields_of(entry).intersected(lost).empty()) continue;
            const auto name = kube::find_string(entry, {"manager"}).substr(0, longest_name);
            names += (names.empty() ? "" : ", ") + std::string{name};
        }
    } catch (const Error&) {
        return {};  // a record that cannot be read names nobody
    }
    return names;
}

}  // namespace kled::gitops
