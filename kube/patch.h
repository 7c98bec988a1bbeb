/// The patches of the Kubernetes API, pure.
#pragma once

#include "kube/gvk.h"
#include "kube/object.h"

#include <string>

namespace kled::kube {

/// RFC 6902, but as the library of the API server and kustomize has it: a map's absent member is
/// null where it is copied or tested, and `replace` makes it. Error(invalid): not a list of
/// operations; Error(conflict): a `test` failed; Error(not_found): a path does not exist. On error
/// `target` is unchanged.
void apply_json_patch(json::value& target, const json::value& operations);

/// RFC 7396.
void apply_merge_patch(json::value& target, const json::value& patch);
/// The merge patch that makes `to` of `from`.
[[nodiscard]] json::value create_merge_patch(const json::value& from, const json::value& to);

/// Strategic merge with the directives $patch, $retainKeys, $setElementOrder,
/// $deleteFromPrimitiveList; list strategies come from the schema of `kind`. A kind that is not in
/// the schema merges as RFC 7396 does, with lists replaced. Error(invalid) for a malformed
/// directive or a missing merge key.
void apply_strategic_merge_patch(json::value& target, const json::value& patch,
                                 const GroupVersionKind& kind);

}  // namespace kled::kube
