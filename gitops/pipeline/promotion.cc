#include "gitops/pipeline/promotion.h"

#include "gitops/objects/annotations.h"
#include "gitops/pipeline/jobs.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace kled::gitops {

namespace {

using Gate = StageState::Gate;
using Phase = StageState::Phase;
using Verdict = StageState::Verdict;
using Stage = Pipeline::Stage;

void join_text(std::string& text, const std::string& more) {
    text += (text.empty() ? "" : "; ") + more;
}

/// The worst of them, with what is said of those that have not passed.
class Verdicts {
public:
    void add(Verdict verdict, const std::string& message) {
        if (verdict == Verdict::passed) return;
        if (verdict == Verdict::failed || worst_ == Verdict::passed) worst_ = verdict;
        join_text(text_, message);
    }
    [[nodiscard]] Gate gate(std::string name) && {
        return {.name = std::move(name), .verdict = worst_, .message = std::move(text_)};
    }

private:
    Verdict worst_ = Verdict::passed;
    std::string text_;
};

/// One call of `advance`.
class Step {
public:
    Step(const Pipeline& pipeline, const PipelineFacts& facts, WallTime now)
        : pipeline_{pipeline}, facts_{facts}, now_{std::chrono::floor<std::chrono::seconds>(now)} {}

    Promotion run(const std::vector<StageState>& before) {
        take(before);
        // A revision may go through several stages at once; in each round at least one moves.
        const auto rounds = 2 * pipeline_.stages.size() + 2;
        for (std::size_t round = 0; round < rounds; ++round) {
            bool moved = false;
            for (std::size_t i = 0; i < pipeline_.stages.size(); ++i) {
                moved = enter(i) || moved;
                moved = judge(i) || moved;
            }
            if (!moved) break;
        }
        tell(before);
        pin();
        begin();
        return std::move(result_);
    }

private:
    [[nodiscard]] const Stage& spec(std::size_t i) const { return pipeline_.stages[i]; }
    [[nodiscard]] const StageFacts& facts(std::size_t i) const { return facts_.stages[i]; }
    [[nodiscard]] StageState& state(std::size_t i) { return result_.stages[i]; }

    void take(const std::vector<StageState>& before) {
        for (const auto& stage : pipeline_.stages) {
            const auto found = std::ranges::find(before, stage.name, &StageState::name);
            StageState fresh;
            fresh.name = stage.name;
            result_.stages.push_back(found == before.end() ? std::move(fresh) : *found);
        }
    }

    void look_again_at(WallTime when) {
        if (!result_.look_again || when < *result_.look_again) result_.look_again = when;
    }

    // ---- in

    /// Why the stage has no place for another revision; empty: it has.
    std::string occupied(std::size_t i) {
        const auto& here = state(i);
        if (pipeline_.supersede || here.revision.empty() || here.phase == Phase::failed) return {};
        const bool last = i + 1 == pipeline_.stages.size();
        if (here.phase == Phase::passed && (last || state(i + 1).revision == here.revision))
            return {};
        return here.revision + " is there first";
    }

    /// Why `candidate` may not come in; empty: it may.
    std::string refused(std::size_t i, const std::string& candidate) {
        auto why = occupied(i);
        for (std::size_t t = 0; t < spec(i).targets.size(); ++t) {
            const auto name = spec(i).targets[t].to_string();
            const auto& target = facts(i).targets[t];
            if (!target.exists) {
                join_text(why, name + " does not exist");
            } else if (!target.obstacle.empty()) {
                join_text(why, name + ": " + target.obstacle);
            } else if (!target.consents) {
                join_text(why, name + " does not name this Pipeline (annotation " +
                                   std::string{pipeline_annotation} + ")");
            } else if (target.pinned_by_hand()) {
                join_text(why, name + " is pinned by hand to " + target.pin);
            }
        }
        const auto window = spec(i).windows.at(now_);
        if (!window.open) {
            join_text(why, "outside its deploy windows" +
                               (window.until ? ", open at " + to_rfc3339(*window.until) : ""));
            if (window.until) look_again_at(*window.until);
        }
        if (spec(i).approval && facts(i).approved != commit_in(candidate))
            join_text(why, "needs an approval (`kled gitops promote`)");
        return why;
    }

