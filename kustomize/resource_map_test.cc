#include "kustomize/resource_map.h"

#include "base/error.h"
#include "kube/yaml.h"

#include <gtest/gtest.h>

namespace kled::kustomize {
namespace {

ResourceMap::Item resource(const std::string& name, const std::string& ns = "") {
    auto item = std::make_unique<Resource>();
    item->object =
        kube::Object{{{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", name}}}}};
    if (!ns.empty()) item->set_namespace(ns);
    item->refresh();
    return item;
}

Id id(const std::string& name, const std::string& ns = "") {
    return {{"", "v1", "ConfigMap"}, name, ns};
}

TEST(ResourceMap, FindsByPresentAndByPreviousIds) {
    ResourceMap map;
    auto& a = map.append(resource("a"));
    a.store_previous_id();
    a.set_name("b");
    map.changed(a);
    EXPECT_TRUE(map.with_current_id(id("a")).empty());
    EXPECT_EQ(map.with_any_id(id("a")), ResourceMap::Hits{&a});
    EXPECT_EQ(map.with_current_id(id("b")), ResourceMap::Hits{&a});
    EXPECT_EQ(map.named("a"), ResourceMap::Hits{&a});
    EXPECT_EQ(a.original_id().name, "a");
}

TEST(ResourceMap, TakesNoNamespaceForDefault) {
    ResourceMap map;
    map.append(resource("a"));
    EXPECT_EQ(map.with_current_id(id("a", "default")).size(), 1U);
    EXPECT_THROW(map.append(resource("a", "default")), Error);
}

TEST(ResourceMap, LetsANameBeUsedAgainAfterARemoval) {
    ResourceMap map;
    map.append(resource("a")).removed = true;
    EXPECT_TRUE(map.with_any_id(id("a")).empty());
    auto& second = map.append(resource("a"));
    map.sweep();
    EXPECT_EQ(map.items().size(), 1U);
    EXPECT_EQ(map.with_current_id(id("a")), ResourceMap::Hits{&second});
}

TEST(ResourceMap, MergesAGeneratedMapIntoTheOneItNames) {
    ResourceMap map;
    auto& base = map.append(resource("a"));
    base.object.fields()["data"] = {{"x", "1"}, {"y", "1"}};
    auto more = resource("a");
    more->object.fields()["data"] = {{"y", "2"}};
    more->behavior = Behavior::merge;
    map.absorb(std::move(more));
    ASSERT_EQ(map.items().size(), 1U);
    EXPECT_EQ(kube::to_yaml(map.items()[0]->object.fields().at("data")),
              "x: \"1\"\n\"y\": \"2\"\n");
    EXPECT_THROW(map.absorb(resource("a")), Error);
    auto other = resource("other");
    other->behavior = Behavior::replace;
    EXPECT_THROW(map.absorb(std::move(other)), Error);
}

}  // namespace
}  // namespace kled::kustomize
