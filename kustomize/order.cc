#include "kustomize/order.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace kled::kustomize {

namespace {

using Ranks = std::unordered_map<std::string_view, int>;

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

int rank_of(const Ranks& ranks, std::string_view kind) {
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
    struct Entry {
        int rank;
        bool named_namespace;
        bool core_namespace;  ///< the real Namespace stands before other groups' kinds of this name
        std::string gvk;
        std::string name;
        Resource* resource;
    };
    const auto ranks = ranks_of(order);
    std::vector<Entry> entries;
    entries.reserve(resources.size());
    for (auto* resource : resources) {
        const auto& id = resource->id;
        entries.push_back(
            {rank_of(ranks, id.gvk.kind), id.gvk.kind == "Namespace", id.gvk.group.empty(),
             sort_key(id.gvk),
             (id.ns.empty() ? "~X" : id.ns) + "|" + (id.name.empty() ? "~N" : id.name), resource});
    }
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
        if (a.rank != b.rank) return a.rank < b.rank;
        if (a.named_namespace && b.named_namespace && a.core_namespace != b.core_namespace)
            return a.core_namespace;
        if (a.gvk != b.gvk) return a.gvk < b.gvk;
        return a.name < b.name;
    });
    std::vector<Resource*> sorted;
    sorted.reserve(entries.size());
    for (const auto& entry : entries) sorted.push_back(entry.resource);
    return sorted;
}

void sort_legacy(ResourceMap& resources, const LegacyOrder& order) {
    resources.reorder(in_legacy_order(resources.pointers(), order));
}

}  // namespace kled::kustomize
