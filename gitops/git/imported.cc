#include "gitops/git/imported.h"

#include "base/error.h"
#include "gitops/git/libgit2.h"
#include "gitops/git/mirror_impl.h"
#include "gitops/git/numbered.h"
#include "gitops/git/tree_object.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <filesystem>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace kled::gitops::git {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view references = "refs/kled/imported/";
constexpr std::string_view archive_header = "kled-archive ";
constexpr std::size_t spare_objects = 1'000;  // that nothing names, before they are removed

OdbPtr odb_of(git_repository* repository) {
    git_odb* raw = nullptr;
    check(git_repository_odb(&raw, repository), "git cache");
    return OdbPtr{raw};
}

/// False where what was to be read is not whole; throws where it is not known.
bool is_read(int code) {
    if (is_of_machine(code)) check(code, "git cache");
    return code >= 0;
}

Oid write_object(git_odb* odb, std::string_view bytes, git_object_t type) {
    git_oid oid{};
    check(git_odb_write(&oid, odb, bytes.data(), bytes.size(), type), "git cache");
    return from_git(oid);
}

/// The folder of `files`, whose paths all begin with the same `prefix` bytes.
Oid write_folder(git_odb* odb, std::span<const Imported::Files::value_type* const> files,
                 std::size_t prefix) {
    std::vector<TreeEntry> entries;
    while (!files.empty()) {
        const auto rest = std::string_view{files.front()->first}.substr(prefix);
        const auto slash = rest.find('/');
        std::string name{rest.substr(0, slash)};
        if (slash == std::string_view::npos) {
            const auto& file = files.front()->second;
            entries.push_back(
                {.name = std::move(name),
                 .mode = static_cast<unsigned>(file.executable ? GIT_FILEMODE_BLOB_EXECUTABLE
                                                               : GIT_FILEMODE_BLOB),
                 .oid = file.oid});
            files = files.subspan(1);
            continue;
        }
        const auto folder = files.front()->first.substr(0, prefix + slash + 1);
        const auto* end = std::ranges::find_if_not(files, [&](const auto* file) {
                              return file->first.starts_with(folder);
                          }).base();
        const auto count = static_cast<std::size_t>(end - files.data());
        const auto oid = write_folder(odb, files.first(count), folder.size());
        entries.push_back({.name = std::move(name), .mode = GIT_FILEMODE_TREE, .oid = oid});
        files = files.subspan(count);
    }
    return write_object(odb, tree_object(std::move(entries)), GIT_OBJECT_TREE);
}

std::string commit_object(const Oid& tree, const std::string& name, std::string_view memo,
                          const std::optional<Oid>& archive) {
    std::string text = "tree " + tree.hex() + "\n";
    for (const auto* who : {"author", "committer"})
        text += std::string{who} + " kled <kled@localhost> 0 +0000\n";
    if (archive) text += std::string{archive_header} + archive->hex() + "\n";
    text += "\n" + name + "\n\n";
    return text.append(memo);
}

/// Its name and memo, told to `wanted`; false where it cannot be read.
bool fits(git_repository* repository, const Oid& commit, const Imported::Wanted& wanted) {
    git_commit* raw = nullptr;
    const auto oid = to_git(commit);
    if (!wanted || git_commit_lookup(&raw, repository, &oid) < 0) return false;
    const CommitPtr keeper{raw};
    const std::string_view message{git_commit_message_raw(raw)};
    const auto end = message.find("\n\n");
    return end != std::string_view::npos && wanted(message.substr(0, end), message.substr(end + 2));
}

void add_tree(git_repository* repository, const Oid& tree, std::set<Oid>& found) {
    if (!found.insert(tree).second) return;
    git_tree* raw = nullptr;
    const auto oid = to_git(tree);
    check(git_tree_lookup(&raw, repository, &oid), "git cache");
    const TreePtr keeper{raw};
    for (std::size_t i = 0; i < git_tree_entrycount(raw); ++i) {
        const auto* entry = git_tree_entry_byindex(raw, i);
        const auto child = from_git(*git_tree_entry_id(entry));
        if (git_tree_entry_type(entry) == GIT_OBJECT_TREE) {
            add_tree(repository, child, found);
        } else {
            found.insert(child);
        }
    }
}

