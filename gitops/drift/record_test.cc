#include "gitops/drift/record.h"

#include "kube/yaml.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

constexpr std::string_view manager = "kustomize-controller";

kube::Object object(const std::string& ours, const std::string& other = {},
                    const std::string& time = "2026-01-01T00:00:00Z") {
    return kube::Object::from(
        kube::parse_yaml("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: a\n  "
                         "managedFields:\n  - {manager: kustomize-controller, operation: Apply, "
                         "time: '" +
                         time + "', fieldsV1: " + ours + "}\n" + other));
}

const std::string both = "{'f:spec': {'f:replicas': {}, 'f:paused': {}}}";
const std::string paused = "{'f:spec': {'f:paused': {}}}";
const std::string scaled =
    "  - {manager: kube-controller-manager, operation: Update, subresource: scale, fieldsV1: "
    "{'f:spec': {'f:replicas': {}}}}\n";
const std::string status =
    "  - {manager: kubelet, operation: Update, subresource: status, fieldsV1: {'f:status': {}}}\n";
const std::string restarted =
    "  - {manager: kubectl-rollout, operation: Update, fieldsV1: {'f:spec': {'f:template': {}}}}\n";

TEST(DriftRecord, IsTheSameWhateverOthersWriteBesideWhatIsOurs) {
    const auto applied = record_of(object(both), manager);
    EXPECT_NE(applied, 0U);
    EXPECT_EQ(applied,
              record_of(object(both, status + restarted, "2026-01-02T00:00:00Z"), manager));
}

TEST(DriftRecord, ChangesWhenAFieldOfOursIsTaken) {
    EXPECT_NE(record_of(object(both), manager), record_of(object(paused, scaled), manager));
    EXPECT_EQ(record_of(object(both), "another"), 0U);
    EXPECT_EQ(record_of(kube::Object::from(kube::parse_yaml("kind: A")), manager), 0U);
}

TEST(DriftRecord, NamesWhoHoldsWhatWasOurs) {
    const auto wanted = object(both);
    EXPECT_EQ(rivals(object(paused, scaled + status), wanted, manager), "kube-controller-manager");
    EXPECT_EQ(rivals(object(both, status), wanted, manager), "");
    EXPECT_EQ(rivals(object("{'x:broken': 1}", scaled), wanted, manager),
              "kube-controller-manager");
}

/// A Deployment of which `ours` is what the manager holds since noon of some day, and `other`.
kube::Object state(const std::string& spec, const std::string& ours,
                   const std::string& other = {}) {
    auto result = object(ours, other, "2026-01-02T12:00:00Z");
    result.fields()["spec"] = kube::parse_yaml(spec);
    return result;
}

std::string scaled_at(const std::string& time) {
    return "  - {manager: kubectl-edit, operation: Update, time: '" + time +
           "', fieldsV1: {'f:spec': {'f:replicas': {}}}}\n";
}

TEST(DriftRecord, TellsWhatOthersChangedFromWhatGitChanged) {
    const auto after = scaled_at("2026-01-02T13:00:00Z");
    const auto wanted = state("{replicas: 1, paused: false}", both);
    const auto only = [&](const kube::Object& live, const kube::Object& now) {
        return only_others_changed(live, now, manager);
    };
    EXPECT_TRUE(only(state("{replicas: 5, paused: false}", paused, after), wanted));
    EXPECT_FALSE(only(state("{replicas: 5, paused: true}", paused, after), wanted))
        << "Git changed something that is still held";
    EXPECT_FALSE(only(
        state("{replicas: 5, paused: false}", paused, scaled_at("2026-01-02T11:00:00Z")), wanted))
        << "it was another's when the manager last wrote: Git says it now";
    EXPECT_FALSE(only(state("{paused: false}", paused), wanted)) << "nobody's: Git says it now";
    EXPECT_FALSE(
        only(state("{replicas: 5, paused: false}", both), state("{paused: false}", paused)))
        << "Git dropped something";
    EXPECT_FALSE(only(state("{replicas: 5}", "{'x:broken': 1}", after), wanted));
    EXPECT_FALSE(only(kube::Object::from(kube::parse_yaml("kind: A")), wanted)) << "never applied";
}

TEST(DriftRecord, TellsItOfElementsOfLists) {
    const std::string name = R"('k:{"name":"c"}')";
    const auto held = "{'f:spec': {'f:containers': {" + name + ": {'.': {}, 'f:name': {}";
    const std::string all = held + ", 'f:image': {}, 'f:tty': {}}}}}";
    const std::string rest = held + ", 'f:tty': {}}}}}";
    const auto other =
        "  - {manager: kubectl-set, operation: Update, time: '2026-01-02T13:00:00Z', fieldsV1: "
        "{'f:spec': {'f:containers': {" +
        name + ": {'f:image': {}}}}}}\n";
    const auto wanted = state("{containers: [{name: b}, {name: c, image: x:1, tty: true}]}", all);
    EXPECT_TRUE(only_others_changed(
        state("{containers: [{name: b}, {name: c, image: x:2, tty: true}]}", rest, other), wanted,
        manager));
    EXPECT_FALSE(only_others_changed(
        state("{containers: [{name: b}, {name: c, image: x:2, tty: false}]}", rest, other), wanted,
        manager));
}

}  // namespace
}  // namespace kled::gitops
