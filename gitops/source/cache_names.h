/// What the folders of the cache are called, and whose they are. Pure.
#pragma once

#include "gitops/objects/api.h"

#include <optional>
#include <string>
#include <string_view>

namespace kled::gitops {

inline constexpr std::string_view modules_cache = "modules";  ///< a GitRepository's submodules
inline constexpr std::string_view push_cache = "push";  ///< the clone of one that is written to

/// "<namespace>_<name>" of a GitRepository, "<namespace>_<name>+<what>" of all else: another kind,
/// or one of the above.
[[nodiscard]] std::string cache_name(const Key& key, std::string_view what = {});

/// Whose folder this is, as above. nullopt: none that we made.
[[nodiscard]] std::optional<Key> owner_of_cache(std::string_view folder);

}  // namespace kled::gitops
