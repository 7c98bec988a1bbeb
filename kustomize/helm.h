/// Helm charts in a kustomization: what is asked of the `helm` program, and what its answer
/// becomes.
#pragma once

#include "kustomize/context.h"
#include "kustomize/kustomization.h"
#include "kustomize/resource_map.h"

#include <vector>

namespace kled::kustomize {

/// The objects a chart stands for, as HelmChartInflationGenerator of kustomize makes them.
/// Error(denied): BuildOptions::charts is not set, or the chart belongs to another repository.
[[nodiscard]] std::vector<ResourceMap::Item> inflate(HelmChart chart, const Root& root);

}  // namespace kled::kustomize
