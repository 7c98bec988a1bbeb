/// Helm charts: what a build asks of those who may run `helm`.
#pragma once

#include <boost/json/object.hpp>

#include <string>
#include <vector>

namespace kled::kustomize {

/// One entry of `helmCharts`, with what `helmGlobals` says for all.
struct HelmChart {
    std::string chart_home;   ///< relative to the kustomization's directory, or absolute
    std::string config_home;  ///< helm's own directory; empty: a temporary one
    std::string name;
    std::string version;
    std::string repo;
    std::string release_name;
    std::string ns;
    std::string name_template;
    std::string values_file;  ///< empty: the chart's own
    boost::json::object values_inline;
    std::string values_merge;  ///< override (the default), merge or replace
    std::vector<std::string> additional_values_files;
    std::vector<std::string> api_versions;
    std::string kube_version;
    bool include_crds = false;
    bool skip_hooks = false;
    bool skip_tests = false;
    bool debug = false;
    bool devel = false;
    std::string at;  ///< "file:line: helmCharts[0]: "

    /// Where charts of this version are kept, in `chart_home`.
    [[nodiscard]] std::string home() const {
        const auto base = chart_home.empty() ? std::string{"charts"} : chart_home;
        return version.empty() || repo.empty() ? base : base + "/" + name + "-" + version;
    }
};

/// Blocking. Errors: unavailable (there is no helm, or it fails, with what it says), invalid,
/// exhausted (it prints too much).
class Charts {
public:
    virtual ~Charts() = default;
    /// Sees that the chart is below `HelmChart::home()`: pulls it, if it is not. `directory`: of
    /// the kustomization, a path of the tree that is built.
    virtual void provide(const HelmChart& chart, const std::string& directory) = 0;
    /// What `helm template` prints for these texts of values files, the later ones stronger.
    [[nodiscard]] virtual std::string render(const HelmChart& chart, const std::string& directory,
                                             const std::vector<std::string>& values) = 0;
};

}  // namespace kled::kustomize
