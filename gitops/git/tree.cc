#include "gitops/git/tree.h"

#include "base/error.h"
#include "crypto/hash.h"
#include "gitops/git/ignore.h"
#include "gitops/git/libgit2.h"
#include "gitops/git/mirror_impl.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>

namespace kled::gitops::git {

namespace {

constexpr int link_limit = 40;                  // as Linux: ELOOP
constexpr git_object_size_t link_bytes = 4096;  // PATH_MAX

constexpr git_object_size_t ignore_bytes = 64U << 10U;
constexpr std::size_t depth_limit = 256;      // of folders that are searched for ignore files
constexpr std::size_t clean_limit = 500'000;  // trees remembered as having none

std::deque<std::string> parts_of(std::string_view path) {
    std::deque<std::string> parts;
    while (!path.empty()) {
        const auto slash = path.find('/');
        if (slash != 0) parts.emplace_back(path.substr(0, slash));
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    }
    return parts;
}

PathParts path_parts(std::string_view path) {
    auto parts = parts_of(path);
    std::erase(parts, ".");
    return {std::make_move_iterator(parts.begin()), std::make_move_iterator(parts.end())};
}

std::string join(const std::string& directory, const std::string& name) {
    return directory.empty() ? name : directory + "/" + name;
}

/// Walks two trees side by side.
struct Changes {
    git_repository* repository;
    std::vector<std::string> paths = {};

    [[nodiscard]] TreePtr tree(const git_oid& oid) const {
        git_tree* raw = nullptr;
        return TreePtr{git_tree_lookup(&raw, repository, &oid) < 0 ? nullptr : raw};
    }

    static bool is_folder(const git_tree_entry* entry) {
        return git_tree_entry_filemode(entry) == GIT_FILEMODE_TREE;
    }

    static bool same(const git_tree_entry* a, const git_tree_entry* b) {
        return git_tree_entry_filemode(a) == git_tree_entry_filemode(b) &&
               git_oid_equal(git_tree_entry_id(a), git_tree_entry_id(b)) != 0;
    }

    /// False when one of the trees is not there.
    bool find(const git_oid& from, const git_oid& to, const std::string& path, std::size_t depth) {
        const auto before = tree(from);
        const auto after = tree(to);
        if (!before || !after) return false;
        for (std::size_t i = 0; i < git_tree_entrycount(after.get()); ++i) {
            const auto* entry = git_tree_entry_byindex(after.get(), i);
            const auto* earlier = git_tree_entry_byname(before.get(), git_tree_entry_name(entry));
            if (earlier != nullptr && same(earlier, entry)) continue;
            const auto here = join(path, git_tree_entry_name(entry));
            if (earlier == nullptr || !is_folder(earlier) || !is_folder(entry) ||
                depth == depth_limit) {
                paths.push_back(here);
            } else if (!find(*git_tree_entry_id(earlier), *git_tree_entry_id(entry), here,
                             depth + 1)) {
                return false;
            }
        }
        for (std::size_t i = 0; i < git_tree_entrycount(before.get()); ++i) {
            const auto* name = git_tree_entry_name(git_tree_entry_byindex(before.get(), i));
            if (git_tree_entry_byname(after.get(), name) == nullptr)
                paths.push_back(join(path, name));
        }
        return true;
    }
};

}  // namespace

struct Tree::Impl {
    /// A path followed to its end.
    struct Found {
        Seen::What what = Seen::What::nothing;
        std::string path;
        git_oid oid{};
    };

    Impl(Mirror& mirror, const std::vector<std::shared_ptr<Mirror>>& parts)
        : opened{mirror, parts}, caches{mirror.impl_.get()} {
        for (const auto& part : parts) caches.push_back(part->impl_.get());
    }

    Opened opened;
    std::vector<Mirror::Impl*> caches;
    bool damaged = false;
    git_oid root{};
    std::size_t limit = 0;
    IgnoreRules rules;
    bool plain = true;
    bool rules_are_defaults = true;  // then what is asked for by name is there all the same
    std::vector<PathParts> sparse;
    std::map<std::string, TreePtr> trees;
    ReadSet seen;
    std::vector<std::string> remarks;

