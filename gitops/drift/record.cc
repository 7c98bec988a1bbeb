#include "gitops/drift/record.h"

#include "base/error.h"
#include "crypto/hash.h"
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

}  // namespace

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
