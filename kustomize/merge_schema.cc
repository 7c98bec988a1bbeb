#include "kustomize/merge_schema.h"

#include "base/error.h"

#include <algorithm>
#include <array>

namespace kled::kustomize {

namespace {

/// Versions kustomize knows that were served with the types of a later one and are gone in
/// Kubernetes 1.34.
Gvk served_today(const Gvk& gvk) {
    struct Old {
        std::string_view group, version, today;
    };
    static constexpr std::array<Old, 15> old{{{"batch", "v1beta1", "v1"},
                                              {"policy", "v1beta1", "v1"},
                                              {"autoscaling", "v2beta1", "v2"},
                                              {"autoscaling", "v2beta2", "v2"},
                                              {"networking.k8s.io", "v1beta1", "v1"},
                                              {"rbac.authorization.k8s.io", "v1beta1", "v1"},
                                              {"admissionregistration.k8s.io", "v1beta1", "v1"},
                                              {"apiextensions.k8s.io", "v1beta1", "v1"},
                                              {"apiregistration.k8s.io", "v1beta1", "v1"},
                                              {"storage.k8s.io", "v1beta1", "v1"},
                                              {"certificates.k8s.io", "v1beta1", "v1"},
                                              {"scheduling.k8s.io", "v1beta1", "v1"},
                                              {"coordination.k8s.io", "v1beta1", "v1"},
                                              {"discovery.k8s.io", "v1beta1", "v1"},
                                              {"node.k8s.io", "v1beta1", "v1"}}};
    if (gvk.group == "extensions" && gvk.version == "v1beta1" && gvk.kind == "Ingress")
        return {"networking.k8s.io", "v1", gvk.kind};
    for (const auto& entry : old) {
        if (gvk.group == entry.group && gvk.version == entry.version) {
            return {gvk.group, std::string{entry.today}, gvk.kind};
        }
    }
    return gvk;
}

bool has_merge(std::string_view strategies) {
    while (!strategies.empty()) {
        const auto comma = std::min(strategies.find(','), strategies.size());
        if (strategies.substr(0, comma) == "merge") return true;
        strategies.remove_prefix(std::min(comma + 1, strategies.size()));
    }
    return false;
}

std::string_view string_field(const json::object& object, std::string_view name) {
    const auto* value = object.if_contains(name);
    const auto* string = value == nullptr ? nullptr : value->if_string();
    return string == nullptr ? std::string_view{} : std::string_view{*string};
}

using Types = std::map<std::string_view, kube::TypeSchema, std::less<>>;

void collect(Types& types, kube::TypeSchema type) {
    if (type.kind() == kube::TypeSchema::Kind::list || type.kind() == kube::TypeSchema::Kind::map) {
        collect(types, type.element());
    } else if (type.is_object() && types.emplace(type.name(), type).second) {
        for (std::size_t i = 0; i < type.field_count(); ++i) collect(types, type.field_at(i).type);
    }
}

/// "io.k8s.api.core.v1.PodSpec" → its type.
const Types& builtin_types() {
    static const auto all = [] {
        Types types;
        for (const auto& kind : kube::builtin_kinds()) {
            if (const auto type = kube::schema_of(kind.gvk)) collect(types, *type);
        }
        return types;
    }();
    return all;
}

}  // namespace

std::optional<MergeSchema> MergeSchema::of(const Gvk& gvk, const OpenApi* custom) {
    if (custom != nullptr) return custom->of(gvk);
    auto type = kube::schema_of(gvk);
    if (!type) type = kube::schema_of(served_today(gvk));
    if (!type) return std::nullopt;
    return MergeSchema{*type};
}

std::optional<MergeSchema> MergeSchema::field(std::string_view name) const {
    if (custom_ != nullptr) {
        const json::value* schema = nullptr;
        if (const auto* properties = custom_->if_contains("properties");
            properties != nullptr && properties->is_object()) {
            schema = properties->get_object().if_contains(name);
        }
        if (schema == nullptr) schema = custom_->if_contains("additionalProperties");
        return document_->dereference(schema);
    }
    if (type_->kind() == kube::TypeSchema::Kind::map) return MergeSchema{type_->element()};
    if (!type_->is_object()) return std::nullopt;
    const auto field = type_->field(name);
    if (!field) return std::nullopt;
    MergeSchema schema{field->type};
    schema.field_ = field;
    return schema;
}

std::optional<MergeSchema> MergeSchema::elements() const {
    if (custom_ != nullptr) {
        if (string_field(*custom_, "type") != "array") return std::nullopt;
        return document_->dereference(custom_->if_contains("items"));
    }
    if (type_->kind() != kube::TypeSchema::Kind::list) return std::nullopt;
    return MergeSchema{type_->element()};
}

bool MergeSchema::merges() const {
    if (custom_ != nullptr) return has_merge(string_field(*custom_, "x-kubernetes-patch-strategy"));
    return field_ && field_->patch_merge;
}

std::vector<std::string> MergeSchema::keys() const {
    std::vector<std::string> keys;
    if (custom_ != nullptr) {
        const auto* list = custom_->if_contains("x-kubernetes-list-map-keys");
        if (list != nullptr && list->is_array()) {
            for (const auto& key : list->get_array()) {
                if (key.is_string()) keys.emplace_back(key.get_string());
            }
        } else if (const auto key = string_field(*custom_, "x-kubernetes-patch-merge-key");
                   !key.empty()) {
            keys.emplace_back(key);
        }
        return keys;
    }
    for (const auto key : type_->map_keys()) keys.emplace_back(key);
    if (keys.empty() && field_ && !field_->patch_merge_key.empty())
        keys.emplace_back(field_->patch_merge_key);
    return keys;
}

OpenApi::OpenApi(json::value document, bool with_builtin)
    : document_(std::move(document)), with_builtin_{with_builtin} {
    if (!document_.is_object()) throw Error{ErrorKind::invalid, "an OpenAPI document is a map"};
    const auto* definitions = document_.get_object().if_contains("definitions");
    definitions_ = definitions == nullptr ? nullptr : definitions->if_object();
    if (definitions_ == nullptr) return;
    for (const auto& definition : *definitions_) {
        const auto* kinds = kube::find(definition.value(), {"x-kubernetes-group-version-kind"});
        if (kinds == nullptr || !kinds->is_array()) continue;
        for (const auto& kind : kinds->get_array()) {
            if (!kind.is_object()) continue;
            const Gvk gvk{std::string{string_field(kind.get_object(), "group")},
                          std::string{string_field(kind.get_object(), "version")},
                          std::string{string_field(kind.get_object(), "kind")}};
            by_kind_[gvk.to_string()] = definition.value().if_object();
        }
    }
}

std::optional<MergeSchema> OpenApi::of(const Gvk& gvk) const {
    const auto found = by_kind_.find(gvk.to_string());
    if (found != by_kind_.end() && found->second != nullptr)
        return MergeSchema{*this, *found->second};
    return with_builtin_ ? MergeSchema::of(gvk, nullptr) : std::nullopt;
}

std::optional<MergeSchema> OpenApi::dereference(const json::value* schema) const {
    // A reference to itself must end somewhere.
    for (int steps = 0; schema != nullptr && schema->is_object() && steps < 64; ++steps) {
        const auto& object = schema->get_object();
        auto reference = string_field(object, "$ref");
        if (reference.empty()) return MergeSchema{*this, object};
        constexpr std::string_view prefix = "#/definitions/";
        if (!reference.starts_with(prefix)) return std::nullopt;
        reference.remove_prefix(prefix.size());
        schema = definitions_ == nullptr ? nullptr : definitions_->if_contains(reference);
        if (schema != nullptr || !with_builtin_) continue;
        const auto builtin = builtin_types().find(reference);
        if (builtin != builtin_types().end()) return MergeSchema{builtin->second};
    }
    return std::nullopt;
}

}  // namespace kled::kustomize
