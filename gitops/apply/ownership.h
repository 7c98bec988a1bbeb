/// How an object in a cluster says which Kustomization brought it, and who had it before.
#pragma once

#include "gitops/objects/api.h"
#include "kube/object.h"

#include <string>
#include <string_view>

namespace kled::gitops {

/// As whom objects are applied. Flux's own name: whoever of the two applies next goes on with the
/// same fields.
inline constexpr const char* default_field_manager = "kustomize-controller";

/// The labels by which an object says which Kustomization brought it.
inline constexpr const char* owner_name_label = "kustomize.toolkit.fluxcd.io/name";
inline constexpr const char* owner_namespace_label = "kustomize.toolkit.fluxcd.io/namespace";

/// Annotation on an object that was there before kled: applied, and never pruned.
inline constexpr std::string_view adopted_annotation = "gitops.kled.io/adopted";

void label_owner(kube::Object& object, const Key& owner);
[[nodiscard]] bool has_owner(const kube::Object& object);
/// Whether kled has not brought it, and nothing says so yet: adopted_annotation.
[[nodiscard]] bool is_unmarked(const kube::Object& object);
[[nodiscard]] bool belongs_to(const kube::Object& object, const Key& owner);
/// A label selector for all that belongs to `owner`.
[[nodiscard]] std::string selector_of(const Key& owner);

}  // namespace kled::gitops
