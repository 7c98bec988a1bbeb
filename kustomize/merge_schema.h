/// What a strategic merge needs to know of an object's type: from Kubernetes' own API, or from the
/// OpenAPI document a kustomization names.
#pragma once

#include "kube/schema.h"
#include "kustomize/resource.h"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kustomize {

class OpenApi;

/// The type of one value; cheap to copy, lives as long as its OpenApi.
class MergeSchema {
public:
    /// Of a kind; nullopt: unknown, its lists are replaced.
    static std::optional<MergeSchema> of(const Gvk& gvk, const OpenApi* custom);

    [[nodiscard]] std::optional<MergeSchema> field(std::string_view name) const;
    [[nodiscard]] std::optional<MergeSchema> elements() const;
    /// A list that is merged with the patch's, not replaced.
    [[nodiscard]] bool merges() const;
    /// What tells the elements of such a list apart; empty: they are scalars.
    [[nodiscard]] std::vector<std::string> keys() const;

private:
    friend class OpenApi;
    explicit MergeSchema(kube::TypeSchema type) : type_{type} {}
    MergeSchema(const OpenApi& document, const json::object& schema)
        : document_{&document}, custom_{&schema} {}

    std::optional<kube::TypeSchema> type_;
    std::optional<kube::FieldSchema> field_;  ///< of the parent that holds this value
    const OpenApi* document_ = nullptr;
    const json::object* custom_ = nullptr;
};

/// An OpenAPI (swagger 2.0) document, JSON or YAML.
class OpenApi {
public:
    /// `with_builtin`: what it does not define is looked for in Kubernetes' own API.
    /// Error(invalid): no mapping.
    OpenApi(json::value document, bool with_builtin);

    [[nodiscard]] std::optional<MergeSchema> of(const Gvk& gvk) const;
    /// Follows "$ref": "#/definitions/name"; nullopt: it leads nowhere.
    [[nodiscard]] std::optional<MergeSchema> dereference(const json::value* schema) const;

private:
    json::value document_;
    bool with_builtin_;
    const json::object* definitions_ = nullptr;
    std::map<std::string, const json::object*, std::less<>> by_kind_;  ///< "apps/v1/Deployment"
};

}  // namespace kled::kustomize
