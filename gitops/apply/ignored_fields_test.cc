// Fields that Git makes and others change (spec.ignore), in an embedded API.
#include "gitops/apply/apply_world.h"
#include "gitops/objects/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace kled::gitops {
namespace {

using ::testing::ElementsAre;

/// A Deployment of which others say how many replicas it has.
class IgnoringTest : public testing::ApplyWorld {
protected:
    const kube::GroupVersionKind deployment_kind{
        .group = "apps", .version = "v1", .kind = "Deployment"};

    IgnoringTest() {
        const auto spec = kube::parse_yaml(
            "ignore: [{paths: [/spec/replicas], target: {kind: Deployment, name: web}}]");
        ignore = IgnoreRules::read(Reader{&spec.get_object()});
    }
    static std::string deployment(int replicas, const std::string& image,
                                  const std::string& name = "web") {
        return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name +
               "}\nspec:\n  replicas: " + std::to_string(replicas) +
               "\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: "
               "b}}\n    spec: {containers: [{name: c, image: '" +
               image + "'}]}\n";
    }
    /// As an autoscaler does it: through the scale subresource.
    void scale(int replicas) {
        const auto patch = kube::parse_yaml("spec: {replicas: " + std::to_string(replicas) + "}");
        world.sync(world.client().patch(deployment_kind, "default", "web", kube::PatchType::merge,
                                        patch, "scale"));
    }
    /// Applied while somebody patches it with `yaml`.
    std::vector<Change> apply_while(const std::string& yaml, const std::string& subresource,
                                    const std::string& wanted) {
        kube::Client raced{std::make_shared<testing::Faster>(
            world.client(),
            testing::Faster::Patch{
                .gvk = deployment_kind, .name = "web", .yaml = yaml, .subresource = subresource})};
        return apply_by(raced, wanted);
    }
    kube::Object live(const std::string& name = "web") {
        return *world.get("apps/v1", "Deployment", "default", name);
    }
    static std::int64_t replicas(const kube::Object& object) {
        return kube::find(object.fields(), {"spec", "replicas"})->as_int64();
    }
    static bool holds_replicas(const kube::Object& object) {
        for (const auto& item :
             kube::find(object.fields(), {"metadata", "managedFields"})->as_array())
            if (kube::find_string(item.get_object(), {"manager"}) == "kustomize-controller" &&
                kube::find(item.get_object(), {"fieldsV1", "f:spec", "f:replicas"}) != nullptr)
                return true;
        return false;
    }
};

TEST_F(IgnoringTest, KeepsWhatAnAutoscalerSetThroughChangesOfOtherFields) {
    EXPECT_THAT(actions(apply(deployment(2, "x:1"))), ElementsAre("created"));
    EXPECT_EQ(replicas(live()), 2) << "Git makes it";
    EXPECT_TRUE(holds_replicas(live()));
    scale(5);
    EXPECT_FALSE(holds_replicas(live())) << "given up with the other's first write";
    EXPECT_THAT(actions(apply(deployment(2, "x:1"))), ElementsAre("unchanged"));
    EXPECT_THAT(actions(apply(deployment(3, "x:2"))), ElementsAre("configured"));
    EXPECT_EQ(replicas(live()), 5);
    EXPECT_EQ(
        kube::find(live().fields(), {"spec", "template", "spec", "containers"})->at(0).at("image"),
        "x:2");
    EXPECT_FALSE(holds_replicas(live()));
    memory.clear();
    const auto before = live();
    EXPECT_THAT(actions(apply(deployment(3, "x:2"))), ElementsAre("unchanged"));
    EXPECT_EQ(live().resource_version(), before.resource_version());
}

TEST_F(IgnoringTest, HoldsWhatNobodyElseDoesWithoutChangingIt) {
    apply(deployment(2, "x:1"));
    EXPECT_THAT(actions(apply(deployment(7, "x:2"))), ElementsAre("configured"));
    EXPECT_EQ(replicas(live()), 2);
    EXPECT_TRUE(holds_replicas(live())) << "else it would be deleted, and the default is 1";
    EXPECT_THAT(actions(apply(deployment(8, "x:2"))), ElementsAre("unchanged"));
}

TEST_F(IgnoringTest, GivesUpWhatAnotherHoldsToo) {
    apply(deployment(2, "x:1"));
    auto object = kube::Object::from(kube::parse_yaml(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: default}, spec: "
        "{replicas: 2}}"));
    const kube::ApplyOptions other{.field_manager = "scaler"};
    world.sync(world.client().apply(object, other));
    EXPECT_TRUE(holds_replicas(live()));
    EXPECT_THAT(actions(apply(deployment(2, "x:1"))), ElementsAre("configured"));
    EXPECT_FALSE(holds_replicas(live()));
    EXPECT_EQ(replicas(live()), 2);
}

TEST_F(IgnoringTest, IsOnlyForItsTarget) {
    apply(deployment(2, "x:1") + "---\n" + deployment(2, "x:1", "other"));
    EXPECT_THAT(actions(apply(deployment(4, "x:1") + "---\n" + deployment(4, "x:1", "other"))),
                ElementsAre("configured", "unchanged"));
    EXPECT_EQ(replicas(live()), 2);
    EXPECT_EQ(replicas(live("other")), 4);
}

TEST_F(IgnoringTest, ReadsAgainWhenSomebodyWasFaster) {
    apply(deployment(2, "x:1"));
    EXPECT_THAT(actions(apply_while("spec: {replicas: 9}", "scale", deployment(2, "x:2"))),
                ElementsAre("configured"));
    EXPECT_EQ(replicas(live()), 9);
    EXPECT_FALSE(holds_replicas(live()));
}

TEST_F(IgnoringTest, LeavesAloneWhatSaysSoOnlyWhenItIsReadAgain) {
    apply(deployment(2, "x:1"));
    const std::string hands_off =
        "metadata: {annotations: {kustomize.toolkit.fluxcd.io/reconcile: disabled}}";
    EXPECT_THAT(actions(apply_while(hands_off, "", deployment(2, "x:2"))), ElementsAre("kept"));
    EXPECT_EQ(
        kube::find(live().fields(), {"spec", "template", "spec", "containers"})->at(0).at("image"),
        "x:1");
}

}  // namespace
}  // namespace kled::gitops
