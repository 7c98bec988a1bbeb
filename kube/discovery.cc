#include "kube/discovery.h"

#include <algorithm>

namespace kled::kube {

namespace {

const json::array& list_at(const json::value& root, std::string_view key) {
    static const json::array none;
    const auto* const value = find(root, {key});
    return value != nullptr && value->is_array() ? value->get_array() : none;
}

std::string text_at(const json::value& root, std::initializer_list<std::string_view> path) {
    const auto* const value = find(root, path);
    return value != nullptr && value->is_string() ? std::string{value->get_string()}
                                                  : std::string{};
}

}  // namespace

void Discovery::add(Mapping mapping) {
    // The first resource of a kind is its own; a later one only answers with that kind.
    const auto& r = mapping.resource;
    if (r.resource.empty() || mapping.kind.empty() || r.version.empty()) return;
    const auto same = [&](const Mapping& m) {
        return m.kind == mapping.kind && m.resource.group == r.group &&
               m.resource.version == r.version;
    };
    if (std::ranges::none_of(mappings_, same)) mappings_.push_back(std::move(mapping));
}

void Discovery::add_aggregated(const json::value& list) {
    for (const auto& group : list_at(list, "items")) {
        for (const auto& version : list_at(group, "versions")) {
            for (const auto& resource : list_at(version, "resources")) {
                Mapping mapping;
                mapping.resource.group = text_at(group, {"metadata", "name"});
                mapping.resource.version = text_at(version, {"version"});
                mapping.resource.resource = text_at(resource, {"resource"});
                mapping.kind = text_at(resource, {"responseKind", "kind"});
                mapping.scope = text_at(resource, {"scope"}) == "Namespaced" ? Scope::namespaced
                                                                             : Scope::cluster;
                add(std::move(mapping));
            }
        }
    }
}

void Discovery::add_version(std::string_view api_version, const json::value& list) {
    const auto gvk = GroupVersionKind::parse(api_version, "");
    for (const auto& resource : list_at(list, "resources")) {
        Mapping mapping;
        mapping.resource.group = gvk.group;
        mapping.resource.version = gvk.version;
        mapping.resource.resource = text_at(resource, {"name"});
        mapping.kind = text_at(resource, {"kind"});
        const auto* const namespaced = kube::find(resource, {"namespaced"});
        mapping.scope = namespaced != nullptr && namespaced->is_bool() && namespaced->get_bool()
                            ? Scope::namespaced
                            : Scope::cluster;
        if (mapping.resource.resource.find('/') == std::string::npos) add(std::move(mapping));
    }
}

std::optional<Mapping> Discovery::find(const GroupVersionKind& gvk) const {
    for (const auto& m : mappings_) {
        if (m.kind == gvk.kind && m.resource.group == gvk.group &&
            m.resource.version == gvk.version)
            return m;
    }
    return std::nullopt;
}

std::optional<Mapping> Discovery::find(std::string_view group, std::string_view kind) const {
    for (const auto& m : mappings_) {
        if (m.kind == kind && m.resource.group == group) return m;
    }
    return std::nullopt;
}

std::vector<std::string> listed_versions(const json::value& document) {
    std::vector<std::string> versions;
    for (const auto& version : list_at(document, "versions")) {
        if (version.is_string()) versions.emplace_back(version.get_string());
    }
    for (const auto& group : list_at(document, "groups")) {
        const auto preferred = text_at(group, {"preferredVersion", "groupVersion"});
        if (!preferred.empty()) versions.push_back(preferred);
        for (const auto& version : list_at(group, "versions")) {
            auto name = text_at(version, {"groupVersion"});
            if (!name.empty() && name != preferred) versions.push_back(std::move(name));
        }
    }
    return versions;
}

}  // namespace kled::kube
