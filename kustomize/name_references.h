/// Names that were changed, brought into the fields that refer to them.
#pragma once

#include "kustomize/configuration.h"
#include "kustomize/resource.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace kled::kustomize {

/// Knows who had which name in one build, and fixes the references of one object at a time. It
/// looks at the others' names only, never at their content.
class NameReferences {
public:
    /// The resources, whose `position` is their order, and the references outlive it.
    NameReferences(const std::vector<Resource*>& resources,
                   const std::vector<NameReference>& references);
    ~NameReferences();
    NameReferences(const NameReferences&) = delete;
    NameReferences& operator=(const NameReferences&) = delete;

    /// What a name could mean when it was looked up.
    struct LookUp {
        std::string name;
        std::size_t answer;
    };
    /// Error(invalid): a reference could mean several. `noted`, if not nullptr, gets each look-up.
    void fix(Resource& resource, std::vector<LookUp>* noted = nullptr);

    /// No object has another name than it was read with: there is nothing to fix.
    [[nodiscard]] bool needless() const noexcept;

    /// Whether fix() would find the same again.
    [[nodiscard]] bool still(const std::vector<LookUp>& noted) const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Everything of a resource that the references of others can hang on, as a hash.
[[nodiscard]] std::size_t naming_of(const Resource& resource);

}  // namespace kled::kustomize
