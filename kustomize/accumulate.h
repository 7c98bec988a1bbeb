/// Walks kustomizations depth first and applies each to the resources below it.
#pragma once

#include "kustomize/configuration.h"
#include "kustomize/context.h"
#include "kustomize/kustomization.h"
#include "kustomize/resource_map.h"

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kled::kustomize {

/// The `vars` of several kustomizations, in order.
class Variables {
public:
    /// nullptr: it is in; else the one that has its name already.
    const Variable* add(const Variable& variable);

    [[nodiscard]] const std::vector<Variable>& all() const noexcept { return all_; }
    [[nodiscard]] bool empty() const noexcept { return all_.empty(); }

private:
    std::vector<Variable> all_;
    std::map<std::string, std::size_t, std::less<>> places_;  ///< by name
};

/// What a kustomization hands to the one above it. Names in it may still be stale: references are
/// fixed once, at the end.
struct Accumulated {
    ResourceMap resources;
    std::shared_ptr<const Configuration> configuration =
        {};  ///< nullptr until the first one is read
    Variables variables;
};

/// A kustomization's directory and the file in it.
struct Target {
    Root root;
    Kustomization kustomization;
    /// The directory as seen from the one that is built: "../base". For `buildMetadata`.
    std::string path;
    std::string repo = {};  ///< the other repository `path` is in
    std::string ref = {};
    bool tracks_origin = false;  ///< the kustomization that is built has `buildMetadata`
};

/// Reads the kustomization file of `root`. Its problems are noted; what could be read of it is
/// there to look for more of them. `top`: it is the one BuildOptions::amend and generate_missing
/// are about. Error(not_found): none; Error(invalid): not YAML.
[[nodiscard]] Target load_target(Root root, bool top);

/// The problems go to the context; once there are some, the result is not complete.
[[nodiscard]] Accumulated accumulate(const Target& target);

/// Whether its transformers look at each resource by itself, so that the entries of `resources` can
/// be built one by one.
[[nodiscard]] bool works_one_by_one(const Kustomization& kustomization);
/// The kustomization an entry of `resources` names; nullopt when it names a file or a URL.
[[nodiscard]] std::optional<Target> load_entry(const Target& target, const Entry& entry);
/// What one entry contributes, before the transformers of `target`: `below`, if load_entry gave
/// one.
[[nodiscard]] Accumulated accumulate_entry(const Target& target, const Entry& entry,
                                           const std::optional<Target>& below);
/// Runs the transformers of `target`, which works one by one, over such a contribution.
void transform(const Target& target, Accumulated& all);

/// The resources that paths, directories and inline YAML stand for, as `generators` and
/// `transformers` name them.
[[nodiscard]] ResourceMap load_entries(const std::vector<Entry>& entries, const Target& target);

}  // namespace kled::kustomize
