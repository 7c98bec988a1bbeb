/// Which of an image's tags is the latest, by the rules of an ImagePolicy.
#pragma once

#include "gitops/git/semver.h"
#include "gitops/objects/fields.h"
#include "gitops/objects/pattern.h"

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace kled::gitops {

/// `spec.policy` and `spec.filterTags` (fluxcd/image-reflector-controller internal/policy).
class TagChoice {
public:
    /// Error(invalid) naming the field.
    static TagChoice from_spec(const Reader& spec);

    /// Error(not_found): none of `tags` fits; Error(invalid): `numerical`, and one is no number.
    /// May take seconds: a pattern is the user's, and there are many tags.
    [[nodiscard]] std::string latest(const std::vector<std::string>& tags,
                                     const std::stop_token& stop = {}) const;

private:
    enum class Order { semver, alphabetical, numerical };

    Order order_ = Order::semver;
    bool descending_ = false;
    std::string range_text_;
    git::VersionRange range_;
    std::shared_ptr<const re2::RE2> pattern_;  ///< null: every tag counts
    std::string extract_;
};

}  // namespace kled::gitops
