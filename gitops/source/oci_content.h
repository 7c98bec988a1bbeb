/// What was pulled of an artifact, as it is kept: pure, but for the mirror's type.
#pragma once

#include "gitops/git/imported.h"
#include "gitops/source/oci_repository.h"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace kled::gitops {

/// The artifact behind a revision that was imported; the revision's memo says it.
struct Pulled {
    static constexpr std::size_t annotations_limit = 256U << 10U;  ///< bytes, as of any object

    std::string url;       ///< of the OCIRepository
    std::string verified;  ///< fingerprint of the keys one of which signed it; empty: nobody asked
    OciRepository::LayerSelector layer;
    std::map<std::string, std::string> annotations;  ///< of its manifest
    std::string unusable{};  ///< why the layer, which was copied, has no files; empty: it has

    /// Error(exhausted) when the annotations are more than may be in an object.
    [[nodiscard]] std::string to_memo() const;
    /// nullopt: it is none of ours.
    [[nodiscard]] static std::optional<Pulled> from_memo(std::string_view memo);

    /// What of its files counts: as Flux, nothing is left out of an archive that is passed on as it
    /// is, and of an extracted one what `.sourceignore` or `ignore` say, or the defaults.
    [[nodiscard]] git::Revision shape(git::Revision revision, const std::string& ignore) const;
};

/// "1.0@sha256:<hex>" of a tag, else the digest.
[[nodiscard]] std::string artifact_revision(const std::string& tag, const std::string& digest);
/// Whether it is that of `digest`, whatever the tag.
[[nodiscard]] bool is_revision_of(std::string_view revision, std::string_view digest);

/// What was pulled last.
struct OciMemory {
    std::optional<git::Revision> revision;  ///< shaped
    Pulled pulled;

    /// Of a revision that was kept; false: its memo is none of ours, and nothing is taken.
    bool take(git::Imported::Kept kept, const std::string& ignore);
};

}  // namespace kled::gitops
