/// Fields that other tools left behind become those of the manager that applies from Git, so that
/// what Git drops goes.
#pragma once

#include "kube/object.h"

#include <string_view>

namespace kled::gitops {

/// The JSON patch that does it, as Flux's kustomize-controller does (fluxcd/pkg/ssa): fields
/// applied by kubectl or by an earlier kled join those of `manager`, and the annotations go in
/// which such tools kept state. Empty: there is nothing to do. It carries the resourceVersion of
/// `live`.
[[nodiscard]] kube::json::array take_over(const kube::Object& live, std::string_view manager);

}  // namespace kled::gitops