    bool enter(std::size_t i) {
        auto& here = state(i);
        const auto candidate = i == 0 ? facts_.newest : state(i - 1).passed;
        if (candidate.empty() || candidate == here.revision) {
            here.waiting.clear();
            here.waiting_reason.clear();
            return false;
        }
        if (auto why = refused(i, candidate); !why.empty()) {
            here.waiting = candidate;
            here.waiting_reason = std::move(why);
            return false;
        }
        if (!here.revision.empty() && here.phase != Phase::passed) {
            result_.notes.push_back(
                {.warning = false,
                 .reason = "Superseded",
                 .message = here.revision + " in " + here.name + " is superseded by " + candidate,
                 .revision = candidate});
        }
        result_.notes.push_back({.warning = false,
                                 .reason = "Promoted",
                                 .message = candidate + " came into " + here.name +
                                            (spec(i).approval && !facts(i).approved_by.empty()
                                                 ? ", approved by " + facts(i).approved_by
                                                 : ""),
                                 .revision = candidate});
        here.revision = candidate;
        here.since = now_;
        here.healthy_since.reset();
        here.phase = Phase::progressing;
        here.gates.clear();
        here.waiting.clear();
        here.waiting_reason.clear();
        return true;
    }

    // ---- on

    Gate health_of(std::size_t i, const std::string& commit) {
        Verdicts all;
        for (std::size_t t = 0; t < spec(i).targets.size(); ++t) {
            const auto name = spec(i).targets[t].to_string();
            const auto& target = facts(i).targets[t];
            if (!target.exists) {
                all.add(Verdict::waiting, name + " does not exist");
            } else if (target.pin != commit && target.pinned_by_hand()) {
                all.add(Verdict::waiting, name + " is pinned by hand to " + target.pin);
            } else if (target.pin != commit) {
                all.add(Verdict::waiting, name + " does not have it yet" +
                                              (target.trouble.empty() ? "" : ": ") +
                                              target.trouble);
            } else if (target.attempted != commit) {
                all.add(Verdict::waiting, name + " does not have it yet" +
                                              (target.message.empty() ? "" : ": ") +
                                              target.message);
            } else if (!target.ready) {
                all.add(target.failed ? Verdict::failed : Verdict::waiting,
                        name + ": " + target.message);
            }
        }
        return std::move(all).gate("health");
    }

    /// Whether the branches that the targets follow are there.
    Gate push_of(std::size_t i, const std::string& commit) {
        Verdicts all;
        for (std::size_t t = 0; t < spec(i).targets.size(); ++t) {
            const auto& target = facts(i).targets[t];
            if (target.pin == commit) continue;
            const auto name = spec(i).targets[t].to_string();
            if (!target.exists || !target.obstacle.empty()) {
                all.add(Verdict::waiting,
                        name + (target.exists ? ": " + target.obstacle : " does not exist"));
            } else if (target.pushed == commit && !target.trouble.empty()) {
                all.add(target.refused ? Verdict::failed : Verdict::waiting,
                        name + ": " + target.trouble);
            } else {
                all.add(Verdict::waiting, name + ": its branch does not have it yet");
            }
        }
        return std::move(all).gate("push");
    }

    Gate soak_of(std::size_t i) {
        const auto& here = state(i);
        if (!here.healthy_since)
            return {.name = "soak", .verdict = Verdict::waiting, .message = "not healthy yet"};
        const auto end = *here.healthy_since + spec(i).soak;
        if (end <= now_) return {.name = "soak", .verdict = Verdict::passed, .message = {}};
        look_again_at(end);
        return {.name = "soak", .verdict = Verdict::waiting, .message = "until " + to_rfc3339(end)};
    }

    [[nodiscard]] Gate check_of(const std::string& name, const std::string& commit) const {
        Gate gate{.name = "check " + name, .verdict = Verdict::waiting, .message = {}};
        if (const auto known = facts_.checks.find(name); known != facts_.checks.end()) {
            if (const auto of = known->second.find(commit); of != known->second.end())
                gate.verdict = of->second ? Verdict::passed : Verdict::failed;
        }
        if (gate.verdict == Verdict::waiting) gate.message = "nothing is said of it yet";
        return gate;
    }

