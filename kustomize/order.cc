#include "kustomize/order.h"

#include <algorithm>
#include <utility>

namespace kled::kustomize {

namespace {

using Ranks = std::unordered_map<std::string, int>;

/// Below zero for kinds that come first, above for those that come last. A kind in both lists is
/// last.
Ranks ranks_of(const LegacyOrder& order) {
    Ranks ranks;
    const auto before = static_cast<int>(order.first.size());
    for (int i = 0; i < before; ++i) ranks[order.first[static_cast<std::size_t>(i)]] = i - before;
    for (std::size_t i = 0; i < order.last.size(); ++i) {
        ranks[order.last[i]] = static_cast<int>(i) + 1;
    }
    return ranks;
}

int rank_of(const Ranks& ranks, const std::string& kind) {
    const auto rank = ranks.find(kind);
    return rank == ranks.end() ? 0 : rank->second;
}

/// kustomize's sort key; '~' stands after every letter, so the core group follows the others.
std::string sort_key(const Gvk& gvk) {
    const auto part = [](const std::string& text, const char* none) {
        return text.empty() ? none : text;
    };
    return part(gvk.group, "~G") + "_" + part(gvk.version, "~V") + "_" + part(gvk.kind, "~K");
}

/// What the order of a resource hangs on.
struct Place {
    int rank;
    bool named_namespace;
    bool core_namespace;  ///< the real Namespace stands before other groups' kinds of this name
    std::string gvk;
    std::string name;

    [[nodiscard]] bool before(const Place& other) const {
        if (rank != other.rank) return rank < other.rank;
        if (named_namespace && other.named_namespace && core_namespace != other.core_namespace)
            return core_namespace;
        if (gvk != other.gvk) return gvk < other.gvk;
        return name < other.name;
    }
};

Place place_of(const Ranks& ranks, const Resource& resource) {
    const auto& id = resource.id;
    return {.rank = rank_of(ranks, id.gvk.kind),
            .named_namespace = id.gvk.kind == "Namespace",
            .core_namespace = id.gvk.group.empty(),
            .gvk = sort_key(id.gvk),
            .name = (id.ns.empty() ? "~X" : id.ns) + "|" + (id.name.empty() ? "~N" : id.name)};
}

}  // namespace

const LegacyOrder& LegacyOrder::standard() {
    static const LegacyOrder order{
        .first = {"Namespace",
                  "ResourceQuota",
                  "StorageClass",
                  "CustomResourceDefinition",
                  "ServiceAccount",
                  "PodSecurityPolicy",
                  "Role",
                  "ClusterRole",
                  "RoleBinding",
                  "ClusterRoleBinding",
                  "ConfigMap",
                  "Secret",
                  "Endpoints",
                  "Service",
                  "LimitRange",
                  "PriorityClass",
                  "PersistentVolume",
                  "PersistentVolumeClaim",
                  "Deployment",
                  "StatefulSet",
                  "CronJob",
                  "PodDisruptionBudget"},
        .last = {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}};
    return order;
}

bool legacy_less(const Gvk& a, const Gvk& b) {
    static const auto ranks = ranks_of(LegacyOrder::standard());
    const auto rank_a = rank_of(ranks, a.kind);
    const auto rank_b = rank_of(ranks, b.kind);
    if (rank_a != rank_b) return rank_a < rank_b;
    return sort_key(a) < sort_key(b);
}

std::vector<Resource*> in_legacy_order(const std::vector<Resource*>& resources,
                                       const LegacyOrder& order) {
    const auto ranks = ranks_of(order);
    std::vector<std::pair<Place, Resource*>> entries;
    entries.reserve(resources.size());
    for (auto* resource : resources) entries.emplace_back(place_of(ranks, *resource), resource);
    std::sort(entries.begin(), entries.end(),
              [](const auto& a, const auto& b) { return a.first.before(b.first); });
    std::vector<Resource*> sorted;
    sorted.reserve(entries.size());
    for (const auto& [place, resource] : entries) sorted.push_back(resource);
    return sorted;
}

LegacyLess::LegacyLess(const LegacyOrder& order) : ranks_{ranks_of(order)} {}

bool LegacyLess::operator()(const Resource& a, const Resource& b) const {
    return place_of(ranks_, a).before(place_of(ranks_, b));
}

void sort_legacy(ResourceMap& resources, const LegacyOrder& order) {
    resources.reorder(in_legacy_order(resources.pointers(), order));
}

}  // namespace kled::kustomize
