#include "gitops/apply/order.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <tuple>

namespace kled::gitops {

namespace {

struct GroupKind {
    std::string_view group;
    std::string_view kind;
};

// By group and kind: another group's "Namespace" is an object like any other.
constexpr std::array first{
    GroupKind{"apiextensions.k8s.io", "CustomResourceDefinition"},
    GroupKind{"", "Namespace"},
    GroupKind{"rbac.authorization.k8s.io", "ClusterRole"},
    GroupKind{"storage.k8s.io", "StorageClass"},
    GroupKind{"networking.k8s.io", "IngressClass"},
    GroupKind{"scheduling.k8s.io", "PriorityClass"},
    GroupKind{"node.k8s.io", "RuntimeClass"},
    GroupKind{"rbac.authorization.k8s.io", "ClusterRoleBinding"},
    GroupKind{"", "ResourceQuota"},
    GroupKind{"", "ServiceAccount"},
    GroupKind{"rbac.authorization.k8s.io", "Role"},
    GroupKind{"rbac.authorization.k8s.io", "RoleBinding"},
    GroupKind{"", "ConfigMap"},
    GroupKind{"", "Secret"},
    GroupKind{"", "Service"},
    GroupKind{"", "LimitRange"},
    GroupKind{"apps", "Deployment"},
    GroupKind{"apps", "StatefulSet"},
    GroupKind{"batch", "CronJob"},
    GroupKind{"policy", "PodDisruptionBudget"},
};
constexpr std::array last{
    GroupKind{"admissionregistration.k8s.io", "MutatingWebhookConfiguration"},
    GroupKind{"admissionregistration.k8s.io", "ValidatingWebhookConfiguration"},
};

template <std::size_t Size>
std::size_t position(const std::array<GroupKind, Size>& list, const kube::ObjectId& id) {
    const auto found = std::ranges::find_if(
        list, [&](const GroupKind& g) { return g.group == id.group && g.kind == id.kind; });
    return static_cast<std::size_t>(found - list.begin());
}

std::size_t rank_of_kind(const kube::ObjectId& id) {
    if (const auto at = position(first, id); at < first.size()) return at;
    if (const auto at = position(last, id); at < last.size()) return first.size() + 1 + at;
    return first.size();
}

}  // namespace

Stage stage_of(const kube::ObjectId& id) noexcept {
    if (position(first, id) < 3) return Stage::definitions;
    if (id.ns.empty() && id.kind.ends_with("Class")) return Stage::classes;
    return Stage::rest;
}

std::size_t rank_of(const kube::ObjectId& id) noexcept {
    constexpr auto kinds = first.size() + last.size() + 1;
    return static_cast<std::size_t>(stage_of(id)) * kinds + rank_of_kind(id);
}

bool ranked_before(std::size_t rank_a, const kube::ObjectId& a, std::size_t rank_b,
                   const kube::ObjectId& b) {
    return std::tie(rank_a, a.kind, a.ns, a.name, a.group) <
           std::tie(rank_b, b.kind, b.ns, b.name, b.group);
}

bool applied_before(const kube::ObjectId& a, const kube::ObjectId& b) {
    return ranked_before(rank_of(a), a, rank_of(b), b);
}

}  // namespace kled::gitops
