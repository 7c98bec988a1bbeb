/// `.gitmodules`: which submodules a repository names (gitmodules(5)).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops::git {

struct Submodule {
    std::string path;
    std::string url;  ///< as it is written
    bool operator==(const Submodule&) const = default;
};

/// In the order of their names; what has no path or no URL is left out, and of a key that comes
/// twice the last counts. No other file is ever read for it (`include.path`). Error(invalid) with
/// the line for what is not Git's configuration language, or a path that leads out of the
/// repository or into a `.git`.
[[nodiscard]] std::vector<Submodule> parse_gitmodules(std::string_view text);

}  // namespace kled::gitops::git
