/// What a mirror and the trees read from it share.
#pragma once

#include "gitops/git/libgit2.h"
#include "gitops/git/mirror.h"

#include <filesystem>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>

namespace kled::gitops::git {

struct Mirror::Impl {
    std::filesystem::path directory;
    std::string url_digest;
    /// Shared: someone reads objects. Exclusive: packs are rewritten, or the cache is made anew.
    std::shared_mutex packs;

    /// Trees without a `.sourceignore` anywhere below: what need not be searched again.
    std::mutex clean_mutex;
    std::set<Oid> clean_trees;

    /// What a process that was killed left behind stands in the way of the next; done at the first
    /// fetch, which nobody else makes at that time.
    void sweep();
    bool swept = false;

    /// Null when it is absent, damaged, or of another URL.
    [[nodiscard]] RepositoryPtr open() const;
    [[nodiscard]] RepositoryPtr open_or_make();
};

}  // namespace kled::gitops::git
