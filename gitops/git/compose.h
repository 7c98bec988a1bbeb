/// Trees put together of several repositories', as Git's own objects beside what was fetched: so a
/// build reads them like any other tree, and equal files have equal names.
#pragma once

#include "gitops/git/ignore.h"
#include "gitops/git/mirror.h"
#include "gitops/git/tree.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kled::gitops::git {

/// What a revision takes from another.
struct Include {
    std::string name;  ///< of the other's source: for messages
    std::shared_ptr<Mirror> mirror;
    Revision revision;
    std::string from;  ///< a folder or a file of it; "": all
    std::string to;    ///< where it goes; nothing may be there

    bool operator==(const Include&) const = default;
};

/// One revision being put together. Blocking; the mirror is that of the revision, and nobody else
/// composes in it or fetches meanwhile.
class Composer {
public:
    Composer(Mirror& mirror, Revision revision) : mirror_{mirror}, revision_{std::move(revision)} {}

    /// Before anything is put together in it for a new revision: what was for earlier ones is
    /// removed when it is too much, and what another process left.
    static void trim(Mirror& mirror);

    /// What of the other its own rules of ignoring leave; links and submodules left out (fluxcd
    /// source-controller copies the other's archive). Error(not_found): nothing at `from`;
    /// Error(conflict): something at `to`; Error(unavailable): the other's objects are away.
    void include(const Include& include);

    /// The files of `module` in place of the submodule at `path`.
    void fill(const std::string& path, const std::shared_ptr<Mirror>& mirror,
              const Revision& module);

    /// The commit of the submodule at `path`; nullopt: there is none.
    [[nodiscard]] std::optional<Oid> submodule(const std::string& path) const;
    /// Error(exhausted) when it has more than `limit_bytes`; nullopt: no such file.
    [[nodiscard]] std::optional<std::string> file(const std::string& path,
                                                  std::size_t limit_bytes) const;

    /// Whether the tree, and the mirrors it needs, are there.
    [[nodiscard]] bool present() const;
    [[nodiscard]] const Revision& revision() const noexcept { return revision_; }

private:
    [[nodiscard]] std::optional<TreeEntry> find(const std::string& path) const;
    [[nodiscard]] std::vector<TreeEntry> read(const Oid& tree) const;
    [[nodiscard]] Oid write(std::vector<TreeEntry> entries) const;
    void write_all(const std::vector<std::string>& trees) const;
    /// `tree` with `entry` at `at`, in place of a submodule or of nothing.
    [[nodiscard]] Oid grafted(const std::optional<Oid>& tree, const PathParts& at,
                              std::size_t depth, const TreeEntry& entry) const;
    void put(const std::string& at, const TreeEntry& entry);
    void need(const std::shared_ptr<Mirror>& mirror);

    Mirror& mirror_;
    Revision revision_;
};

}  // namespace kled::gitops::git
