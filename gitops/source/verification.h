/// `spec.verify` of a GitRepository: a revision counts only when someone trusted has signed it.
#pragma once

#include "crypto/pgp.h"
#include "crypto/ssh_keys.h"
#include "gitops/git/mirror.h"
#include "gitops/git/revision.h"

#include <optional>
#include <string>

namespace kled::gitops {

struct Verification {
    bool head = false;  ///< the commit
    bool tag = false;   ///< the tag that led to it
    crypto::SshKeys keys;
    std::optional<crypto::PgpKeys> pgp;
};

struct Verified {
    bool good = false;
    std::string reason;  ///< Flux's: InvalidCommitSignature, …
    std::string message;
};

/// Of the condition SourceVerified. `reference` is what was asked for when `revision` was found.
/// Blocking.
[[nodiscard]] Verified verify(git::Mirror& mirror, const git::Reference& reference,
                              const git::Revision& revision, const Verification& wanted);

}  // namespace kled::gitops
