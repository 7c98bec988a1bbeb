/// What differs between two states of an object, as far as Git can have a say in it.
#pragma once

#include "kube/object.h"

#include <string>

namespace kled::gitops {

/// Without what the API server keeps about an object: status, managedFields, resourceVersion,
/// generation, uid, creationTimestamp, selfLink.
[[nodiscard]] kube::Object without_bookkeeping(const kube::Object& object);

/// Whether applying would change nothing: `result` is a dry run of the apply on `live`.
[[nodiscard]] bool same_state(const kube::Object& live, const kube::Object& result);

/// Values of a Secret's data and stringData in place of the secrets: "***", and for those that
/// differ between the two "*** (before)" and "*** (after)".
void mask_secrets(kube::Object& before, kube::Object& after);

/// A unified diff of the two in YAML, three lines of context; empty when they are equal. An object
/// without fields stands for none.
[[nodiscard]] std::string unified_diff(const kube::Object& before, const kube::Object& after);

}  // namespace kled::gitops
