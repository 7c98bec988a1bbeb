/// The order of the result.
#pragma once

#include "kustomize/resource_map.h"

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace kled::kustomize {

/// Kinds that come first and last; the rest stand between them by group, version and kind.
struct LegacyOrder {
    std::vector<std::string> first;
    std::vector<std::string> last;
    /// kustomize's own lists.
    static const LegacyOrder& standard();
};

/// `sortOptions` of a kustomization.
struct SortOptions {
    bool legacy = false;  ///< else fifo: as the resources were read
    std::optional<LegacyOrder> order;
};

void sort_legacy(ResourceMap& resources, const LegacyOrder& order = LegacyOrder::standard());
[[nodiscard]] std::vector<Resource*> in_legacy_order(const std::vector<Resource*>& resources,
                                                     const LegacyOrder& order);

/// The order of two, for those who have most of them in place already.
class LegacyLess {
public:
    explicit LegacyLess(const LegacyOrder& order);
    [[nodiscard]] bool operator()(const Resource& a, const Resource& b) const;

private:
    std::unordered_map<std::string, int> ranks_;
};

/// Kinds by the standard lists, then by group, version and kind: a Namespace first, webhooks last.
[[nodiscard]] bool legacy_less(const Gvk& a, const Gvk& b);

}  // namespace kled::kustomize
