#include "gitops/pipeline/pipeline.h"

#include "base/error.h"
#include "gitops/objects/fields.h"
#include "kube/names.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <utility>

namespace kled::gitops {

namespace json = boost::json;

namespace {

constexpr std::size_t name_limit = 40;  // becomes part of an annotation's name

constexpr std::array phases{
    std::pair{StageState::Phase::empty, std::string_view{"Empty"}},
    std::pair{StageState::Phase::progressing, std::string_view{"Progressing"}},
    std::pair{StageState::Phase::passed, std::string_view{"Passed"}},
    std::pair{StageState::Phase::failed, std::string_view{"Failed"}}};
constexpr std::array verdicts{std::pair{StageState::Verdict::passed, std::string_view{"Passed"}},
                              std::pair{StageState::Verdict::waiting, std::string_view{"Waiting"}},
                              std::pair{StageState::Verdict::failed, std::string_view{"Failed"}}};

void check_name(const Reader& fields, std::string_view field, const std::string& name) {
    if (name.size() > name_limit || !kube::check_dns1123_subdomain(name).empty() ||
        name.find('.') != std::string::npos) {
        throw fields.bad(field, "'" + name + "' is no name: at most 40 of a-z, 0-9 and -");
    }
}

std::vector<Pipeline::Target> targets_of(const Reader& stage, std::set<Pipeline::Target>& taken) {
    std::vector<Pipeline::Target> result;
    for (const auto& item : stage.objects("targets")) {
        Pipeline::Target target{.kind = item.text("kind"), .name = item.required("name")};
        if (target.kind.empty()) target.kind = "Kustomization";
        if (target.kind != "Kustomization" && target.kind != "EdgeDeployment") {
            throw item.bad("kind",
                           "'" + target.kind + "' is neither Kustomization nor EdgeDeployment");
        }
        if (!taken.insert(target).second)
            throw item.bad("name", target.to_string() + " is in a stage already");
        result.push_back(std::move(target));
    }
    if (result.size() > Pipeline::target_limit)
        throw stage.bad("targets", "more than " + std::to_string(Pipeline::target_limit));
    return result;
}

Pipeline::Job job_of(const Reader& fields, const std::string& ns) {
    Pipeline::Job job;
    job.ns = fields.text("namespace");
    if (job.ns.empty()) job.ns = ns;
    job.name = fields.text("cronJob");
    job.made = !job.name.empty();
    if (!job.made) {
        job.name = fields.required("name");
        if (fields.field("timeout") != nullptr)
            throw fields.bad("timeout", "is for a `cronJob` only: it bounds the Job made of that");
        return job;
    }
    if (fields.field("name") != nullptr)
        throw fields.bad("name", "stands beside `cronJob`, of which a Job is made: one of the two");
    if (fields.field("timeout") != nullptr) {
        job.timeout = fields.duration("timeout", {});
        if (*job.timeout < std::chrono::seconds{1})
            throw fields.bad("timeout", "is less than a second");
    }
    return job;
}

Pipeline::Stage stage_of(const Reader& fields, const std::string& ns,
                         std::set<Pipeline::Target>& taken) {
    Pipeline::Stage stage;
    stage.name = fields.required("name");
    check_name(fields, "name", stage.name);
    stage.targets = targets_of(fields, taken);
    const auto promotion = fields.text("promotion");
    stage.by_commit = promotion == "commit";
    if (!promotion.empty() && promotion != "pin" && !stage.by_commit)
        throw fields.bad("promotion", "'" + promotion + "' is neither pin nor commit");
    const auto gates = fields.object("gates");
    stage.approval = gates.flag("approval");
    if (const auto* windows = gates.field("windows"); windows != nullptr)
        stage.windows = DeployWindows::from_json(*windows, gates.path() + ".windows");
    if (gates.field("health") != nullptr) stage.health = gates.flag("health");
    stage.soak = gates.duration("soak", {});
    for (const auto& check : gates.array("checks")) {
        if (!check.is_string()) throw gates.bad("checks", "not a list of names");
        stage.checks.emplace_back(check.get_string());
        check_name(gates, "checks", stage.checks.back());
    }
    for (const auto& item : gates.objects("jobs")) {
        auto job = job_of(item, ns);
        const auto same = [&](const Pipeline::Job& other) {
            return other.to_string() == job.to_string();
        };
        if (std::ranges::any_of(stage.jobs, same))
            throw item.bad(job.made ? "cronJob" : "name", job.to_string() + " is there already");
        stage.jobs.push_back(std::move(job));
    }
    if (stage.checks.size() + stage.jobs.size() > Pipeline::target_limit)
        throw gates.bad("checks", "too many checks and jobs");
    return stage;
}

std::optional<WallTime> time_in(const json::object& fields, std::string_view name) {
    const auto text = kube::find_string(fields, {name});
    return text.empty() ? std::nullopt : parse_rfc3339(text);
}

template <typename Pairs>
auto value_named(const Pairs& pairs, std::string_view name) {
    const auto found = std::ranges::find(pairs, name, [](const auto& pair) { return pair.second; });
    return found == pairs.end() ? pairs.front().first : found->first;
}

StageState stage_from(const json::object& fields) {
    const auto text = [&](std::initializer_list<std::string_view> path) {
        return std::string{kube::find_string(fields, path)};
    };
    StageState stage;
    stage.name = text({"name"});
    stage.revision = text({"revision"});
    stage.since = time_in(fields, "since");
    stage.healthy_since = time_in(fields, "healthySince");
    stage.phase = value_named(phases, text({"phase"}));
    stage.passed = text({"passedRevision"});
    stage.waiting = text({"waiting", "revision"});
    stage.waiting_reason = text({"waiting", "message"});
    const auto* gates = fields.if_contains("gates");
    if (gates == nullptr || !gates->is_array()) return stage;
    for (const auto& item : gates->get_array()) {
        if (!item.is_object()) continue;
        const auto& gate = item.get_object();
        // What is unreadable has not passed.
        const std::string verdict{kube::find_string(gate, {"state"})};
        stage.gates.push_back({.name = std::string{kube::find_string(gate, {"name"})},
                               .verdict = verdict.empty() ? StageState::Verdict::waiting
                                                          : value_named(verdicts, verdict),
                               .message = std::string{kube::find_string(gate, {"message"})},
                               .job = std::string{kube::find_string(gate, {"job"})},
                               .attempt = integer(&gate, "attempt")});
    }
    return stage;
}

json::object stage_to_json(const StageState& stage) {
    json::object fields;
    fields["name"] = stage.name;
    set_or_erase(fields, "revision", stage.revision);
    fields["phase"] = to_string(stage.phase);
    if (stage.since) fields["since"] = to_rfc3339(*stage.since);
    if (stage.healthy_since) fields["healthySince"] = to_rfc3339(*stage.healthy_since);
    set_or_erase(fields, "passedRevision", stage.passed);
    if (!stage.waiting.empty()) {
        json::object waiting;
        waiting["revision"] = stage.waiting;
        waiting["message"] = stage.waiting_reason;
        fields["waiting"] = std::move(waiting);
    }
    json::array gates;
    for (const auto& gate : stage.gates) {
        json::object item;
        item["name"] = gate.name;
        item["state"] = to_string(gate.verdict);
        set_or_erase(item, "message", gate.message);
        set_or_erase(item, "job", gate.job);
        if (gate.attempt > 0) item["attempt"] = gate.attempt;
        gates.emplace_back(std::move(item));
    }
    if (!gates.empty()) fields["gates"] = std::move(gates);
    return fields;
}

}  // namespace

std::string_view to_string(StageState::Phase phase) noexcept {
    return std::ranges::find(phases, phase, [](const auto& pair) { return pair.first; })->second;
}

std::string_view to_string(StageState::Verdict verdict) noexcept {
    return std::ranges::find(verdicts, verdict, [](const auto& pair) { return pair.first; })
        ->second;
}

Pipeline Pipeline::from_object(kube::Object object) {
    Pipeline result;
    const Reader spec{object.spec()};
    const std::string ns{object.ns()};
    result.source = repository_named(spec, ns);
    if (spec.field("supersede") != nullptr) result.supersede = spec.flag("supersede");
    result.suspend = spec.flag("suspend");
    result.service_account = spec.text("serviceAccountName");
    const auto stages = spec.objects("stages");
    if (stages.empty()) throw spec.bad("stages", "is required");
    if (stages.size() > stage_limit)
        throw spec.bad("stages", "more than " + std::to_string(stage_limit));
    std::set<Target> taken;
    std::set<std::string> names;
    for (const auto& fields : stages) {
        auto stage = stage_of(fields, ns, taken);
        if (!names.insert(stage.name).second)
            throw fields.bad("name", "'" + stage.name + "' is there twice");
        result.stages.push_back(std::move(stage));
    }
    result.object = std::move(object);
    return result;
}

PipelineStatus PipelineStatus::from_object(const kube::Object& object) {
    PipelineStatus result;
    result.read_common(object);
    result.revision = text_in(object, {"revision"});
    const auto* stages =
        object.status() == nullptr ? nullptr : object.status()->if_contains("stages");
    if (stages == nullptr || !stages->is_array()) return result;
    for (const auto& item : stages->get_array())
        if (item.is_object()) result.stages.push_back(stage_from(item.get_object()));
    return result;
}

void PipelineStatus::write_to(kube::Object& object) const {
    auto& status = write_common(object);
    set_or_erase(status, "revision", revision);
    json::array list;
    for (const auto& stage : stages) list.emplace_back(stage_to_json(stage));
    status["stages"] = std::move(list);
}

}  // namespace kled::gitops
