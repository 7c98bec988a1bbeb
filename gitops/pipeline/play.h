/// For tests of promotion: Pipelines, and a play of one with a cluster that does what it is told.
#pragma once

#include "base/error.h"
#include "gitops/pipeline/jobs.h"
#include "gitops/pipeline/promotion.h"
#include "kube/yaml.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace kled::gitops::testing {

inline const WallTime start = *parse_rfc3339("2026-11-29T04:00:00Z");

/// The commit of a number, and the revision with it.
inline std::string commit(int number) {
    const auto digits = std::to_string(number);
    return std::string(40 - digits.size(), '0') + digits;
}
inline std::string revision(int number) { return "main@sha1:" + commit(number); }

inline Pipeline pipeline(const std::string& stages, const std::string& more = "") {
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

}  // namespace kled::gitops::testing