std::optional<Oid> archive_of(const git_commit* commit) {
    const std::string_view header{git_commit_raw_header(commit)};
    const auto at = header.find("\n" + std::string{archive_header});
    if (at == std::string_view::npos) return std::nullopt;
    return Oid::parse(header.substr(at + 1 + archive_header.size(), 40));
}

/// All that `commit` needs.
void add_commit(git_repository* repository, const Oid& commit, std::set<Oid>& found) {
    git_commit* raw = nullptr;
    const auto oid = to_git(commit);
    check(git_commit_lookup(&raw, repository, &oid), "git cache");
    const CommitPtr keeper{raw};
    found.insert(commit);
    if (const auto archive = archive_of(raw)) found.insert(*archive);
    add_tree(repository, from_git(*git_commit_tree_id(raw)), found);
}

std::vector<std::pair<fs::path, Oid>> loose_objects(const fs::path& directory) {
    std::vector<std::pair<fs::path, Oid>> result;
    std::error_code ignored;
    for (const auto& folder : fs::directory_iterator{directory / "objects", ignored}) {
        const auto first = folder.path().filename().string();
        if (first.size() != 2) continue;  // "pack", "info"
        for (const auto& file : fs::directory_iterator{folder.path(), ignored}) {
            if (const auto oid = Oid::parse(first + file.path().filename().string()))
                result.emplace_back(file.path(), *oid);
        }
    }
    return result;
}

}  // namespace

Oid Imported::write(std::string_view content) {
    const auto repository = mirror_->impl_->open_or_make();
    return write_object(odb_of(repository.get()).get(), content, GIT_OBJECT_BLOB);
}

Revision Imported::commit(const std::string& name, const Files& files, std::string_view memo,
                          std::optional<Oid> archive) {
    auto& mirror = *mirror_->impl_;
    const auto repository = mirror.open_or_make();
    const auto odb = odb_of(repository.get());
    std::vector<const Files::value_type*> all;
    all.reserve(files.size());
    for (const auto& file : files) {
        const auto oid = to_git(file.second.oid);
        if (git_odb_exists(odb.get(), &oid) == 0)
            throw Error{ErrorKind::unavailable, file.first + " is not (any more) in the cache"};
        all.push_back(&file);
    }
    // In the order of folders: "a-b" stands between "a" and "a/b" in that of the bytes.
    const auto key = [](const auto* file) {
        auto path = file->first;
        std::ranges::replace(path, '/', '\0');
        return path;
    };
    std::ranges::sort(all, {}, key);
    Revision result;
    result.name = name;
    result.tree = write_folder(odb.get(), all, 0);
    result.whole = true;
    result.archive = archive;
    result.commit =
        write_object(odb.get(), commit_object(result.tree, name, memo, archive), GIT_OBJECT_COMMIT);
    keep_as_last(repository.get(), references, result.commit,
                 [&](const Oid& one) { return fits(repository.get(), one, in_use_); });

    const auto loose = loose_objects(mirror.directory);
    std::set<Oid> needed;
    for (const auto& kept : numbered_below(repository.get(), references))
        add_commit(repository.get(), kept.commit, needed);
    if (loose.size() <= needed.size() + spare_objects) return result;
    const std::unique_lock alone{mirror.packs, std::try_to_lock};
    if (!alone.owns_lock()) return result;  // the next time
    for (const auto& [path, oid] : loose) {
        std::error_code ignored;
        if (!needed.contains(oid)) fs::remove(path, ignored);
    }
    return result;
}

std::vector<std::string> Imported::missing(const Files& files) const {
    const std::shared_lock reading{mirror_->impl_->packs};
    const auto repository = mirror_->impl_->open();
    const auto odb = repository ? odb_of(repository.get()) : nullptr;
    std::vector<std::string> result;
    for (const auto& [path, file] : files) {
        const auto oid = to_git(file.oid);
        if (!odb || git_odb_exists(odb.get(), &oid) == 0) result.push_back(path);
    }
    return result;
}

