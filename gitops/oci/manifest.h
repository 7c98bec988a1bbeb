/// What a registry says: manifests, pages of tags, errors. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops::oci {

/// What is asked for: images and lists of them, in OCI's and Docker's types.
inline constexpr std::string_view manifest_types =
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json";

struct Descriptor {
    std::string media_type;
    std::string digest;           ///< valid
    std::uint64_t size = 0;       ///< bytes
    std::string artifact_type{};  ///< of a manifest in a list; empty: it is an image's
    std::string platform{};       ///< of one, "linux/amd64"; empty: it does not say
    std::map<std::string, std::string> annotations{};

    bool operator==(const Descriptor&) const = default;
};

struct Manifest {
    static constexpr std::size_t layer_limit = 1'000;

    bool index = false;  ///< a list of manifests, which are then the layers
    std::vector<Descriptor> layers;
    std::map<std::string, std::string> annotations;

    /// `content_type` is what the registry called it, where it does not say itself. Error(invalid)
    /// when it is neither an image nor a list of images.
    static Manifest parse(std::string_view body, std::string_view content_type);
    /// Of a list: the one that Flux takes, the first for linux/amd64 or that says no platform
    /// (go-containerregistry, pkg/v1/remote/index.go). Error(not_found) when it has none.
    [[nodiscard]] const Descriptor& default_image() const;
};

/// Of one page of `tags/list`. Names that are no tags are left out. Error(invalid).
[[nodiscard]] std::vector<std::string> parse_tags(std::string_view body);

/// The target of the Link with rel="next" (RFC 8288), as it stands there; empty: none.
[[nodiscard]] std::string next_link(std::string_view link);

/// "UNAUTHORIZED: authentication required" of an answer's body, one line and short; empty: none.
[[nodiscard]] std::string error_text(std::string_view body);

}  // namespace kled::gitops::oci
