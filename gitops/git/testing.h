/// A real bare repository that a test writes commits into, without a working tree.
#pragma once

#include "base/file.h"
#include "gitops/git/libgit2.h"

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace kled::gitops::git::testing {

struct File {
    std::string content;
    git_filemode_t mode = GIT_FILEMODE_BLOB;

    File(const char* text) : content{text} {}             // NOLINT(google-explicit-constructor)
    File(std::string text) : content{std::move(text)} {}  // NOLINT(google-explicit-constructor)
    static File link(std::string target) {
        File file{std::move(target)};
        file.mode = GIT_FILEMODE_LINK;
        return file;
    }
    /// A submodule at `commit`; empty: at some commit.
    static File submodule(std::string commit = "") {
        File file{std::move(commit)};
        file.mode = GIT_FILEMODE_COMMIT;
        return file;
    }
};
using Files = std::map<std::string, File>;

class Repository {
public:
    Repository() { make(directory_.path() / "repository.git"); }

    [[nodiscard]] std::filesystem::path path() const {
        return directory_.path() / "repository.git";
    }
    [[nodiscard]] std::string url() const { return "file://" + path().string(); }

    /// A commit with exactly `files` on top of `branch` (which begins with it if absent).
    std::string commit(const Files& files, const std::string& branch = "main") {
        std::vector<const git_commit*> parents;
        CommitPtr parent;
        git_oid tip{};
        if (git_reference_name_to_id(&tip, repository_.get(), head(branch).c_str()) == 0) {
            git_commit* raw = nullptr;
            check(git_commit_lookup(&raw, repository_.get(), &tip), "test");
            parent.reset(raw);
            parents.push_back(raw);
        }
        const auto oid = write(files, parents);
        point(head(branch), oid);
        return from_git(oid).hex();
    }

    /// History rewritten: `branch` is one commit with `files` and no parent.
    std::string replace(const Files& files, const std::string& branch = "main") {
        const auto oid = write(files, {});
        point(head(branch), oid);
        return from_git(oid).hex();
    }

    void tag(const std::string& name, const std::string& commit) {
        point("refs/tags/" + name, to_git(*Oid::parse(commit)));
    }

    /// A tag that is an object of its own.
    void annotated_tag(const std::string& name, const std::string& commit) {
        git_object* target = nullptr;
        const auto oid = to_git(*Oid::parse(commit));
        check(git_object_lookup(&target, repository_.get(), &oid, GIT_OBJECT_COMMIT), "test");
        const ObjectPtr keeper{target};
        const Signature who;
        git_oid made{};
        check(
            git_tag_create(&made, repository_.get(), name.c_str(), target, who.get(), "release", 1),
            "test");
    }

    using Sign = std::function<std::string(const std::string& payload)>;
    /// As `commit`, with what `sign` makes of it.
    std::string signed_commit(const Files& files, const Sign& sign,
                              const std::string& branch = "main") {
        const auto plain = to_git(*Oid::parse(commit(files, branch)));
        git_odb* odb = nullptr;
        check(git_repository_odb(&odb, repository_.get()), "test");
        const OdbPtr keeper{odb};
        git_odb_object* raw = nullptr;
        check(git_odb_read(&raw, odb, &plain), "test");
        const std::string payload{static_cast<const char*>(git_odb_object_data(raw)),
                                  git_odb_object_size(raw)};
        git_odb_object_free(raw);
        git_oid made{};
        check(git_commit_create_with_signature(&made, repository_.get(), payload.c_str(),
                                               sign(payload).c_str(), nullptr),
              "test");
        point(head(branch), made);
        return from_git(made).hex();
    }
    /// An annotated tag that ends with what `sign` makes of it; `inside`: the name that it says.
    void signed_tag(const std::string& name, const std::string& commit, const Sign& sign,
                    const std::string& inside = "") {
        const auto payload = "object " + commit + "\ntype commit\ntag " +
                             (inside.empty() ? name : inside) +
                             "\ntagger Test <test@example.org> 1700000000 +0000\n\nrelease\n";
        const auto whole = payload + sign(payload);
        git_odb* odb = nullptr;
        check(git_repository_odb(&odb, repository_.get()), "test");
        const OdbPtr keeper{odb};
        git_oid made{};
        check(git_odb_write(&made, odb, whole.data(), whole.size(), GIT_OBJECT_TAG), "test");
        point("refs/tags/" + name, made);
    }

    /// What the repository calls HEAD.
    void point_head(const std::string& branch) {
        check(git_repository_set_head(repository_.get(), head(branch).c_str()), "test");
    }

    /// The commit of `branch`; empty: there is no such branch.
    [[nodiscard]] std::string tip(const std::string& branch) const {
        git_oid oid{};
        const auto name = head(branch);
        const bool there = git_reference_name_to_id(&oid, repository_.get(), name.c_str()) == 0;
        return there ? from_git(oid).hex() : std::string{};
    }

    void remove_branch(const std::string& branch) {
        check(git_reference_remove(repository_.get(), head(branch).c_str()), "test");
    }

private:
    class Signature {
    public:
        Signature() {
            check(git_signature_new(&raw_, "Test", "test@example.org", 1'700'000'000, 0), "test");
        }
        ~Signature() { git_signature_free(raw_); }
        Signature(const Signature&) = delete;
        Signature& operator=(const Signature&) = delete;
        [[nodiscard]] const git_signature* get() const { return raw_; }

    private:
        git_signature* raw_ = nullptr;
    };

    static std::string head(const std::string& branch) { return "refs/heads/" + branch; }

    void make(const std::filesystem::path& path) {
        initialise();
        git_repository* raw = nullptr;
        check(git_repository_init(&raw, path.c_str(), 1), "test");
        repository_.reset(raw);
    }

    git_oid write(const Files& files, const std::vector<const git_commit*>& parents) {
        git_index* raw = nullptr;
        check(git_index_new(&raw), "test");
        const std::unique_ptr<git_index, Freed<git_index_free>> index{raw};
        for (const auto& [path, file] : files) {
            git_index_entry entry{};
            entry.path = path.c_str();
            entry.mode = file.mode;
            if (file.mode == GIT_FILEMODE_COMMIT) {
                entry.id.id[0] = 1;
                if (!file.content.empty()) entry.id = to_git(*Oid::parse(file.content));
            } else {
                check(git_blob_create_from_buffer(&entry.id, repository_.get(), file.content.data(),
                                                  file.content.size()),
                      "test");
            }
            check(git_index_add(raw, &entry), "test");
        }
        git_oid tree_oid{};
        check(git_index_write_tree_to(&tree_oid, raw, repository_.get()), "test");
        git_tree* tree = nullptr;
        check(git_tree_lookup(&tree, repository_.get(), &tree_oid), "test");
        const TreePtr keeper{tree};
        const Signature who;
        git_oid commit{};
        auto list = parents;
        check(git_commit_create(&commit, repository_.get(), nullptr, who.get(), who.get(), nullptr,
                                "test", tree, list.size(), list.data()),
              "test");
        return commit;
    }

    void point(const std::string& name, const git_oid& oid) {
        git_reference* raw = nullptr;
        check(git_reference_create(&raw, repository_.get(), name.c_str(), &oid, 1, nullptr),
              "test");
        const ReferencePtr reference{raw};
    }

    TemporaryDirectory directory_{"kled-git-test"};
    RepositoryPtr repository_;
};

}  // namespace kled::gitops::git::testing
