/// A push as such: what the server has, the pack it lacks, and what became of it. Included by the
/// sources of this folder only.
#pragma once

#include "gitops/git/access.h"
#include "gitops/git/libgit2.h"
#include "gitops/git/push.h"

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

namespace kled::gitops::git {

/// What is sent, and where its objects are.
struct Outgoing {
    Oid commit;
    std::vector<Oid> had;  ///< the server has these, under whatever name
    using Use = std::function<void(git_repository* repository, git_odb* odb)>;
    /// Calls `use` with the objects, which stay while it runs: never while the server is waited
    /// for.
    std::function<void(const Use& use)> with_objects;
};

/// Errors as of push_commit(), without the URL.
bool send(const Outgoing& outgoing, const std::string& url, const Push& push, const Access& access,
          std::stop_token stop);

}  // namespace kled::gitops::git
