/// Names that were changed, brought into the fields that refer to them.
#pragma once

#include "kustomize/configuration.h"
#include "kustomize/resource.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace kled::kustomize {

/// Knows who had which name, and fixes the references of one object at a time. It looks at the
/// others' names only, never at their content.
class NameReferences {
public:
    /// `references` outlives it.
    explicit NameReferences(const std::vector<NameReference>& references);
    ~NameReferences();
    NameReferences(const NameReferences&) = delete;
    NameReferences& operator=(const NameReferences&) = delete;

    /// From now on others may mean it. Among those that are known, `position` is the order;
    /// positions may change as long as the order does not. It stays as it is, in its place, until
    /// it is removed.
    void add(Resource& resource);
    void remove(const Resource& resource);
    /// Removes all; what was noted by fix() is still good for still().
    void clear();

    struct Name;  ///< one that some had or that was looked up; here as long as this is
    /// What a name could mean when it was looked up.
    struct LookUp {
        const Name* name;
        std::size_t answer;
    };
    /// Error(invalid): a reference could mean several. `noted`, if not nullptr, gets each look-up.
    void fix(Resource& resource, std::vector<LookUp>* noted = nullptr);

    /// No object has another name than it was read with: there is nothing to fix.
    [[nodiscard]] bool needless() const noexcept;

    /// Whether fix() would find the same again.
    [[nodiscard]] bool still(const std::vector<LookUp>& noted) const;

    /// How many names it knows, those that were only looked up included.
    [[nodiscard]] std::size_t size() const noexcept;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Everything of a resource that the references of others can hang on, as a hash.
[[nodiscard]] std::size_t naming_of(const Resource& resource);

}  // namespace kled::kustomize
