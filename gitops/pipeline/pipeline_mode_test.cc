// Pipelines over Kustomizations, in an embedded API and with a real repository.
#include "gitops/objects/annotations.h"
#include "gitops/pipeline/pipeline.h"
#include "gitops/testing/cluster_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using git::testing::Files;
using ::testing::Contains;
using ::testing::HasSubstr;
using Phase = StageState::Phase;

const std::string consent = "{" + std::string{pipeline_annotation} + ": shop}";

struct PipelineMode : ::testing::Test {
    PipelineMode() {
        const kube::ObjectId id{.group = std::string{pipeline_group},
                                .kind = std::string{pipeline_kind},
                                .ns = {},
                                .name = {}};
        world.eventually([&] { return world.sync(world.client().map(id)).has_value(); });
    }
    static Files files(const std::string& value) {
        return {{"staging/ns.yaml", testing::ClusterWorld::web()},
                {"staging/s.yaml", testing::ClusterWorld::config("s", value)},
                {"production/p.yaml", testing::ClusterWorld::config("p", value)}};
    }
    std::string push(const std::string& value) { return world.repository.commit(files(value)); }
    void apply_pipeline(const std::string& stages, const std::string& more = "") {
        world.apply(
            "apiVersion: gitops.kled.io/v1\nkind: Pipeline\nmetadata: {name: shop, namespace: "
            "default}\nspec:\n  sourceRef: {name: fleet}\n" +
            more + "  stages:\n" + stages);
    }
    PipelineStatus status() {
        const auto object = world.get("gitops.kled.io/v1", "Pipeline", "default", "shop");
        return object ? PipelineStatus::from_object(*object) : PipelineStatus{};
    }
    StageState stage(const std::string& name) {
        for (const auto& one : status().stages)
            if (one.name == name) return one;
        return {};
    }
    bool reaches(const std::string& name, const std::string& commit, Phase phase) {
        return world.eventually([&] {
            const auto now = stage(name);
            return now.revision == "main@sha1:" + commit && now.phase == phase;
        });
    }
    std::string ready() {
        const auto now = status();
        const auto* condition = now.conditions.find("Ready");
        return condition == nullptr ? "" : condition->status + " " + condition->message;
    }
    std::vector<kube::Object> jobs() {
        const kube::GroupVersionKind gvk{.group = "batch", .version = "v1", .kind = "Job"};
        kube::ListOptions options;
        options.label_selector = "gitops.kled.io/pipeline=shop";
        return world.sync(world.client().list(gvk, options)).items;
    }
    /// As the Job controller of a cluster says it.
    void end(kube::Object& job, const std::string& condition) {
        job.fields()["status"] =
            kube::parse_yaml("{conditions: [{status: 'True', type: " + condition + "}]}");
        world.sync(world.client().update_status(job));
    }
    void begin(const std::string& stages, const std::string& more = "") {
        world.start_cluster();
        world.apply_repository();
        world.apply_kustomization("staging", consent);
        world.apply_kustomization("production", consent);
        apply_pipeline(stages, more);
    }

    static constexpr std::chrono::seconds wait{40};  // a Job is looked for every now and then
    testing::ClusterWorld world;
    const std::string two =
        "  - {name: staging, targets: [{name: staging}]}\n"
        "  - {name: production, targets: [{name: production}], gates: {approval: true}}\n";
};

TEST_F(PipelineMode, ARevisionGoesThroughItsStages) {
    const auto first = push("1");
    begin(two);
    ASSERT_TRUE(reaches("staging", first, Phase::passed)) << ready();
    EXPECT_EQ(world.value("s"), "1");
    ASSERT_TRUE(
        world.eventually([&] { return stage("production").waiting == "main@sha1:" + first; }));
    EXPECT_EQ(world.value("p"), "absent") << "nobody let it in";
    EXPECT_THAT(world.says("production", "Ready", "WaitingForPromotion"),
                HasSubstr("waits for a revision from Pipeline shop"));

    world.annotate_object("pipeline/shop",
                          {{std::string{approved_annotation} + "production", first + " ann"}});
    ASSERT_TRUE(reaches("production", first, Phase::passed)) << ready();
    EXPECT_EQ(world.value("p"), "1");
    ASSERT_TRUE(world.eventually([&] {
        return ready() == "True main@sha1:" + first + " passed all stages";
    })) << ready();

    // The next one stops before production again, which is kept as it is.
    const auto second = push("2");
    ASSERT_TRUE(world.fetched(second));
    ASSERT_TRUE(reaches("staging", second, Phase::passed)) << ready();
    world.apply(world.config("p", "by hand"));
    ASSERT_TRUE(world.reconciled("ks/production"));
    EXPECT_EQ(world.value("p"), "1");
    EXPECT_EQ(stage("production").revision, "main@sha1:" + first);
    std::vector<std::string> told;
    for (const auto& event : world.events())
        if (event.about.kind() == "Pipeline") told.push_back(event.message);
    EXPECT_THAT(told, Contains("main@sha1:" + first + " came into production, approved by ann"));
    EXPECT_THAT(told, Contains(HasSubstr("main@sha1:" + second +
                                         " waits for production: needs an approval")));
}