    /// What a fetched tree names was fetched with it.
    void check_read(int code, const std::string& path) {
        try {
            check(code, path);
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::exhausted) throw;  // memory
            for (auto* cache : caches) cache->damaged = true;
            damaged = true;
            throw Error{ErrorKind::unavailable,
                        std::string{error.what()} + ": the cache of the repository is damaged"};
        }
    }

    git_tree* tree_at(const std::string& path, const git_oid& oid) {
        auto& tree = trees[path];
        if (!tree) {
            git_tree* raw = nullptr;
            check_read(git_tree_lookup(&raw, opened.repository.get(), &oid),
                       path.empty() ? "/" : path);
            tree.reset(raw);
        }
        return tree.get();
    }

    void remark(std::string text) {
        if (!std::ranges::count(remarks, text)) remarks.push_back(std::move(text));
    }

    std::string blob(const git_oid& oid, git_object_size_t bytes, const std::string& path) {
        // The header first: a blob that is too large is never inflated.
        std::size_t size = 0;
        git_object_t type = GIT_OBJECT_INVALID;
        check_read(git_odb_read_header(&size, &type, opened.odb.get(), &oid), path);
        if (size > bytes) {
            throw Error{ErrorKind::exhausted, path + ": " + std::to_string(size) +
                                                  " bytes; a file kled reads has at most " +
                                                  std::to_string(bytes)};
        }
        git_blob* raw = nullptr;
        check_read(git_blob_lookup(&raw, opened.repository.get(), &oid), path);
        const BlobPtr blob{raw};
        return {static_cast<const char*>(git_blob_rawcontent(raw)),
                static_cast<std::size_t>(git_blob_rawsize(raw))};
    }

    /// Walks `path` part by part, links included.
    Found follow(const std::string& path) {
        auto parts = parts_of(path);
        std::vector<std::pair<std::string, git_oid>> stack{{"", root}};  // trees down to here
        int links = 0;
        while (!parts.empty()) {
            const auto part = std::move(parts.front());
            parts.pop_front();
            if (part == ".") continue;
            if (part == "..") {
                stack.pop_back();
                if (stack.empty()) {
                    remark(path + " leads out of the repository by a symbolic link");
                    return {};
                }
                continue;
            }
            const auto [directory, oid] = stack.back();
            const auto* entry = git_tree_entry_byname(tree_at(directory, oid), part.c_str());
            if (entry == nullptr) return {};
            auto here = join(directory, part);
            const auto& entry_oid = *git_tree_entry_id(entry);
            switch (git_tree_entry_filemode(entry)) {
                case GIT_FILEMODE_TREE: stack.emplace_back(std::move(here), entry_oid); break;
                case GIT_FILEMODE_LINK: {
                    plain = false;
                    const auto target = blob(entry_oid, link_bytes, here);
                    if (target.starts_with('/')) {
                        remark(here + " is a symbolic link to '" + target +
                               "', outside of the repository");
                        return {};
                    }
                    if (++links > link_limit) {
                        remark(here + ": too many symbolic links");
                        return {};
                    }
                    auto more = parts_of(target);
                    parts.insert(parts.begin(), more.begin(), more.end());
                    break;
                }
                case GIT_FILEMODE_COMMIT:
                    remark(here +
                           " is a submodule; its files are read with spec.recurseSubmodules");
                    return {};
                default:
                    if (!parts.empty()) return {};  // a file has nothing below it
                    return {.what = Seen::What::file, .path = std::move(here), .oid = entry_oid};
            }
        }
        return {
            .what = Seen::What::directory, .path = stack.back().first, .oid = stack.back().second};
    }

