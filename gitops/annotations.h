/// The annotations by which kled is asked for something beside the spec of a deployment object.
#pragma once

#include "kube/object.h"

#include <map>
#include <string>
#include <string_view>

namespace kled::gitops {

inline constexpr std::string_view own_annotations = "gitops.kled.io/";

/// On a deployment object: the commit to deploy in place of the source's newest, 40 hex digits or
/// as Flux writes a revision ("main@sha1:<hex>").
inline constexpr std::string_view pin_annotation = "gitops.kled.io/revision";
/// On a deployment object: when a new revision may come, a list as YAML (windows/deploy_windows.h).
inline constexpr std::string_view windows_annotation = "gitops.kled.io/deploy-windows";
/// On the same: the revision that may come now, whatever the windows say.
inline constexpr std::string_view deploy_now_annotation = "gitops.kled.io/deploy-now";
/// `confirm`. On a Kustomization: what it would prune waits for an approval. On any object: its own
/// pruning does.
inline constexpr std::string_view prune_annotation = "gitops.kled.io/prune";
/// On a Kustomization: the digest of the list that may be pruned (prune_approval.h).
inline constexpr std::string_view prune_approved_annotation = "gitops.kled.io/prune-approved";

/// All of `object` that begin with `own_annotations`.
[[nodiscard]] std::map<std::string, std::string> own_annotations_of(const kube::Object& object);

/// The commit in "main@sha1:<hex>", "sha1:<hex>" or "<hex>"; empty: there is none.
[[nodiscard]] std::string commit_in(std::string_view revision);

}  // namespace kled::gitops
