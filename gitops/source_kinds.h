/// The kinds of Flux's sources that kled acts on.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace kled::gitops {

inline constexpr std::string_view bucket_kind = "Bucket";
inline constexpr std::string_view oci_kind = "OCIRepository";
inline constexpr std::string_view repository_kind = "GitRepository";
inline constexpr std::array source_kinds{bucket_kind, oci_kind, repository_kind};

constexpr bool is_source_kind(std::string_view kind) {
    return std::ranges::find(source_kinds, kind) != source_kinds.end();
}

}  // namespace kled::gitops