TEST_F(PipelineMode, ARevisionWithoutThePathOfATargetFails) {
    const auto first = push("1");
    begin(two);
    ASSERT_TRUE(reaches("staging", first, Phase::passed)) << ready();
    const auto second =
        world.repository.commit({{"production/p.yaml", testing::ClusterWorld::config("p", "2")}});
    ASSERT_TRUE(world.fetched(second));
    ASSERT_TRUE(reaches("staging", second, Phase::failed)) << ready();
    EXPECT_THAT(world.says("staging", "Ready", "ArtifactFailed"),
                HasSubstr("kustomization path not found: stat staging"));
    EXPECT_EQ(world.value("s"), "1");
}

TEST_F(PipelineMode, ItSaysWhatToDoWhenItsRevisionIsNowhereAnyMore) {
    const auto first = push("1");
    begin("  - {name: staging, targets: [{name: staging}]}\n");
    ASSERT_TRUE(reaches("staging", first, Phase::passed)) << ready();
    world.stop_reconciler();
    // History is rewritten, and the cache is another machine's.
    std::filesystem::remove_all(world.directory.path() / "cache");
    world.repository.replace(files("2"));
    world.apply(
        "apiVersion: gitops.kled.io/v1\nkind: Pipeline\nmetadata: {name: shop, namespace: "
        "default}\nspec:\n  sourceRef: {name: fleet}\n  suspend: true\n  stages:\n"
        "  - {name: staging, targets: [{name: staging}]}\n");
    world.start_cluster();
    EXPECT_THAT(world.says("staging", "Ready", "RevisionNotFound"),
                ::testing::AllOf(HasSubstr("revision " + first), HasSubstr("was not had by its id"),
                                 HasSubstr("push it to a branch or tag")));
    EXPECT_EQ(world.value("s"), "1") << "what is there stays";
}

TEST_F(PipelineMode, ItGoesOnAfterAStopAtAnyMoment) {
    const auto first = push("1");
    begin(two);
    ASSERT_TRUE(reaches("staging", first, Phase::passed));
    world.stop_reconciler();
    world.annotate_object("pipeline/shop",
                          {{std::string{approved_annotation} + "production", first}});
    // As if it had been killed between its decision and the pin.
    world.annotate_object(
        "ks/staging", {{std::string{pin_annotation}, ""}, {std::string{promoted_annotation}, ""}});
    const auto second = push("2");
    world.start_cluster();
    ASSERT_TRUE(reaches("staging", second, Phase::passed)) << ready();
    EXPECT_EQ(world.value("s"), "2");
}

TEST_F(PipelineMode, AFailureStopsThereAndTheFixGoesOn) {
    auto broken = files("1");
    broken.insert_or_assign("staging/kustomization.yaml", "resources: [nowhere.yaml]\n");
    const auto first = world.repository.commit(broken);
    begin("  - {name: build, gates: {checks: [ci]}}\n" + two);
    ASSERT_TRUE(reaches("build", first, Phase::progressing)) << ready();
    const auto check = std::string{check_annotation} + "ci";
    world.annotate_object("pipeline/shop", {{check, first + "=success"}});
    ASSERT_TRUE(reaches("staging", first, Phase::failed)) << ready();
    EXPECT_THAT(ready(), HasSubstr("False staging: health: Kustomization staging: "));
    const auto second = push("2");
    ASSERT_TRUE(world.fetched(second));
    ASSERT_TRUE(reaches("build", second, Phase::progressing));
    world.annotate_object("pipeline/shop", {{check, first + "=success," + second + "=success"}});
    ASSERT_TRUE(reaches("staging", second, Phase::passed)) << ready();
    for (const auto& event : world.events()) {
        if (event.reason == "StageFailed") {
            EXPECT_THAT(event.message, HasSubstr(first)) << "the next one never failed";
        }
    }
}

