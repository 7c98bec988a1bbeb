/// Flux's ExternalArtifact: a source that another controller makes, and serves as an archive.
#pragma once

#include "base/offload.h"
#include "gitops/git/imported.h"
#include "gitops/source/spool.h"
#include "kube/object.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace kled::gitops {

/// Its `status.artifact`.
struct ExternalArtifact {
    static constexpr std::size_t revision_limit = 1'024;

    std::string url;       ///< http or https
    std::string revision;  ///< one line
    std::string digest;    ///< "sha256:<hex>" of the archive
    std::optional<std::uint64_t> size;

    bool operator==(const ExternalArtifact&) const = default;

    /// nullopt: there is none yet. Error(invalid) "status.artifact.url: …".
    [[nodiscard]] static std::optional<ExternalArtifact> from_object(const kube::Object& object);
};

/// From such an archive to a revision in the source's mirror; downloaded only when none of those
/// that are kept is of its digest. Without credentials.
class ExternalFetch {
public:
    /// `scratch` is a folder for what was not looked at yet.
    ExternalFetch(boost::asio::any_io_executor loop, ThreadPool& pool, ExternalArtifact artifact,
                  git::Imported imported, std::filesystem::path scratch)
        : loop_{std::move(loop)},
          pool_{pool},
          artifact_{std::move(artifact)},
          imported_{std::move(imported)},
          scratch_{std::move(scratch)} {}

    /// `checked`: what was read already in this process. Errors: unavailable (the server, the
    /// disk), not_found, invalid (not what the digest says, or no archive), exhausted.
    boost::asio::awaitable<git::Revision> run(std::optional<git::Revision> checked);
    [[nodiscard]] bool downloaded() const noexcept { return downloaded_; }

private:
    boost::asio::awaitable<std::optional<git::Revision>> look(std::optional<git::Revision> checked);
    boost::asio::awaitable<std::shared_ptr<Spool>> download();

    UnpackLimits limits_;
    boost::asio::any_io_executor loop_;
    ThreadPool& pool_;
    ExternalArtifact artifact_;
    git::Imported imported_;
    std::filesystem::path scratch_;
    bool downloaded_ = false;
};

}  // namespace kled::gitops
