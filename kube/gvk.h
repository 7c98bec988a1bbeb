/// Names of kinds and of objects.
#pragma once

#include <compare>
#include <string>
#include <string_view>

namespace kled::kube {

struct GroupVersionKind {
    std::string group;  ///< empty: the core group
    std::string version;
    std::string kind;
    auto operator<=>(const GroupVersionKind&) const = default;
    [[nodiscard]] std::string api_version() const {
        return group.empty() ? version : group + "/" + version;
    }
    /// From "apps/v1" and "Deployment". Takes any text: what is valid is for the caller to say.
    static GroupVersionKind parse(std::string_view api_version, std::string_view kind);
    /// "apps/v1/Deployment", "v1/Pod": for messages.
    [[nodiscard]] std::string to_string() const { return api_version() + "/" + kind; }
};

struct GroupVersionResource {
    std::string group;
    std::string version;
    std::string resource;  ///< plural: "deployments"
    auto operator<=>(const GroupVersionResource&) const = default;
    [[nodiscard]] std::string api_version() const {
        return group.empty() ? version : group + "/" + version;
    }
};

/// An object whatever its version: what an inventory holds.
struct ObjectId {
    std::string group;
    std::string kind;
    std::string ns;  ///< empty: cluster-scoped
    std::string name;
    auto operator<=>(const ObjectId&) const = default;
    /// "Deployment.apps web/frontend": for people.
    [[nodiscard]] std::string to_string() const;
};

}  // namespace kled::kube
