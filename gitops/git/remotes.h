/// Other repositories and URLs that a build names, behind one cache on disk.
#pragma once

#include "gitops/git/access.h"
#include "kustomize/remote.h"

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>

namespace kled::gitops::git {

/// Repositories are bare mirrors, so what was fetched once is found by its commit and a full commit
/// as `ref` needs no server at all; which commit a branch or tag was is kept too, for builds
/// without the network. Files behind URLs are kept by URL. Many processes may share the directory:
/// what writes to it holds a lock on it.
class RemoteCache : public kustomize::Remotes {
public:
    struct Options {
        std::filesystem::path directory;  ///< made when it is needed, for its owner only
        Access access = {};               ///< the timeout is the one a URL names
        bool offline = false;             ///< only what is here already
        std::stop_token stop = {};        ///< ends a fetch: system_error(operation_aborted)
        std::size_t file_limit_bytes = 16U << 20U;
    };
    explicit RemoteCache(Options options);
    ~RemoteCache() override;

    /// Submodules of a repository are not followed: what lies in one is not there.
    [[nodiscard]] std::shared_ptr<const kustomize::Files> repository(
        const kustomize::RepositoryUrl& where) override;
    /// Follows redirects, but not from https to http.
    [[nodiscard]] std::string file(const std::string& url) override;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::gitops::git
