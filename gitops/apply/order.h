/// In which order objects are applied and pruned: Flux's (fluxcd/pkg, ssa/sort.go and
/// manager_apply.go).
#pragma once

#include "kube/object.h"

#include <vector>

namespace kled::gitops {

/// Each stage is settled before the next begins.
enum class Stage {
    definitions,  ///< what others need to exist: CustomResourceDefinitions, Namespaces,
                  ///< ClusterRoles
    classes,      ///< …Class kinds: storage, ingress, priority
    rest,
};

[[nodiscard]] Stage stage_of(const kube::ObjectId& id) noexcept;

/// True when `a` is applied before `b`: by stage, rank of the kind, kind, namespace, name. Pruning
/// goes the other way round.
[[nodiscard]] bool applied_before(const kube::ObjectId& a, const kube::ObjectId& b);

}  // namespace kled::gitops
