#include "gitops/pipeline/promotion.h"

#include "base/error.h"
#include "gitops/pipeline/jobs.h"
#include "kube/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

namespace kled::gitops {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Phase = StageState::Phase;

const WallTime start = *parse_rfc3339("2026-11-29T04:00:00Z");

/// The commit of a number, and the revision with it.
std::string commit(int number) {
    const auto digits = std::to_string(number);
    return std::string(40 - digits.size(), '0') + digits;
}
std::string revision(int number) { return "main@sha1:" + commit(number); }

Pipeline pipeline(const std::string& stages, const std::string& more = "") {
    return Pipeline::from_object(kube::Object::from(kube::parse_yaml(
        "apiVersion: gitops.kled.io/v1\nkind: Pipeline\nmetadata: {name: shop, namespace: "
        "default}\nspec:\n  sourceRef: {kind: GitRepository, name: fleet}\n" +
        more + "  stages:\n" + stages)));
}

/// A Pipeline, what it is seen to do, and a cluster that does what it is pinned to.
class Play {
public:
    explicit Play(Pipeline p) : spec{std::move(p)} {
        for (const auto& stage : spec.stages) {
            StageFacts stage_facts;
            for (std::size_t i = 0; i < stage.targets.size(); ++i) {
                TargetFacts target;
                target.exists = true;
                target.consents = true;
                stage_facts.targets.push_back(target);
            }
            stage_facts.jobs.resize(stage.jobs.size());
            facts.stages.push_back(std::move(stage_facts));
        }
    }

    /// A Job that was made here, also after it is gone.
    struct Made {
        std::string commit;
        WallTime created;
        JobFacts::Result result = JobFacts::Result::running;
        bool there = true;
        bool succeeded = false;  // ever, under this name
        bool failed = false;
    };
    /// What is asked of the cluster before a step.
    void look() {
        for (std::size_t i = 0; i < spec.stages.size(); ++i) {
            for (std::size_t j = 0; j < spec.stages[i].jobs.size(); ++j) {
                if (!spec.stages[i].jobs[j].made) continue;
                auto& seen = facts.stages[i].jobs[j];
                seen = {};
                if (states.empty()) continue;
                seen.name = job_looked_for(spec, i, j, states[i]);
                if (seen.name.empty()) continue;
                const auto found = cluster.find(seen.name);
                if (found != cluster.end() && found->second.there) {
                    seen.created = found->second.created;
                    seen.result = found->second.result;
                    seen.message = "it says why";
                } else {
                    seen.can_begin = cron_job;
                    if (!cron_job) seen.trouble = "CronJob default/smoke does not exist";
                }
            }
        }
    }
    void make() {
        for (const auto& begin : last.begins) {
            auto& made = cluster[begin.name];
            EXPECT_TRUE(made.commit.empty() || !made.there) << "it is there";
            const auto& state = states[begin.stage];
            const auto commit = state.revision.substr(state.revision.size() - 40);
            EXPECT_TRUE(made.commit.empty() || made.commit == commit);
            made.commit = commit;
            made.created = now;
            made.result = JobFacts::Result::running;
            made.there = true;
        }
    }
    void end(Made& made, bool good) const {
        made.result = good ? JobFacts::Result::succeeded : JobFacts::Result::failed;
        (good ? made.succeeded : made.failed) = true;
    }
    /// Of the only Job that is there and runs.
    void end_job(bool good) {
        const auto found = std::ranges::find_if(cluster, [](const auto& one) {
            return one.second.there && one.second.result == JobFacts::Result::running;
        });
        ASSERT_NE(found, cluster.end());
        end(found->second, good);
        settle();
    }

