#include "gitops/pipeline/jobs.h"

#include "base/error.h"
#include "gitops/objects/annotations.h"
#include "kube/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

kube::Object object(const std::string& yaml) { return kube::Object::from(kube::parse_yaml(yaml)); }

const std::string commit(40, 'a');

class Jobs : public ::testing::Test {
protected:
    static Pipeline pipeline(const std::string& job, const std::string& name = "shop",
                             const std::string& uid = "u-1") {
        return Pipeline::from_object(object(
            "apiVersion: gitops.kled.io/v1\nkind: Pipeline\nmetadata: {name: " + name +
            ", namespace: default, uid: '" + uid +
            "'}\nspec:\n  sourceRef: {name: fleet}\n  stages:\n  - {name: test, gates: {jobs: [" +
            job + "]}}\n"));
    }
    static std::string name(const Pipeline& p, const StageState& state, std::int64_t attempt = 1) {
        return job_name(p, p.stages[0], p.stages[0].jobs[0], state, attempt);
    }
    static kube::Object make(const Pipeline& p, const StageState& state,
                             const std::string& cron_job) {
        return job_from(object(cron_job), p, p.stages[0], p.stages[0].jobs[0], state, "smoke-1");
    }
    static StageState state() {
        StageState result;
        result.name = "test";
        result.revision = "main@sha1:" + commit;
        result.since = parse_rfc3339("2026-11-29T04:00:00Z");
        return result;
    }
    static kube::Object job(const std::string& name, int hour, const std::string& condition) {
        auto text = "metadata: {name: " + name + ", creationTimestamp: '2026-11-29T0" +
                    std::to_string(hour) + ":00:00Z'}\n";
        if (!condition.empty())
            text += "status: {conditions: [{type: " + condition + ", status: 'True'}]}\n";
        return object(text);
    }
    const std::string cron_job =
        "metadata: {name: smoke}\nspec:\n  suspend: true\n  jobTemplate:\n"
        "    metadata: {labels: {team: a, gitops.kled.io/stage: other}, annotations: {note: b}}\n"
        "    spec: {backoffLimit: 2, template: {spec: {restartPolicy: Never}}}\n";
};

TEST_F(Jobs, HaveANameOfTheirOwnForEachCommitStayAndAttempt) {
    const auto p = pipeline("{cronJob: smoke}");
    const auto one = name(p, state());
    EXPECT_THAT(one, ::testing::MatchesRegex("smoke-test-[0-9a-f]{16}"));
    EXPECT_EQ(name(p, state()), one);
    EXPECT_NE(name(p, state(), 2), one);
    auto other = state();
    other.revision = "main@sha1:" + std::string(40, 'b');
    EXPECT_NE(name(p, other), one);
    other = state();
    *other.since += std::chrono::seconds{1};
    EXPECT_NE(name(p, other), one) << "it was away, and came back";
    EXPECT_NE(name(pipeline("{cronJob: smoke}", "other"), state()), one);
    EXPECT_NE(name(pipeline("{cronJob: smoke}", "shop", "u-2"), state()), one)
        << "the same name again is another Pipeline";
    const auto space = pipeline("{cronJob: smoke, namespace: web}");
    EXPECT_NE(name(space, state()), one);
    const auto long_one = name(
        pipeline("{cronJob: " + std::string(45, 'x') + ".-" + std::string(60, 'y') + "}"), state());
    EXPECT_EQ(long_one, std::string(45, 'x') + "-" + long_one.substr(long_one.size() - 16));
    EXPECT_EQ(name(pipeline("{cronJob: " + std::string(200, 'x') + "}"), state()).size(), 63U);
}

TEST_F(Jobs, AreLookedForWhileNothingIsDecided) {
    const auto p = pipeline("{cronJob: smoke}");
    EXPECT_EQ(job_looked_for(p, 0, 0, StageState{}), "");
    auto here = state();
    EXPECT_EQ(job_looked_for(p, 0, 0, here), name(p, here));
    here.gates = {{.name = "CronJob default/smoke"}};
    here.gates[0].attempt = 3;
    EXPECT_EQ(job_looked_for(p, 0, 0, here), name(p, here, 3));
    here.gates[0].verdict = StageState::Verdict::passed;
    EXPECT_EQ(job_looked_for(p, 0, 0, here), "");
    EXPECT_EQ(job_looked_for(pipeline("{name: smoke}"), 0, 0, state()), "");
}

TEST_F(Jobs, AreWhatTheirTemplateSaysAndSayWhoseTheyAre) {
    const auto p = pipeline("{cronJob: smoke}");
    const auto made = make(p, state(), cron_job);
    EXPECT_EQ(kube::parse_yaml(
                  "{apiVersion: batch/v1, kind: Job, metadata: {name: smoke-1, namespace: default, "
                  "labels: {team: a, gitops.kled.io/stage: test, gitops.kled.io/pipeline: shop, "
                  "gitops.kled.io/pipeline-namespace: default, "
                  "gitops.kled.io/cronjob: smoke}, annotations: {note: b, "
                  "cronjob.kubernetes.io/instantiate: manual, gitops.kled.io/revision: "
                  "'main@sha1:" +
                  commit +
                  "'}, ownerReferences: [{apiVersion: gitops.kled.io/v1, kind: Pipeline, name: "
                  "shop, uid: u-1, controller: true}]}, spec: {backoffLimit: 2, template: "
                  "{metadata: {annotations: {gitops.kled.io/revision: 'main@sha1:" +
                  commit + "'}}, spec: {restartPolicy: Never}}}}"),
              kube::json::value(made.fields()));
    EXPECT_TRUE(made_for(made, p, p.stages[0], state()));
    auto other = state();
    other.revision = "main@sha1:" + std::string(40, 'b');
    EXPECT_FALSE(made_for(made, p, p.stages[0], other));
    const auto stranger = pipeline("{cronJob: smoke}", "other");
    EXPECT_FALSE(made_for(made, stranger, stranger.stages[0], state()));
    EXPECT_EQ(job_selector(p, p.stages[0], p.stages[0].jobs[0]),
              "gitops.kled.io/pipeline=shop,gitops.kled.io/pipeline-namespace=default,"
              "gitops.kled.io/stage=test,gitops.kled.io/cronjob=smoke")
        << "one of the same name elsewhere clears away none of these";
}

