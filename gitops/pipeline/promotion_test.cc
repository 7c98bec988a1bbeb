#include "gitops/pipeline/promotion.h"

#include "base/error.h"
#include "gitops/pipeline/play.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace kled::gitops {
namespace {

using namespace std::chrono_literals;
using testing::commit;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::pipeline;
using testing::Play;
using testing::revision;
using testing::start;

const std::string two_stages =
    "  - {name: staging, targets: [{name: web-staging}]}\n"
    "  - {name: production, targets: [{name: web}]}\n";

TEST(Promotion, ARevisionGoesOnWhenItIsWell) {
    Play play{pipeline(two_stages)};
    play.push(1);
    EXPECT_EQ(play.shown(), "staging 1 Progressing, production");
    EXPECT_EQ(play.facts.stages[0].targets[0].pin, commit(1));
    EXPECT_EQ(play.facts.stages[1].targets[0].pin, "");
    play.deploy("staging");
    EXPECT_EQ(play.shown(), "staging 1 Passed, production 1 Progressing");
    play.deploy("production");
    EXPECT_EQ(play.shown(), "staging 1 Passed, production 1 Passed");
    const auto summary = summarise(play.states, play.facts.newest);
    EXPECT_EQ(summary.ready, "True");
    EXPECT_EQ(summary.message, revision(1) + " passed all stages");
    play.push(2);
    EXPECT_EQ(play.shown(), "staging 2 Progressing, production 1 Passed");
    EXPECT_EQ(summarise(play.states, play.facts.newest).ready, "Unknown");
}

TEST(Promotion, StagesWithoutGatesArePassedAtOnce) {
    Play play{
        pipeline("  - {name: commit}\n  - {name: build, gates: {checks: [ci]}}\n"
                 "  - {name: test}\n")};
    play.push(1);
    EXPECT_EQ(play.shown(), "commit 1 Passed, build 1 Progressing, test");
    play.check("ci", 2, true);
    EXPECT_EQ(play.shown(), "commit 1 Passed, build 1 Progressing, test");
    play.check("ci", 1, true);
    EXPECT_EQ(play.shown(), "commit 1 Passed, build 1 Passed, test 1 Passed");
}

TEST(Promotion, AFailureStopsThereUntilItIsNoMoreOrANewerOneComes) {
    Play play{pipeline(two_stages, "  supersede: false\n")};
    play.push(1);
    play.deploy("staging", false);
    EXPECT_EQ(play.shown(), "staging 1 Failed, production");
    EXPECT_EQ(summarise(play.states, play.facts.newest).reason, "StageFailed");
    EXPECT_EQ(summarise(play.states, play.facts.newest).message,
              "staging: health: Kustomization web-staging: it crashes");
    play.push(2);
    EXPECT_EQ(play.shown(), "staging 2 Progressing, production");
    play.deploy("staging");
    EXPECT_EQ(play.shown(), "staging 2 Passed, production 2 Progressing");
}

TEST(Promotion, ANewerOneSupersedesWhatWaits) {
    Play play{pipeline(two_stages)};
    play.push(1);
    play.facts.newest = revision(2);
    play.step();
    EXPECT_EQ(play.shown(), "staging 2 Progressing, production");
    EXPECT_EQ(play.last.notes[0].reason, "Superseded");

    Play patient{pipeline(two_stages, "  supersede: false\n")};
    patient.push(1);
    patient.push(2);
    EXPECT_EQ(patient.shown(), "staging 1 Progressing <2, production");
    patient.deploy("staging");
    EXPECT_EQ(patient.shown(), "staging 2 Progressing, production 1 Progressing");
}

TEST(Promotion, WhatIsHealthyForAWhileGoesOn) {
    Play play{
        pipeline("  - {name: staging, targets: [{name: web}], gates: {soak: 10m}}\n"
                 "  - {name: production}\n")};
    play.push(1);
    play.pass(1h);
    EXPECT_EQ(play.shown(), "staging 1 Progressing, production");
    play.deploy("staging");
    EXPECT_EQ(play.last.look_again, play.now + 10min);
    play.pass(9min);
    play.deploy("staging", false);
    EXPECT_EQ(play.shown(), "staging 1 Failed, production");
    play.deploy("staging");
    play.pass(9min + 59s);
    EXPECT_EQ(play.shown(), "staging 1 Progressing, production") << "the break counts";
    play.pass(1s);
    EXPECT_EQ(play.shown(), "staging 1 Passed, production 1 Passed");
}

TEST(Promotion, SomebodyLetsExactlyOneRevisionIn) {
    Play play{
        pipeline("  - {name: staging}\n"
                 "  - {name: production, targets: [{name: web}], gates: {approval: true}}\n")};
    play.push(1);
    EXPECT_EQ(play.shown(), "staging 1 Passed, production <1");
    EXPECT_EQ(play["production"].waiting_reason, "needs an approval (`kled gitops promote`)");
    play.push(2);
    play.approve("production", 1);
    EXPECT_EQ(play.shown(), "staging 2 Passed, production <2");
    play.facts.stages[1].approved = commit(2);
    play.step();
    EXPECT_EQ(play.shown(), "staging 2 Passed, production 2 Progressing");
    EXPECT_EQ(play.last.notes[0].message, revision(2) + " came into production, approved by ann");
}

TEST(Promotion, AnOlderOneMayStillBeLetInWhileANewerOneIsTested) {
    Play play{
        pipeline("  - {name: staging, gates: {checks: [smoke]}}\n"
                 "  - {name: production, gates: {approval: true}}\n")};
    play.push(1);
    play.check("smoke", 1, true);
    play.push(2);
    EXPECT_EQ(play.shown(), "staging 2 Progressing, production <1");
    play.approve("production", 1);
    EXPECT_EQ(play.shown(), "staging 2 Progressing, production 1 Passed");
}

TEST(Promotion, WhatIsNoLongerWellIsNotLetIn) {
    Play play{
        pipeline("  - {name: staging, targets: [{name: s}]}\n"
                 "  - {name: production, gates: {approval: true}}\n")};
    play.push(1);
    play.deploy("staging");
    EXPECT_EQ(play.shown(), "staging 1 Passed, production <1");
    play.deploy("staging", false);
    play.approve("production", 1);
    EXPECT_EQ(play.shown(), "staging 1 Failed, production");
    play.deploy("staging");
    EXPECT_EQ(play.shown(), "staging 1 Passed, production 1 Passed");
}

TEST(Promotion, AWindowLetsInWhenItOpens) {
    Play play{
        pipeline("  - name: production\n    targets: [{name: web}]\n    gates:\n"
                 "      windows: [{schedule: 0 22 * * *, duration: 6h}]\n")};
    play.push(1);
    EXPECT_EQ(play.shown(), "production <1");
    EXPECT_EQ(play["production"].waiting_reason,
              "outside its deploy windows, open at 2026-11-29T22:00:00Z");
    EXPECT_EQ(play.last.look_again, start + 18h);
    play.pass(18h - 1s);
    EXPECT_EQ(play.shown(), "production <1");
    play.pass(1s);
    EXPECT_EQ(play.shown(), "production 1 Progressing");
}

TEST(Promotion, AJobCountsThatRanForTheRevision) {
    Play play{pipeline("  - {name: test, gates: {jobs: [{name: smoke}]}}\n")};
    auto& job = play.facts.stages[0].jobs[0];
    job.created = start - 1s;
    job.result = JobFacts::Result::succeeded;
    play.push(1);
    EXPECT_EQ(play.shown(), "test 1 Progressing") << "it was another's";
    EXPECT_TRUE(play.last.jobs_run);
    job.created = start;
    job.result = JobFacts::Result::running;
    play.settle();
    EXPECT_EQ(play.shown(), "test 1 Progressing");
    job.result = JobFacts::Result::failed;
    job.message = "BackoffLimitExceeded";
    play.settle();
    EXPECT_EQ(play.shown(), "test 1 Failed");
    job.result = JobFacts::Result::succeeded;
    play.settle();
    EXPECT_EQ(play.shown(), "test 1 Passed");
    EXPECT_FALSE(play.last.jobs_run);
    job.trouble = "Job default/smoke is forbidden";
    play.settle();
    EXPECT_EQ(play.shown(), "test 1 Progressing");
    EXPECT_EQ(play["test"].gates[0].message, job.trouble);
    EXPECT_TRUE(play.last.jobs_run) << "it is looked for again";
}

const std::string with_smoke =
    "  - {name: test, targets: [{name: web}], gates: {jobs: [{cronJob: smoke, timeout: 10m}]}}\n"
    "  - {name: production}\n";

TEST(Promotion, MakesAJobOnceTheTargetsAreHealthyAndGoesByItsEnd) {
    Play play{pipeline(with_smoke)};
    play.push(1);
    EXPECT_EQ(play["test"].gates[1].message, "it begins when the targets are healthy");
    EXPECT_FALSE(play.last.jobs_run) << "nobody has to look for a Job";
    EXPECT_TRUE(play.cluster.empty());
    play.deploy("test");
    ASSERT_EQ(play.cluster.size(), 1U);
    const auto name = play.cluster.begin()->first;
    EXPECT_THAT(name, ::testing::StartsWith("smoke-test-"));
    EXPECT_EQ(play["test"].gates[1].job, name);
    EXPECT_EQ(play["test"].gates[1].message, "Job default/" + name + " has not ended yet");
    EXPECT_TRUE(play.last.jobs_run);
    play.end_job(true);
    EXPECT_EQ(play.shown(), "test 1 Passed, production 1 Passed");
    EXPECT_FALSE(play.last.jobs_run);
    // Cleared away afterwards, it has succeeded nevertheless.
    play.cluster[name].there = false;
    play.settle();
    EXPECT_EQ(play.shown(), "test 1 Passed, production 1 Passed");
    EXPECT_FALSE(play.cluster[name].there);
    // The next revision has its own, and the same one again another.
    play.push(2);
    play.deploy("test");
    EXPECT_EQ(play.cluster.size(), 2U);
    play.pass(1min);
    play.push(1);
    play.deploy("test");
    EXPECT_EQ(play.cluster.size(), 3U);
    EXPECT_EQ(play.shown(), "test 1 Progressing, production 1 Passed");
}

TEST(Promotion, AJobThatFailedRunsAgainWhenSomebodySaysSo) {
    Play play{pipeline(with_smoke)};
    play.push(1);
    play.deploy("test");
    const auto first = play["test"].gates[1].job;
    play.end_job(false);
    EXPECT_EQ(play.shown(), "test 1 Failed, production");
    EXPECT_EQ(play["test"].gates[1].message,
              "Job default/" + first + ": it says why (kubectl logs -n default job/" + first +
                  "; once more: kled gitops promote shop --retry)");
    play.cluster[first].there = false;
    play.settle();
    EXPECT_EQ(play.shown(), "test 1 Failed, production") << "that stands";
    parse_retry(commit(2) + " 2", play.facts.stages[0]);
    play.settle();
    EXPECT_EQ(play.shown(), "test 1 Failed, production") << "it is about another commit";
    parse_retry(commit(1) + " 2", play.facts.stages[0]);
    play.settle();
    EXPECT_EQ(play.shown(), "test 1 Progressing, production");
    EXPECT_NE(play["test"].gates[1].job, first);
    EXPECT_EQ(play["test"].gates[1].attempt, 2);
    play.end_job(false);
    EXPECT_EQ(play.shown(), "test 1 Failed, production") << "once, and not for ever";
    parse_retry(commit(1) + " 3", play.facts.stages[0]);
    play.settle();
    play.end_job(true);
    EXPECT_EQ(play.shown(), "test 1 Passed, production 1 Passed");
    EXPECT_EQ(play.cluster.size(), 3U);
}

TEST(Promotion, AJobThatVanishesBeforeItEndsIsMadeAgain) {
    Play play{pipeline(with_smoke)};
    play.push(1);
    play.deploy("test");
    const auto name = play["test"].gates[1].job;
    play.cluster[name].there = false;
    play.settle();
    EXPECT_TRUE(play.cluster[name].there);
    EXPECT_EQ(play.cluster.size(), 1U);
    play.end_job(true);
    EXPECT_EQ(play.shown(), "test 1 Passed, production 1 Passed");
}

TEST(Promotion, AJobThatDoesNotEndInTimeHasFailed) {
    Play play{pipeline(with_smoke)};
    play.push(1);
    play.deploy("test");
    EXPECT_EQ(play.last.look_again, play.now + 10min);
    play.pass(10min - 1s);
    EXPECT_EQ(play.shown(), "test 1 Progressing, production");
    play.pass(1s);
    EXPECT_EQ(play.shown(), "test 1 Failed, production");
    EXPECT_THAT(play["test"].gates[1].message, HasSubstr(" has not ended within 10m"));
    play.end_job(true);
    EXPECT_EQ(play.shown(), "test 1 Failed, production") << "too late";
}

TEST(Promotion, SaysWhyAJobCannotBeMade) {
    Play play{pipeline(with_smoke)};
    play.cron_job = false;
    play.push(1);
    play.deploy("test");
    EXPECT_EQ(play["test"].gates[1].message, "CronJob default/smoke does not exist");
    EXPECT_TRUE(play.last.jobs_run) << "it is looked for again";
    EXPECT_TRUE(play.cluster.empty());
    play.cron_job = true;
    play.settle();
    EXPECT_EQ(play.cluster.size(), 1U);
}

TEST(Promotion, ReadsWhichAttemptIsAskedFor) {
    const auto read = [](const std::string& text) {
        StageFacts facts;
        parse_retry(text, facts);
        return std::pair{facts.retry_of, facts.retry};
    };
    EXPECT_EQ(read(revision(1) + " 2"), (std::pair{commit(1), std::int64_t{2}}));
    for (const auto* text : {"", "abc 2", " 2"}) EXPECT_EQ(read(text).second, 0) << text;
    for (const auto* number :
         {"", " ", " 0", " -1", " x", " 2x", " 10001", " 99999999999999999999"})
        EXPECT_EQ(read(commit(1) + number).second, 0) << number;
}

TEST(Promotion, ByCommitTheBranchesOfTheTargetsHaveToMove) {
    Play play{pipeline("  - {name: staging, promotion: commit, targets: [{name: web}]}\n")};
    auto& web = play.facts.stages[0].targets[0];
    web.obstacle = "it follows no branch";
    play.push(1);
    EXPECT_EQ(play.shown(), "staging <1");
    EXPECT_EQ(play["staging"].waiting_reason, "Kustomization web: it follows no branch");
    web.obstacle.clear();
    play.step();
    ASSERT_EQ(play.last.pins.size(), 1U);
    web.pin = web.promoted = "";  // it was not moved after all
    web.pushed = commit(1);
    web.trouble = "no route to host";
    play.step();
    EXPECT_EQ(play.shown(), "staging 1 Progressing");
    EXPECT_EQ(play["staging"].gates[0].name, "push");
    EXPECT_EQ(play["staging"].gates[0].message, "Kustomization web: no route to host");
    web.pin = web.promoted = commit(7);
    web.trouble = "refs/heads/staging is at " + commit(7) + ", which is no ancestor";
    web.refused = true;
    play.step();
    EXPECT_EQ(play.shown(), "staging 1 Failed");
    EXPECT_THAT(play.last.notes[0].message, HasSubstr("which is no ancestor"));
    // What is said of a commit is said of no other.
    web.pin = web.promoted = commit(7);
    play.facts.newest = revision(2);
    play.step();
    EXPECT_EQ(play.shown(), "staging 2 Progressing");
    web.refused = false;
    web.trouble.clear();
    play.deploy("staging");
    EXPECT_EQ(play.shown(), "staging 2 Passed");
}

TEST(Promotion, APinSetByHandStays) {
    Play play{pipeline(two_stages)};
    play.push(1);
    play.deploy("staging");
    play.deploy("production");
    auto& web = play.facts.stages[1].targets[0];
    web.pin = commit(7);
    play.push(2);
    play.deploy("staging");
    EXPECT_EQ(play.shown(), "staging 2 Passed, production 1 Progressing <2");
    EXPECT_EQ(web.pin, commit(7));
    EXPECT_THAT(play["production"].waiting_reason,
                HasSubstr("web is pinned by hand to " + commit(7)));
    web.pin.clear();  // given back
    play.settle();
    EXPECT_EQ(play.shown(), "staging 2 Passed, production 2 Progressing");
    EXPECT_EQ(web.pin, commit(2));
}

TEST(Promotion, SaysWhyATargetCannotBePinned) {
    Play play{pipeline(two_stages)};
    play.facts.newest = revision(1);
    play.step(true);
    play.facts.stages[0].targets[0].trouble = "a webhook denied it";
    play.step(true);
    EXPECT_EQ(play["staging"].gates[0].message,
              "Kustomization web-staging does not have it yet: a webhook denied it");
    EXPECT_EQ(play.last.pins.size(), 1U) << "it is tried again";
}

TEST(Promotion, WhoDoesNotNameThePipelineIsLeftAlone) {
    Play play{pipeline(two_stages)};
    play.facts.stages[0].targets[0].consents = false;
    play.push(1);
    EXPECT_EQ(play.shown(), "staging <1, production");
    EXPECT_THAT(play["staging"].waiting_reason, HasSubstr("does not name this Pipeline"));
    EXPECT_EQ(play.facts.stages[0].targets[0].pin, "");
    play.facts.stages[0].targets[0].exists = false;
    play.settle();
    EXPECT_THAT(play["staging"].waiting_reason, HasSubstr("does not exist"));
}

TEST(Promotion, StatesFollowTheNamesOfStages) {
    Play play{pipeline(two_stages)};
    play.push(1);
    play.deploy("staging");
    const auto other = pipeline(
        "  - {name: staging, targets: [{name: web-staging}]}\n  - {name: canary}\n"
        "  - {name: production, targets: [{name: web}]}\n");
    auto facts = play.facts;
    facts.stages.insert(facts.stages.begin() + 1, StageFacts{});
    const auto step = advance(other, play.states, facts, play.now);
    ASSERT_EQ(step.stages.size(), 3U);
    EXPECT_EQ(step.stages[1].revision, revision(1));
    EXPECT_EQ(step.stages[2].revision, revision(1));
}

TEST(Promotion, ReadsWhatIsSaidOfCommits) {
    const auto checks =
        parse_checks("main@sha1:" + commit(1) + "=success, " + commit(2) + "=failure\n" +
                     commit(3) + "=perhaps nonsense =success " + commit(4));
    EXPECT_THAT(checks, ElementsAre(std::pair{commit(1), true}, std::pair{commit(2), false}));
    EXPECT_THAT(parse_checks(""), IsEmpty());
}

TEST(Promotion, RefusesAPipelineThatIsNone) {
    const auto refused = [](const std::string& stages) {
        try {
            static_cast<void>(pipeline(stages));
        } catch (const Error& error) {
            return std::string{error.what()};
        }
        return std::string{};
    };
    EXPECT_THAT(refused("    []\n"), HasSubstr("spec.stages: is required"));
    EXPECT_THAT(refused("  - {name: a}\n  - {name: a}\n"),
                HasSubstr("spec.stages[1].name: 'a' is there twice"));
    EXPECT_THAT(refused("  - {name: A.b}\n"), HasSubstr("is no name"));
    EXPECT_THAT(
        refused("  - {name: a, targets: [{name: w}]}\n  - {name: b, targets: [{name: w}]}\n"),
        HasSubstr("Kustomization w is in a stage already"));
    EXPECT_THAT(refused("  - {name: a, targets: [{name: w, kind: Pod}]}\n"), HasSubstr("'Pod'"));
    EXPECT_THAT(refused("  - {name: a, gates: {windows: [{schedule: x, duration: 1h}]}}\n"),
                HasSubstr("spec.stages[0].gates.windows[0].schedule"));
    const auto job = [&](const std::string& text) {
        return refused("  - {name: a, gates: {jobs: [" + text + "]}}\n");
    };
    EXPECT_THAT(refused("  - {name: a, promotion: merge}\n"),
                HasSubstr("spec.stages[0].promotion: 'merge' is neither pin nor commit"));
    EXPECT_THAT(job("{}"), HasSubstr("spec.stages[0].gates.jobs[0].name: is required"));
    EXPECT_THAT(job("{name: a, cronJob: b}"), HasSubstr("jobs[0].name: stands beside `cronJob`"));
    EXPECT_THAT(job("{name: a, timeout: 1m}"), HasSubstr("timeout: is for a `cronJob` only"));
    EXPECT_THAT(job("{cronJob: a, timeout: 1ms}"), HasSubstr("less than a second"));
    EXPECT_THAT(job("{cronJob: a}, {cronJob: a, namespace: default}"),
                HasSubstr("jobs[1].cronJob: CronJob default/a is there already"));
    EXPECT_THAT(refused("  - {name: a, gates: {soak: ten}}\n"),
                HasSubstr("spec.stages[0].gates.soak"));
    std::string many;
    for (int i = 0; i < 33; ++i) many += "  - {name: s" + std::to_string(i) + "}\n";
    EXPECT_THAT(refused(many), HasSubstr("more than 32"));
}

}  // namespace
}  // namespace kled::gitops
