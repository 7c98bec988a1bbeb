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

}  // namespace
}  // namespace kled::gitops
