/// libgit2 behind RAII and Error; included by the sources of this folder only.
#pragma once

#include "gitops/git/revision.h"

#include <git2.h>

#include <memory>
#include <string_view>

namespace kled::gitops::git {

template <auto Free>
struct Freed {
    template <typename T>
    void operator()(T* p) const noexcept {
        Free(p);
    }
};
using RepositoryPtr = std::unique_ptr<git_repository, Freed<git_repository_free>>;
using RemotePtr = std::unique_ptr<git_remote, Freed<git_remote_free>>;
using ObjectPtr = std::unique_ptr<git_object, Freed<git_object_free>>;
using CommitPtr = std::unique_ptr<git_commit, Freed<git_commit_free>>;
using TreePtr = std::unique_ptr<git_tree, Freed<git_tree_free>>;
using BlobPtr = std::unique_ptr<git_blob, Freed<git_blob_free>>;
using ReferencePtr = std::unique_ptr<git_reference, Freed<git_reference_free>>;
using OdbPtr = std::unique_ptr<git_odb, Freed<git_odb_free>>;
using PackbuilderPtr = std::unique_ptr<git_packbuilder, Freed<git_packbuilder_free>>;
using SignaturePtr = std::unique_ptr<git_signature, Freed<git_signature_free>>;
using TreeEntryPtr = std::unique_ptr<git_tree_entry, Freed<git_tree_entry_free>>;
using RevwalkPtr = std::unique_ptr<git_revwalk, Freed<git_revwalk_free>>;

/// Starts the library once, with small caches and without the configuration of user and machine.
void initialise();

/// Whether what failed with `code` just now did for want of file descriptors, memory, room or
/// rights: that says nothing about what is on disk.
[[nodiscard]] bool is_of_machine(int code) noexcept;

/// Throws what libgit2 says about `code` when it is negative, as Error "<context>: <what>".
void check(int code, std::string_view context);

[[nodiscard]] Oid from_git(const git_oid& oid) noexcept;
[[nodiscard]] git_oid to_git(const Oid& oid) noexcept;

}  // namespace kled::gitops::git
