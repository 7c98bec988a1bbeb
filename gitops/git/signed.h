/// The signatures that commits and tags carry (gitformat-signature(5)).
#pragma once

#include "gitops/git/mirror.h"
#include "gitops/git/revision.h"

#include <optional>
#include <string>

namespace kled::gitops::git {

struct Signed {
    std::string signature;  ///< armored: of SSH, PGP or X.509
    std::string payload;    ///< what it was made over
};

/// nullopt: it is not signed. Error(unavailable) when it is not in the mirror.
[[nodiscard]] std::optional<Signed> signed_commit(Mirror& mirror, const Oid& commit);

/// Of the tag `name` as it was fetched last; nullopt: it is no object of its own, or not signed.
/// Error(denied) when that object is of another name or leads to another commit than `commit`: a
/// server may show an older tag, well signed, in the place of a newer one.
[[nodiscard]] std::optional<Signed> signed_tag(Mirror& mirror, const std::string& name,
                                               const Oid& commit);

}  // namespace kled::gitops::git
