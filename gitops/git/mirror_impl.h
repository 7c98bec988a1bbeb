/// What a mirror and the trees read from it share.
#pragma once

#include "gitops/git/libgit2.h"
#include "gitops/git/mirror.h"

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <vector>

namespace kled::gitops::git {

struct Mirror::Impl {
    std::filesystem::path directory;
    std::string url_digest;
    /// Shared: someone reads objects. Exclusive: packs are rewritten, or the cache is made anew.
    std::shared_mutex packs;

    /// Trees without a `.sourceignore` anywhere below: what need not be searched again.
    std::mutex clean_mutex;
    std::set<Oid> clean_trees;

    /// What the server sends is in packs; loose are the trees that were put together here.
    /// Removes those of an earlier process, and all when they are too many: who needs one makes it
    /// again. Before a tree is put together.
    void trim_composed();
    bool trimmed = false;

    /// What a process that was killed left behind stands in the way of the next; done before
    /// anything is written.
    void sweep();
    std::once_flag swept;

    /// Something that was fetched could not be read: the next fetch makes the cache anew.
    std::atomic<bool> damaged = false;

    /// Null when it is absent, damaged, or of another URL; Error(exhausted|denied) when the machine
    /// does not let it be looked at.
    [[nodiscard]] RepositoryPtr open() const;
    [[nodiscard]] RepositoryPtr open_or_make();
};

/// The objects of a mirror, and with them those of `parts`; none of them goes while this is there.
struct Opened {
    /// Without a repository when the mirror's is not there; Error(unavailable) when a part's is
    /// not.
    Opened(Mirror& mirror, const std::vector<std::shared_ptr<Mirror>>& parts);

    std::vector<std::shared_lock<std::shared_mutex>> reading;
    RepositoryPtr repository;
    OdbPtr odb;
};

}  // namespace kled::gitops::git
