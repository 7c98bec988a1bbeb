#include "gitops/objects/inventory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

const kube::ObjectId deployment{
    .group = "apps", .kind = "Deployment", .ns = "web", .name = "frontend"};
const kube::ObjectId role{.group = "rbac.authorization.k8s.io",
                          .kind = "ClusterRole",
                          .ns = "",
                          .name = "system:web:reader"};
const kube::ObjectId config{.group = "", .kind = "ConfigMap", .ns = "web", .name = "settings"};

TEST(InventoryId, IsFluxs) {
    EXPECT_EQ(inventory_id(deployment), "web_frontend_apps_Deployment");
    EXPECT_EQ(inventory_id(config), "web_settings__ConfigMap");
    EXPECT_EQ(inventory_id(role), "_system__web__reader_rbac.authorization.k8s.io_ClusterRole");
}

TEST(InventoryId, ReadsBackWhatItWrote) {
    for (const auto& id : {deployment, role, config})
        EXPECT_EQ(parse_inventory_id(inventory_id(id)), id) << inventory_id(id);
}

TEST(InventoryId, IsNotGuessed) {
    for (const auto* text : {"", "_", "a_b", "a_b_c", "___", "a_b_c_", "a__c_Kind"})
        EXPECT_EQ(parse_inventory_id(text), std::nullopt) << text;
}

TEST(Inventory, SurvivesAStatus) {
    Inventory inventory;
    inventory.add(deployment, "v1");
    inventory.add(config, "v1");
    kube::json::object status;
    status["inventory"] = inventory.to_json();
    EXPECT_EQ(Inventory::from_status(&status), inventory);
}

TEST(Inventory, IsAValueWhateverItShares) {
    Inventory one;
    one.add(deployment, "v1");
    auto other = one;
    other.add(config, "v1");
    EXPECT_FALSE(one.contains(config));
    one.remove(deployment);
    EXPECT_TRUE(one.empty());
    EXPECT_TRUE(other.contains(deployment));
    auto third = other;
    third.add(deployment, "v2");
    EXPECT_EQ(other.entries().at(deployment), "v1");
    EXPECT_FALSE(third == other);
    third.add(deployment, "v1");
    EXPECT_TRUE(third == other);
    third.merge(one);
    EXPECT_TRUE(third == other);
}

TEST(Inventory, KnowsWhatIsGone) {
    Inventory before;
    before.add(deployment, "v1");
    before.add(config, "v1");
    Inventory after;
    after.add(deployment, "v1");
    EXPECT_THAT(before.minus(after), ElementsAre(Pair(config, "v1")));
    EXPECT_TRUE(before.contains_all(after));
    EXPECT_FALSE(after.contains_all(before));
}

}  // namespace
}  // namespace kled::gitops
