/// A deployment object's files made into the objects that are meant: built, and what its inputs say
/// written into them.
#pragma once

#include "gitops/build.h"
#include "gitops/inputs.h"

namespace kled::gitops {

/// As `builds` makes it, with the keys of `inputs`, and its variables substituted; the digest is of
/// the result.
[[nodiscard]] Built render(Rebuild& builds, git::Mirror& mirror, const git::Revision& revision,
                           const Deployment& deployment, const Inputs& inputs,
                           const RemoteBases& remotes);

}  // namespace kled::gitops
