/// Field tables out of the OpenAPI definitions a kustomization's `crds` name.
#pragma once

#include "kustomize/configuration.h"

namespace kled::kustomize {

/// Fields marked with x-kubernetes-annotation, -label-selector, -identity and -object-ref-… in
/// `definitions`: type name → {Schema: {properties: …}}.
[[nodiscard]] Configuration configuration_of_crds(const json::value& definitions);

}  // namespace kled::kustomize
