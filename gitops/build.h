/// From a revision and a deployment object to the objects it stands for.
#pragma once

#include "gitops/api.h"
#include "gitops/git/tree.h"
#include "gitops/transform/sops.h"
#include "kube/object.h"

#include <string>
#include <vector>

namespace kled::gitops {

struct Built {
    std::vector<kube::LoadedObject> objects;
    std::string digest;  ///< "sha256:<hex>" over the canonical objects
    std::vector<std::string> warnings;
    git::ReadSet read_set;  ///< a tree that agrees with it gives the same
};

/// Long: call it where that does no harm. With `keys`, files that SOPS has encrypted are read as
/// plain text. Error(not_found|invalid|denied|exhausted) with file and line.
[[nodiscard]] Built build(git::Mirror& mirror, const git::Revision& revision,
                          const Deployment& deployment, const SopsKeys* keys = nullptr);

}  // namespace kled::gitops