std::optional<Imported::Kept> Imported::find(const std::string& name) const {
    return find_if([&](std::string_view its, std::string_view) { return its == name; });
}

std::optional<Imported::Kept> Imported::find_if(const Wanted& wanted) const {
    const std::shared_lock reading{mirror_->impl_->packs};
    if (mirror_->impl_->damaged) return std::nullopt;
    const auto repository = mirror_->impl_->open();
    if (!repository) return std::nullopt;
    auto kept = numbered_below(repository.get(), references);
    for (auto one = kept.rbegin(); one != kept.rend(); ++one) {
        git_commit* raw = nullptr;
        const auto oid = to_git(one->commit);
        if (!is_read(git_commit_lookup(&raw, repository.get(), &oid))) {
            mirror_->impl_->damaged = true;
            return std::nullopt;
        }
        const CommitPtr commit{raw};
        const std::string_view message{git_commit_message_raw(raw)};
        const auto end = message.find("\n\n");
        if (end == std::string_view::npos) continue;
        const auto name = message.substr(0, end);
        const auto memo = message.substr(end + 2);
        if (!wanted(name, memo)) continue;
        Kept result;
        result.revision.name = name;
        result.revision.commit = one->commit;
        result.revision.tree = from_git(*git_commit_tree_id(raw));
        result.revision.whole = true;
        result.revision.archive = archive_of(raw);
        result.memo = memo;
        return result;
    }
    return std::nullopt;
}

std::optional<Imported::Files> Imported::files(const Revision& revision,
                                               const std::stop_token& stop) const {
    Opened opened{*mirror_, {}};
    if (!opened.repository) return std::nullopt;
    // Which compares the bytes with their name.
    const auto is_whole = [&](const git_oid* id) {
        git_odb_object* object = nullptr;
        if (!is_read(git_odb_read(&object, opened.odb.get(), id))) return false;
        git_odb_object_free(object);
        return true;
    };
    if (revision.archive) {
        const auto oid = to_git(*revision.archive);
        if (!is_whole(&oid)) return std::nullopt;
    }
    Files result;
    std::vector<std::pair<std::string, Oid>> folders{{"", revision.tree}};
    while (!folders.empty()) {
        const auto [folder, tree] = std::move(folders.back());
        folders.pop_back();
        git_tree* raw = nullptr;
        const auto oid = to_git(tree);
        if (!is_read(git_tree_lookup(&raw, opened.repository.get(), &oid))) return std::nullopt;
        const TreePtr keeper{raw};
        for (std::size_t i = 0; i < git_tree_entrycount(raw); ++i) {
            if (stop.stop_requested())
                throw boost::system::system_error{boost::asio::error::operation_aborted};
            const auto* entry = git_tree_entry_byindex(raw, i);
            auto path = folder + git_tree_entry_name(entry);
            const auto* id = git_tree_entry_id(entry);
            if (git_tree_entry_type(entry) == GIT_OBJECT_TREE) {
                folders.emplace_back(path + "/", from_git(*id));
                continue;
            }
            if (!is_whole(id)) return std::nullopt;
            const bool executable = git_tree_entry_filemode(entry) == GIT_FILEMODE_BLOB_EXECUTABLE;
            result.emplace(std::move(path), File{.oid = from_git(*id), .executable = executable});
        }
    }
    return result;
}

std::string read_archive(Mirror& mirror, const Revision& revision) {
    Opened opened{mirror, {}};
    git_odb_object* raw = nullptr;
    const auto oid = to_git(revision.archive.value());
    if (!opened.repository || git_odb_read(&raw, opened.odb.get(), &oid) < 0) {
        throw Error{ErrorKind::unavailable,
                    "the archive of " + revision.name + " is not (any more) in the cache"};
    }
    std::string result{static_cast<const char*>(git_odb_object_data(raw)),
                       git_odb_object_size(raw)};
    git_odb_object_free(raw);
    return result;
}

void Imported::forget() {
    const std::unique_lock alone{mirror_->impl_->packs};
    std::error_code ignored;
    fs::remove_all(mirror_->impl_->directory, ignored);
    mirror_->impl_->damaged = false;
}

}  // namespace kled::gitops::git
