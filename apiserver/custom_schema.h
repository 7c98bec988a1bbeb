/// The structural schema of a custom kind: what of an object is kept, which defaults it gets, what
/// is wrong with it (apiextensions-apiserver pkg/apiserver/schema, kube-openapi validation).
#pragma once

#include "apiserver/status.h"
#include "kube/structural_schema.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace re2 {
class RE2;
}

namespace kled::api {

class CustomSchema {
public:
    /// `open_api`: spec.versions[].schema.openAPIV3Schema. Error(invalid) for a pattern that RE2
    /// does not take, or a schema nested deeper than 64.
    CustomSchema(const kube::GroupVersionKind& gvk, json::object open_api, bool preserve_unknown);
    ~CustomSchema();
    CustomSchema(const CustomSchema&) = delete;
    CustomSchema& operator=(const CustomSchema&) = delete;

    /// Drops what the schema does not know; `unknown field "spec.foo"` for each.
    std::vector<std::string> prune(json::object& object) const;
    void fill_defaults(json::object& object) const;
    [[nodiscard]] std::vector<FieldError> validate(const json::object& object) const;

    [[nodiscard]] kube::StructuralSchema structural() const;
    [[nodiscard]] const json::object& open_api() const noexcept { return open_api_; }

private:
    class Pruning;
    class Validation;
    void compile(const json::object& schema, int depth);

    kube::GroupVersionKind gvk_;
    json::object open_api_;
    bool preserve_unknown_;
    std::map<std::string, std::unique_ptr<re2::RE2>, std::less<>> patterns_;
};

}  // namespace kled::api
