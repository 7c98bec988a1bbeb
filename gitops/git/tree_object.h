/// Folders as Git keeps them.
#pragma once

#include "gitops/git/tree.h"

#include <string>
#include <vector>

namespace kled::gitops::git {

/// The bytes of a tree object: entries in Git's order, whatever theirs was.
[[nodiscard]] std::string tree_object(std::vector<TreeEntry> entries);

}  // namespace kled::gitops::git