TEST_F(PipelineMode, ASourceMayBeOfAnotherNamespaceUnlessThatIsNotAllowed) {
    const auto first = push("1");
    world.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: sources}\n");
    world.start_cluster();
    world.apply(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: fleet, "
        "namespace: sources}\nspec:\n  url: " +
        world.repository.url() + "\n  interval: 10m\n  ref: {branch: main}\n");
    const auto apply = [&] {
        world.apply(
            "apiVersion: gitops.kled.io/v1\nkind: Pipeline\nmetadata: {name: shop, namespace: "
            "default}\nspec:\n  sourceRef: {name: fleet, namespace: sources}\n  stages:\n"
            "  - {name: commit}\n");
    };
    apply();
    ASSERT_TRUE(reaches("commit", first, Phase::passed)) << ready();
    const auto second = push("2");
    world.nudge();
    ASSERT_TRUE(reaches("commit", second, Phase::passed)) << "it is told of what is new";
    world.stop_reconciler();
    Reconciler::Options options;
    options.no_cross_namespace_refs = true;
    world.start_cluster(std::move(options));
    EXPECT_TRUE(world.eventually([&] {
        return ready().find("can't access 'GitRepository/sources/fleet', cross-namespace") !=
               std::string::npos;
    })) << ready();
}

TEST_F(PipelineMode, AJobThatMayNotBeReadIsSaid) {
    const auto first = push("1");
    Reconciler::Options options;
    options.default_service_account = "tenant";  // which bounds nothing here, and is refused
    world.start_cluster(std::move(options));
    world.apply_repository();
    apply_pipeline("  - {name: build, gates: {jobs: [{name: smoke}]}}\n");
    EXPECT_TRUE(world.eventually([&] {
        return ready() ==
               "Unknown main@sha1:" + first +
                   " is in build (Job default/smoke: service account 'tenant': the embedded API "
                   "has no access rules that would bound it)";
    })) << ready();
}

TEST_F(PipelineMode, AJobOfTheStageHasToSucceed) {
    const auto first = push("1");
    world.apply(world.web());
    begin(
        "  - {name: staging, targets: [{name: staging}], gates: {jobs: [{name: smoke, namespace: "
        "web}]}}\n");
    ASSERT_TRUE(reaches("staging", first, Phase::progressing)) << ready();
    auto job = world.apply(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: smoke, namespace: web}\nspec:\n  "
        "template:\n"
        "    spec: {restartPolicy: Never, containers: [{name: a, image: a}]}\n");
    job.fields()["status"] =
        kube::parse_yaml("{conditions: [{type: Complete, status: 'True'}], succeeded: 1}");
    world.sync(world.client().update_status(job));
    EXPECT_TRUE(reaches("staging", first, Phase::passed)) << ready();
}

const std::string cron_job =
    "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: smoke, namespace: default}\nspec:\n  "
    "schedule: 0 0 1 1 *\n  suspend: true\n  jobTemplate:\n    spec:\n      template:\n        "
    "spec: {restartPolicy: Never, containers: [{name: a, image: a}]}\n";

