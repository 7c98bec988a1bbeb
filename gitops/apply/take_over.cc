#include "gitops/apply/take_over.h"

#include "kube/field_set.h"
#include "kube/pointer.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

namespace kled::gitops {

namespace json = boost::json;

namespace {

struct Predecessor {
    std::string_view prefix;
    std::string_view operation;
};
constexpr std::array predecessors{
    Predecessor{"kubectl", "Apply"},   // apply --server-side
    Predecessor{"kubectl", "Update"},  // apply, edit, patch
    Predecessor{"before-first-apply", "Update"},
    Predecessor{"kustomize-controller", "Update"},  // of Flux before it applied server-side
    Predecessor{"kled-gitops", "Apply"},
};
constexpr std::array<std::string_view, 3> annotations{
    "kubectl.kubernetes.io/last-applied-configuration", "kustomize.toolkit.fluxcd.io/checksum",
    "fluxcd.io/sync-checksum"};
constexpr std::string_view old_label = "fluxcd.io/sync-gc-mark";

bool is_predecessor(const json::object& entry) {
    if (!kube::find_string(entry, {"subresource"}).empty()) return false;
    return std::ranges::any_of(predecessors, [&](const Predecessor& p) {
        return kube::find_string(entry, {"manager"}).starts_with(p.prefix) &&
               kube::find_string(entry, {"operation"}) == p.operation;
    });
}

kube::FieldSet fields_of(const json::object& entry) {
    const auto* fields = kube::find(entry, {"fieldsV1"});
    if (fields == nullptr || !fields->is_object()) return {};
    return kube::FieldSet::from_json(fields->get_object());
}

/// The new managedFields; nullopt: they stay.
std::optional<json::array> merged_managers(const json::array& entries, std::string_view manager) {
    json::array others;
    std::optional<json::object> own;
    std::vector<const json::object*> taken;
    for (const auto& item : entries) {
        if (!item.is_object()) return std::nullopt;
        const auto& entry = item.get_object();
        const bool is_own = kube::find_string(entry, {"manager"}) == manager &&
                            kube::find_string(entry, {"operation"}) == "Apply" &&
                            kube::find_string(entry, {"subresource"}).empty();
        if (is_own) {
            own = entry;
        } else if (is_predecessor(entry)) {
            taken.push_back(&entry);
        } else {
            others.push_back(item);
        }
    }
    if (taken.empty()) return std::nullopt;
    if (!own) own = *taken.front();
    (*own)["manager"] = manager;
    (*own)["operation"] = "Apply";
    auto fields = fields_of(*own);
    for (const auto* entry : taken) fields = fields.united(fields_of(*entry));
    (*own)["fieldsV1"] = fields.to_json();
    others.emplace_back(std::move(*own));
    return others;
}

json::object operation(std::string_view op, std::string_view path) {
    json::object result;
    result["op"] = op;
    result["path"] = path;
    return result;
}

}  // namespace

json::array take_over(const kube::Object& live, std::string_view manager) {
    json::array patch;
    for (const auto annotation : annotations) {
        if (live.annotation(annotation).empty()) continue;
        std::string path = "/metadata/annotations";
        kube::append_step(path, annotation);
        patch.emplace_back(operation("remove", path));
    }
    if (!live.label(old_label).empty()) {
        std::string path = "/metadata/labels";
        kube::append_step(path, old_label);
        patch.emplace_back(operation("remove", path));
    }
    const auto* entries = kube::find(live.fields(), {"metadata", "managedFields"});
    if (entries != nullptr && entries->is_array()) {
        if (auto merged = merged_managers(entries->get_array(), manager)) {
            auto replace = operation("replace", "/metadata/managedFields");
            replace["value"] = std::move(*merged);
            patch.emplace_back(std::move(replace));
        }
    }
    if (patch.empty()) return patch;
    // Not over what somebody else wrote meanwhile.
    auto version = operation("replace", "/metadata/resourceVersion");
    version["value"] = live.resource_version();
    patch.emplace_back(std::move(version));
    return patch;
}

}  // namespace kled::gitops
