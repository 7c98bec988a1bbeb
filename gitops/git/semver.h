/// Versions and ranges of them as Flux reads both (Masterminds/semver v3, behind
/// fluxcd/pkg/version).
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops::git {

/// Ordered by precedence (semver.org §11): build metadata does not count.
struct Version {
    std::uint64_t major = 0;
    std::uint64_t minor = 0;
    std::uint64_t patch = 0;
    std::string pre;

    /// "1.2.3", "v1.2.3-rc.1+build": three parts, a leading `v` and zeros allowed; nullopt
    /// otherwise.
    [[nodiscard]] static std::optional<Version> parse(std::string_view text);

    std::weak_ordering operator<=>(const Version& other) const;
    bool operator==(const Version& other) const { return (*this <=> other) == 0; }
};

/// ">=1.0.0 <2.0.0", "1.x || ~3.1", "1.2 - 1.4.5", "^0.3", "*".
class VersionRange {
public:
    /// Error(invalid) when it is none.
    static VersionRange parse(std::string_view text);

    /// A version with a pre-release is contained only where the range names one too.
    [[nodiscard]] bool contains(const Version& version) const;

private:
    struct Comparison {
        std::string operation;
        Version with;
        bool partial = false;        ///< something was `x` or not there:
        bool without_minor = false;  ///< the minor version
        bool without_patch = false;  ///< the patch
        [[nodiscard]] bool holds(const Version& version) const;
    };
    struct All {
        std::vector<Comparison> comparisons;
        bool names_pre_release = false;
    };
    static Comparison comparison(std::string_view text);

    std::vector<All> any_;
};

}  // namespace kled::gitops::git