TEST_F(PipelineMode, AJobIsMadeOfItsCronJobForEachRevisionAndAttempt) {
    const auto first = push("1");
    begin(
        "  - {name: staging, targets: [{name: staging}], gates: {jobs: [{cronJob: smoke, timeout: "
        "5m}]}}\n");
    ASSERT_TRUE(world.eventually([&] {
        return ready().find("CronJob default/smoke does not exist") != std::string::npos;
    })) << ready();
    world.apply(cron_job);
    // Somebody's own of that name is not taken for it.
    world.apply(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: smoke, namespace: default}\nspec: "
        "{template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}\n");
    ASSERT_TRUE(world.reconciled("pipeline/shop"));
    ASSERT_TRUE(world.eventually([&] { return jobs().size() == 1; }, wait)) << ready();
    auto made = jobs().front();
    EXPECT_EQ(made.annotation(pin_annotation), "main@sha1:" + first);
    EXPECT_EQ(kube::find(made.fields(), {"spec", "activeDeadlineSeconds"})->as_int64(), 300);
    const auto pipeline = *world.get("gitops.kled.io/v1", "Pipeline", "default", "shop");
    const auto owner =
        kube::find(made.fields(), {"metadata", "ownerReferences"})->as_array().at(0).as_object();
    EXPECT_EQ(kube::find_string(owner, {"uid"}), pipeline.uid());
    // A stop and another start make no second one.
    world.stop_reconciler();
    world.start_cluster();
    ASSERT_TRUE(world.reconciled("pipeline/shop"));
    ASSERT_EQ(jobs().size(), 1U);
    end(made, "Failed, reason: BackoffLimitExceeded, message: it has failed");
    ASSERT_TRUE(reaches("staging", first, Phase::failed)) << ready();
    EXPECT_THAT(ready(),
                HasSubstr("Job default/" + std::string{made.name()} +
                          ": BackoffLimitExceeded: it has failed (kubectl logs -n default"));

    world.annotate_object("pipeline/shop",
                          {{std::string{retry_annotation} + "staging", first + " 2"}});
    ASSERT_TRUE(world.eventually([&] { return jobs().size() == 2; }, wait)) << ready();
    EXPECT_EQ(stage("staging").gates.back().attempt, 2);
    for (auto& job : jobs())
        if (job.name() != made.name()) end(job, "Complete");
    ASSERT_TRUE(reaches("staging", first, Phase::passed)) << ready();

    const auto second = push("2");
    ASSERT_TRUE(world.fetched(second));
    ASSERT_TRUE(world.eventually([&] { return jobs().size() == 3; }, wait)) << ready();
    EXPECT_EQ(stage("staging").phase, Phase::progressing);
    int told = 0;
    for (const auto& event : world.events()) told += event.reason == "JobStarted" ? 1 : 0;
    EXPECT_EQ(told, 2) << "since the last start";
}

TEST_F(PipelineMode, AJobIsMadeAsTheAccountThatBoundsItsNamespace) {
    const auto first = push("1");
    begin("  - {name: build, gates: {jobs: [{cronJob: smoke}]}}\n",
          "  serviceAccountName: tenant\n");
    world.apply(cron_job);
    // Here no account would bound it, and so nothing is made; a cluster says what it may.
    EXPECT_TRUE(world.eventually([&] {
        return ready().find("service account 'tenant': the embedded API has no access rules") !=
               std::string::npos;
    })) << ready();
    EXPECT_TRUE(jobs().empty());
    world.stop_reconciler();
    apply_pipeline("  - {name: build, gates: {jobs: [{cronJob: smoke}]}}\n");
    Reconciler::Options options;
    options.default_service_account = "other";
    world.start_cluster(std::move(options));
    EXPECT_TRUE(world.eventually([&] {
        return ready().find("service account 'other': the embedded API has no access rules") !=
               std::string::npos;
    })) << ready();
    EXPECT_TRUE(jobs().empty());
    EXPECT_EQ(stage("build").revision, "main@sha1:" + first);
}

TEST_F(PipelineMode, NoJobIsMadeInAnotherNamespaceWhereThatIsNotAllowed) {
    push("1");
    Reconciler::Options options;
    options.no_cross_namespace_refs = true;
    world.start_cluster(std::move(options));
    world.apply_repository();
    apply_pipeline("  - {name: build, gates: {jobs: [{cronJob: smoke, namespace: web}]}}\n");
    EXPECT_TRUE(world.eventually([&] {
        return ready().find("can't access 'CronJob web/smoke', cross-namespace") !=
               std::string::npos;
    })) << ready();
}

