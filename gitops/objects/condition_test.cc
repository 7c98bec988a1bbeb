#include "gitops/objects/condition.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

constexpr WallTime start{};
constexpr auto later = start + std::chrono::seconds{5};

TEST(Conditions, KeepTheTimeOfTheLastTransition) {
    Conditions conditions;
    conditions.ready("ReconciliationSucceeded", "Applied revision: a", 1, start);
    conditions.ready("ReconciliationSucceeded", "Applied revision: b", 2, later);
    const auto* ready = conditions.find("Ready");
    EXPECT_EQ(ready->last_transition, "1970-01-01T00:00:00Z");
    EXPECT_EQ(ready->message, "Applied revision: b");
    conditions.failed("BuildFailed", "no", 2, later);
    EXPECT_EQ(conditions.find("Ready")->last_transition, "1970-01-01T00:00:05Z");
}

TEST(Conditions, AreAbsentWhenNothingIsAbnormal) {
    Conditions conditions;
    conditions.reconciling("building", 1, start);
    EXPECT_EQ(conditions.find("Ready")->status, "Unknown");
    conditions.stalled("InvalidSpec", "no", 1, start);
    EXPECT_EQ(conditions.find("Reconciling"), nullptr);
    EXPECT_TRUE(conditions.is_true("Stalled"));
    conditions.ready("Succeeded", "yes", 1, start);
    EXPECT_EQ(conditions.find("Stalled"), nullptr);
    EXPECT_TRUE(conditions.is_true("Ready"));
}

TEST(Conditions, StayDecidedWhileTheSameGenerationIsReconciledAgain) {
    Conditions conditions;
    conditions.ready("Succeeded", "yes", 1, start);
    conditions.reconciling("again", 1, later);
    EXPECT_TRUE(conditions.is_true("Ready"));
    conditions.reconciling("the object changed", 2, later);
    EXPECT_EQ(conditions.find("Ready")->status, "Unknown");
}

TEST(Conditions, AreUtf8WhateverTheMessageQuotes) {
    Conditions conditions;
    conditions.failed("BuildFailed", "apps/\xff.yaml:1: no", 3, start);
    EXPECT_EQ(conditions.find("Ready")->message, "apps/\uFFFD.yaml:1: no");
    std::string many;
    while (many.size() < 40'000) many += "é";
    conditions.failed("BuildFailed", "x" + many, 3, start);
    const auto& text = conditions.find("Ready")->message;
    EXPECT_LE(text.size(), 32'768U);
    EXPECT_TRUE(text.ends_with("é..."));
}

TEST(Conditions, SurviveAStatus) {
    Conditions conditions;
    conditions.failed("BuildFailed", "no", 3, start);
    conditions.set("Custom", "True", "Because", "", 0, later);
    kube::json::object status;
    status["conditions"] = conditions.to_json();
    EXPECT_EQ(Conditions::from_status(&status), conditions);
}

}  // namespace
}  // namespace kled::gitops
