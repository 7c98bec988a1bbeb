// In an embedded API.
#include "gitops/apply/preview.h"

#include "gitops/apply/apply_world.h"

#include <gtest/gtest.h>

#include <string>

namespace kled::gitops {
namespace {

class PreviewTest : public testing::ApplyWorld {
protected:
    Preview look(const std::string& yaml) {
        const auto object = kube::Object::from(kube::parse_yaml(yaml));
        return world.sync(preview(client, object));
    }
    static std::string in_default(const std::string& value) {
        return "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: default}, data: "
               "{k: '" +
               value + "'}}";
    }
};

TEST_F(PreviewTest, SaysWhatWouldBecomeOfItAndDoesNothing) {
    const auto fresh = look(in_default("1"));
    EXPECT_EQ(fresh.change.action, Change::Action::created);
    EXPECT_TRUE(fresh.before.fields().empty());
    EXPECT_FALSE(world.get("v1", "ConfigMap", "default", "a"));
    apply(config("a", "1"));
    EXPECT_EQ(look(in_default("1")).change.action, Change::Action::unchanged)
        << "it stays its owner's";
    const auto other = look(in_default("2"));
    EXPECT_EQ(other.change.action, Change::Action::configured);
    EXPECT_EQ(kube::find_string(other.before.fields(), {"data", "k"}), "1");
    EXPECT_EQ(kube::find_string(other.after.fields(), {"data", "k"}), "2");
    EXPECT_EQ(
        kube::find_string(world.get("v1", "ConfigMap", "default", "a")->fields(), {"data", "k"}),
        "1");
}

TEST_F(PreviewTest, SaysWhatTheServerMisses) {
    const auto kind =
        look("{apiVersion: example.org/v1, kind: Thing, metadata: {name: a, namespace: default}}");
    EXPECT_EQ(kind.change.action, Change::Action::failed);
    EXPECT_EQ(kind.missing, Preview::Missing::kind);
    const auto place =
        look("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: nowhere}}");
    EXPECT_EQ(place.change.action, Change::Action::failed);
    EXPECT_EQ(place.missing, Preview::Missing::place);
}

}  // namespace
}  // namespace kled::gitops
