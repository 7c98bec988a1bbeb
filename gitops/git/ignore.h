/// Which files of a revision are no part of it: `.sourceignore` files and `spec.ignore`, read as
/// Flux reads them (fluxcd/pkg/sourceignore; gitignore's language without its ordering by folder).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops::git {

using PathParts = std::vector<std::string>;

/// Patterns, the later the stronger: the last that matches a path decides. Asked by one thread at a
/// time.
class IgnoreRules {
public:
    static constexpr std::size_t limit = 10'000;  ///< patterns in one revision
    /// Characters and patterns that are compared for one: seconds, where a repository needs
    /// milliseconds.
    static constexpr std::size_t work_limit = 2'000'000'000;

    explicit IgnoreRules(std::size_t most_work = work_limit) : most_work_{most_work} {}

    /// What Flux leaves out of every artifact: Git's own files.
    static IgnoreRules version_control();
    /// And what it leaves out where nobody says anything: media, archives, CI's configuration.
    static IgnoreRules defaults();

    /// A pattern a line, for what is below `domain`; '#' begins a comment. Error(exhausted) past
    /// `limit`.
    void add(std::string_view text, const PathParts& domain = {});

    /// Error(exhausted) when all calls together have done too much work.
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
    };
    using Path = std::span<const std::string>;
    [[nodiscard]] bool matches(const Rule& rule, Path path, bool directory) const;
    [[nodiscard]] bool matches_name(const Rule& rule, Path path, bool directory) const;
    [[nodiscard]] bool matches_path(const Rule& rule, Path path, bool directory) const;
    [[nodiscard]] std::optional<bool> matches_part(const std::string& pattern,
                                                   const std::string& name) const;
    void work(std::size_t steps) const;

    std::vector<Rule> rules_;
    std::size_t most_work_;
    mutable std::size_t worked_ = 0;
};

}  // namespace kled::gitops::git
