/// Finds the resources a `target` or `select` means.
#pragma once

#include "kube/selector.h"
#include "kustomize/kustomization.h"
#include "kustomize/resource_map.h"

#include <memory>
#include <string>
#include <string_view>

namespace re2 {
class RE2;
}

namespace kled::kustomize {

/// A regular expression that has to match the whole text; an empty one matches all. RE2: Go's
/// syntax, linear time. Error(invalid): no such expression.
class Pattern {
public:
    explicit Pattern(const std::string& expression);
    ~Pattern();
    Pattern(Pattern&&) noexcept;
    [[nodiscard]] bool matches(std::string_view text) const;
    [[nodiscard]] bool any() const noexcept { return expression_.empty(); }
    /// Without special characters, so that only this text matches.
    [[nodiscard]] bool literal() const noexcept { return literal_; }
    [[nodiscard]] const std::string& expression() const noexcept { return expression_; }

private:
    std::string expression_;
    bool literal_ = true;
    std::unique_ptr<re2::RE2> compiled_;
};

class Matcher {
public:
    explicit Matcher(const Selector& selector);

    [[nodiscard]] bool matches_gvk(const Gvk& gvk) const;
    [[nodiscard]] bool matches_name(std::string_view name) const { return name_.matches(name); }
    [[nodiscard]] bool matches_namespace(std::string_view ns) const { return ns_.matches(ns); }
    /// Kind, name and namespace as the id has them.
    [[nodiscard]] bool matches_id(const Id& id) const;
    [[nodiscard]] bool matches_labels(const Resource& resource) const;
    [[nodiscard]] bool has_id() const noexcept;
    [[nodiscard]] bool has_labels() const noexcept {
        return !labels_.empty() || !annotations_.empty();
    }

    /// As a patch's `target`: names and namespaces also by the original id.
    [[nodiscard]] ResourceMap::Hits select(const ResourceMap& resources) const;

private:
    Pattern group_;
    Pattern version_;
    Pattern kind_;
    Pattern name_;
    Pattern ns_;
    kube::LabelSelector labels_;
    kube::LabelSelector annotations_;
};

}  // namespace kled::kustomize
