// Pipelines over Kustomizations, in an embedded API and with a real repository.
#include "gitops/annotations.h"
#include "gitops/cluster_world.h"
#include "gitops/file_store.h"
#include "gitops/pipeline/pipeline.h"

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
    void begin(const std::string& stages) {
        world.start_cluster();
        world.apply_repository();
        world.apply_kustomization("staging", consent);
        world.apply_kustomization("production", consent);
        apply_pipeline(stages);
    }

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
    world.start([&](kube::Client& client) {
        FileStore::Options options;
        options.url = world.repository.url();
        options.reference.branch = "main";
        options.path = "clusters/dev";
        return std::make_unique<FileStore>(client, std::move(options));
    });
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
