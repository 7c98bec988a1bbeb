#include "gitops/apply/take_over.h"

#include "kube/yaml.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

kube::Object object(const std::string& metadata) {
    return kube::Object::from(kube::parse_yaml(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  resourceVersion: '7'\n" +
        metadata));
}

TEST(TakeOver, JoinsTheFieldsThatKubectlApplied) {
    const auto patch = take_over(
        object("  managedFields:\n"
               "  - {manager: kube-controller-manager, operation: Update, fieldsV1: {'f:x': {}}}\n"
               "  - {manager: kubectl-client-side-apply, operation: Update, fieldsV1: {'f:data': "
               "{'f:a': {}}}}\n"
               "  - {manager: kustomize-controller, operation: Apply, apiVersion: v1, fieldsV1: "
               "{'f:data': {'f:b': {}}}}\n"),
        "kustomize-controller");
    ASSERT_EQ(patch.size(), 2U);
    EXPECT_EQ(patch[0], kube::parse_json(
                            R"({"op":"replace","path":"/metadata/managedFields","value":[
                {"manager":"kube-controller-manager","operation":"Update","fieldsV1":{"f:x":{}}},
                {"manager":"kustomize-controller","operation":"Apply","apiVersion":"v1",
                 "fieldsV1":{"f:data":{"f:a":{},"f:b":{}}}}]})"));
    EXPECT_EQ(patch[1], kube::parse_json(
                            R"({"op":"replace","path":"/metadata/resourceVersion","value":"7"})"));
}

TEST(TakeOver, TakesTheNameOverWhereThereWasNoneYet) {
    const auto patch = take_over(
        object(
            "  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{}'}\n"
            "  managedFields: [{manager: kubectl, operation: Apply, fieldsV1: {'f:data': {}}}]\n"),
        "kustomize-controller");
    ASSERT_EQ(patch.size(), 3U);
    EXPECT_EQ(patch[0].at("path"),
              "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration");
    EXPECT_EQ(patch[1].at("value").at(0).at("manager"), "kustomize-controller");
}

TEST(TakeOver, LeavesTheFieldsOfControllersAndOfFlux) {
    EXPECT_TRUE(
        take_over(
            object("  managedFields:\n"
                   "  - {manager: kustomize-controller, operation: Apply, fieldsV1: {'f:a': {}}}\n"
                   "  - {manager: kubectl, operation: Update, subresource: status, fieldsV1: {}}\n"
                   "  - {manager: helm, operation: Update, fieldsV1: {'f:b': {}}}\n"),
            "kustomize-controller")
            .empty());
    EXPECT_TRUE(take_over(object(""), "kustomize-controller").empty());
}

}  // namespace
}  // namespace kled::gitops