TEST_F(PipelineMode, ByCommitTheBranchOfAnEnvironmentMovesOn) {
    const auto first = push("1");
    world.start_cluster();
    world.apply_repository();
    const auto environment = [&](const std::string& annotations, const std::string& branch) {
        world.apply(
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: "
            "production, namespace: default, annotations: " +
            annotations + "}\nspec:\n  url: " + world.repository.url() +
            "\n  interval: 10m\n  ref: {" + branch + "}\n");
    };
    environment("{}", "branch: env/production");
    world.apply_kustomization("staging", consent);
    world.apply(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: "
        "production, namespace: default}\nspec:\n  interval: 10m\n  retryInterval: 1s\n  path: "
        "production\n  prune: true\n  sourceRef: {kind: GitRepository, name: production}\n");
    apply_pipeline(
        "  - {name: staging, targets: [{name: staging}]}\n"
        "  - {name: production, promotion: commit, targets: [{name: production}]}\n");
    ASSERT_TRUE(world.eventually([&] {
        return ready().find("GitRepository default/production does not name this Pipeline") !=
               std::string::npos;
    })) << ready();
    environment(consent, "branch: env/production");
    // The branch is made, and followed at once.
    ASSERT_TRUE(reaches("production", first, Phase::passed)) << ready();
    EXPECT_EQ(world.value("p"), "1");
    const auto second = push("2");
    ASSERT_TRUE(world.fetched(second));
    ASSERT_TRUE(reaches("production", second, Phase::passed)) << ready();
    EXPECT_EQ(world.value("p"), "2");
    const auto applied = world.kustomization("production");
    EXPECT_EQ(summarise(*applied).revision, "env/production@sha1:" + second);
    EXPECT_EQ(applied->annotation(pin_annotation), "");
    std::vector<std::string> told;
    for (const auto& event : world.events())
        if (event.reason == "Pushed") told.push_back(event.message);
    EXPECT_THAT(
        told,
        ::testing::ElementsAre(
            "refs/heads/env/production of GitRepository default/production moved to " + first,
            "refs/heads/env/production of GitRepository default/production moved to " + second));

    // What somebody put there is not thrown away.
    const auto theirs = world.repository.commit(files("theirs"), "env/production");
    const auto third = push("3");
    ASSERT_TRUE(world.fetched(third));
    ASSERT_TRUE(reaches("production", third, Phase::failed)) << ready();
    EXPECT_THAT(ready(), HasSubstr("refs/heads/env/production is at " + theirs +
                                   ", which is no ancestor of " + third));
    environment(consent, "tag: v1");
    const auto fourth = push("4");
    ASSERT_TRUE(world.fetched(fourth));
    ASSERT_TRUE(world.eventually([&] {
        return ready().find("GitRepository production follows no branch") != std::string::npos;
    })) << ready();
}

TEST_F(PipelineMode, ByCommitNothingGoesIntoAnotherRepository) {
    const auto first = push("1");
    const git::testing::Repository other;
    world.start_cluster();
    world.apply_repository();
    ASSERT_TRUE(world.fetched(first));
    // The source is said to be of the other one, and still has what it fetched.
    world.apply(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: fleet, "
        "namespace: default}\nspec:\n  url: " +
        other.url() + "\n  interval: 10m\n  ref: {branch: main}\n  suspend: true\n");
    world.apply(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: "
        "production, namespace: default, annotations: " +
        consent + "}\nspec:\n  url: " + other.url() +
        "\n  interval: 10m\n  ref: {branch: production}\n");
    world.apply(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: "
        "production, namespace: default}\nspec:\n  interval: 10m\n  path: production\n  prune: "
        "true\n  sourceRef: {kind: GitRepository, name: production}\n");
    apply_pipeline("  - {name: production, promotion: commit, targets: [{name: production}]}\n");
    EXPECT_TRUE(world.eventually([&] {
        return stage("production").waiting_reason.find("is of another repository than the") !=
               std::string::npos;
    })) << ready();
    EXPECT_EQ(other.tip("production"), "");
}

TEST_F(PipelineMode, WhatIsPinnedByHandIsLeftSo) {
    const auto first = push("1");
    begin("  - {name: staging, targets: [{name: staging}]}\n");
    ASSERT_TRUE(reaches("staging", first, Phase::passed)) << ready();
    const auto second = push("2");
    ASSERT_TRUE(world.fetched(second));
    ASSERT_TRUE(reaches("staging", second, Phase::passed)) << ready();
    world.annotate_object("ks/staging", {{std::string{pin_annotation}, first}});
    ASSERT_TRUE(world.applied("staging", first));
    const auto third = push("3");
    ASSERT_TRUE(world.fetched(third));
    ASSERT_TRUE(world.eventually([&] { return stage("staging").waiting == "main@sha1:" + third; }));
    EXPECT_THAT(ready(), HasSubstr("Kustomization staging is pinned by hand to " + first));
    EXPECT_EQ(world.value("s"), "1");
    world.annotate_object("ks/staging", {{std::string{pin_annotation}, ""}});
    ASSERT_TRUE(reaches("staging", third, Phase::passed)) << ready();
}

