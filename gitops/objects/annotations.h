/// The annotations by which kled is asked for something beside the spec of a deployment object.
#pragma once

#include "kube/object.h"

#include <map>
#include <string>
#include <string_view>

namespace kled::gitops {

inline constexpr std::string_view own_annotations = "gitops.kled.io/";

/// On a deployment object: the commit to deploy in place of the source's newest, 40 hex digits or
/// as Flux writes a revision ("main@sha1:<hex>", "sha256:<hex>").
inline constexpr std::string_view pin_annotation = "gitops.kled.io/revision";
/// On a Kustomization: what becomes of what others change, `repair`, `report` or `ignore`.
inline constexpr std::string_view drift_annotation = "gitops.kled.io/drift";
/// On a deployment object: when a new revision may come, a list as YAML (windows/deploy_windows.h).
inline constexpr std::string_view windows_annotation = "gitops.kled.io/deploy-windows";
/// On the same: the revision that may come now, whatever the windows say.
inline constexpr std::string_view deploy_now_annotation = "gitops.kled.io/deploy-now";
/// `confirm`. On a Kustomization: what it would prune waits for an approval. On any object: its own
/// pruning does.
inline constexpr std::string_view prune_annotation = "gitops.kled.io/prune";
/// On a Kustomization: the digest of the list that may be pruned (prune_approval.h).
inline constexpr std::string_view prune_approved_annotation = "gitops.kled.io/prune-approved";

/// On a deployment object: the Pipeline of its namespace that decides what it deploys. Until it was
/// given a revision by it, it keeps what it has.
inline constexpr std::string_view pipeline_annotation = "gitops.kled.io/pipeline";
/// On the same: what the Pipeline pinned it to. Another pin was set by hand, and stays.
inline constexpr std::string_view promoted_annotation = "gitops.kled.io/promoted-revision";
/// On a Pipeline, before the name of a stage: "<commit> <by whom>".
inline constexpr std::string_view approved_annotation = "gitops.kled.io/approved.";
/// On the same: "<commit> <attempt>", as which its Jobs that failed run once more.
inline constexpr std::string_view retry_annotation = "gitops.kled.io/retry.";
/// On a Pipeline, before the name of a check: "<commit>=success", "<commit>=failure", any number of
/// them, with white space or commas between.
inline constexpr std::string_view check_annotation = "gitops.kled.io/check.";

/// On an object of Git's or on the same in the cluster: what Flux does with it. A label says it as
/// well as an annotation.
inline constexpr std::string_view reconcile_switch = "kustomize.toolkit.fluxcd.io/reconcile";
inline constexpr std::string_view prune_switch = "kustomize.toolkit.fluxcd.io/prune";
inline constexpr std::string_view force_switch = "kustomize.toolkit.fluxcd.io/force";
inline constexpr std::string_view ssa_switch = "kustomize.toolkit.fluxcd.io/ssa";
/// Whether a label or an annotation `key` has this value, in whatever case (fluxcd/pkg/ssa,
/// AnyInMetadata).
[[nodiscard]] bool says(const kube::Object& object, std::string_view key, std::string_view value);
/// Whether kled is to leave it as it is, neither applied nor pruned.
[[nodiscard]] bool says_hands_off(const kube::Object& object);

/// All of `object` that begin with `own_annotations`.
[[nodiscard]] std::map<std::string, std::string> own_annotations_of(const kube::Object& object);

/// A merge patch that sets them; an empty value takes one away.
[[nodiscard]] kube::json::object annotation_patch(
    const std::map<std::string, std::string>& annotations);

/// The commit in "main@sha1:<hex>", "sha1:<hex>" or "<hex>", or the 64 digits of "sha256:<hex>",
/// which is how what did not come by Git is named; empty: neither.
[[nodiscard]] std::string commit_in(std::string_view revision);

}  // namespace kled::gitops
