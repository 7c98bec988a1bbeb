/// References of a cache that hold what came last, numbered in the order in which it came.
#pragma once

#include "gitops/git/libgit2.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops::git {

struct Numbered {
    std::string reference;
    std::uint64_t number = 0;  ///< 0: its name has none, and it is older than all that have one
    Oid commit;
};

/// Those below `prefix` ("refs/kled/imported/"), the oldest first.
[[nodiscard]] std::vector<Numbered> numbered_below(git_repository* repository,
                                                   std::string_view prefix);

/// `commit`, which is here, is the last from now on. The last ten stay, and of the last hundred
/// those of which `in_use` says so (null: none); the references of all others go. One call at a
/// time for a repository.
void keep_as_last(git_repository* repository, std::string_view prefix, const Oid& commit,
                  const std::function<bool(const Oid& commit)>& in_use);

}  // namespace kled::gitops::git
