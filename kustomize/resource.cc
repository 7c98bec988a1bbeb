#include "kustomize/resource.h"

#include "kube/yaml.h"
#include "kustomize/scalar.h"

#include <utility>

namespace kled::kustomize {

namespace {

constexpr std::string_view no_namespace = "_non_namespaceable_";

std::string metadata_text(const json::object& object, std::string_view field) {
    const auto* value = kube::find(object, {"metadata", field});
    return value == nullptr ? std::string{} : text_of(*value);
}

std::string field_text(const json::object& object, std::string_view field) {
    const auto* value = object.if_contains(field);
    return value == nullptr ? std::string{} : text_of(*value);
}

}  // namespace

bool selects(const Gvk& selector, const Gvk& gvk) noexcept {
    return (selector.group.empty() || selector.group == gvk.group) &&
           (selector.version.empty() || selector.version == gvk.version) &&
           (selector.kind.empty() || selector.kind == gvk.kind);
}

bool Id::cluster_scoped() const noexcept { return kustomize::cluster_scoped(gvk); }

std::string_view Id::effective_namespace() const noexcept {
    if (cluster_scoped()) return no_namespace;
    return ns.empty() ? std::string_view{"default"} : std::string_view{ns};
}

std::string Id::to_string() const {
    auto text = gvk.kind;
    if (!gvk.group.empty() || !gvk.version.empty()) text += "." + gvk.api_version();
    text += ' ';
    if (!ns.empty() && ns != no_namespace) text += ns + "/";
    return text + name;
}

bool same(const Id& a, const Id& b) noexcept {
    return a.name == b.name && a.gvk == b.gvk && a.effective_namespace() == b.effective_namespace();
}

void Resource::refresh() {
    const auto& fields = object.fields();
    id.gvk = Gvk::parse(field_text(fields, "apiVersion"), field_text(fields, "kind"));
    id.name = metadata_text(fields, "name");
    id.ns = metadata_text(fields, "namespace");
}

void Resource::store_previous_id() {
    previous.push_back({id.gvk.kind, id.name, std::string{id.effective_namespace()}});
}

Id Resource::previous_id(std::size_t index) const {
    const auto& before = previous[index];
    return {.gvk = {.group = id.gvk.group, .version = id.gvk.version, .kind = before.kind},
            .name = before.name,
            .ns = before.effective_namespace};
}

Id Resource::original_id() const { return previous.empty() ? id : previous_id(0); }

std::string Resource::describe() const {
    auto text = id.gvk.kind + " ";
    if (!id.ns.empty()) text += id.ns + "/";
    text += id.name;
    if (!origin.file.empty()) text += " (" + origin.at("") + ")";
    return text;
}

void Resource::set_name(const std::string& name) {
    auto& metadata = object.metadata();
    if (auto* value = metadata.if_contains("name")) {
        set_text(*value, name);
    } else {
        metadata["name"] = name;
    }
    id.name = name;
}

void Resource::set_namespace(const std::string& ns) {
    auto& metadata = object.metadata();
    if (ns.empty()) {
        const auto entry = metadata.find("namespace");
        if (entry != metadata.end()) metadata.stable_erase(entry);
    } else if (auto* value = metadata.if_contains("namespace")) {
        set_text(*value, ns);
    } else {
        metadata["namespace"] = ns;
    }
    id.ns = ns;
}

void Resource::set_kind(const std::string& kind) {
    object.fields()["kind"] = kind;
    id.gvk.kind = kind;
}

void refold(json::value& value, std::string_view key, const Notation::Marks& folded) {
    if (auto* map = value.if_object()) {
        for (auto& field : *map) refold(field.value(), field.key(), folded);
    } else if (auto* list = value.if_array()) {
        for (auto& element : *list) refold(element, {}, folded);
    } else if (const auto* text = value.if_string()) {
        if (folded.contains(kube::quoted_mark(key, *text)))
            value = kube::refolded(std::string{*text});
    }
}

void Resource::unfold(const json::object* map) {
    if (map == nullptr || notation.folded.empty()) return;
    for (const auto& [key, value] : *map) {
        if (const auto* text = value.if_string())
            notation.folded.own().erase(kube::quoted_mark(key, *text));
    }
}

void Resource::refold(bool annotations) {
    if (notation.folded.empty()) return;
    auto& metadata = object.metadata();
    json::value kept;
    if (auto* value = metadata.if_contains("annotations"); value != nullptr && !annotations)
        kept = *value;
    for (auto& field : object.fields())
        kustomize::refold(field.value(), field.key(), notation.folded);
    if (!kept.is_null()) object.metadata()["annotations"] = std::move(kept);
    notation.folded.reset();
}

bool Resource::has_build_annotations() const noexcept {
    return !previous.empty() || !prefixes.empty() || !suffixes.empty() || needs_hash ||
           behavior != Behavior::unspecified || provenance;
}

void Resource::make_annotations() {
    auto& annotations = object.metadata()["annotations"];
    if (annotations.is_null()) annotations.emplace_object();
}

const json::object* Resource::metadata_map(std::string_view field) const {
    const auto* value = kube::find(object.fields(), {"metadata", field});
    return value == nullptr ? nullptr : value->if_object();
}

}  // namespace kled::kustomize
