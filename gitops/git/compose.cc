#include "gitops/git/compose.h"

#include "base/error.h"
#include "gitops/git/libgit2.h"
#include "gitops/git/mirror_impl.h"
#include "gitops/git/tree_object.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace kled::gitops::git {

namespace {

PathParts parts_of(std::string_view path) {
    PathParts parts;
    while (!path.empty()) {
        const auto slash = path.find('/');
        if (slash != 0) parts.emplace_back(path.substr(0, slash));
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    }
    return parts;
}

Oid name_of(const std::string& tree) {
    git_oid oid{};
    check(git_odb_hash(&oid, tree.data(), tree.size(), GIT_OBJECT_TREE), "git cache");
    return from_git(oid);
}

}  // namespace

void Composer::trim(Mirror& mirror) { mirror.impl_->trim_composed(); }

void Composer::include(const Include& include) {
    need(include.mirror);
    for (const auto& part : include.revision.parts) need(part);
    std::vector<std::string> trees;  // written when the other is read: never two locked at once
    std::optional<TreeEntry> copied;
    {
        const Tree other{*include.mirror, include.revision};
        copied = other.copy(include.from, [&](const std::vector<TreeEntry>& entries) {
            trees.push_back(tree_object(entries));
            return name_of(trees.back());
        });
    }
    write_all(trees);
    if (!copied) {
        throw Error{ErrorKind::not_found,
                    "there is nothing at '" + include.from + "' in " + include.revision.name};
    }
    put(include.to, *copied);
    // Flux thins out its checkout before it copies into it.
    if (!revision_.sparse.empty()) revision_.sparse.push_back(include.to);
}

void Composer::fill(const std::string& path, const std::shared_ptr<Mirror>& mirror,
                    const Revision& module) {
    need(mirror);
    for (const auto& part : module.parts) need(part);
    put(path, {.name = {}, .mode = GIT_FILEMODE_TREE, .oid = module.tree});
}

bool Composer::present() const {
    try {
        const Opened opened{mirror_, revision_.parts};
        const auto root = to_git(revision_.tree);
        return opened.odb && git_odb_exists(opened.odb.get(), &root) != 0;
    } catch (const Error&) {
        return false;
    }
}

std::optional<Oid> Composer::submodule(const std::string& path) const {
    const auto entry = find(path);
    if (!entry || entry->mode != GIT_FILEMODE_COMMIT) return std::nullopt;
    return entry->oid;
}

std::optional<std::string> Composer::file(const std::string& path, std::size_t limit_bytes) const {
    const auto entry = find(path);
    if (!entry || (entry->mode != GIT_FILEMODE_BLOB && entry->mode != GIT_FILEMODE_BLOB_EXECUTABLE))
        return std::nullopt;
    const Opened opened{mirror_, revision_.parts};
    const auto oid = to_git(entry->oid);
    std::size_t size = 0;
    git_object_t type = GIT_OBJECT_INVALID;
    check(git_odb_read_header(&size, &type, opened.odb.get(), &oid), path);
    if (size > limit_bytes) {
        throw Error{ErrorKind::exhausted, path + ": " + std::to_string(size) +
                                              " bytes; it may have " + std::to_string(limit_bytes)};
    }
    git_blob* raw = nullptr;
    check(git_blob_lookup(&raw, opened.repository.get(), &oid), path);
    const BlobPtr blob{raw};
    return std::string{static_cast<const char*>(git_blob_rawcontent(raw)),
                       static_cast<std::size_t>(git_blob_rawsize(raw))};
}

std::optional<TreeEntry> Composer::find(const std::string& path) const {
    TreeEntry at{.name = {}, .mode = GIT_FILEMODE_TREE, .oid = revision_.tree};
    for (const auto& part : parts_of(path)) {
        if (at.mode != GIT_FILEMODE_TREE) return std::nullopt;
        const auto entries = read(at.oid);
        const auto found = std::ranges::find(entries, part, &TreeEntry::name);
        if (found == entries.end()) return std::nullopt;
        at = *found;
    }
    return at;
}

std::vector<TreeEntry> Composer::read(const Oid& tree) const {
    const Opened opened{mirror_, revision_.parts};
    const auto oid = to_git(tree);
    git_tree* raw = nullptr;
    if (!opened.repository || git_tree_lookup(&raw, opened.repository.get(), &oid) < 0) {
        throw Error{ErrorKind::unavailable,
                    revision_.name + " is not in the cache of " + printable_url(mirror_.url())};
    }
    const TreePtr keeper{raw};
    std::vector<TreeEntry> entries;
    entries.reserve(git_tree_entrycount(raw));
    for (std::size_t i = 0; i < git_tree_entrycount(raw); ++i) {
        const auto* entry = git_tree_entry_byindex(raw, i);
        entries.push_back({.name = git_tree_entry_name(entry),
                           .mode = git_tree_entry_filemode(entry),
                           .oid = from_git(*git_tree_entry_id(entry))});
    }
    return entries;
}

Oid Composer::write(std::vector<TreeEntry> entries) const {
    const auto tree = tree_object(std::move(entries));
    write_all({tree});
    return name_of(tree);
}

void Composer::write_all(const std::vector<std::string>& trees) const {
    const Opened opened{mirror_, {}};
    if (!opened.odb) throw Error{ErrorKind::unavailable, "git cache: it is gone"};
    for (const auto& tree : trees) {
        git_oid oid{};
        check(git_odb_write(&oid, opened.odb.get(), tree.data(), tree.size(), GIT_OBJECT_TREE),
              "git cache");
    }
}

Oid Composer::grafted(const std::optional<Oid>& tree, const PathParts& at, std::size_t depth,
                      const TreeEntry& entry) const {
    auto entries = tree ? read(*tree) : std::vector<TreeEntry>{};
    auto here = std::ranges::find(entries, at[depth], &TreeEntry::name);
    if (depth + 1 == at.size()) {
        if (here != entries.end() && here->mode != GIT_FILEMODE_COMMIT)
            throw Error{ErrorKind::conflict, "something is there already"};
        if (here == entries.end()) here = entries.insert(here, entry);
        *here = entry;
    } else {
        if (here != entries.end() && here->mode != GIT_FILEMODE_TREE)
            throw Error{ErrorKind::conflict, "'" + at[depth] + "' on its way is no folder"};
        const bool there = here != entries.end();
        const auto inner =
            grafted(there ? std::optional{here->oid} : std::nullopt, at, depth + 1, entry);
        if (!there) here = entries.insert(here, entry);
        *here = {.name = {}, .mode = GIT_FILEMODE_TREE, .oid = inner};
    }
    here->name = at[depth];
    return write(std::move(entries));
}

void Composer::put(const std::string& at, const TreeEntry& entry) {
    const auto parts = parts_of(at);
    if (parts.empty()) throw Error{ErrorKind::conflict, "the root of the repository is there"};
    revision_.tree = grafted(revision_.tree, parts, 0, entry);
}

void Composer::need(const std::shared_ptr<Mirror>& mirror) {
    auto& parts = revision_.parts;
    if (mirror.get() == &mirror_ || std::ranges::count(parts, mirror) != 0) return;
    parts.push_back(mirror);
}

}  // namespace kled::gitops::git
