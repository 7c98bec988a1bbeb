/// Overlays built into objects, as `kustomize build` does (kustomize v5.8).
#pragma once

#include "kube/object.h"
#include "kustomize/charts.h"
#include "kustomize/files.h"
#include "kustomize/remote.h"

#include <boost/json/object.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace kled::kustomize {

struct BuildOptions {
    /// The order of the result where the kustomization has no `sortOptions`.
    enum class Order {
        legacy,  ///< namespaces and definitions first, webhooks last: what the command line prints
        none,    ///< depth first, as the files name them
    };
    Order order = Order::legacy;

    /// Files outside the directory of the kustomization that names them may be read. Directories
    /// may lie anywhere in the tree in any case.
    bool load_anywhere = false;

    /// A directory without a kustomization file is built as if one listed all its manifests, those
    /// of its subdirectories, and as directories those subdirectories that have their own: as
    /// Flux's kustomize-controller does.
    bool generate_missing = false;

    /// What a tree may cost, which it alone decides: directories that each name another twice
    /// double at every level. Beyond it the build is Error(exhausted).
    struct Limits {
        std::size_t kustomizations = 20'000;  ///< runs, one for each time one is named
        std::size_t depth = 100;              ///< of kustomizations in kustomizations
        std::size_t objects = 200'000;
        std::size_t bytes = 1U << 30U;  ///< read from files or put into objects by transformers
    };
    Limits limits = {};

    /// How other repositories and URLs are reached; nullptr: naming one is an error. It outlives
    /// the build.
    Remotes* remotes = nullptr;

    /// Who runs helm; nullptr: a chart is an error. It outlives the build.
    Charts* charts = nullptr;

    /// Called with the fields of the kustomization in `directory` before they are read, to set or
    /// extend some: how a Flux Kustomization's own targetNamespace, patches and images come in.
    std::function<void(boost::json::object& kustomization)> amend = {};
};

struct BuildResult {
    std::vector<kube::LoadedObject> objects;
    /// Deprecated fields and the like, each "file:line: field: what".
    std::vector<std::string> warnings;

    struct Phase {
        std::string name;
        std::chrono::nanoseconds time;
    };
    std::vector<Phase> phases;  ///< where the time went, in order

    /// YAML documents joined by "---\n", byte for byte kustomize's.
    [[nodiscard]] std::string to_yaml() const;
};

/// Error(invalid) when the tree is wrong: one line for each problem found, each "file:line: field:
/// what" as far as it is known. Error(not_found): there is no `directory`, or no kustomization in
/// it. Depends on nothing but `files` and `options`,
/// and what `options.remotes` finds.
[[nodiscard]] BuildResult build(const Files& files, const std::string& directory,
                                const BuildOptions& options = {});

}  // namespace kled::kustomize
