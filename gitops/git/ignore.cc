#include "gitops/git/ignore.h"

#include "base/error.h"
#include "gitops/glob.h"

#include <algorithm>
#include <ranges>

namespace kled::gitops::git {

namespace {

constexpr std::string_view vcs = ".git/\n.gitignore\n.gitmodules\n.gitattributes\n";
constexpr std::string_view others =
    "*.jpg\n*.jpeg\n*.gif\n*.png\n*.wmv\n*.flv\n*.tar.gz\n*.zip\n"
    ".github/\n.circleci/\n.travis.yml\n.gitlab-ci.yml\nappveyor.yml\n.drone.yml\ncloudbuild.yaml\n"
    "codeship-services.yml\ncodeship-steps.yml\n"
    "**/.goreleaser.yml\n**/.sops.yaml\n**/.flux.yaml\n";

PathParts split(std::string_view text) {
    PathParts parts;
    for (const auto part : std::views::split(text, '/'))
        parts.emplace_back(part.begin(), part.end());
    if (text.empty()) parts.emplace_back();
    return parts;
}

bool blank(std::string_view line) {
    return line.find_first_not_of(" \t\r\v\f") == std::string_view::npos;
}

}  // namespace

IgnoreRules IgnoreRules::version_control() {
    IgnoreRules rules;
    rules.add(vcs);
    return rules;
}

IgnoreRules IgnoreRules::defaults() {
    auto rules = version_control();
    rules.add(others);
    return rules;
}

void IgnoreRules::add(std::string_view text, const PathParts& domain) {
    while (!text.empty()) {
        auto line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.starts_with('#') || blank(line)) continue;
        Rule rule;
        rule.domain = domain;
        if (line.starts_with('!')) {
            rule.include = true;
            line.remove_prefix(1);
        }
        if (!line.ends_with("\\ ")) line = line.substr(0, line.find_last_not_of(' ') + 1);
        if (line.ends_with('/')) {
            rule.directory_only = true;
            line.remove_suffix(1);
        }
        rule.parts = split(line);
        if (rules_.size() == limit)
            throw Error{ErrorKind::exhausted,
                        "more than " + std::to_string(limit) + " patterns of files to ignore"};
        rules_.push_back(std::move(rule));
    }
}

bool IgnoreRules::ignores(std::span<const std::string> path, bool directory) const {
    for (const auto& rule : std::views::reverse(rules_)) {
        if (rule.matches(path, directory)) return !rule.include;
    }
    return false;
}

bool IgnoreRules::takes_back() const noexcept {
    return std::ranges::any_of(rules_, &Rule::include);
}

bool IgnoreRules::Rule::matches(std::span<const std::string> path, bool directory) const {
    if (path.size() <= domain.size() || !std::ranges::equal(domain, path.first(domain.size())))
        return false;
    const auto below = path.subspan(domain.size());
    return parts.size() == 1 ? matches_name(below, directory) : matches_path(below, directory);
}

/// Any part of the path has the name.
bool IgnoreRules::Rule::matches_name(std::span<const std::string> path, bool directory) const {
    for (std::size_t i = 0; i < path.size(); ++i) {
        const auto matched = glob_matches(parts.front(), path[i]);
        if (!matched) return false;
        if (*matched) return !directory_only || directory || i + 1 < path.size();
    }
    return false;
}

bool IgnoreRules::Rule::matches_path(std::span<const std::string> path, bool directory) const {
    bool matched = false;
    bool any_depth = false;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const auto& part = parts[i];
        if (part.empty()) {
            any_depth = false;
            continue;
        }
        if (part == "**") {
            if (i + 1 == parts.size()) break;
            any_depth = true;
            continue;
        }
        if (part.find("**") != std::string::npos || path.empty()) return false;
        if (!any_depth) {
            if (glob_matches(part, path.front()) != true) return false;
            matched = true;
            path = path.subspan(1);
            continue;
        }
        any_depth = false;
        while (!path.empty()) {
            const auto here = glob_matches(part, path.front());
            path = path.subspan(1);
            if (!here) return false;
            if (*here) {
                matched = true;
                break;
            }
            if (path.empty()) matched = false;
        }
    }
    return matched && !(directory_only && !directory && path.empty());
}

}  // namespace kled::gitops::git