    /// Of a Job that is made here. What it said of this revision stands, whatever becomes of it:
    /// it may be cleaned up before anybody looks again.
    [[nodiscard]] Gate made_job_of(std::size_t i, std::size_t j, bool healthy) {
        const auto& here = state(i);
        const auto& asked = spec(i).jobs[j];
        const auto& job = facts(i).jobs[j];
        Gate gate{.name = asked.to_string()};
        const auto known = std::ranges::find(here.gates, gate.name, &Gate::name);
        if (known != here.gates.end()) gate = *known;
        gate.attempt = std::max<std::int64_t>(gate.attempt, 1);
        const bool again = facts(i).retry_of == commit_in(here.revision) &&
                           facts(i).retry > gate.attempt && gate.verdict == Verdict::failed;
        if (again) {
            gate.attempt = facts(i).retry;
            gate.verdict = Verdict::waiting;
            gate.job.clear();
        }
        if (gate.verdict != Verdict::waiting) return gate;
        const auto name = job_name(pipeline_, spec(i), asked, here, gate.attempt);
        const bool looked = job.name == name;
        if (!looked || !job.created) {
            if (!healthy && gate.job.empty()) {
                gate.message = "it begins when the targets are healthy";
                return gate;
            }
            result_.jobs_run = true;
            if (!looked) {
                look_again_at(now_);
                gate.message = "it begins";
            } else {
                gate.message = job.trouble.empty() ? "it begins" : job.trouble;
            }
            return gate;
        }
        gate.job = name;
        const auto shown = "Job " + asked.ns + "/" + name;
        const auto end =
            asked.timeout ? std::optional{*job.created + *asked.timeout} : std::nullopt;
        if (job.result == JobFacts::Result::succeeded) {
            gate.verdict = Verdict::passed;
            gate.message.clear();
        } else if (job.result == JobFacts::Result::failed || (end && *end <= now_)) {
            gate.verdict = Verdict::failed;
            gate.message = shown +
                           (job.result == JobFacts::Result::failed
                                ? ": " + job.message
                                : " has not ended within " + format_duration(*asked.timeout)) +
                           " (kubectl logs -n " + asked.ns + " job/" + name +
                           "; once more: kled gitops promote " +
                           std::string{pipeline_.object.name()} + " --retry)";
        } else {
            gate.message = shown + " has not ended yet";
            result_.jobs_run = true;
            if (end) look_again_at(*end);
        }
        return gate;
    }

    [[nodiscard]] Gate job_of(std::size_t i, std::size_t j) {
        const auto& job = facts(i).jobs[j];
        Gate gate{.name = spec(i).jobs[j].to_string(), .verdict = Verdict::waiting, .message = {}};
        if (!job.trouble.empty()) {
            gate.message = job.trouble;
        } else if (!job.created) {
            gate.message = "it does not exist yet";
        } else if (state(i).since && *job.created < *state(i).since) {
            gate.message = "it is from before this revision came, and has to run again";
        } else if (job.result == JobFacts::Result::running) {
            gate.message = "it has not ended yet";
        } else {
            const bool good = job.result == JobFacts::Result::succeeded;
            gate.verdict = good ? Verdict::passed : Verdict::failed;
            if (!good) gate.message = job.message;
        }
        if (gate.verdict != Verdict::passed) result_.jobs_run = true;
        return gate;
    }

    /// What the gates say of the revision that is in; true: another may come in now, or it may go
    /// on, or no longer.
    bool judge(std::size_t i) {
        auto& here = state(i);
        if (here.revision.empty()) return false;
        const auto commit = commit_in(here.revision);
        std::vector<Gate> gates;
        bool healthy = true;
        if (spec(i).by_commit && !spec(i).targets.empty()) gates.push_back(push_of(i, commit));
        if (spec(i).health && !spec(i).targets.empty()) {
            gates.push_back(health_of(i, commit));
            healthy = gates.back().verdict == Verdict::passed;
        }
        if (!healthy) {
            here.healthy_since.reset();
        } else if (!here.healthy_since) {
            here.healthy_since = now_;
        }
        if (spec(i).soak > Duration{}) gates.push_back(soak_of(i));
        for (const auto& check : spec(i).checks) gates.push_back(check_of(check, commit));
        for (std::size_t j = 0; j < spec(i).jobs.size(); ++j)
            gates.push_back(spec(i).jobs[j].made ? made_job_of(i, j, healthy) : job_of(i, j));

        const auto phase_before = here.phase;
        const auto has = [&](Verdict verdict) {
            return std::ranges::find(gates, verdict, &Gate::verdict) != gates.end();
        };
        here.phase = has(Verdict::failed)    ? Phase::failed
                     : has(Verdict::waiting) ? Phase::progressing
                                             : Phase::passed;
        here.gates = std::move(gates);
        const auto before = here.passed;
        if (here.phase == Phase::passed) {
            here.passed = here.revision;
            // Here, and not from what stands at the end: the next one may come in at once.
            if (before != here.passed) {
                result_.notes.push_back({.warning = false,
                                         .reason = "StagePassed",
                                         .message = here.revision + " passed " + here.name,
                                         .revision = here.revision});
            }
        } else if (here.passed == here.revision) {
            here.passed.clear();  // no longer: it does not go on before it does again
        }
        return here.passed != before || here.phase != phase_before;
    }

    // ---- what comes of it

