// Promotion, whatever happens and whenever it is interrupted.
#include "gitops/pipeline/play.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace kled::gitops {
namespace {

using namespace std::chrono_literals;
using testing::commit;
using ::testing::IsEmpty;
using testing::pipeline;
using testing::Play;
using testing::revision;
using Phase = StageState::Phase;

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
        switch (any(18)) {
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
            case 11: {  // it goes, and comes as another one
                auto& target = facts.stages[3].targets[0];
                const bool comes = !target.exists;
                target = {};
                target.exists = target.consents = comes;
                break;
            }
            case 12: {  // who names no Pipeline loses the pin of one
                auto& target = facts.stages[4].targets[0];
                target.consents = any(3) != 0;
                if (!target.consents && !target.pinned_by_hand()) target.pin.clear();
                break;
            }
            case 13:
                if (any(10) != 0) break;
                play_.states.clear();
                passed_.clear();
                failed_in_.clear();
                play_.spec.object.metadata()["uid"] = "u-" + std::to_string(++pipelines_);
                break;
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
            EXPECT_TRUE(target.exists && target.consents);
        }
        if (crash) return;
        // The same once more says nothing new.
        const auto again = advance(play_.spec, states, play_.facts, play_.now);
        if (play_.last.pins.empty()) {
            EXPECT_EQ(again.stages, states);
            EXPECT_THAT(again.notes, IsEmpty());
            EXPECT_THAT(again.pins, IsEmpty());
        }
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
    int pipelines_ = 0;
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
    EXPECT_GT(begun, 30) << "and the events are such that Jobs are made";
}

}  // namespace
}  // namespace kled::gitops
