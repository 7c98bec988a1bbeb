/// Transformers and generators that are configured by an object of `apiVersion: builtin`.
#pragma once

#include "kustomize/accumulate.h"

namespace kled::kustomize {

/// Error(invalid): no such transformer, or its configuration is wrong.
void run_transformer(ResourceMap& resources, const Resource& configuration, const Root& root);

[[nodiscard]] std::vector<ResourceMap::Item> run_generator(const Resource& configuration,
                                                           const Root& root);

}  // namespace kled::kustomize
