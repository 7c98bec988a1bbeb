#include "gitops/git/ignore.h"

#include "base/error.h"
#include "gitops/objects/glob.h"

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
        if (matches(rule, path, directory)) return !rule.include;
    }
    return false;
}

void IgnoreRules::work(std::size_t steps) const {
    worked_ += steps;
    if (worked_ > most_work_) {
        throw Error{ErrorKind::exhausted,
                    "the patterns of files to ignore are too many, or too costly, for so many "
                    "files"};
    }
}

std::optional<bool> IgnoreRules::matches_part(const std::string& pattern,
                                              const std::string& name) const {
    const auto count = [this](std::size_t steps) { work(steps); };
    return Glob{pattern, count}.matches(name);
}

bool IgnoreRules::takes_back() const noexcept {
    return std::ranges::any_of(rules_, &Rule::include);
}

bool IgnoreRules::matches(const Rule& rule, Path path, bool directory) const {
    const auto& domain = rule.domain;
    work(1);
    if (path.size() <= domain.size() || !std::ranges::equal(domain, path.first(domain.size())))
        return false;
    const auto below = path.subspan(domain.size());
    return rule.parts.size() == 1 ? matches_name(rule, below, directory)
                                  : matches_path(rule, below, directory);
}

/// Any part of the path has the name.
bool IgnoreRules::matches_name(const Rule& rule, Path path, bool directory) const {
    for (std::size_t i = 0; i < path.size(); ++i) {
        const auto matched = matches_part(rule.parts.front(), path[i]);
        if (!matched) return false;
        if (*matched) return !rule.directory_only || directory || i + 1 < path.size();
    }
    return false;
}

bool IgnoreRules::matches_path(const Rule& rule, Path path, bool directory) const {
    const auto& parts = rule.parts;
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
            if (matches_part(part, path.front()) != true) return false;
            matched = true;
            path = path.subspan(1);
            continue;
        }
        any_depth = false;
        while (!path.empty()) {
            const auto here = matches_part(part, path.front());
            path = path.subspan(1);
            if (!here) return false;
            if (*here) {
                matched = true;
                break;
            }
            if (path.empty()) matched = false;
        }
    }
    return matched && !(rule.directory_only && !directory && path.empty());
}

}  // namespace kled::gitops::git