    /// One step, kept as the API keeps it; `crash`: before the pins are set.
    const Promotion& step(bool crash = false) {
        look();
        last = advance(spec, states, facts, now);
        PipelineStatus status;
        status.stages = last.stages;
        kube::Object object{spec.object.fields()};
        status.write_to(object);
        states = PipelineStatus::from_object(object).stages;
        EXPECT_EQ(states, last.stages) << "all of it is in the object";
        if (crash) return last;
        for (const auto& pin : last.pins) {
            auto& target = facts.stages[pin.stage].targets[pin.target];
            target.pin = pin.commit;
            target.promoted = pin.commit;
        }
        make();
        return last;
    }
    /// Steps until nothing more comes of it.
    void settle() {
        for (int i = 0; i < 20; ++i)
            if (step().pins.empty() && last.begins.empty() && last.look_again != now) return;
        FAIL() << "it does not come to rest";
    }
    void push(int number) {
        facts.newest = revision(number);
        settle();
    }
    /// The targets of a stage have what they are pinned to, and are well.
    void deploy(const std::string& name, bool well = true) {
        for (auto& target : facts.stages[index(name)].targets) {
            target.attempted = target.pin;
            target.ready = well;
            target.failed = !well;
            target.message = well ? "" : "it crashes";
        }
        settle();
    }
    void check(const std::string& name, int number, bool good) {
        facts.checks[name][commit(number)] = good;
        settle();
    }
    void approve(const std::string& name, int number) {
        facts.stages[index(name)].approved = commit(number);
        facts.stages[index(name)].approved_by = "ann";
        settle();
    }
    void pass(std::chrono::seconds time) {
        now += time;
        settle();
    }
    std::size_t index(const std::string& name) const {
        for (std::size_t i = 0; i < spec.stages.size(); ++i)
            if (spec.stages[i].name == name) return i;
        throw Error{ErrorKind::not_found, name};
    }
    const StageState& operator[](const std::string& name) const { return states[index(name)]; }
    /// "build 1 Passed, test 1 Progressing", and what waits.
    std::string shown() const {
        std::string text;
        for (const auto& state : states) {
            text += (text.empty() ? "" : ", ") + state.name;
            if (!state.revision.empty())
                text += " " + number(state.revision) + " " + std::string{to_string(state.phase)};
            if (!state.waiting.empty()) text += " <" + number(state.waiting);
        }
        return text;
    }
    static std::string number(const std::string& text) {
        return std::to_string(std::stoi(text.substr(text.size() - 9)));
    }

    std::map<std::string, Made> cluster;
    bool cron_job = true;
    Pipeline spec;
    PipelineFacts facts;
    std::vector<StageState> states;
    WallTime now = start;
    Promotion last;
};

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

/// Anything in any order, with crashes in between.
class Chaos {
public:
    Chaos(unsigned seed, bool supersede)
        : random_{seed},
          supersede_{supersede},
          play_{pipeline("  - {name: commit}\n"
                         "  - {name: build, gates: {checks: [ci]}}\n"
                         "  - {name: staging, targets: [{name: s1}, {name: s2}],\n"
                         "     gates: {soak: 5m, jobs: [{cronJob: smoke, timeout: 40m}]}}\n"
                         "  - {name: edge, targets: [{kind: EdgeDeployment, name: e}],\n"
                         "     gates: {jobs: [{name: smoke}], windows: [{schedule: 0 * * * *, "
                         "duration: 30m}]}}\n"
                         "  - {name: production, targets: [{name: p}], gates: {approval: true}}\n",
                         supersede ? "" : "  supersede: false\n")} {}

    void run() {
        for (int i = 0; i < 500 && !::testing::Test::HasFailure(); ++i) {
            happen();
            const auto before = play_.states;
            play_.look();
            const auto seen = play_.facts;
            const bool lost = any(10) == 0;  // killed before it stored anything
            if (lost) continue;
            const bool crash = any(6) == 0;
            play_.step(crash);
            if (crash && any(2) == 0) play_.make();
            check_jobs(seen);
            verify(before, seen, crash);
        }
    }

    int begun() const { return begun_; }

private:
    int any(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }

    void happen() {
        auto& facts = play_.facts;
        switch (any(14)) {
            case 0: facts.newest = revision(++newest_); break;
            case 1:
                if (newest_ > 0) facts.checks["ci"][commit(1 + any(newest_))] = any(4) != 0;
                break;
            case 2:
            case 3: {
                auto& stage = facts.stages[static_cast<std::size_t>(2 + any(3))];
                for (auto& target : stage.targets) {
                    if (any(4) == 0) continue;
                    target.attempted = target.pin;
                    target.ready = any(5) != 0;
                    target.failed = !target.ready && any(2) == 0;
                }
                break;
            }
            case 4: play_.now += std::chrono::minutes{any(20)}; break;
            case 5: facts.stages[4].approved = newest_ > 0 ? commit(1 + any(newest_)) : ""; break;
            case 6: {
                auto& job = facts.stages[3].jobs[0];
                if (any(2) == 0) job.created = play_.now;
                job.result = static_cast<JobFacts::Result>(any(3));
                break;
            }
            case 7: {
                auto& target = facts.stages[2].targets[0];
                if (any(3) == 0) target.pin = commit(any(newest_ + 1));
                break;
            }
            case 8: {
                auto& target = facts.stages[2].targets[0];
                if (target.pinned_by_hand()) target.pin.clear();
                break;
            }
            case 9:
                facts.stages[2].retry_of = newest_ > 0 ? commit(1 + any(newest_)) : "";
                facts.stages[2].retry = 1 + any(4);
                break;
            case 10: play_.cron_job = any(4) != 0; break;
            default: {  // any of them, also one that nobody waits for any more
                if (play_.cluster.empty()) break;
                auto one = play_.cluster.begin();
                std::advance(one, any(static_cast<int>(play_.cluster.size())));
                auto& job = one->second;
                if (any(4) == 0) {
                    job.there = false;
                } else if (job.there && job.result == JobFacts::Result::running) {
                    play_.end(job, any(3) != 0);
                }
            }
        }
    }

    void verify(const std::vector<StageState>& before, const PipelineFacts& seen, bool crash) {
        const auto& states = play_.states;
        note_passed(seen);
        for (std::size_t i = 0; i < states.size(); ++i) {
            const auto& state = states[i];
            if (state.phase == Phase::passed) {
                EXPECT_TRUE(passed_[i].contains(state.revision)) << state.name;
            }
            if (!state.passed.empty()) {
                EXPECT_TRUE(passed_[i].contains(state.passed)) << state.name;
            }
            const bool came =
                before.empty() ? !state.revision.empty() : before[i].revision != state.revision;
            if (!came) continue;
            // What came in passed the stage before, and is what somebody let in.
            if (i > 0) {
                EXPECT_TRUE(passed_[i - 1].contains(state.revision)) << state.name;
            }
            if (i == 4) {
                EXPECT_EQ(play_.facts.stages[4].approved, commit_of(state));
            }
            if (i == 3) {
                EXPECT_TRUE(play_.spec.stages[3].windows.at(play_.now).open);
            }
            if (!supersede_ && !before.empty() && !before[i].revision.empty() &&
                before[i].phase != Phase::failed) {
                EXPECT_TRUE(passed_[i].contains(before[i].revision) ||
                            has_failed(i, before[i], seen))
                    << state.name;
            }
        }
        // A soak is never shorter.
        const auto& staging = states[2];
        if (staging.phase == Phase::passed) {
            EXPECT_LE(*staging.healthy_since + 5min, play_.now);
            for (const auto& target : play_.facts.stages[2].targets) EXPECT_TRUE(target.ready);
        }
        // Hands off what somebody pinned.
        for (const auto& pin : play_.last.pins) {
            const auto& target = seen.stages[pin.stage].targets[pin.target];
            EXPECT_TRUE(!target.pinned_by_hand() || target.pin == pin.commit);
        }
        if (crash) return;
        // The same once more says nothing new.
        const auto again = advance(play_.spec, states, play_.facts, play_.now);
        if (play_.last.pins.empty()) {
            EXPECT_EQ(again.stages, states);
            EXPECT_THAT(again.notes, IsEmpty());
        }
        EXPECT_THAT(again.pins, IsEmpty());
    }

