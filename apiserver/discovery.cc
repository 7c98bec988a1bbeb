#include "apiserver/discovery.h"

#include "apiserver/api.h"
#include "apiserver/call.h"
#include "base/encoding.h"
#include "crypto/hash.h"

#include <utility>

namespace kled::api {

namespace {

/// The API that is spoken here; what speaks it stands behind the plus sign.
constexpr std::string_view git_version = "v1.34.4+kled";

template <typename Strings>
json::array array_of(const Strings& strings) {
    json::array array;
    for (const auto& text : strings) array.push_back(json::value(std::string_view{text}));
    return array;
}

json::object list(std::string_view kind, std::string_view api_version) {
    json::object object;
    object["kind"] = kind;
    object["apiVersion"] = api_version;
    return object;
}

json::object group_version(const Registry::Group& group, const Registry::Version& version) {
    json::object entry;
    entry["groupVersion"] = group.name.empty() ? version.name : group.name + "/" + version.name;
    entry["version"] = version.name;
    return entry;
}

/// The subresources of a kind that are served, with the kind they speak and their verbs.
struct Subresource {
    std::string_view name;
    kube::GroupVersionKind gvk;
    std::vector<std::string_view> verbs;
};
std::vector<Subresource> subresources(const Resource& resource) {
    std::vector<Subresource> all;
    if (resource.collection == "namespaces")
        all.push_back({"finalize", resource.gvk(), {"update"}});
    if (resource.has_scale)
        all.push_back({"scale", {"autoscaling", "v1", "Scale"}, {"get", "patch", "update"}});
    if (resource.has_status) all.push_back({"status", resource.gvk(), {"get", "patch", "update"}});
    return all;
}

json::object kind_object(const kube::GroupVersionKind& gvk) {
    json::object kind;
    kind["group"] = gvk.group;
    kind["version"] = gvk.version;
    kind["kind"] = gvk.kind;
    return kind;
}

json::object aggregated_resource(const Resource& resource) {
    json::object entry;
    entry["resource"] = resource.gvr.resource;
    entry["responseKind"] = kind_object(resource.gvk());
    entry["scope"] = resource.namespaced() ? "Namespaced" : "Cluster";
    entry["singularResource"] = resource.singular;
    entry["verbs"] = array_of(resource.verbs);
    if (!resource.short_names.empty()) entry["shortNames"] = array_of(resource.short_names);
    if (!resource.categories.empty()) entry["categories"] = array_of(resource.categories);
    json::array subs;
    for (const auto& sub : subresources(resource)) {
        json::object one;
        one["subresource"] = sub.name;
        one["responseKind"] = kind_object(sub.gvk);
        one["verbs"] = array_of(sub.verbs);
        subs.push_back(std::move(one));
    }
    if (!subs.empty()) entry["subresources"] = std::move(subs);
    return entry;
}

}  // namespace

std::string version_document() {
    json::object version;
    version["major"] = "1";
    version["minor"] = "34";
    version["gitVersion"] = git_version;
    version["gitCommit"] = "";
    version["gitTreeState"] = "clean";
    version["buildDate"] = "1970-01-01T00:00:00Z";
    version["goVersion"] = "none";
    version["compiler"] = "g++";
    version["platform"] = "linux/amd64";
    return kube::to_json(version);
}

json::object Discovery::group(const Registry::Group& group) const {
    json::object entry;
    entry["name"] = group.name;
    json::array versions;
    for (const auto& version : group.versions) versions.push_back(group_version(group, version));
    entry["versions"] = std::move(versions);
    entry["preferredVersion"] = group_version(group, group.versions.front());
    return entry;
}

json::object Discovery::group_list() const {
    auto object = list("APIGroupList", "v1");
    json::array groups;
    for (const auto& entry : registry_.groups()) {
        if (!entry.name.empty()) groups.push_back(group(entry));
    }
    object["groups"] = std::move(groups);
    return object;
}

json::object Discovery::resource_list(const Registry::Group& group,
                                      const Registry::Version& version) const {
    auto object = list("APIResourceList", "v1");
    object["groupVersion"] = group_version(group, version)["groupVersion"];
    json::array resources;
    for (const auto& [plural, resource] : version.resources) {
        json::object entry;
        entry["name"] = plural;
        entry["singularName"] = resource->singular;
        entry["namespaced"] = resource->namespaced();
        entry["kind"] = resource->kind;
        entry["verbs"] = array_of(resource->verbs);
        if (!resource->short_names.empty()) entry["shortNames"] = array_of(resource->short_names);
        if (!resource->categories.empty()) entry["categories"] = array_of(resource->categories);
        entry["storageVersionHash"] = to_base64(
            crypto::sha256_hex(resource->collection + resource->storage_version).substr(0, 8));
        resources.push_back(std::move(entry));
        for (const auto& sub : subresources(*resource)) {
            json::object one;
            one["name"] = plural + "/" + std::string{sub.name};
            one["singularName"] = "";
            one["namespaced"] = resource->namespaced();
            if (sub.gvk.group != resource->gvr.group) one["group"] = sub.gvk.group;
            if (sub.gvk.group != resource->gvr.group) one["version"] = sub.gvk.version;
            one["kind"] = sub.gvk.kind;
            one["verbs"] = array_of(sub.verbs);
            resources.push_back(std::move(one));
        }
    }
    object["resources"] = std::move(resources);
    return object;
}

json::object Discovery::aggregated(bool core, std::string_view api_version) const {
    auto object = list("APIGroupDiscoveryList", "apidiscovery.k8s.io/" + std::string{api_version});
    object["metadata"] = json::object{};
    json::array items;
    for (const auto& group : registry_.groups()) {
        if (group.name.empty() != core) continue;
        json::object item;
        json::object metadata;
        if (!core) metadata["name"] = group.name;
        metadata["creationTimestamp"] = nullptr;
        item["metadata"] = std::move(metadata);
        json::array versions;
        for (const auto& version : group.versions) {
            json::object entry;
            entry["version"] = version.name;
            json::array resources;
            for (const auto& [plural, resource] : version.resources)
                resources.push_back(aggregated_resource(*resource));
            entry["resources"] = std::move(resources);
            entry["freshness"] = "Current";
            versions.push_back(std::move(entry));
        }
        item["versions"] = std::move(versions);
        items.push_back(std::move(item));
    }
    object["items"] = std::move(items);
    return object;
}

std::optional<Discovery::Document> Discovery::make(std::string_view path,
                                                   std::string_view aggregated_version) const {
    const bool core = path == "/api";
    if (core || path == "/apis") {
        if (!aggregated_version.empty()) {
            return Document{kube::to_json(aggregated(core, aggregated_version)),
                            "application/json;g=apidiscovery.k8s.io;v=" +
                                std::string{aggregated_version} + ";as=APIGroupDiscoveryList"};
        }
        if (!core) return Document{kube::to_json(group_list())};
        auto versions = list("APIVersions", "v1");
        versions.erase("apiVersion");
        versions["versions"] = array_of(std::vector<std::string_view>{"v1"});
        versions["serverAddressByClientCIDRs"] = json::array{};
        return Document{kube::to_json(versions)};
    }
    const auto* found = registry_.group("");
    if (path.starts_with("/apis/")) {
        path.remove_prefix(6);
        const auto slash = path.find('/');
        found = registry_.group(path.substr(0, slash));
        if (found == nullptr) return std::nullopt;
        if (slash == std::string_view::npos) {
            auto object = list("APIGroup", "v1");
            for (auto& field : group(*found)) object[field.key()] = std::move(field.value());
            return Document{kube::to_json(object)};
        }
        path.remove_prefix(slash + 1);
    } else if (path.starts_with("/api/")) {
        path.remove_prefix(5);
    } else {
        return std::nullopt;
    }
    for (const auto& version : found->versions) {
        if (version.name == path) return Document{kube::to_json(resource_list(*found, version))};
    }
    return std::nullopt;
}

std::optional<Answer> Discovery::answer(std::string_view path, std::string_view accept) {
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    if (path != "/api" && path != "/apis" && !path.starts_with("/api/") &&
        !path.starts_with("/apis/"))
        return std::nullopt;
    if (revision_ != registry_.revision()) {
        documents_.clear();
        revision_ = registry_.revision();
    }
    const bool root = path == "/api" || path == "/apis";
    const auto aggregated_version = root ? aggregated_discovery_version(accept) : std::string{};
    const auto key = std::string{path} + " " + aggregated_version;
    auto found = documents_.find(key);
    if (found == documents_.end()) {
        auto document = make(path, aggregated_version);
        if (!document) return std::nullopt;
        found = documents_.emplace(key, std::move(*document)).first;
    }
    auto result = json_answer(200, found->second.body);
    result.headers.set("Content-Type", found->second.content_type);
    if (root) result.headers.set("Vary", "Accept");
    return result;
}

}  // namespace kled::api
