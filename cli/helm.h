/// The `helm` program, for builds that are allowed to run it.
#pragma once

#include "kustomize/charts.h"

#include <chrono>
#include <string>
#include <vector>

namespace kled::cli {

/// Runs helm 3 or 4 by its argument vector, on charts of this machine's file system.
class HelmProgram : public kustomize::Charts {
public:
    struct Options {
        std::string program = "helm";
        std::string kube_version = {};               ///< in place of what a chart entry says
        std::vector<std::string> api_versions = {};  ///< the same
        std::chrono::milliseconds timeout{120'000};  ///< for one run
    };
    explicit HelmProgram(Options options) : options_{std::move(options)} {}

    void provide(const kustomize::HelmChart& chart, const std::string& directory) override;
    [[nodiscard]] std::string render(const kustomize::HelmChart& chart,
                                     const std::string& directory,
                                     const std::vector<std::string>& values) override;

private:
    std::string run(std::vector<std::string> arguments, const std::string& config_home);
    void check_version(const std::string& config_home);

    Options options_;
    bool version_known_ = false;
};

}  // namespace kled::cli