    void check_jobs(const PipelineFacts& seen) {
        const auto& staging = play_.states[2];
        for (const auto& begin : play_.last.begins) {
            ASSERT_EQ(begin.stage, 2U);
            ++begun_;
            EXPECT_TRUE(seen.stages[2].jobs[0].can_begin);
            EXPECT_FALSE(seen.stages[2].jobs[0].created);
            if (!staging.gates.back().job.empty()) continue;  // it was there, and is gone
            for (const auto& target : seen.stages[2].targets) {
                EXPECT_TRUE(target.ready);
                EXPECT_EQ(target.attempted, commit_of(staging));
            }
        }
        if (staging.revision.empty()) return;
        const auto& gate = staging.gates.back();
        EXPECT_EQ(gate.name, "CronJob default/smoke");
        EXPECT_GE(gate.attempt, 1);
        EXPECT_LE(gate.attempt, 4);
        const auto of = std::pair{commit_of(staging), *staging.since};
        // One that fails may begin again at the end of the same step.
        const auto& job = seen.stages[2].jobs[0];
        for (std::int64_t attempt = 1; attempt <= 4; ++attempt) {
            const auto& stage = play_.spec.stages[2];
            if (job.name == job_name(play_.spec, stage, stage.jobs[0], staging, attempt) &&
                job.created &&
                (job.result == JobFacts::Result::failed || *job.created + 40min <= play_.now))
                failed_in_[of] = attempt;
        }
        if (gate.verdict == StageState::Verdict::failed) failed_in_[of] = gate.attempt;
        // Another attempt is made of one that failed, and of no other.
        if (gate.attempt > 1) {
            EXPECT_GT(failed_in_[of], 0);
        }
        if (gate.verdict == StageState::Verdict::waiting) return;
        const auto made = play_.cluster.find(gate.job);
        ASSERT_NE(made, play_.cluster.end());
        EXPECT_EQ(made->second.commit, commit_of(staging));
        if (gate.verdict == StageState::Verdict::passed) {
            EXPECT_TRUE(made->second.succeeded);
        } else {
            EXPECT_TRUE(made->second.failed || made->second.created + 40min <= play_.now);
        }
    }

    /// One that passes may have left its stage at the end of the same step.
    void note_passed(const PipelineFacts& seen) {
        for (const auto& note : play_.last.notes) {
            if (note.reason != "StagePassed") continue;
            for (std::size_t i = 0; i < play_.states.size(); ++i) {
                if (note.message != note.revision + " passed " + play_.states[i].name) continue;
                passed_[i].insert(note.revision);
                if (i == 1) {
                    EXPECT_TRUE(
                        seen.checks.at("ci").at(note.revision.substr(note.revision.size() - 40)));
                }
            }
        }
    }

    /// Whether something that is seen is a failure of what was in the stage.
    static bool has_failed(std::size_t i, const StageState& was, const PipelineFacts& seen) {
        const auto commit = commit_of(was);
        if (i == 1) return !seen.checks.at("ci").at(commit);
        const auto& stage = seen.stages[i];
        if (i == 2 && stage.jobs[0].created && stage.jobs[0].result != JobFacts::Result::succeeded)
            return true;  // it failed, or was too slow
        if (i == 3 && stage.jobs[0].created && *stage.jobs[0].created >= *was.since &&
            stage.jobs[0].result == JobFacts::Result::failed)
            return true;
        return std::ranges::any_of(stage.targets, [&](const TargetFacts& target) {
            return target.pin == commit && target.attempted == commit && target.failed;
        });
    }
    static std::string commit_of(const StageState& state) {
        return state.revision.substr(state.revision.size() - 40);
    }

    std::mt19937 random_;
    bool supersede_;
    Play play_;
    int newest_ = 0;
    int begun_ = 0;
    std::map<std::pair<std::string, WallTime>, std::int64_t> failed_in_;
    std::map<std::size_t, std::set<std::string>> passed_;
};

TEST(Promotion, HoldsWhateverHappens) {
    int begun = 0;
    for (unsigned seed = 1; seed <= 15 && !HasFailure(); ++seed) {
        SCOPED_TRACE(seed);
        for (const bool supersede : {true, false}) {
            Chaos chaos{seed, supersede};
            chaos.run();
            begun += chaos.begun();
        }
    }
    EXPECT_GT(begun, 50) << "and the events are such that Jobs are made";
}

}  // namespace
}  // namespace kled::gitops