    /// As `follow`, without what the revision leaves out.
    Found look(const std::string& path) {
        auto found = follow(path);
        if (found.what == Seen::What::nothing || (rules_are_defaults && sparse.empty()))
            return found;
        const auto parts = path_parts(found.path);
        const bool file = found.what == Seen::What::file;
        if (!inside_sparse(parts)) {
            remark(found.path + " is not in spec.sparseCheckout");
            return {};
        }
        if (file && !rules_are_defaults && rules.ignores(parts, false)) {
            remark(found.path + " is left out by spec.ignore or a .sourceignore file");
            return {};
        }
        return found;
    }

    /// Below one of the folders, or on the way to one.
    [[nodiscard]] bool inside_sparse(std::span<const std::string> path) const {
        return sparse.empty() || std::ranges::any_of(sparse, [&](const PathParts& folder) {
                   const auto common = std::min(folder.size(), path.size());
                   return std::ranges::equal(std::span{folder}.first(common), path.first(common));
               });
    }

    /// Adds what the ignore files in and below `oid` say; false: there are none.
    bool read_ignore_files(Mirror::Impl& mirror, const git_oid& oid, PathParts& domain) {
        const auto id = from_git(oid);
        {
            const std::scoped_lock lock{mirror.clean_mutex};
            if (mirror.clean_trees.contains(id)) return false;
        }
        if (domain.size() > depth_limit)
            throw Error{ErrorKind::exhausted, "folders are nested too deep"};
        git_tree* raw = nullptr;
        check_read(git_tree_lookup(&raw, opened.repository.get(), &oid), "tree");
        const TreePtr tree{raw};
        bool any = false;
        if (const auto* file = git_tree_entry_byname(raw, ".sourceignore");
            file != nullptr && git_tree_entry_type(file) == GIT_OBJECT_BLOB &&
            git_tree_entry_filemode(file) != GIT_FILEMODE_LINK) {
            const auto before = rules.size();
            rules.add(blob(*git_tree_entry_id(file), ignore_bytes, ".sourceignore"), domain);
            any = rules.size() > before;
        }
        for (std::size_t i = 0; i < git_tree_entrycount(raw); ++i) {
            const auto* entry = git_tree_entry_byindex(raw, i);
            if (git_tree_entry_filemode(entry) != GIT_FILEMODE_TREE) continue;
            domain.emplace_back(git_tree_entry_name(entry));
            any = read_ignore_files(mirror, *git_tree_entry_id(entry), domain) || any;
            domain.pop_back();
        }
        if (!any) {
            const std::scoped_lock lock{mirror.clean_mutex};
            if (mirror.clean_trees.size() >= clean_limit) mirror.clean_trees.clear();
            mirror.clean_trees.insert(id);
        }
        return any;
    }

    /// Flux's order: Git's own files, the files of the tree, `spec.ignore`; its defaults only where
    /// none of these says anything.
    void read_rules(Mirror::Impl& mirror, const std::string& ignore) {
        rules = IgnoreRules::version_control();
        const auto before = rules.size();
        PathParts domain;
        plain = !read_ignore_files(mirror, root, domain);
        rules.add(ignore);
        rules_are_defaults = rules.size() == before;
        if (rules_are_defaults) rules = IgnoreRules::defaults();
    }

    /// Whether `list` leaves it out: a folder only where nothing below could be taken back.
    bool hidden(const PathParts& path, bool directory) {
        if (!inside_sparse(path)) return true;
        return rules.ignores(path, directory) && !(directory && rules.takes_back());
    }

