/// What comes by other ways than Git (the objects of a bucket, the layer of an artifact), kept as
/// Git's objects: so it is built, archived and compared as the rest is.
#pragma once

#include "gitops/git/mirror.h"
#include "gitops/git/revision.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops::git {

/// Blocking. The mirror is nobody else's: nothing is fetched into it and nothing composed in it.
/// One call at a time, but for `write`; trees are read by any number meanwhile. The last ten
/// revisions are kept, and those of the last hundred that are in use.
class Imported {
public:
    struct File {
        Oid oid;
        bool executable = false;

        bool operator==(const File&) const = default;
    };
    using Files = std::map<std::string, File>;  ///< by path

    /// Of a revision, by its name and memo.
    using Wanted = std::function<bool(std::string_view name, std::string_view memo)>;

    /// `in_use`, asked on any thread: what is dropped last; null: nothing.
    explicit Imported(std::shared_ptr<Mirror> mirror, Wanted in_use = nullptr)
        : mirror_{std::move(mirror)}, in_use_{std::move(in_use)} {}

    /// A file's content, for a `commit` to come; what none names goes in time.
    [[nodiscard]] Oid write(std::string_view content);

    /// `files`, which were written or kept before, as a revision of this name. `memo` is told again
    /// by find(). Equal arguments give an equal commit, wherever that is. Paths are plain: no part
    /// is empty, "." or "..", and none is both a file and a folder. `archive`, which was written
    /// too, becomes the revision's.
    Revision commit(const std::string& name, const Files& files, std::string_view memo,
                    std::optional<Oid> archive = std::nullopt);

    /// Those whose content is not (any more) in the cache.
    [[nodiscard]] std::vector<std::string> missing(const Files& files) const;

    struct Kept {
        Revision revision;
        std::string memo;
    };
    /// The last revision with this name. nullopt: there is none (any more).
    [[nodiscard]] std::optional<Kept> find(const std::string& name) const;
    /// The last of which `wanted` says so.
    [[nodiscard]] std::optional<Kept> find_if(const Wanted& wanted) const;
    /// All files of `revision`, each read once (and the archive): after a power cut one may be
    /// empty. nullopt: they are not all there; then forget() what is. Error(exhausted|denied): they
    /// may well be.
    [[nodiscard]] std::optional<Files> files(const Revision& revision,
                                             const std::stop_token& stop) const;
    void forget();

private:
    std::shared_ptr<Mirror> mirror_;
    Wanted in_use_;
};

/// The bytes of `revision.archive`. Error(unavailable) when they are not there (any more).
[[nodiscard]] std::string read_archive(Mirror& mirror, const Revision& revision);

}  // namespace kled::gitops::git
