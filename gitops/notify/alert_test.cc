#include "gitops/notify/alert.h"

#include "base/error.h"
#include "kube/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using ::testing::HasSubstr;

kube::Object object(const std::string& kind, const std::string& spec) {
    return kube::Object::from(
        kube::parse_yaml("apiVersion: notification.toolkit.fluxcd.io/v1beta3\nkind: " + kind +
                         "\nmetadata: {name: a, namespace: team}\nspec:\n" + spec));
}
Alert alert(const std::string& more) {
    return Alert::from_object(object("Alert", "  providerRef: {name: chat}\n" + more));
}
std::string refused(const std::string& more) {
    try {
        alert(more);
    } catch (const Error& error) {
        return error.what();
    }
    return "it was read";
}

Event event(const std::string& name, const std::string& message, bool warning = false,
            const std::string& metadata = "") {
    return {
        .number = 1,
        .time = {},
        .about = kube::Object::from(kube::parse_yaml(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: " +
            name + ", namespace: team, uid: u-1" + metadata + "}\n")),
        .warning = warning,
        .reason = "ReconciliationSucceeded",
        .message = message,
        .revision = "main@sha1:1"};
}

const std::string all = "  eventSources: [{kind: Kustomization, name: '*'}]\n";

TEST(Alert, WantsWhatItsSourcesName) {
    const auto named = alert("  eventSources: [{kind: Kustomization, name: apps}]\n");
    EXPECT_TRUE(named.wants(event("apps", "m"), true));
    EXPECT_FALSE(named.wants(event("infra", "m"), true));
    EXPECT_FALSE(alert("  eventSources: [{kind: GitRepository, name: apps}]\n")
                     .wants(event("apps", "m"), true));
    EXPECT_TRUE(alert(all).wants(event("infra", "m"), true));
    const auto labelled = alert(
        "  eventSources: [{kind: Kustomization, name: '*', matchLabels: {tier: web, env: x}}]\n");
    EXPECT_TRUE(
        labelled.wants(event("a", "m", false, ", labels: {tier: web, env: x, y: z}"), true));
    EXPECT_FALSE(labelled.wants(event("a", "m", false, ", labels: {tier: web}"), true));
    EXPECT_FALSE(labelled.wants(event("a", "m"), true));
    EXPECT_FALSE(alert(all + "  suspend: true\n").wants(event("a", "m"), true));
}

TEST(Alert, OtherNamespacesCountWhereTheyMay) {
    auto here = event("apps", "m");
    const auto other = Alert::from_object(kube::Object::from(
        kube::parse_yaml("apiVersion: notification.toolkit.fluxcd.io/v1beta3\nkind: Alert\n"
                         "metadata: {name: a, namespace: ops}\nspec:\n  providerRef: {name: chat}\n"
                         "  eventSources: [{kind: Kustomization, name: '*', namespace: team}]\n")));
    EXPECT_TRUE(other.wants(here, false));
    EXPECT_FALSE(other.wants(here, true));
}

TEST(Alert, SeverityAndPatternsNarrow) {
    EXPECT_FALSE(alert(all + "  eventSeverity: error\n").wants(event("a", "m"), true));
    EXPECT_TRUE(alert(all + "  eventSeverity: error\n").wants(event("a", "m", true), true));
    EXPECT_TRUE(alert(all + "  eventSeverity: info\n").wants(event("a", "m", true), true));
    const auto some = alert(
        all + "  inclusionList: ['^Applied', 'failed$']\n  exclusionList: ['waiting.*socket']\n");
    EXPECT_TRUE(some.wants(event("a", "Applied revision: x"), true));
    EXPECT_TRUE(some.wants(event("a", "it failed"), true));
    EXPECT_FALSE(some.wants(event("a", "something else"), true));
    EXPECT_FALSE(some.wants(event("a", "Applied, waiting for a socket"), true));
    EXPECT_FALSE(some.wants(event("a", std::string{"\xff\xfe"}), true));
}

TEST(Alert, IsRefusedWhenItCannotBeMeant) {
    EXPECT_THAT(refused(""), HasSubstr("spec.eventSources"));
    EXPECT_THAT(refused(all + "  exclusionList: ['a(']\n"), HasSubstr("spec.exclusionList: 'a('"));
    EXPECT_THAT(refused(all + "  inclusionList: ['(((a{99}){99}){99}){99}']\n"),
                HasSubstr("spec.inclusionList"));
    EXPECT_THAT(refused(all + "  eventSeverity: loud\n"), HasSubstr("spec.eventSeverity"));
    EXPECT_THROW(Alert::from_object(object("Alert", all)), Error);
}

TEST(Alert, MetadataOfTheReconcilerIsTheStrongest) {
    const auto told =
        alert(all +
              "  summary: from the alert\n  eventMetadata: {env: prod, summary: x, revision: "
              "forged, both: alert}\n")
            .notification(event("apps", "m", true,
                                ", annotations: {event.toolkit.fluxcd.io/image: nginx, "
                                "event.toolkit.fluxcd.io/both: object, other: y}"));
    EXPECT_EQ(told.metadata, (std::map<std::string, std::string>{{"both", "alert"},
                                                                 {"env", "prod"},
                                                                 {"image", "nginx"},
                                                                 {"revision", "main@sha1:1"},
                                                                 {"summary", "from the alert"}}));
    EXPECT_EQ(told.title(), "kustomization/apps.team");
    EXPECT_EQ(kube::to_json(kube::json::value(told.to_json())),
              R"({"involvedObject":{"kind":"Kustomization","namespace":"team","name":"apps",)"
              R"("uid":"u-1","apiVersion":"kustomize.toolkit.fluxcd.io/v1"},"severity":"error",)"
              R"("timestamp":"1970-01-01T00:00:00Z","message":"m",)"
              R"("reason":"ReconciliationSucceeded","metadata":{"both":"alert","env":"prod",)"
              R"("image":"nginx","revision":"main@sha1:1","summary":"from the alert"},)"
              R"("reportingController":"kustomize-controller"})");
}

TEST(Alert, WhatAnArtifactWasMadeOfIsTheReconcilersToSay) {
    const auto forging = alert(all + "  eventMetadata: {originRevision: forged}\n");
    auto its = event("apps", "m");
    EXPECT_FALSE(forging.notification(its).metadata.contains("originRevision"));
    its.origin = "main@sha1:2";
    EXPECT_EQ(forging.notification(its).metadata.at("originRevision"), "main@sha1:2");
}

TEST(Provider, SaysWhatItCannotDo) {
    const auto read = [](const std::string& spec) {
        return Provider::from_object(object("Provider", spec));
    };
    EXPECT_TRUE(read("  type: slack\n  secretRef: {name: a}\n  timeout: 3s\n").unsupported.empty());
    EXPECT_TRUE(read("  type: gitlab\n").sets_commit_status());
    EXPECT_FALSE(read("  type: generic\n").sets_commit_status());
    EXPECT_EQ(read("  type: telegram\n").unsupported.front().field, "spec.type: telegram");
    EXPECT_EQ(read("  type: github\n  commitStatusExpr: a\n").unsupported.size(), 1U);
    EXPECT_THROW(read("  address: https://x\n"), Error);
    EXPECT_THROW(read("  type: slack\n  timeout: 0s\n"), Error);
}

}  // namespace
}  // namespace kled::gitops