    std::vector<std::string> names(const Found& directory) {
        std::vector<std::string> result;
        auto* tree = tree_at(directory.path, directory.oid);
        auto path = path_parts(directory.path);
        const auto count = git_tree_entrycount(tree);
        result.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            const auto* entry = git_tree_entry_byindex(tree, i);
            const std::string_view name = git_tree_entry_name(entry);
            // Git makes no such entries; a server may. A path with one would mean another place.
            if (name.empty() || name == "." || name == ".." ||
                name.find('/') != std::string_view::npos) {
                remark(join(directory.path, std::string{name}) + " is not a name of a file");
                continue;
            }
            path.emplace_back(name);
            const bool folder = git_tree_entry_filemode(entry) == GIT_FILEMODE_TREE;
            if (!hidden(path, folder)) result.emplace_back(name);
            path.pop_back();
        }
        std::ranges::sort(result);  // Git sorts directories as if they ended in '/'
        const auto repeated = std::ranges::unique(result);
        result.erase(repeated.begin(), repeated.end());
        return result;
    }

    void visit(const Found& directory, const std::function<void(const Item&)>& each) {
        auto parts = path_parts(directory.path);
        if (parts.size() > depth_limit)
            throw Error{ErrorKind::exhausted, directory.path + ": folders are nested too deep"};
        for (auto& name : names(directory)) {
            const auto* entry =
                git_tree_entry_byname(tree_at(directory.path, directory.oid), name.c_str());
            const auto& oid = *git_tree_entry_id(entry);
            const auto mode = git_tree_entry_filemode(entry);
            Item item{.kind = Kind::directory, .path = join(directory.path, name), .content = {}};
            parts.push_back(std::move(name));
            if (mode == GIT_FILEMODE_TREE) {
                // One that is ignored is gone through for what a pattern below takes back.
                if (!rules.ignores(parts, true)) each(item);
                visit({.what = Seen::What::directory, .path = item.path, .oid = oid}, each);
                trees.erase(item.path);  // a large repository is not held as a whole
            } else if (mode != GIT_FILEMODE_LINK && mode != GIT_FILEMODE_COMMIT) {
                item.kind = Kind::file;
                item.executable = mode == GIT_FILEMODE_BLOB_EXECUTABLE;
                item.content = blob(oid, limit, item.path);
                each(item);
            }
            parts.pop_back();
        }
    }

    /// nullopt: nothing is left of an ignored folder.
    std::optional<Oid> copy(const Found& directory,
                            const std::function<Oid(const std::vector<TreeEntry>&)>& write) {
        auto parts = path_parts(directory.path);
        if (parts.size() > depth_limit)
            throw Error{ErrorKind::exhausted, directory.path + ": folders are nested too deep"};
        std::vector<TreeEntry> entries;
        for (const auto& name : names(directory)) {
            const auto* entry =
                git_tree_entry_byname(tree_at(directory.path, directory.oid), name.c_str());
            const auto& oid = *git_tree_entry_id(entry);
            const auto mode = git_tree_entry_filemode(entry);
            if (mode == GIT_FILEMODE_TREE) {
                const auto path = join(directory.path, name);
                const auto inner =
                    copy({.what = Seen::What::directory, .path = path, .oid = oid}, write);
                trees.erase(path);
                if (inner) entries.push_back({.name = name, .mode = mode, .oid = *inner});
            } else if (mode != GIT_FILEMODE_LINK && mode != GIT_FILEMODE_COMMIT) {
                entries.push_back({.name = name, .mode = mode, .oid = from_git(oid)});
            }
        }
        if (entries.empty() && !parts.empty() && rules.ignores(parts, true)) return std::nullopt;
        return write(entries);
    }

    Seen as_seen(const Found& found) {
        Seen result{.what = found.what, .path = found.path, .oid = {}};
        if (found.what == Seen::What::file) result.oid = from_git(found.oid);
        return result;
    }

    static Seen as_seen(const Found& found, const std::vector<std::string>& names) {
        crypto::Sha256Stream digest;
        for (const auto& name : names) digest.update(name + '/');
        const auto full = digest.finish();
        Seen result{.what = Seen::What::names, .path = found.path, .oid = {}};
        std::copy_n(full.begin(), result.oid.bytes.size(), result.oid.bytes.begin());
        return result;
    }
};

