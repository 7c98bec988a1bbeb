/// The values of one SOPS file, decrypted in place.
#pragma once

#include "gitops/transform/sops.h"
#include "kube/object.h"

#include <vector>

namespace kled::gitops {

/// Decrypts `branches`, the documents of one file without their `sops` field, whose content is
/// `metadata`. Errors as decrypt_sops.
void decrypt_sops_tree(const std::vector<kube::json::object*>& branches,
                       const kube::json::object& metadata, const SopsKeys& keys);

}  // namespace kled::gitops
