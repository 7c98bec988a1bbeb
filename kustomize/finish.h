/// The last steps of a build, for those who take them one object at a time.
#pragma once

#include "kube/object.h"
#include "kustomize/kustomization.h"
#include "kustomize/resource.h"

namespace kled::kustomize {

/// Whether it is for those who build only, and no part of the result.
[[nodiscard]] bool is_local(const Resource& resource);

/// The object as it goes out; takes it from `resource`.
[[nodiscard]] kube::LoadedObject finish(Resource& resource, const Kustomization& top);

}  // namespace kled::kustomize