TEST_F(Jobs, BelongToNobodyElsewhereAndEndInTime) {
    const auto deadline = [&](const std::string& timeout, const std::string& own) {
        const auto p = pipeline("{cronJob: smoke, namespace: web, timeout: " + timeout + "}");
        const auto made =
            make(p, state(), "spec: {jobTemplate: {spec: {" + own + "template: {}}}}\n");
        EXPECT_EQ(made.ns(), "web");
        EXPECT_EQ(made.metadata()->if_contains("ownerReferences"), nullptr);
        return made.spec()->at("activeDeadlineSeconds").as_int64();
    };
    EXPECT_EQ(deadline("1500ms", ""), 2);
    EXPECT_EQ(deadline("10m", "activeDeadlineSeconds: 60, "), 60);
    EXPECT_EQ(deadline("10m", "activeDeadlineSeconds: 6000, "), 600);
    const auto of_a_file = pipeline("{cronJob: smoke}", "shop", "");
    const auto unowned = make(of_a_file, state(), cron_job);
    EXPECT_EQ(unowned.metadata()->if_contains("ownerReferences"), nullptr);
    const auto long_name = std::string(100, 'n');
    const auto p = pipeline("{cronJob: smoke}", long_name);
    EXPECT_LE(make(p, state(), cron_job).label(pipeline_label).size(), 63U);
    for (const auto* broken : {"spec: {}\n", "spec: {jobTemplate: {spec: 1}}\n", "a: 1\n"})
        EXPECT_THROW(make(p, state(), broken), Error) << broken;
}

TEST_F(Jobs, StayLongEnoughForTheirEndToBeSeen) {
    const auto p = pipeline("{cronJob: smoke}");
    const auto ttl = [&](const std::string& own) {
        const auto made =
            make(p, state(), "spec: {jobTemplate: {spec: {" + own + "template: {}}}}\n");
        const auto* value = made.spec()->if_contains("ttlSecondsAfterFinished");
        return value == nullptr ? -1 : value->as_int64();
    };
    EXPECT_EQ(ttl(""), -1);
    EXPECT_EQ(ttl("ttlSecondsAfterFinished: 0, "), 600) << "else it would be made over and over";
    EXPECT_EQ(ttl("ttlSecondsAfterFinished: 3600, "), 3600);
}

TEST_F(Jobs, SayHowTheyEnded) {
    EXPECT_EQ(facts_of_job(job("a", 1, "")).result, JobFacts::Result::running);
    EXPECT_EQ(facts_of_job(job("a", 1, "Complete")).result, JobFacts::Result::succeeded);
    EXPECT_EQ(facts_of_job(job("a", 1, "SuccessCriteriaMet")).result, JobFacts::Result::running);
    const auto failed = facts_of_job(object(
        "metadata: {creationTimestamp: '2026-11-29T04:00:00Z'}\nstatus: {conditions: [{type: "
        "Failed, status: 'True', reason: BackoffLimitExceeded, message: \"x" +
        std::string(300, 'x') + std::string(200, ' ') + "\\nmore\"}]}\n"));
    EXPECT_EQ(failed.result, JobFacts::Result::failed);
    EXPECT_THAT(failed.message, ::testing::StartsWith("BackoffLimitExceeded: xx"));
    EXPECT_LE(failed.message.size(), 403U);
    EXPECT_EQ(failed.created, parse_rfc3339("2026-11-29T04:00:00Z"));
}

TEST_F(Jobs, OfBeforeAreKeptAsTheCronJobSays) {
    const std::vector<kube::Object> there{job("a", 1, "Complete"), job("b", 2, "Complete"),
                                          job("c", 3, "Complete"), job("d", 4, "Complete"),
                                          job("e", 5, "Failed"),   job("f", 6, "Failed"),
                                          job("g", 7, ""),         job("new", 8, "Failed")};
    const auto room = [&](const std::string& spec) {
        return room_for("new", there, object("spec: {" + spec + "}\n"));
    };
    EXPECT_THAT(room("").remove, UnorderedElementsAre("a", "e"));
    EXPECT_EQ(room("").wait_for, "") << "they may run side by side";
    EXPECT_THAT(room("successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 0").remove,
                UnorderedElementsAre("a", "b", "c", "e", "f"));
    EXPECT_THAT(room("successfulJobsHistoryLimit: -1, failedJobsHistoryLimit: 9").remove,
                ElementsAre("a"));
    EXPECT_THAT(room("concurrencyPolicy: Replace").remove, UnorderedElementsAre("a", "e", "g"));
    EXPECT_EQ(room("concurrencyPolicy: Forbid").wait_for, "g");
    auto going = job("g", 7, "");
    going.metadata()["deletionTimestamp"] = "2026-11-29T08:00:00Z";
    EXPECT_EQ(room_for("new", {going}, object("spec: {concurrencyPolicy: Replace}\n")).wait_for,
              "g")
        << "its pods may still be there";
    EXPECT_THAT(room_for("new", {going}, object("spec: {}\n")).remove, IsEmpty());
}

}  // namespace
}  // namespace kled::gitops
