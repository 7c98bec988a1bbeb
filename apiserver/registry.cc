#include "apiserver/registry.h"

#include <algorithm>
#include <set>
#include <utility>

namespace kled::api {

namespace {

std::vector<std::string> strings(const kube::Names& names) {
    std::vector<std::string> copies;
    for (const auto name : names) copies.emplace_back(name);
    return copies;
}

Resource resource_of(const kube::BuiltinKind& kind) {
    Resource resource;
    resource.gvr = {kind.gvk.group, kind.gvk.version, std::string{kind.plural}};
    resource.kind = kind.gvk.kind;
    resource.list_kind = kind.gvk.kind + "List";
    resource.singular = kind.singular;
    resource.short_names = strings(kind.short_names);
    resource.categories = strings(kind.categories);
    resource.scope = kind.scope;
    resource.verbs = strings(kind.verbs);
    resource.has_status = kind.subresource("status") != nullptr;
    resource.has_scale = kind.subresource("scale") != nullptr;
    resource.collection = resource.subject("").qualified();
    resource.storage_version = kind.gvk.api_version();
    return resource;
}

}  // namespace

Registry::Registry() {
    std::set<std::string> seen;
    for (const auto& kind : kube::builtin_kinds()) {
        // What cannot be watched is not stored: reviews, bindings, evictions. And a kind is served
        // in its preferred version alone: nothing here converts.
        if (!kind.verbs.contains("watch")) continue;
        auto resource = resource_of(kind);
        if (seen.insert(resource.collection).second) add(std::move(resource));
    }
}

ResourcePtr Registry::find(std::string_view group_name, std::string_view version,
                           std::string_view plural) const {
    const auto* found = group(group_name);
    if (found == nullptr) return nullptr;
    const auto in_version = std::ranges::find(found->versions, version, &Version::name);
    if (in_version == found->versions.end()) return nullptr;
    const auto resource = in_version->resources.find(plural);
    return resource == in_version->resources.end() ? nullptr : resource->second;
}

const Registry::Group* Registry::group(std::string_view name) const noexcept {
    const auto found = std::ranges::find(groups_, name, &Group::name);
    return found == groups_.end() ? nullptr : &*found;
}

ResourcePtr Registry::of_collection(std::string_view collection) const {
    ResourcePtr any;
    for (const auto& group : groups_) {
        for (const auto& version : group.versions) {
            for (const auto& [plural, resource] : version.resources) {
                if (resource->collection != collection) continue;
                if (resource->gvr.api_version() == resource->storage_version) return resource;
                if (!any) any = resource;
            }
        }
    }
    return any;
}

std::vector<ResourcePtr> Registry::collections(bool namespaced_only) const {
    std::vector<ResourcePtr> all;
    std::set<std::string_view> seen;
    for (const auto& group : groups_) {
        for (const auto& version : group.versions) {
            for (const auto& [plural, resource] : version.resources) {
                if (namespaced_only && !resource->namespaced()) continue;
                if (seen.insert(resource->collection).second) all.push_back(resource);
            }
        }
    }
    return all;
}

void Registry::add(Resource resource) {
    ++revision_;
    auto group = std::ranges::find(groups_, resource.gvr.group, &Group::name);
    if (group == groups_.end())
        group = groups_.insert(groups_.end(), Group{resource.gvr.group, {}});
    auto version = std::ranges::find(group->versions, resource.gvr.version, &Version::name);
    if (version == group->versions.end()) {
        const auto before = std::ranges::find_if(group->versions, [&](const Version& other) {
            return version_precedes(resource.gvr.version, other.name);
        });
        version = group->versions.insert(before, Version{resource.gvr.version, {}});
    }
    auto plural = resource.gvr.resource;
    version->resources.insert_or_assign(std::move(plural),
                                        std::make_shared<const Resource>(std::move(resource)));
}

void Registry::remove(std::string_view collection) {
    ++revision_;
    for (auto& group : groups_) {
        for (auto& version : group.versions) {
            std::erase_if(version.resources, [&](const auto& entry) {
                return entry.second->collection == collection;
            });
        }
        std::erase_if(group.versions, [](const Version& v) { return v.resources.empty(); });
    }
    std::erase_if(groups_, [](const Group& group) { return group.versions.empty(); });
}

bool version_precedes(std::string_view a, std::string_view b) {
    // apimachinery version.CompareKubeAwareVersionStrings: GA, beta, alpha, then by number; what is
    // no such name comes last, in alphabetical order.
    struct Parts {
        int stage = -1;  // 2 GA, 1 beta, 0 alpha
        unsigned major = 0;
        unsigned minor = 0;
    };
    const auto parse = [](std::string_view text) {
        Parts parts;
        const auto number = [&](unsigned& value) {
            std::size_t digits = 0;
            for (; digits < text.size() && digits < 9 && text[digits] >= '0' && text[digits] <= '9';
                 ++digits)
                value = value * 10 + static_cast<unsigned>(text[digits] - '0');
            text.remove_prefix(digits);
            return digits > 0;
        };
        if (!text.starts_with('v')) return Parts{};
        text.remove_prefix(1);
        if (!number(parts.major)) return Parts{};
        if (text.empty()) {
            parts.stage = 2;
        } else if (text.starts_with("beta")) {
            text.remove_prefix(4);
            parts.stage = 1;
        } else if (text.starts_with("alpha")) {
            text.remove_prefix(5);
            parts.stage = 0;
        }
        if (parts.stage < 2 && (!number(parts.minor) || !text.empty())) return Parts{};
        return parts;
    };
    const auto left = parse(a);
    const auto right = parse(b);
    if (left.stage != right.stage) return left.stage > right.stage;
    if (left.stage < 0) return a < b;
    if (left.major != right.major) return left.major > right.major;
    return left.minor > right.minor;
}

}  // namespace kled::api