    void tell(const std::vector<StageState>& before) {
        for (const auto& here : result_.stages) {
            const auto found = std::ranges::find(before, here.name, &StageState::name);
            const StageState nothing;
            const auto& was = found == before.end() ? nothing : *found;
            const bool other = was.revision != here.revision || was.phase != here.phase;
            if (other && here.phase == Phase::failed) {
                std::string why;
                for (const auto& gate : here.gates) {
                    if (gate.verdict == Verdict::failed)
                        join_text(why,
                                  gate.name + (gate.message.empty() ? "" : ": ") + gate.message);
                }
                result_.notes.push_back(
                    {.warning = true,
                     .reason = "StageFailed",
                     .message = here.revision + " failed in " + here.name + ": " + why,
                     .revision = here.revision});
            }
            if (!here.waiting.empty() &&
                (was.waiting != here.waiting || was.waiting_reason != here.waiting_reason)) {
                result_.notes.push_back({.warning = false,
                                         .reason = "Waiting",
                                         .message = here.waiting + " waits for " + here.name +
                                                    ": " + here.waiting_reason,
                                         .revision = here.waiting});
            }
        }
    }

    void pin() {
        for (std::size_t i = 0; i < pipeline_.stages.size(); ++i) {
            const auto commit = commit_in(state(i).revision);
            if (commit.empty()) continue;
            for (std::size_t t = 0; t < spec(i).targets.size(); ++t) {
                const auto& target = facts(i).targets[t];
                if (!target.exists || !target.consents || !target.obstacle.empty()) continue;
                if (target.pin == commit ? target.promoted == commit : target.pinned_by_hand())
                    continue;
                result_.pins.push_back({.stage = i, .target = t, .commit = commit});
            }
        }
    }

    void begin() {
        for (std::size_t i = 0; i < pipeline_.stages.size(); ++i) {
            const auto& here = state(i);
            for (std::size_t j = 0; j < spec(i).jobs.size(); ++j) {
                const auto& job = facts(i).jobs[j];
                if (!job.can_begin || job.created || job.name.empty()) continue;
                if (job.name != job_looked_for(pipeline_, i, j, here)) continue;
                // One that had begun and is gone begins again, whatever the targets do meanwhile.
                const auto gate =
                    std::ranges::find(here.gates, spec(i).jobs[j].to_string(), &Gate::name);
                if (!here.healthy_since && (gate == here.gates.end() || gate->job.empty()))
                    continue;
                result_.begins.push_back({.stage = i, .job = j, .name = job.name});
            }
        }
    }

    const Pipeline& pipeline_;
    const PipelineFacts& facts_;
    WallTime now_;
    Promotion result_;
};

}  // namespace

void parse_retry(std::string_view text, StageFacts& facts) {
    const auto space = text.find(' ');
    const auto commit = commit_in(text.substr(0, space));
    if (space == std::string_view::npos || commit.empty()) return;
    const auto number = text.substr(space + 1);
    std::int64_t attempt = 0;
    const auto [end, failed] =
        std::from_chars(number.data(), number.data() + number.size(), attempt);
    if (failed != std::errc{} || end != number.data() + number.size()) return;
    if (attempt < 1 || attempt > attempt_limit) return;
    facts.retry_of = commit;
    facts.retry = attempt;
}

std::map<std::string, bool> parse_checks(std::string_view text) {
    std::map<std::string, bool> result;
    while (!text.empty()) {
        const auto end = text.find_first_of(", \t\n");
        const auto item = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        const auto equals = item.find('=');
        if (equals == std::string_view::npos) continue;
        const auto commit = commit_in(item.substr(0, equals));
        const auto outcome = item.substr(equals + 1);
        if (commit.empty() || (outcome != "success" && outcome != "failure")) continue;
        result.insert_or_assign(commit, outcome == "success");
    }
    return result;
}

Promotion advance(const Pipeline& pipeline, const std::vector<StageState>& before,
                  const PipelineFacts& facts, WallTime now) {
    return Step{pipeline, facts, now}.run(before);
}

PipelineSummary summarise(const std::vector<StageState>& stages, const std::string& newest) {
    std::string failed;
    std::string text;
    for (const auto& stage : stages) {
        std::string why;
        for (const auto& gate : stage.gates) {
            if (gate.verdict == Verdict::passed) continue;
            join_text(why, gate.name + (gate.message.empty() ? "" : ": ") + gate.message);
        }
        if (stage.phase == Phase::failed) join_text(failed, stage.name + ": " + why);
        if (stage.phase == Phase::progressing)
            join_text(text, stage.revision + " is in " + stage.name + " (" + why + ")");
        if (!stage.waiting.empty()) {
            join_text(text, stage.waiting + " waits for " + stage.name + " (" +
                                stage.waiting_reason + ")");
        }
    }
    if (!failed.empty()) return {.ready = "False", .reason = "StageFailed", .message = failed};
    const auto through = [&](const StageState& stage) {
        return stage.phase == Phase::passed && stage.revision == newest;
    };
    if (std::ranges::all_of(stages, through) && !newest.empty()) {
        return {.ready = "True", .reason = "Succeeded", .message = newest + " passed all stages"};
    }
    return {.ready = "Unknown", .reason = "Progressing", .message = text};
}

}  // namespace kled::gitops
