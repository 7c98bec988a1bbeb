/// The tree of one revision as a build reads it.
#pragma once

#include "gitops/git/mirror.h"
#include "gitops/git/revision.h"
#include "kustomize/files.h"

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kled::gitops::git {

/// What a build saw at one path, in Git's object names: two trees that show the same at every path
/// a build looked at give the same build.
struct Seen {
    enum class What { nothing, directory, names, file };
    What what = What::nothing;
    std::string path;  ///< with links resolved
    Oid oid;           ///< of the file; for `names` a digest of the directory's names

    bool operator==(const Seen&) const = default;
};
using ReadSet = std::map<std::string, Seen>;

/// An entry of a folder, in Git's own terms.
struct TreeEntry {
    std::string name;
    unsigned mode = 0;  ///< 040000: a folder, 0100644 and 0100755: a file
    Oid oid;
};

/// Read straight from the mirror's objects: no checkout. Symbolic links are followed inside the
/// tree only; a link that leaves it and a submodule (git/submodules.h brings its files) are
/// nothing, and leave a remark; so is what
/// `.sourceignore` files or the revision's `ignore` leave out. Where neither says anything, `list`
/// leaves out what Flux does, which `find` still finds; a revision that is `whole` shows all. Safe
/// against any tree a server may send. The mirror outlives it.
class Tree : public kustomize::Files {
public:
    static constexpr std::size_t default_limit_bytes = 16U << 20U;

    /// Error(unavailable) when the objects are not (or no longer) in the mirror.
    Tree(Mirror& mirror, const Revision& revision,
         std::size_t file_limit_bytes = default_limit_bytes);
    ~Tree() override;

    [[nodiscard]] std::optional<Entry> find(const std::string& path) const override;
    [[nodiscard]] std::string read(const std::string& path) const override;
    [[nodiscard]] std::vector<std::string> list(const std::string& directory) const override;

    /// What stands at another place than in the tree `earlier`, or differs: a folder that is in one
    /// of them only is one path. Folders that are the same in both are not looked into. nullopt:
    /// one of the trees is not (or no longer) in the mirror.
    [[nodiscard]] std::optional<std::vector<std::string>> changes_since(const Oid& earlier) const;

    /// So far, what a path shows hangs on nothing but the entries on its way and the revision: no
    /// link was followed, and no `.sourceignore` says anything.
    [[nodiscard]] bool plain() const;
    /// Whether something could not be read, which is then the cache's fault.
    [[nodiscard]] bool damaged() const noexcept;

    struct Item {
        Kind kind = Kind::file;
        std::string path;
        bool executable = false;
        std::string content;
    };
    /// Every folder and file that is not left out, a folder before what is in it, names in order.
    /// Links and submodules are passed over, and read_set() stays as it was.
    void visit(const std::function<void(const Item&)>& each) const;

    /// The folder or file at `path` with what visit() passes by left out, as Git's objects: `write`
    /// gets the entries of each folder, the inner first, and says its name. nullopt: nothing there.
    [[nodiscard]] std::optional<TreeEntry> copy(
        const std::string& path,
        const std::function<Oid(const std::vector<TreeEntry>&)>& write) const;

    /// Everything asked for so far.
    [[nodiscard]] const ReadSet& read_set() const;
    /// Whether this tree shows the same at every path of `earlier`. Leaves read_set() as it was.
    [[nodiscard]] bool agrees_with(const ReadSet& earlier) const;
    /// Why something that stands in the tree was answered with "nothing", one line each.
    [[nodiscard]] const std::vector<std::string>& remarks() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::gitops::git
