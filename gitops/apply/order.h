/// In which order objects are applied and pruned: Flux's (fluxcd/pkg, ssa/sort.go and
/// manager_apply.go).
#pragma once

#include "kube/object.h"

#include <cstddef>

namespace kled::gitops {

/// Each stage is settled before the next begins.
enum class Stage {
    definitions,  ///< what others need to exist: CustomResourceDefinitions, Namespaces,
                  ///< ClusterRoles
    classes,      ///< …Class kinds: storage, ingress, priority
    rest,
};

[[nodiscard]] Stage stage_of(const kube::ObjectId& id) noexcept;

/// First what is applied first: stage and kind in one number.
[[nodiscard]] std::size_t rank_of(const kube::ObjectId& id) noexcept;

/// True when `a` is applied before `b`: by rank, kind, namespace, name, group. Pruning goes the
/// other way round.
[[nodiscard]] bool applied_before(const kube::ObjectId& a, const kube::ObjectId& b);
/// The same for those whose rank is known.
[[nodiscard]] bool ranked_before(std::size_t rank_a, const kube::ObjectId& a, std::size_t rank_b,
                                 const kube::ObjectId& b);

}  // namespace kled::gitops