TEST_F(PipelineMode, WhoNamesThePipelineNoMoreFollowsItsSourceAgain) {
    const auto first = push("1");
    begin("  - {name: staging, targets: [{name: staging}], gates: {approval: true}}\n");
    const auto approved = std::string{approved_annotation} + "staging";
    world.annotate_object("pipeline/shop", {{approved, first}});
    ASSERT_TRUE(reaches("staging", first, Phase::passed)) << ready();
    const auto second = push("2");
    ASSERT_TRUE(world.fetched(second));
    ASSERT_TRUE(
        world.eventually([&] { return stage("staging").waiting == "main@sha1:" + second; }));
    EXPECT_EQ(world.value("s"), "1");
    world.annotate_object("ks/staging", {{std::string{pipeline_annotation}, ""}});
    ASSERT_TRUE(world.applied("staging", second)) << ready();
    const auto free = *world.kustomization("staging");
    EXPECT_EQ(free.annotation(pin_annotation), "");
    EXPECT_EQ(free.annotation(promoted_annotation), "");
    // What somebody pins stays pinned.
    world.annotate_object("ks/staging", {{std::string{pin_annotation}, first}});
    EXPECT_TRUE(world.applied("staging", first));
    EXPECT_TRUE(world.reconciled("ks/staging"));
    EXPECT_EQ(world.kustomization("staging")->annotation(pin_annotation), first);
    // Also where a Pipeline had pinned another one before.
    world.annotate_object("ks/staging", {{std::string{pin_annotation}, second},
                                         {std::string{promoted_annotation}, first}});
    EXPECT_TRUE(world.applied("staging", second));
    EXPECT_TRUE(world.eventually(
        [&] { return world.kustomization("staging")->annotation(promoted_annotation).empty(); }));
    EXPECT_EQ(world.kustomization("staging")->annotation(pin_annotation), second);
}

TEST_F(PipelineMode, WhatCannotBePinnedIsSaid) {
    const auto first = push("1");
    world.start_cluster();
    world.apply_repository();
    const auto with_note = [&](std::size_t size) {
        world.apply_kustomization("staging", "{" + std::string{pipeline_annotation} +
                                                 ": shop, note: " + std::string(size, 'x') + "}");
    };
    with_note((256U << 10U) - 100);  // there is no room for another annotation
    apply_pipeline("  - {name: staging, targets: [{name: staging}]}\n");
    EXPECT_TRUE(world.eventually([&] {
        return ready().find("may not be more than 262144 bytes") != std::string::npos;
    })) << ready();
    EXPECT_EQ(stage("staging").phase, Phase::progressing);
    with_note(1);
    EXPECT_TRUE(reaches("staging", first, Phase::passed)) << ready();
}

