#include "gitops/health/health.h"

#include "kube/yaml.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using State = Health::State;

Health health(std::string_view yaml) {
    return health_of(kube::Object::from(kube::parse_yaml(yaml)));
}

TEST(Health, OfADeploymentFollowsItsRollout) {
    const std::string head =
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, generation: 2}\n"
        "spec: {replicas: 2}\n";
    EXPECT_EQ(health(head + "status: {observedGeneration: 1}").message,
              "its controller has not seen this generation yet");
    EXPECT_EQ(health(head + "status: {observedGeneration: 2, replicas: 2, updatedReplicas: 1}"),
              (Health{State::in_progress, "updated: 1/2"}));
    EXPECT_EQ(health(head + "status: {observedGeneration: 2, replicas: 2, updatedReplicas: 2, "
                            "readyReplicas: 2, availableReplicas: 2, conditions: [{type: "
                            "Available, status: 'True'}]}")
                  .state,
              State::current);
    EXPECT_EQ(health(head + "status: {observedGeneration: 2, conditions: [{type: Progressing, "
                            "status: 'False', reason: ProgressDeadlineExceeded, message: too "
                            "late}]}"),
              (Health{State::failed, "too late"}));
}

TEST(Health, OfWhatHasNoStatusIsCurrent) {
    EXPECT_EQ(health("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}").state,
              State::current);
    EXPECT_EQ(health("{apiVersion: v1, kind: Service, metadata: {name: a}}").state, State::current);
}

TEST(Health, OfALoadBalancerWaitsForItsAddress) {
    EXPECT_EQ(health("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: "
                     "LoadBalancer, clusterIP: 10.0.0.1}}")
                  .state,
              State::in_progress);
}

TEST(Health, OfAJobIsItsCompletion) {
    const std::string head = "{apiVersion: batch/v1, kind: Job, metadata: {name: a}, status: ";
    EXPECT_EQ(health(head + "{}}").state, State::in_progress);
    EXPECT_EQ(health(head + "{startTime: x}}"), (Health{State::in_progress, "running"}));
    EXPECT_EQ(health(head + "{startTime: x, conditions: [{type: Failed, status: 'True', message: "
                            "deadline}]}}"),
              (Health{State::failed, "deadline"}));
    EXPECT_EQ(health(head + "{conditions: [{type: Complete, status: 'True'}]}}").state,
              State::current);
}

TEST(Health, OfADefinitionIsItsBeingEstablished) {
    const std::string head =
        "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: "
        "a}, status: ";
    EXPECT_EQ(health(head + "{}}").state, State::in_progress);
    EXPECT_EQ(health(head + "{conditions: [{type: Established, status: 'True'}]}}").state,
              State::current);
}

TEST(Health, OfACustomResourceIsWhatItSays) {
    const std::string head =
        "{apiVersion: x.io/v1, kind: Thing, metadata: {name: a, generation: 1}, status: ";
    EXPECT_EQ(health(head + "{conditions: [{type: Ready, status: 'False', message: soon}]}}"),
              (Health{State::in_progress, "soon"}));
    EXPECT_EQ(health(head + "{conditions: [{type: Stalled, status: 'True', reason: Broken}]}}"),
              (Health{State::failed, "Broken"}));
    EXPECT_EQ(health(head + "{conditions: [{type: Ready, status: 'True'}]}}").state,
              State::current);
}

TEST(Health, OfADeletedObjectIsTerminating) {
    EXPECT_EQ(
        health("{apiVersion: v1, kind: Pod, metadata: {name: a, deletionTimestamp: x}}").state,
        State::terminating);
}

TEST(Health, AcceptsAnyObject) {
    for (const auto* text :
         {"{}", "{kind: Deployment, apiVersion: apps/v1, status: 7}",
          "{kind: Pod, apiVersion: v1, status: {containerStatuses: [1], conditions: [x]}}",
          "{kind: StatefulSet, apiVersion: apps/v1, spec: [], status: {replicas: many}}"}) {
        EXPECT_NO_THROW(health(text)) << text;
    }
}

}  // namespace
}  // namespace kled::gitops
