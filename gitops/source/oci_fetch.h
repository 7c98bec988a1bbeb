/// From an artifact in a registry to a revision in the source's mirror.
#pragma once

#include "base/offload.h"
#include "gitops/oci/client.h"
#include "gitops/source/oci_content.h"
#include "gitops/source/oci_repository.h"
#include "gitops/source/oci_verification.h"
#include "gitops/source/spool.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace kled::gitops {

/// One look at an artifact. Its layer is pulled only when none of the revisions that are kept has
/// the digest that is named now, taken in the same way; and signatures are asked for only when none
/// of them says that they were good.
class OciFetch {
public:
    struct Limits {
        UnpackLimits unpack{};
        std::uint64_t copied = 64U << 20U;  ///< bytes of a layer that is passed on: it is held
    };

    /// `scratch` is a folder for what was not looked at yet. What it was given outlives it.
    OciFetch(ThreadPool& pool, oci::Client& client, const OciRepository& repository,
             RegistryAccess access, std::optional<ArtifactKeys> keys, git::Imported imported,
             std::filesystem::path scratch, OciMemory& memory)
        : pool_{pool},
          client_{client},
          repository_{repository},
          access_{std::move(access)},
          keys_{std::move(keys)},
          imported_{std::move(imported)},
          scratch_{std::move(scratch)},
          memory_{memory} {}

    /// Errors as those of oci::Client, of ArtifactKeys, of git::Untar and of the disk. When it
    /// throws, what `memory` knows is still there.
    boost::asio::awaitable<git::Revision> run();
    /// Which step failed, in Flux's words for a condition.
    [[nodiscard]] std::string_view reason() const noexcept { return reason_; }

private:
    struct Named {
        std::string revision;
        std::string digest;
    };

    /// Which artifact it is now.
    boost::asio::awaitable<Named> resolve();
    /// Error unless it is signed, if it has to be.
    boost::asio::awaitable<void> verify(Named named);
    /// If it was pulled before: the revision of this name.
    boost::asio::awaitable<std::optional<git::Imported::Kept>> look(Named named);
    boost::asio::awaitable<git::Imported::Kept> pull(Named named);
    boost::asio::awaitable<std::shared_ptr<Spool>> pull_layer(oci::Descriptor layer);

    Limits limits_;
    ThreadPool& pool_;
    oci::Client& client_;
    const OciRepository& repository_;
    RegistryAccess access_;
    std::optional<ArtifactKeys> keys_;  ///< nullopt: no signature is asked for
    git::Imported imported_;
    std::filesystem::path scratch_;
    OciMemory& memory_;
    std::string_view reason_ = "OCIArtifactPullFailed";
};

}  // namespace kled::gitops