TEST_F(PipelineMode, WhatIsMadeAnewMidwayIsTakenOnAgain) {
    const auto first = push("1");
    begin(two);
    ASSERT_TRUE(reaches("staging", first, Phase::passed)) << ready();
    world.apply_kustomization("staging", consent, "  suspend: true\n");
    const auto second = push("2");
    ASSERT_TRUE(world.fetched(second));
    ASSERT_TRUE(world.eventually([&] {
        return ready().find("Kustomization staging does not have it yet: it is suspended") !=
               std::string::npos;
    })) << ready();
    EXPECT_EQ(world.value("s"), "1");
    // Another one of that name has no pin, and gets what is in its stage.
    world.remove("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "default", "staging");
    ASSERT_TRUE(world.eventually([&] { return !world.kustomization("staging"); }));
    ASSERT_TRUE(world.eventually([&] {
        return ready().find("Kustomization staging does not exist") != std::string::npos;
    })) << ready();
    world.apply_kustomization("staging", consent);
    ASSERT_TRUE(reaches("staging", second, Phase::passed)) << ready();
    EXPECT_EQ(world.kustomization("staging")->annotation(pin_annotation), second);
    // So does another Pipeline: it begins with its first stage, and nothing is let in by it.
    world.remove("gitops.kled.io/v1", "Pipeline", "default", "shop");
    ASSERT_TRUE(world.eventually([&] { return status().stages.empty(); }));
    apply_pipeline(two);
    ASSERT_TRUE(reaches("staging", second, Phase::passed)) << ready();
    EXPECT_EQ(stage("production").waiting, "main@sha1:" + second);
    EXPECT_EQ(world.value("p"), "absent");
    // A stage of another name is another stage.
    apply_pipeline(
        "  - {name: test, targets: [{name: staging}]}\n"
        "  - {name: production, targets: [{name: production}], gates: {approval: true}}\n");
    ASSERT_TRUE(reaches("test", second, Phase::passed)) << ready();
    EXPECT_EQ(stage("staging").phase, Phase::empty);
}

TEST_F(PipelineMode, ATargetsOwnDeployWindowsHoldBackWhatIsPromoted) {
    const auto first = push("1");
    begin("  - {name: staging, targets: [{name: staging}]}\n");
    ASSERT_TRUE(reaches("staging", first, Phase::passed)) << ready();
    world.annotate_object("ks/staging",
                          {{std::string{windows_annotation},
                            R"([{schedule: "* * * * *", duration: 1m, kind: deny}])"}});
    const auto second = push("2");
    ASSERT_TRUE(world.fetched(second));
    ASSERT_TRUE(world.eventually([&] {
        return ready().find(second + " waits for a deploy window") != std::string::npos;
    })) << ready();
    EXPECT_EQ(world.value("s"), "1");
    EXPECT_EQ(stage("staging").phase, Phase::progressing) << "it is not there";
    // By hand it is somebody's will, here as everywhere.
    world.annotate_object("ks/staging", {{std::string{deploy_now_annotation}, second}});
    ASSERT_TRUE(reaches("staging", second, Phase::passed)) << ready();
    EXPECT_EQ(world.value("s"), "2");
    world.annotate_object("ks/staging", {{std::string{pin_annotation}, first}});
    EXPECT_TRUE(world.applied("staging", first)) << ready();
}

TEST_F(PipelineMode, WhatIsWrongWithItIsSaid) {
    push("1");
    world.start_cluster();
    world.apply_repository();
    world.apply_kustomization("staging");
    apply_pipeline("  - {name: staging, targets: [{name: staging}, {name: nowhere}]}\n");
    ASSERT_TRUE(world.eventually([&] { return !stage("staging").waiting.empty(); })) << ready();
    EXPECT_THAT(ready(), HasSubstr("Kustomization staging does not name this Pipeline"));
    EXPECT_THAT(ready(), HasSubstr("Kustomization nowhere does not exist"));
    apply_pipeline("  - {name: staging, gates: {windows: [{schedule: x, duration: 1h}]}}\n");
    EXPECT_TRUE(world.eventually([&] { return status().conditions.is_true("Stalled"); }))
        << ready();
}

TEST(PipelineInFileMode, StandsInTheRepositoryAsTheRestDoes) {
    testing::World world;
    const auto kustomization = [](const std::string& name) {
        return "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: "
               "{name: " +
               name + ", annotations: " + consent + "}\nspec:\n  interval: 10m\n  path: " + name +
               "\n  prune: true\n  sourceRef: {kind: GitRepository, name: flux-system}\n";
    };
    auto files = PipelineMode::files("1");
    files.insert_or_assign("clusters/dev/staging.yaml", kustomization("staging"));
    files.insert_or_assign("clusters/dev/production.yaml", kustomization("production"));
    files.insert_or_assign(
        "clusters/dev/pipeline.yaml",
        "apiVersion: gitops.kled.io/v1\nkind: Pipeline\nmetadata: {name: shop}\nspec:\n  "
        "sourceRef: {name: "
        "flux-system}\n  stages:\n  - {name: staging, targets: [{name: staging}]}\n"
        "  - {name: production, targets: [{name: production}], gates: {checks: [e2e]}}\n");
    const auto commit = world.repository.commit(files);
    world.start_from_files();
    const auto shown = [&]() -> Summary {
        try {
            const auto all = world.sync(find_objects(world.client(), ""));
            return summarise(select(all, "pipeline/shop").object);
        } catch (const Error&) {
            return {};
        }
    };
    EXPECT_TRUE(world.eventually([&] {
        return shown().message.find("is in production (check e2e: nothing is said") !=
               std::string::npos;
    })) << shown().message;
    const auto value = world.get("v1", "ConfigMap", "web", "p");
    ASSERT_TRUE(value);
    const auto all = world.sync(find_objects(world.client(), ""));
    world.sync(annotate(world.client(), select(all, "pipeline/shop"),
                        {{std::string{check_annotation} + "e2e", commit + "=success"}}));
    EXPECT_TRUE(world.eventually([&] { return shown().ready == "True"; })) << shown().message;
    EXPECT_EQ(shown().state, "Passed");
}

}  // namespace
}  // namespace kled::gitops
