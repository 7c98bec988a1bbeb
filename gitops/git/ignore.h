/// Which files of a revision are no part of it: `.sourceignore` files and `spec.ignore`, read as
/// Flux reads them (fluxcd/pkg/sourceignore; gitignore's language without its ordering by folder).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops::git {

using PathParts = std::vector<std::string>;

/// Patterns, the later the stronger: the last that matches a path decides.
class IgnoreRules {
public:
    static constexpr std::size_t limit = 10'000;  ///< patterns in one revision

    /// What Flux leaves out of every artifact: Git's own files.
    static IgnoreRules version_control();
    /// And what it leaves out where nobody says anything: media, archives, CI's configuration.
    static IgnoreRules defaults();

    /// A pattern a line, for what is below `domain`; '#' begins a comment. Error(exhausted) past
    /// `limit`.
    void add(std::string_view text, const PathParts& domain = {});

    [[nodiscard]] bool ignores(std::span<const std::string> path, bool directory) const;
    [[nodiscard]] std::size_t size() const noexcept { return rules_.size(); }
    /// Whether some pattern takes back what another ignores ("!").
    [[nodiscard]] bool takes_back() const noexcept;

private:
    struct Rule {
        PathParts domain;
        PathParts parts;
        bool include = false;
        bool directory_only = false;
        [[nodiscard]] bool matches(std::span<const std::string> path, bool directory) const;
        [[nodiscard]] bool matches_name(std::span<const std::string> path, bool directory) const;
        [[nodiscard]] bool matches_path(std::span<const std::string> path, bool directory) const;
    };
    std::vector<Rule> rules_;
};

}  // namespace kled::gitops::git
