/// The files of a revision's submodules.
#pragma once

#include "gitops/git/access.h"
#include "gitops/git/mirror.h"
#include "gitops/git/revision.h"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>

namespace kled::gitops::git {

/// Where a submodule is: `url` as it is, or as of `parent`, its repository's, when it begins with
/// "./" or "../". Error(invalid) for a URL that kled does not read or that climbs above the server;
/// Error(denied) for one on this machine, unless `parent` is.
[[nodiscard]] std::string submodule_url(std::string_view parent, std::string_view url);

/// What is shown to the submodule's server: secrets only where `root`, the repository that they
/// are of, has the same scheme, host and port. SSH keys go along: known_hosts says to whom they may
/// be shown.
[[nodiscard]] Access submodule_access(const Access& access, std::string_view root,
                                      std::string_view url);

/// The mirrors of one source's submodules: no other source finds a commit in them without having
/// shown its own credentials. Blocking; one call at a time.
class Submodules {
public:
    static constexpr std::size_t depth_limit = 10;  ///< of submodules in submodules, as Flux has
    static constexpr std::size_t count_limit = 100;

    explicit Submodules(std::filesystem::path directory) : directory_{std::move(directory)} {}

    /// `revision` of `mirror` with the files of its submodules, and of theirs, in their places.
    /// `access.timeout` is for all. What they no longer name is removed from disk. Errors as those
    /// of Mirror::fetch, and Error(exhausted) past a limit.
    [[nodiscard]] Revision fill(Mirror& mirror, Revision revision, const Access& access,
                                const std::stop_token& stop);

private:
    struct Walk {
        const std::string& root;  ///< URL
        const Access& access;
        const std::stop_token& stop;
        std::chrono::steady_clock::time_point deadline;
        std::set<std::string> used;  ///< names of the mirrors' folders
        std::size_t count = 0;
    };
    Revision fill(Mirror& mirror, Revision revision, Walk& walk, std::size_t depth);

    std::filesystem::path directory_;
    std::map<std::string, std::shared_ptr<Mirror>> mirrors_;  // by folder
};

}  // namespace kled::gitops::git
