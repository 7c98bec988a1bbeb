/// Revisions of sources as archives that others read: what Flux's source-controller serves.
#pragma once

#include "base/offload.h"
#include "gitops/git/mirror.h"
#include "gitops/objects/source_kinds.h"
#include "net/http_server.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

namespace kled::gitops {

/// `status.artifact` of a source, but for the revision and the time.
struct Artifact {
    std::string path;    ///< "gitrepository/<namespace>/<name>/<commit>.tar.gz", or the digest
    std::string url;     ///< where that is served; empty: nowhere
    std::string digest;  ///< "sha256:<hex>" of the archive
    std::uint64_t size = 0;

    bool operator==(const Artifact&) const = default;
};

/// Blocking. On disk a source has its archive, the one before it (someone may be about to read it)
/// and the link `latest.tar.gz`. Files come whole or not at all. One source by one thread at a
/// time.
class Artifacts {
public:
    struct Name {  ///< of a source
        std::string ns;
        std::string name;
        std::string kind{repository_kind};
        auto operator<=>(const Name&) const = default;
    };

    explicit Artifacts(std::filesystem::path directory) : directory_{std::move(directory)} {}

    /// How others reach the server, "http://host:port": before the first `store`.
    void advertise(std::string url);

    /// Makes the archive of `revision`. Error(exhausted) for a revision past the limits or a full
    /// disk, Error(unavailable).
    [[nodiscard]] Artifact store(const Name& source, git::Mirror& mirror,
                                 const git::Revision& revision, const std::stop_token& stop) const;
    [[nodiscard]] bool has(const Artifact& artifact) const;

    void remove(const Name& source) const;
    /// Removes what is of one of `kinds` and belongs to none of `sources`.
    void keep_only(const std::set<Name>& sources,
                   const std::set<std::string, std::less<>>& kinds) const;

    /// The file that a request's path names; nullopt: it names none. Nothing outside of what
    /// `store` made can be named.
    [[nodiscard]] std::optional<std::filesystem::path> locate(std::string_view path) const;

private:
    [[nodiscard]] std::filesystem::path folder(const Name& source) const;

    std::filesystem::path directory_;
    std::string url_;
};

/// GET and HEAD of archives, read on `pool` piece by piece.
[[nodiscard]] net::Handler artifact_handler(std::shared_ptr<const Artifacts> artifacts,
                                            ThreadPool& pool);

}  // namespace kled::gitops
