/// What a tree names that lies outside it: directories of other Git repositories, files behind
/// URLs.
#pragma once

#include "kustomize/files.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace kled::kustomize {

/// "https://github.com/org/repo//path?ref=v1", as kustomize reads it
/// (api/internal/git/repospec.go).
struct RepositoryUrl {
    std::string url;        ///< what `git clone` takes
    std::string directory;  ///< in the repository; "" is its root
    std::string ref;        ///< branch, tag or commit; empty: what the server calls HEAD
    std::chrono::milliseconds timeout{27'000};
    bool submodules = true;
    bool explicit_split = false;  ///< the text itself says where the repository ends: "//", ".git"

    /// nullopt: no such URL, so a path.
    static std::optional<RepositoryUrl> parse(std::string_view text);
};

/// Whether a text starts as an HTTP(S) URL does.
[[nodiscard]] bool is_http_url(std::string_view text) noexcept;

/// Blocking, and called by the thread that builds. Errors: not_found, denied, unavailable (also
/// after the timeout), exhausted (over the implementation's limits).
class Remotes {
public:
    virtual ~Remotes() = default;
    /// The tree of the repository at its `ref`; one repository and commit are one object, so that
    /// equal paths in it are one file.
    [[nodiscard]] virtual std::shared_ptr<const Files> repository(const RepositoryUrl& where) = 0;
    [[nodiscard]] virtual std::string file(const std::string& url) = 0;
};

}  // namespace kled::kustomize
