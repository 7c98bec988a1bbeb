/// Commits on their way to a server: one of ours (git/change.h), or one that is known.
#pragma once

#include "gitops/git/access.h"
#include "gitops/git/mirror.h"
#include "gitops/git/revision.h"

#include <stop_token>
#include <string>
#include <vector>

namespace kled::gitops::git {

/// Where a commit is sent to.
struct Push {
    std::string reference;               ///< "refs/heads/main"
    bool force = false;                  ///< also when what stands there is no ancestor
    std::vector<std::string> options{};  ///< "key=value", for the server's hooks
};

/// "refs/heads/main" of "main"; a name that begins with "refs/" is full. Error(invalid) naming
/// `field` when Git would not have it.
[[nodiscard]] std::string full_reference(const std::string& name, const std::string& field);

/// Moves `push.reference` of the repository at `url` to a commit of `mirror`, which may be fetched
/// into meanwhile. Blocking. False: it stands there already. Error(conflict): what stands there is
/// no ancestor, or moved meanwhile; others as of Mirror::fetch, with `access.timeout` for it as a
/// whole; Error(unavailable) when the mirror does not have the commit.
bool push_commit(Mirror& mirror, const Oid& commit, const std::string& url, const Push& push,
                 const Access& access, std::stop_token stop);

}  // namespace kled::gitops::git
