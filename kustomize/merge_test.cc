#include "kustomize/merge.h"

#include "base/error.h"
#include "kube/yaml.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <vector>

namespace kled::kustomize {
namespace {

json::object object(const std::string& yaml) { return kube::parse_yaml(yaml).get_object(); }

const Gvk deployment{"apps", "v1", "Deployment"};
const Gvk pod{"", "v1", "Pod"};

std::string merged(const std::string& target, const std::string& patch, const Gvk& kind) {
    auto result = object(target);
    const bool left = merge(result, object(patch), MergeSchema::of(kind, nullptr));
    return left ? kube::to_yaml(result) : "deleted";
}

TEST(Merge, PutsThePatchsElementsFirst) {
    EXPECT_EQ(merged("spec: {containers: [{name: a, image: x}, {name: b}]}",
                     "spec: {containers: [{name: c}, {name: b, image: z}]}", pod),
              "spec:\n  containers:\n  - name: c\n  - image: z\n    name: b\n  - image: x\n    "
              "name: a\n");
}

TEST(Merge, TakesAwayWhatThePatchSaysIsNull) {
    EXPECT_EQ(merged("metadata: {labels: {a: b}, name: x}", "metadata: {labels: null}", pod),
              "metadata:\n  name: x\n");
}

TEST(Merge, KeepsANullThatWasThere) {
    EXPECT_EQ(
        merged("metadata: {creationTimestamp: null, name: x}", "metadata: {labels: {a: b}}", pod),
        "metadata:\n  creationTimestamp: null\n  labels:\n    a: b\n  name: x\n");
}

TEST(Merge, LeavesTheLastOfEqualElements) {
    EXPECT_EQ(
        merged(
            "spec: {containers: [{name: a, env: [{name: E, value: '1'}, {name: E, value: '2'}]}]}",
            "metadata: {name: x}", pod),
        "metadata:\n  name: x\nspec:\n  containers:\n  - env:\n    - name: E\n      value: \"2\"\n "
        "   name: a\n");
}

TEST(Merge, DeletesObjectsAndElements) {
    EXPECT_EQ(merged("kind: Pod", "$patch: delete", pod), "deleted");
    EXPECT_EQ(merged("spec: {containers: [{name: a}, {name: b}]}",
                     "spec: {containers: [{name: a, $patch: delete}]}", pod),
              "spec:\n  containers:\n  - name: b\n");
}

TEST(Merge, ReplacesListsOfUnknownKinds) {
    EXPECT_EQ(merged("spec: {list: [{name: a}]}", "spec: {list: [{name: b}]}",
                     {"example.com", "v1", "Thing"}),
              "spec:\n  list:\n  - name: b\n");
}

TEST(Merge, SaysWhereAListMeetsAMap) {
    try {
        (void)merged("spec: {template: {spec: {containers: [{name: a}]}}}",
                     "spec: {template: {spec: {containers: {}}}}", deployment);
        FAIL() << "merged";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(),
                     "spec.template.spec.containers: the patch has a map where there is a list");
    }
}

TEST(Merge, RefusesUnknownDirectives) {
    EXPECT_THROW((void)merged("spec: {a: {b: 1}}", "spec: {a: {$patch: burn}}", pod), Error);
}

TEST(Merge, RefusesMapsInListsWithoutKeys) {
    try {
        (void)merged("metadata: {finalizers: [x, {a: b}]}", "metadata: {finalizers: [x]}", pod);
        FAIL() << "merged";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "metadata.finalizers: a map in a list of texts");
    }
}

TEST(Merge, KnowsTheFieldOfAListBehindAMapInIt) {
    auto target = object("metadata: {finalizers: [{a: null}, x]}");
    Restyled restyled;
    EXPECT_TRUE(merge(target, object("metadata: {finalizers: [{a: null}, x]}"),
                      MergeSchema::of(pod, nullptr),
                      {.target = {}, .patch = {}, .restyled = &restyled}));
    EXPECT_EQ(kube::to_yaml(target), "metadata:\n  finalizers:\n  - x\n");
    EXPECT_EQ(restyled.unfolded, std::vector<std::size_t>{kube::quoted_mark("finalizers", "x")});
}

TEST(Merge, IsQuickWithLongLists) {
    std::string list;
    for (int i = 0; i < 5000; ++i)
        list += (i == 0 ? "" : ",") + std::string{"{name: V"} + std::to_string(i) + ", value: x}";
    const auto env = "spec: {containers: [{name: a, env: [" + list + "]}]}";
    EXPECT_EQ(merged(env, env, pod).size(), kube::to_yaml(object(env)).size());
}

}  // namespace
}  // namespace kled::kustomize
