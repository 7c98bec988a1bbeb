/// A bare cache of one remote repository, and trees read from it.
#pragma once

#include "gitops/git/access.h"
#include "gitops/git/revision.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace kled::gitops::git {

/// Blocking: call it from a thread that may block. `fetch` by one thread at a time; trees are read
/// by any number meanwhile. What is on disk is a cache: of another URL or damaged, as far as that
/// was noticed when something was read from it, the next fetch makes it anew.
class Mirror {
public:
    /// Nothing is read or written before the first fetch.
    Mirror(std::filesystem::path directory, std::string url);
    /// What an earlier process fetched into `directory`, whatever its URL was: to be read, and
    /// nothing can be fetched into it. Its url() is "cache:" and the digest of that URL. Null:
    /// there is none.
    static std::shared_ptr<Mirror> kept(std::filesystem::path directory);
    ~Mirror();
    Mirror(const Mirror&) = delete;
    Mirror& operator=(const Mirror&) = delete;

    /// Asks the server for `reference` and downloads what is missing. A commit that is here already
    /// needs no server. When it throws, everything fetched before is still here. Errors:
    /// not_found (the branch, tag or commit is gone, the repository is empty or absent), denied,
    /// unavailable (also after `access.timeout`), exhausted (`access.transfer_limit`), invalid (the
    /// URL); system_error(operation_aborted) once `stop` is requested.
    Revision fetch(const Reference& reference, const Access& access, std::stop_token stop);

    /// Asked, in the thread of the call, of what is here already.
    using InUse = std::function<bool(const Oid& commit)>;
    /// A commit by nothing but its id, also one that no branch leads to any more, where the server
    /// gives such. It stays here while it is one of the last ten that were had so, or of the last
    /// hundred and in use. Error(not_found) where the server does not; else as `fetch`.
    Revision fetch_commit(const Oid& commit, const std::string& name, const Access& access,
                          std::stop_token stop, const InUse& in_use = nullptr);

    /// `commit`, which is here, stays here, whatever becomes of the branch it came from, until
    /// another is used.
    void use(const Oid& commit);

    /// The revision of a commit fetched earlier; nullopt: not here.
    [[nodiscard]] std::optional<Revision> find(const Oid& commit, const std::string& name);

    [[nodiscard]] const std::string& url() const noexcept { return url_; }

private:
    friend class Tree;
    friend class Composer;
    friend class Imported;
    friend struct Opened;
    struct Impl;
    std::string url_;
    std::unique_ptr<Impl> impl_;
};

/// The URL without password, for messages and logs.
[[nodiscard]] std::string printable_url(std::string_view url);

/// Whether two URLs name one repository: whatever the user, the scheme, and with or without ".git".
[[nodiscard]] bool same_repository(std::string_view a, std::string_view b);

}  // namespace kled::gitops::git
