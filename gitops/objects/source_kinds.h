/// The kinds of Flux's sources that kled acts on.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace kled::gitops {

inline constexpr std::string_view bucket_kind = "Bucket";
inline constexpr std::string_view external_kind = "ExternalArtifact";
inline constexpr std::string_view oci_kind = "OCIRepository";
inline constexpr std::string_view repository_kind = "GitRepository";
/// What is fetched here and served to others; their status is ours.
inline constexpr std::array own_source_kinds{bucket_kind, oci_kind, repository_kind};

constexpr bool is_own_source_kind(std::string_view kind) {
    return std::ranges::find(own_source_kinds, kind) != own_source_kinds.end();
}
/// What a deployment object may name.
constexpr bool is_source_kind(std::string_view kind) {
    return is_own_source_kind(kind) || kind == external_kind;
}

}  // namespace kled::gitops
