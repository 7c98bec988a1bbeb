#include "gitops/apply/order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace kled::gitops {
namespace {

kube::ObjectId id(std::string group, std::string kind, std::string ns = "",
                  std::string name = "a") {
    return {.group = std::move(group),
            .kind = std::move(kind),
            .ns = std::move(ns),
            .name = std::move(name)};
}

TEST(ApplyOrder, PutsFirstWhatOthersNeed) {
    std::vector<kube::ObjectId> ids{
        id("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        id("x.io", "Thing", "web"),
        id("apps", "Deployment", "web"),
        id("", "ConfigMap", "web"),
        id("storage.k8s.io", "StorageClass"),
        id("", "Namespace", "", "web"),
        id("apiextensions.k8s.io", "CustomResourceDefinition"),
    };
    std::ranges::sort(ids, applied_before);
    std::vector<std::string> kinds;
    std::ranges::transform(ids, std::back_inserter(kinds), &kube::ObjectId::kind);
    EXPECT_THAT(kinds, ::testing::ElementsAre("CustomResourceDefinition", "Namespace",
                                              "StorageClass", "ConfigMap", "Deployment", "Thing",
                                              "ValidatingWebhookConfiguration"));
}

TEST(ApplyOrder, KnowsAKindByItsGroupToo) {
    EXPECT_EQ(stage_of(id("", "Namespace")), Stage::definitions);
    EXPECT_EQ(stage_of(id("other.io", "Namespace", "web")), Stage::rest);
    EXPECT_EQ(stage_of(id("gateway.networking.k8s.io", "GatewayClass")), Stage::classes);
}

}  // namespace
}  // namespace kled::gitops
