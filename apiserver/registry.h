/// The kinds that are served: the built-in ones and those that CustomResourceDefinitions add.
#pragma once

#include "apiserver/status.h"
#include "kube/gvk.h"
#include "kube/schema.h"
#include "kube/table.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::api {

class CustomSchema;

/// What a version of a CustomResourceDefinition adds to a Resource.
struct CustomKind {
    std::shared_ptr<const CustomSchema> schema;  ///< structural; never null
    kube::TablePrinter printer;
    std::vector<std::string> selectable_fields;  ///< "spec.color"
    json::object open_api;                       ///< openAPIV3Schema as published
    struct Scale {
        std::string spec_replicas;
        std::string status_replicas;
        std::string label_selector;
    };
    std::optional<Scale> scale;
};

/// One kind in one version.
struct Resource {
    kube::GroupVersionResource gvr;
    std::string kind;
    std::string list_kind;
    std::string singular;
    std::vector<std::string> short_names;
    std::vector<std::string> categories;
    kube::Scope scope = kube::Scope::namespaced;
    std::vector<std::string> verbs;
    bool has_status = false;
    bool has_scale = false;
    /// Where its objects are kept, the same for every version: "deployments.apps", "configmaps".
    std::string collection;
    /// apiVersion of the stored bytes; others are served with theirs put in its place.
    std::string storage_version;
    std::shared_ptr<const CustomKind> custom;  ///< null for a built-in kind

    [[nodiscard]] bool namespaced() const noexcept { return scope == kube::Scope::namespaced; }
    [[nodiscard]] kube::GroupVersionKind gvk() const { return {gvr.group, gvr.version, kind}; }
    [[nodiscard]] Subject subject(std::string_view name) const {
        return {gvr.group, gvr.resource, std::string{name}};
    }
};
using ResourcePtr = std::shared_ptr<const Resource>;

/// Whether version `a` is preferred to `b`: v2, v1, v1beta2, v1alpha1, anything else.
[[nodiscard]] bool version_precedes(std::string_view a, std::string_view b);

class Registry {
public:
    /// With the built-in kinds.
    Registry();

    struct Version {
        std::string name;
        std::map<std::string, ResourcePtr, std::less<>> resources;  ///< by plural
    };
    struct Group {
        std::string name;
        std::vector<Version> versions;  ///< preferred first
    };
    /// The core group first, then the built-in ones in discovery order, then those of CRDs.
    [[nodiscard]] const std::vector<Group>& groups() const noexcept { return groups_; }

    [[nodiscard]] ResourcePtr find(std::string_view group, std::string_view version,
                                   std::string_view plural) const;
    [[nodiscard]] const Group* group(std::string_view name) const noexcept;
    /// The one that is served of a kind, preferring the storage version.
    [[nodiscard]] ResourcePtr of_collection(std::string_view collection) const;
    /// Of every collection one resource, namespaced ones only when asked.
    [[nodiscard]] std::vector<ResourcePtr> collections(bool namespaced_only) const;

    void add(Resource resource);
    /// All versions of a collection.
    void remove(std::string_view collection);
    /// Counts changes: what is derived (discovery, OpenAPI) is made again when it moved.
    [[nodiscard]] std::uint64_t revision() const noexcept { return revision_; }

private:
    std::vector<Group> groups_;
    std::uint64_t revision_ = 0;
};

}  // namespace kled::api
