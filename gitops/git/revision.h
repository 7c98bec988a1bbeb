/// What of a Git repository is wanted, and what was found.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops::git {

/// The name of a Git object (SHA-1).
struct Oid {
    std::array<unsigned char, 20> bytes{};

    auto operator<=>(const Oid&) const = default;
    [[nodiscard]] std::string hex() const;
    /// nullopt unless `text` is exactly 40 hex digits.
    [[nodiscard]] static std::optional<Oid> parse(std::string_view text);
};

/// `spec.ref` of a GitRepository. The first that is set counts, in Flux's order: commit (found by
/// way of `branch` when that is set too), name, semver, tag, branch; all empty: the branch
/// `master`.
struct Reference {
    std::string branch{};
    std::string tag{};
    std::string name{};  ///< a full reference, "refs/pull/420/head"
    std::string commit{};
    std::string semver{};  ///< a range (git/semver.h): the highest tag in it
    std::string any{};     ///< in place of all others: a branch, a tag, a full name or "HEAD"

    bool operator==(const Reference&) const = default;
    /// "branch 'main'", "commit 1f0c…": for messages.
    [[nodiscard]] std::string to_string() const;
};

class Mirror;

struct Revision {
    /// As Flux writes it: "main@sha1:<hex>", "v1.2@sha1:<hex>", "sha1:<hex>"; "sha256:<hex>" or
    /// "v1.2@sha256:<hex>" of what did not come by Git.
    std::string name;
    Oid commit;
    Oid tree;              ///< the commit's, or what was put together from it (git/compose.h)
    std::string ignore{};  ///< `spec.ignore`, in place of what is left out by default
    std::vector<std::string> sparse{};  ///< `spec.sparseCheckout`: nothing but these folders
    bool whole = false;  ///< what is to be left out never came in: no rules, also no defaults
    /// It came as this archive, which is passed on as it is.
    std::optional<Oid> archive{};
    std::string unusable{};  ///< why that has no files that could be read; empty: it has
    /// Beside the mirror itself, where the objects of `tree` are; each once.
    std::vector<std::shared_ptr<Mirror>> parts{};

    bool operator==(const Revision&) const = default;
};

}  // namespace kled::gitops::git
