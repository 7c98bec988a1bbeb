// A Pipeline: what is seen of its stages, and what its next step asks for (pipeline/promotion.h).
#include "base/utf8.h"
#include "gitops/objects/annotations.h"
#include "gitops/pipeline/jobs.h"
#include "gitops/reconcile/reconciler_impl.h"

#include <algorithm>
#include <array>
#include <set>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

constexpr Duration job_pause{5'000};
constexpr Duration trouble_pause{30'000};

/// Reasons for which a Kustomization is not ready that something else will end.
constexpr std::array<std::string_view, 5> waits{"DependencyNotReady", "ArtifactFailed",
                                                "HealthCheckCanceled", "OutsideDeployWindow",
                                                "WaitingForPromotion"};

/// Of one of many targets: short, so that all of them have a place in a status.
std::string first_line(const std::string& text) {
    constexpr std::size_t limit = 400;
    return shortened(std::string_view{text}.substr(0, text.find('\n')), limit);
}

/// Of a Kustomization: what this reconciler knows of it itself.
void see_kustomization(TargetFacts& facts, const Work& work) {
    const auto& status = work.status;
    facts.attempted = commit_in(status.last_attempted_revision);
    const auto* ready = status.conditions.find("Ready");
    if (ready == nullptr) return;
    facts.message = first_line(ready->message);
    if (status.observed_generation != work.object.generation()) return;
    facts.ready =
        ready->status == "True" && commit_in(status.last_applied_revision) == facts.attempted;
    facts.failed = ready->status == "False" &&
                   (work.broken || std::ranges::find(waits, ready->reason) == waits.end());
}

/// Of an EdgeDeployment: what the hub says of its devices.
void see_edge_deployment(TargetFacts& facts, const Work& work) {
    const auto* status = work.object.status();
    if (status == nullptr) return;
    const auto conditions = Conditions::from_status(status);
    const auto* rendered = work.status.conditions.find("Ready");
    const auto* ready = conditions.find("Ready");
    facts.attempted = commit_in(kube::find_string(*status, {"revision"}));
    if (rendered != nullptr && rendered->status == "False") {
        facts.attempted = facts.pin;  // which it was that cannot be rendered
        facts.failed = work.broken || std::ranges::find(waits, rendered->reason) == waits.end();
        facts.message = first_line(rendered->message);
        return;
    }
    if (ready == nullptr) return;
    facts.message = first_line(ready->message);
    const auto* seen = status->if_contains("observedGeneration");
    facts.ready = ready->status == "True" && seen != nullptr && seen->is_int64() &&
                  seen->get_int64() == work.object.generation();
}

Key key_of_target(const Pipeline::Target& target, const std::string& ns) {
    return {.kind = target.kind, .ns = ns, .name = target.name};
}

bool names_target(const kube::Object& pipeline, const Key& target) {
    const auto* stages =
        pipeline.spec() == nullptr ? nullptr : pipeline.spec()->if_contains("stages");
    if (pipeline.ns() != target.ns || stages == nullptr || !stages->is_array()) return false;
    for (const auto& stage : stages->get_array()) {
        const auto* targets =
            stage.is_object() ? stage.get_object().if_contains("targets") : nullptr;
        if (targets == nullptr || !targets->is_array()) continue;
        for (const auto& item : targets->get_array()) {
            if (item.is_object() && kube::find_string(item.get_object(), {"name"}) == target.name)
                return true;
        }
    }
    return false;
}

}  // namespace

void Reconciler::Impl::touch_pipelines_of(const Key& target) {
    for (const auto& [key, pipeline] : pipelines)
        if (names_target(pipeline->object, target)) touch(key);
}

TargetFacts Reconciler::Impl::see_target(const Key& key, const std::string& pipeline) const {
    TargetFacts facts;
    const auto found = works.find(key);
    if (found == works.end() || found->second->object.deleting()) return facts;
    const auto& work = *found->second;
    facts.exists = true;
    facts.consents = work.object.annotation(pipeline_annotation) == pipeline;
    facts.pin = commit_in(work.object.annotation(pin_annotation));
    facts.promoted = commit_in(work.object.annotation(promoted_annotation));
    if (key.kind == "Kustomization") {
        see_kustomization(facts, work);
    } else {
        see_edge_deployment(facts, work);
    }
    const auto* suspend = kube::find(work.object.fields(), {"spec", "suspend"});
    if (facts.attempted != facts.pin && suspend != nullptr && suspend->is_bool() &&
        suspend->get_bool())
        facts.message = "it is suspended";
    return facts;
}

asio::awaitable<PipelineFacts> Reconciler::Impl::see(const Pipeline& pipeline, PipelineNode& node,
                                                     const std::string& newest) {
    PipelineFacts facts;
    facts.newest = newest;
    const std::string ns{pipeline.object.ns()};
    const std::string name{pipeline.object.name()};
    for (std::size_t i = 0; i < pipeline.stages.size(); ++i) {
        const auto& stage = pipeline.stages[i];
        StageFacts here;
        for (std::size_t j = 0; j < stage.jobs.size(); ++j) {
            auto looking = stage.jobs[j].made ? see_made_job(pipeline, node, i, j)
                                              : see_job(pipeline, node, stage.jobs[j]);
            auto seen = co_await std::move(looking);
            here.jobs.push_back(std::move(seen));
        }
        parse_retry(pipeline.object.annotation(std::string{retry_annotation} + stage.name), here);
        const auto approval =
            pipeline.object.annotation(std::string{approved_annotation} + stage.name);
        const auto space = approval.find(' ');
        here.approved = commit_in(approval.substr(0, space));
        if (space != std::string_view::npos) here.approved_by = approval.substr(space + 1);
        for (const auto& check : stage.checks) {
            facts.checks.insert_or_assign(
                check,
                parse_checks(pipeline.object.annotation(std::string{check_annotation} + check)));
        }
        facts.stages.push_back(std::move(here));
    }
    // After all that is waited for: these are of one moment.
    for (std::size_t i = 0; i < pipeline.stages.size(); ++i) {
        for (const auto& target : pipeline.stages[i].targets) {
            const auto key = key_of_target(target, ns);
            auto seen = see_target(key, name);
            if (const auto known = node.refused_pins.find(key); known != node.refused_pins.end())
                seen.trouble = known->second;
            if (pipeline.stages[i].by_commit) see_branch(seen, key, pipeline, node);
            facts.stages[i].targets.push_back(std::move(seen));
        }
    }
    co_return facts;
}

asio::awaitable<std::optional<SteadyTime>> Reconciler::Impl::reconcile_pipeline(
    const Key& key, std::shared_ptr<PipelineNode> node) {
    if (node->object.deleting()) co_return std::nullopt;
    const auto seen = seen_of(*node);
    std::optional<Outcome> bad;
    Pipeline pipeline;
    try {
        pipeline = Pipeline::from_object(node->object);
    } catch (const Error& error) {
        bad = Outcome{.reason = "InvalidSpec", .message = error.what(), .stalled = true};
    }
    if (!bad && pipeline.suspend) co_return std::nullopt;
    if (!bad && options.no_cross_namespace_refs) {
        std::string foreign;
        if (pipeline.source.ns != key.ns) foreign = pipeline.source.to_string();
        for (const auto& stage : pipeline.stages) {
            for (const auto& job : stage.jobs)
                if (job.ns != key.ns) foreign = job.to_string();
        }
        if (!foreign.empty()) {
            bad = Outcome{.reason = "AccessDenied",
                          .message = "can't access '" + foreign +
                                     "', cross-namespace references have been blocked",
                          .stalled = true};
        }
    }
    const auto source = sources.find(pipeline.source);
    if (!bad && (source == sources.end() || !source->second->revision)) {
        bad = Outcome{
            .reason = "ArtifactFailed",
            .message = pipeline.source.kind + " " + pipeline.source.ns + "/" +
                       pipeline.source.name +
                       (source == sources.end() ? " does not exist" : " has no revision yet"),
            .retry = false};
    }
    if (bad) {
        co_await conclude(*node, *bad);
        co_return std::nullopt;
    }
    const auto newest = source->second->revision->name;
    const auto facts = co_await see(pipeline, *node, newest);
    std::erase_if(node->troubles, [&](const auto& trouble) {
        return std::ranges::none_of(facts.stages, [&](const StageFacts& stage) {
            return std::ranges::find(stage.jobs, trouble.first, &JobFacts::name) !=
                   stage.jobs.end();
        });
    });
    auto step = advance(pipeline, node->status.stages, facts, wall_now());
    auto& status = node->status;
    status.stages = std::move(step.stages);
    status.revision = newest;
    const auto summary = summarise(status.stages, newest);
    status.conditions.remove("Stalled");
    if (summary.ready == "Unknown") {
        status.conditions.set("Reconciling", "True", summary.reason, summary.message,
                              seen.generation, wall_now());
    } else {
        status.conditions.remove("Reconciling");
    }
    status.conditions.set("Ready", summary.ready, summary.reason, summary.message, seen.generation,
                          wall_now());
    status.observed_generation = seen.generation;
    status.handled_request = seen.request;
    // First what was decided, then what it asks for: done again after a crash, it does no harm.
    co_await save(*node);
    for (auto& note : step.notes) {
        events.record(node->object, note.warning, std::move(note.reason), std::move(note.message),
                      std::move(note.revision));
    }
    bool news = false;
    std::set<Key> asked;
    for (const auto& pin : step.pins) {
        const auto target = key_of_target(pipeline.stages[pin.stage].targets[pin.target], key.ns);
        const bool by_commit = pipeline.stages[pin.stage].by_commit;
        asked.insert(by_commit ? followed_by(target).value_or(target) : target);
        auto promoting = by_commit ? push_target(pipeline, *node, target, pin.commit)
                                   : pin_target(*node, target, pin.commit);
        const bool one = co_await std::move(promoting);
        news = news || one;
    }
    const auto is_past = [&](const auto& one) { return !asked.contains(one.first); };
    std::erase_if(node->pushed, is_past);
    std::erase_if(node->refused_pins, is_past);
    std::optional<SteadyTime> again;
    if (step.look_again) {
        const auto left = std::chrono::ceil<Duration>(*step.look_again - wall_now());
        again = steady_now() + std::clamp<Duration>(left, Duration{0}, std::chrono::hours{1});
    }
    for (const auto& begin : step.begins) {
        auto beginning = begin_job(pipeline, *node, begin);
        const bool one = co_await std::move(beginning);
        news = news || one;
    }
    const auto sooner = [&again](SteadyTime then) {
        if (!again || *again > then) again = then;
    };
    const bool refused =
        !node->troubles.empty() || std::ranges::any_of(facts.stages, [](const StageFacts& stage) {
            return std::ranges::any_of(stage.jobs, &JobFacts::refused);
        });
    if (step.jobs_run) sooner(steady_now() + (refused ? trouble_pause : job_pause));
    if (!node->refused_pins.empty()) sooner(steady_now() + trouble_pause);
    for (const auto& [where, pushed] : node->pushed)
        if (!pushed.trouble.empty()) sooner(pushed.again);
    if (news) sooner(steady_now());
    co_return again;
}

asio::awaitable<bool> Reconciler::Impl::pin_target(PipelineNode& node, Key target,
                                                   std::string commit) {
    // While the step was stored it may have gone, or somebody may have pinned it.
    const auto now = see_target(target, std::string{node.object.name()});
    if (!now.exists || !now.consents || (now.pin != commit && now.pinned_by_hand()))
        co_return false;
    const kube::Object object{works.at(target)->object.fields()};
    const std::map<std::string, std::string> annotations{
        {std::string{pin_annotation}, commit}, {std::string{promoted_annotation}, commit}};
    std::string trouble;
    try {
        co_await store.annotate(object, annotations);
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::unavailable) throw;
        trouble = error.what();
    }
    auto& known = node.refused_pins[target];
    // Not each time that a server words it otherwise.
    const bool news = known.empty() != trouble.empty();
    known = trouble;
    if (!trouble.empty()) co_return news;
    node.refused_pins.erase(target);
    // What the API will tell in a moment.
    const auto found = works.find(target);
    if (found == works.end()) co_return news;
    for (const auto& [name, value] : annotations) found->second->object.set_annotation(name, value);
    touch(target);
    co_return news;
}

asio::awaitable<void> Reconciler::Impl::let_go(Work& work, Deployment& deployment) {
    const std::string promoted{work.object.annotation(promoted_annotation)};
    if (!deployment.pipeline.empty() || promoted.empty()) co_return;
    // Another pin is somebody's hand, and stays.
    const bool pinned = !deployment.pin.empty() && deployment.pin == commit_in(promoted);
    const kube::Object object{work.object.fields()};
    std::map<std::string, std::string> annotations{{std::string{promoted_annotation}, ""}};
    if (pinned) annotations.emplace(pin_annotation, "");
    co_await store.annotate(object, annotations);
    for (const auto& [name, value] : annotations) work.object.set_annotation(name, value);
    if (pinned) deployment.pin.clear();
}

}  // namespace kled::gitops