Tree::Tree(Mirror& mirror, const Revision& revision, std::size_t file_limit_bytes) {
    initialise();
    if (!revision.unusable.empty())
        throw Error{ErrorKind::invalid, revision.name + ": " + revision.unusable};
    impl_ = std::make_unique<Impl>(mirror, revision.parts);
    impl_->root = to_git(revision.tree);
    impl_->limit = file_limit_bytes;
    if (!impl_->opened.odb || git_odb_exists(impl_->opened.odb.get(), &impl_->root) == 0) {
        // The source finds the commit, and would never fetch what belongs to it.
        const auto commit = to_git(revision.commit);
        if (impl_->opened.odb && !revision.whole && revision.parts.empty() &&
            git_odb_exists(impl_->opened.odb.get(), &commit) != 0)
            mirror.impl_->damaged = true;
        throw Error{ErrorKind::unavailable,
                    revision.name + " is not in the cache of " + printable_url(mirror.url())};
    }
    for (const auto& folder : revision.sparse) impl_->sparse.push_back(path_parts(folder));
    if (revision.whole) {
        impl_->rules_are_defaults = false;
    } else {
        impl_->read_rules(*mirror.impl_, revision.ignore);
    }
}

Tree::~Tree() = default;

std::optional<Tree::Entry> Tree::find(const std::string& path) const {
    auto found = impl_->look(path);
    auto& seen = impl_->seen[path];
    if (seen.what != Seen::What::names) seen = impl_->as_seen(found);
    if (found.what == Seen::What::nothing) return std::nullopt;
    return Entry{.kind = found.what == Seen::What::file ? Kind::file : Kind::directory,
                 .path = std::move(found.path)};
}

std::string Tree::read(const std::string& path) const {
    const auto found = impl_->look(path);
    if (found.what != Seen::What::file) throw Error{ErrorKind::not_found, path + ": no such file"};
    impl_->seen[path] = impl_->as_seen(found);
    return impl_->blob(found.oid, impl_->limit, path);
}

std::vector<std::string> Tree::list(const std::string& directory) const {
    const auto found = impl_->look(directory);
    if (found.what != Seen::What::directory)
        throw Error{ErrorKind::not_found, directory + ": no such directory"};
    auto names = impl_->names(found);
    impl_->seen[directory] = Impl::as_seen(found, names);
    return names;
}

std::optional<std::vector<std::string>> Tree::changes_since(const Oid& earlier) const {
    const auto from = to_git(earlier);
    if (git_oid_equal(&from, &impl_->root) != 0) return std::vector<std::string>{};
    Changes changes{.repository = impl_->opened.repository.get()};
    if (!changes.find(from, impl_->root, "", 0)) return std::nullopt;
    return std::move(changes.paths);
}

bool Tree::plain() const { return impl_->plain; }

bool Tree::damaged() const noexcept { return impl_->damaged; }

void Tree::visit(const std::function<void(const Item&)>& each) const {
    impl_->visit({.what = Seen::What::directory, .path = "", .oid = impl_->root}, each);
}

std::optional<TreeEntry> Tree::copy(
    const std::string& path, const std::function<Oid(const std::vector<TreeEntry>&)>& write) const {
    const auto found = impl_->look(path);
    if (found.what == Seen::What::file) {
        return TreeEntry{.name = {}, .mode = GIT_FILEMODE_BLOB, .oid = from_git(found.oid)};
    }
    if (found.what != Seen::What::directory) return std::nullopt;
    const auto oid = impl_->copy(found, write);
    if (!oid) return std::nullopt;
    return TreeEntry{.name = {}, .mode = GIT_FILEMODE_TREE, .oid = *oid};
}

const ReadSet& Tree::read_set() const { return impl_->seen; }

const std::vector<std::string>& Tree::remarks() const { return impl_->remarks; }

bool Tree::agrees_with(const ReadSet& earlier) const {
    return std::ranges::all_of(earlier, [this](const auto& item) {
        const auto& [path, seen] = item;
        const auto found = impl_->look(path);
        if (seen.what == Seen::What::names) {
            return found.what == Seen::What::directory &&
                   Impl::as_seen(found, impl_->names(found)) == seen;
        }
        return impl_->as_seen(found) == seen;
    });
}

}  // namespace kled::gitops::git
