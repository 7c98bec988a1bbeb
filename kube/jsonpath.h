/// The JSONPath of kubectl and of printer columns: client-go util/jsonpath without templates.
#pragma once

#include "kube/object.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kube {

/// ".spec.replicas", "{.a['b.c'][0]}", ".status.conditions[?(@.type=="Ready")].status", ".a[*].b",
/// ".a[-1]", ".a[0:2]", "..name", ".x\.y". What is absent yields nothing.
class JsonPath {
public:
    static JsonPath parse(std::string_view text);  ///< Error(invalid) with the position
    /// In document order; pointers into `root`.
    [[nodiscard]] std::vector<const json::value*> find(const json::value& root) const;
    [[nodiscard]] std::vector<const json::value*> find(const json::object& root) const;

    struct Step;

private:
    std::vector<std::shared_ptr<const Step>> steps_;
};

}  // namespace kled::kube
