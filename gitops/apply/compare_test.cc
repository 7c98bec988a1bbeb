#include "gitops/apply/compare.h"

#include "kube/yaml.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

kube::Object object(std::string_view yaml) { return kube::Object::from(kube::parse_yaml(yaml)); }

TEST(SameState, IgnoresWhatTheServerKeeps) {
    const auto live = object(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, uid: u, resourceVersion: '7', "
        "managedFields: [], annotations: {}}, data: {k: v}, status: {x: 1}}");
    EXPECT_TRUE(same_state(
        live, object("{kind: ConfigMap, apiVersion: v1, metadata: {name: a}, data: {k: v}}")));
    EXPECT_FALSE(same_state(
        live, object("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: w}}")));
}

TEST(UnifiedDiff, ShowsWhatChangesWithItsSurroundings) {
    const auto before = object("{a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8, i: 9}");
    auto after = before;
    after.fields()["e"] = 50;
    EXPECT_EQ(unified_diff(before, after),
              "@@ -2,7 +2,7 @@\n b: 2\n c: 3\n d: 4\n-e: 5\n+e: 50\n f: 6\n g: 7\n h: 8\n");
    EXPECT_EQ(unified_diff(before, before), "");
}

TEST(UnifiedDiff, SplitsWhatIsFarApart) {
    kube::json::object fields;
    for (int i = 10; i < 40; ++i) fields["k" + std::to_string(i)] = i;
    const kube::Object before{fields};
    fields["k12"] = 0;
    fields["k35"] = 0;
    const auto text = unified_diff(before, kube::Object{fields});
    EXPECT_NE(text.find("@@ -1,6 +1,6 @@\n"), std::string::npos) << text;
    EXPECT_NE(text.find("@@ -23,7 +23,7 @@\n"), std::string::npos) << text;
}

TEST(UnifiedDiff, ShowsANewObjectAsAdded) {
    EXPECT_EQ(unified_diff({}, object("{a: 1}")), "@@ -0,0 +1,1 @@\n+a: 1\n");
}

TEST(MaskSecrets, ShowsThatAValueChangesAndNotWhich) {
    auto before =
        object("{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {p: eA==, q: eQ==}}");
    auto after =
        object("{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {p: eg==, q: eQ==}}");
    mask_secrets(before, after);
    const auto text = unified_diff(before, after);
    EXPECT_NE(text.find("-  p: '*** (before)'\n+  p: '*** (after)'\n"), std::string::npos) << text;
    EXPECT_NE(text.find("   q: '***'\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace kled::gitops
