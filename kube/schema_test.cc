#include "kube/schema.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace kled::kube {
namespace {

using Kind = TypeSchema::Kind;

/// The field at a path below a kind; fails the test when a step is absent.
FieldSchema at(const GroupVersionKind& gvk, std::initializer_list<std::string_view> path) {
    auto type = schema_of(gvk).value();
    std::optional<FieldSchema> field;
    for (const auto step : path) {
        while (type.kind() == Kind::list || type.kind() == Kind::map) type = type.element();
        field = type.field(step);
        EXPECT_TRUE(field) << step;
        type = field.value().type;
    }
    return *field;
}

const GroupVersionKind deployment{"apps", "v1", "Deployment"};

TEST(Schema, KnowsHowListsMerge) {
    const auto containers = at(deployment, {"spec", "template", "spec", "containers"});
    EXPECT_EQ(containers.type.kind(), Kind::list);
    EXPECT_EQ(containers.type.list_type(), ListType::map);
    EXPECT_EQ(containers.type.map_keys()[0], "name");
    EXPECT_TRUE(containers.patch_merge);
    EXPECT_EQ(containers.patch_merge_key, "name");
    EXPECT_EQ(containers.type.element().name(), "io.k8s.api.core.v1.Container");

    const auto ports = at(deployment, {"spec", "template", "spec", "containers", "ports"});
    ASSERT_EQ(ports.type.map_keys().size(), 2U);
    EXPECT_EQ(ports.type.map_keys()[0], "containerPort");
    EXPECT_EQ(ports.type.map_keys()[1], "protocol");
    EXPECT_EQ(ports.patch_merge_key, "containerPort");
    EXPECT_EQ(ports.type.element().field("protocol")->default_json, "\"TCP\"");

    const auto finalizers = at(deployment, {"metadata", "finalizers"});
    EXPECT_EQ(finalizers.type.list_type(), ListType::set);
    EXPECT_TRUE(finalizers.patch_merge);
    EXPECT_EQ(finalizers.patch_merge_key, "");

    EXPECT_EQ(
        at(deployment, {"spec", "template", "spec", "containers", "command"}).type.list_type(),
        ListType::atomic);
    EXPECT_TRUE(at(deployment, {"spec", "strategy"}).patch_retain_keys);
}

TEST(Schema, TakesThePatchStrategyWhereThereIsNoListType) {
    const auto tolerations = at({"", "v1", "ServiceAccount"}, {"secrets"});
    EXPECT_EQ(tolerations.type.list_type(), ListType::map);
    EXPECT_EQ(tolerations.type.map_keys()[0], "name");
}

TEST(Schema, KnowsWhichObjectsAreAtomic) {
    EXPECT_TRUE(at(deployment, {"spec", "selector"}).type.is_atomic());
    EXPECT_FALSE(at(deployment, {"spec", "template"}).type.is_atomic());
    EXPECT_TRUE(at({"", "v1", "Pod"}, {"spec", "nodeSelector"}).type.is_atomic());
    EXPECT_FALSE(at(deployment, {"metadata", "labels"}).type.is_atomic());
}

TEST(Schema, KnowsProtobufNumbersAlsoOfEmbeddedMessages) {
    EXPECT_EQ(at(deployment, {"spec"}).protobuf_number, 2);
    EXPECT_EQ(at(deployment, {"kind"}).protobuf_number, 0);
    const auto empty_dir = at({"", "v1", "Pod"}, {"spec", "volumes", "emptyDir"});
    EXPECT_EQ(empty_dir.protobuf_number, 2);
    EXPECT_EQ(empty_dir.protobuf_embedded, (std::array<std::uint8_t, 2>{2, 0}));
    const auto groups = at({"admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy"},
                           {"spec", "matchConstraints", "resourceRules", "apiGroups"});
    EXPECT_EQ(groups.protobuf_number, 1);
    EXPECT_EQ(groups.protobuf_embedded, (std::array<std::uint8_t, 2>{2, 2}));
}

TEST(Schema, KnowsTheKindsOfLeaves) {
    const GroupVersionKind pod{"", "v1", "Pod"};
    EXPECT_EQ(at(pod, {"metadata", "creationTimestamp"}).type.kind(), Kind::time);
    EXPECT_EQ(at(pod, {"spec", "containers", "resources", "limits"}).type.element().kind(),
              Kind::quantity);
    EXPECT_EQ(at(pod, {"spec", "containers", "livenessProbe", "httpGet", "port"}).type.kind(),
              Kind::int_or_string);
    EXPECT_EQ(at({"", "v1", "Secret"}, {"data"}).type.element().kind(), Kind::bytes);
    EXPECT_EQ(at({"coordination.k8s.io", "v1", "Lease"}, {"spec", "renewTime"}).type.kind(),
              Kind::micro_time);
    EXPECT_EQ(at({"apps", "v1", "ControllerRevision"}, {"data"}).type.kind(), Kind::any);
    EXPECT_TRUE(at({"apps", "v1", "ControllerRevision"}, {"data"}).type.is_atomic());
}

TEST(Schema, FindsNothingForWhatIsNotBuiltIn) {
    EXPECT_FALSE(schema_of({"apps", "v1beta1", "Deployment"}));
    EXPECT_FALSE(schema_of({"", "v1", "PodList"}));
    EXPECT_FALSE(schema_of({"zzz", "v1", "Z"}));
    EXPECT_FALSE(schema_of({"", "v1", "Pod"})->field("zzz"));
    EXPECT_EQ(builtin_kind({"", "v1", "Deployment"}), nullptr);
    EXPECT_FALSE(builtin_scope("", "Deployment"));
}

TEST(Schema, KnowsHowKindsAreServed) {
    const auto* const kind = builtin_kind(deployment);
    ASSERT_NE(kind, nullptr);
    EXPECT_EQ(kind->plural, "deployments");
    EXPECT_EQ(kind->singular, "deployment");
    EXPECT_TRUE(kind->short_names.contains("deploy"));
    EXPECT_TRUE(kind->categories.contains("all"));
    EXPECT_TRUE(kind->verbs.contains("deletecollection"));
    ASSERT_NE(kind->subresource("scale"), nullptr);
    EXPECT_EQ(kind->subresource("scale")->gvk, (GroupVersionKind{"autoscaling", "v1", "Scale"}));
    EXPECT_EQ(kind->subresource("status")->gvk, deployment);
    EXPECT_EQ(builtin_scope("", "Node"), Scope::cluster);
    EXPECT_EQ(builtin_scope("networking.k8s.io", "Ingress"), Scope::namespaced);
    EXPECT_EQ(builtin_kinds().size(), 66U);
}

TEST(Schema, EveryKindAndSubresourceHasAType) {
    for (const auto& kind : builtin_kinds()) {
        EXPECT_TRUE(schema_of(kind.gvk)) << kind.gvk.to_string();
        for (const auto& sub : kind.subresources) {
            if (sub.gvk.kind.ends_with("Options"))
                continue;  // connections: their options are a query
            EXPECT_TRUE(schema_of(sub.gvk)) << sub.gvk.to_string();
        }
    }
}

TEST(Schema, FieldsAreSortedSoThatLookupFindsEachOfThem) {
    std::vector<TypeSchema> waiting;
    std::vector<TypeSchema> seen;
    for (const auto& kind : builtin_kinds()) waiting.push_back(*schema_of(kind.gvk));
    std::size_t fields = 0;
    while (!waiting.empty()) {
        const auto type = waiting.back();
        waiting.pop_back();
        if (std::ranges::find(seen, type) != seen.end()) continue;
        seen.push_back(type);
        if (type.kind() == Kind::list || type.kind() == Kind::map)
            waiting.push_back(type.element());
        for (std::size_t i = 0; i < type.field_count(); ++i, ++fields) {
            const auto field = type.field_at(i);
            const auto found = type.field(field.name);
            ASSERT_TRUE(found) << type.name() << "." << field.name;
            EXPECT_EQ(found->type, field.type);
            waiting.push_back(field.type);
        }
    }
    EXPECT_GT(fields, 1500U);
}

}  // namespace
}  // namespace kled::kube
