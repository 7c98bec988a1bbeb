/// Names of images and artifacts in registries (distribution's reference grammar).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kled::gitops::oci {

/// "sha256:<64 hex digits>"; other algorithms are not used by any registry, and not read here.
[[nodiscard]] bool is_digest(std::string_view text) noexcept;
/// Letters, digits, '_', '.' and '-', the first no '.' or '-'; at most 128.
[[nodiscard]] bool is_tag(std::string_view text) noexcept;

/// A repository of a registry, and perhaps what of it is meant.
struct Reference {
    std::string host;        ///< "docker.io", "registry.example.org:5000", "[::1]:5000"
    std::string repository;  ///< "library/alpine"
    std::string tag{};
    std::string digest{};

    /// "alpine", "team/app:1.0", "localhost:5000/app@sha256:…", with all that is implied for the
    /// first two (docker.io, library/). Error(invalid) with the text.
    static Reference parse(std::string_view text);

    /// "docker.io/library/alpine": host and repository.
    [[nodiscard]] std::string name() const { return host + "/" + repository; }
    /// Where its API is asked: Docker Hub's is not at its own name.
    [[nodiscard]] std::string api_host() const;

    bool operator==(const Reference&) const = default;
};

}  // namespace kled::gitops::oci
