#include "gitops/pipeline/jobs.h"

#include "base/error.h"
#include "crypto/hash.h"
#include "gitops/objects/annotations.h"
#include "gitops/objects/condition.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace kled::gitops {

namespace json = boost::json;

namespace {

constexpr std::size_t name_limit = 63;  // also that of a label's value, which it is on pods
constexpr std::size_t digest_digits = 16;
constexpr std::size_t message_limit = 400;
constexpr std::int64_t shortest_ttl = 600;  // seconds

/// As a part of a name or as a label's value: short enough, and ending as those have to.
std::string shortened(std::string text, std::size_t limit) {
    if (text.size() > limit) text.resize(limit);
    while (!text.empty() && (text.back() == '-' || text.back() == '.' || text.back() == '_'))
        text.pop_back();
    return text;
}

/// A name as a label's value.
std::string label_value(const std::string& name) {
    if (name.size() <= name_limit) return name;
    return shortened(name, name_limit - 1 - digest_digits) + "-" +
           crypto::sha256_hex(name).substr(0, digest_digits);
}

/// One line, not endless, and no half character at its end.
std::string clipped(std::string text) {
    text = text.substr(0, text.find('\n'));
    if (text.size() <= message_limit) return text;
    auto end = message_limit;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    return text.substr(0, end) + "…";
}

std::int64_t limit_in(const kube::Object& cron_job, std::string_view name, std::int64_t fallback) {
    const auto* value = cron_job.spec() == nullptr ? nullptr : cron_job.spec()->if_contains(name);
    return value != nullptr && value->is_int64() && value->get_int64() >= 0 ? value->get_int64()
                                                                            : fallback;
}

/// The mapping there, made if there is none.
json::object& object_in(json::object& fields, std::string_view name) {
    auto& value = fields[name];
    if (!value.is_object()) value.emplace_object();
    return value.get_object();
}

void copy_texts(const json::object& from, std::string_view name, json::object& to) {
    const auto* map = from.if_contains(name);
    if (map == nullptr || !map->is_object()) return;
    for (const auto& item : map->get_object())
        if (item.value().is_string()) to[item.key()] = item.value();
}

}  // namespace

std::string job_name(const Pipeline& pipeline, const Pipeline::Stage& stage,
                     const Pipeline::Job& job, const StageState& state, std::int64_t attempt) {
    std::string identity;
    const auto came = state.since ? to_rfc3339(*state.since) : std::string{};
    for (const auto& part : {std::string{pipeline.object.uid()}, std::string{pipeline.object.ns()},
                             std::string{pipeline.object.name()}, stage.name, job.ns, job.name,
                             commit_in(state.revision), came, std::to_string(attempt)}) {
        identity += part;
        identity += '\0';
    }
    auto prefix = job.name + "-" + stage.name;
    std::ranges::replace(prefix, '.', '-');
    return shortened(std::move(prefix), name_limit - 1 - digest_digits) + "-" +
           crypto::sha256_hex(identity).substr(0, digest_digits);
}

std::string job_looked_for(const Pipeline& pipeline, std::size_t stage, std::size_t job,
                           const StageState& state) {
    const auto& spec = pipeline.stages[stage];
    const auto& asked = spec.jobs[job];
    if (!asked.made || state.revision.empty()) return {};
    const auto gate = std::ranges::find(state.gates, asked.to_string(), &StageState::Gate::name);
    if (gate == state.gates.end()) return job_name(pipeline, spec, asked, state, 1);
    if (gate->verdict != StageState::Verdict::waiting) return {};
    return job_name(pipeline, spec, asked, state, std::max<std::int64_t>(gate->attempt, 1));
}

kube::Object job_from(const kube::Object& cron_job, const Pipeline& pipeline,
                      const Pipeline::Stage& stage, const Pipeline::Job& job,
                      const StageState& state, const std::string& name) {
    const auto* given = kube::find(cron_job.fields(), {"spec", "jobTemplate"});
    const auto* spec =
        given != nullptr && given->is_object() ? given->get_object().if_contains("spec") : nullptr;
    if (spec == nullptr || !spec->is_object())
        throw Error{ErrorKind::invalid, job.to_string() + " has no spec.jobTemplate.spec"};
    json::object labels;
    json::object annotations;
    if (const auto* metadata = given->get_object().if_contains("metadata");
        metadata != nullptr && metadata->is_object()) {
        copy_texts(metadata->get_object(), "labels", labels);
        copy_texts(metadata->get_object(), "annotations", annotations);
    }
    labels[pipeline_label] = label_value(std::string{pipeline.object.name()});
    labels[pipeline_namespace_label] = pipeline.object.ns();
    labels[stage_label] = stage.name;
    labels[cron_job_label] = label_value(job.name);
    annotations["cronjob.kubernetes.io/instantiate"] = "manual";
    annotations[pin_annotation] = state.revision;

    json::object metadata;
    metadata["name"] = name;
    metadata["namespace"] = job.ns;
    metadata["labels"] = std::move(labels);
    metadata["annotations"] = std::move(annotations);
    // Nobody is owned across namespaces, and what is read from a file has no uid.
    if (!pipeline.object.uid().empty() && pipeline.object.ns() == job.ns) {
        json::object owner;
        owner["apiVersion"] = pipeline.object.api_version();
        owner["kind"] = pipeline_kind;
        owner["name"] = pipeline.object.name();
        owner["uid"] = pipeline.object.uid();
        owner["controller"] = true;
        json::array owners;
        owners.push_back(std::move(owner));
        metadata["ownerReferences"] = std::move(owners);
    }
    json::object body = spec->get_object();
    if (job.timeout) {
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(*job.timeout).count();
        const auto* own = body.if_contains("activeDeadlineSeconds");
        if (own == nullptr || !own->is_int64() || own->get_int64() > seconds)
            body["activeDeadlineSeconds"] = seconds;
    }
    // Before it goes, how it ended has to be seen: by whoever leads then.
    if (auto* ttl = body.if_contains("ttlSecondsAfterFinished");
        ttl != nullptr && ttl->is_int64() && ttl->get_int64() < shortest_ttl)
        *ttl = shortest_ttl;
    // For a container that asks by `fieldRef` what it is to test.
    if (auto* pods = body.if_contains("template"); pods != nullptr && pods->is_object())
        object_in(object_in(pods->get_object(), "metadata"), "annotations")[pin_annotation] =
            state.revision;
    json::object fields;
    fields["apiVersion"] = "batch/v1";
    fields["kind"] = "Job";
    fields["metadata"] = std::move(metadata);
    fields["spec"] = std::move(body);
    return kube::Object{std::move(fields)};
}

JobFacts facts_of_job(const kube::Object& live) {
    JobFacts facts;
    facts.created =
        parse_rfc3339(kube::find_string(live.fields(), {"metadata", "creationTimestamp"}));
    const auto conditions = Conditions::from_status(live.status());
    if (conditions.is_true("Complete")) facts.result = JobFacts::Result::succeeded;
    if (conditions.is_true("Failed")) {
        const auto* failed = conditions.find("Failed");
        facts.result = JobFacts::Result::failed;
        facts.message =
            clipped(failed->reason + (failed->message.empty() ? "" : ": ") + failed->message);
    }
    return facts;
}

bool made_for(const kube::Object& live, const Pipeline& pipeline, const Pipeline::Stage& stage,
              const StageState& state) {
    return live.label(pipeline_label) == label_value(std::string{pipeline.object.name()}) &&
           live.label(stage_label) == stage.name &&
           live.annotation(pin_annotation) == state.revision;
}

std::string job_selector(const Pipeline& pipeline, const Pipeline::Stage& stage,
                         const Pipeline::Job& job) {
    return std::string{pipeline_label} + "=" + label_value(std::string{pipeline.object.name()}) +
           "," + std::string{pipeline_namespace_label} + "=" + std::string{pipeline.object.ns()} +
           "," + std::string{stage_label} + "=" + stage.name + "," + std::string{cron_job_label} +
           "=" + label_value(job.name);
}

JobRoom room_for(const std::string& name, const std::vector<kube::Object>& there,
                 const kube::Object& cron_job) {
    struct Ended {
        WallTime created;
        std::string name;
    };
    JobRoom room;
    std::vector<Ended> good;
    std::vector<Ended> bad;
    const auto policy = kube::find_string(cron_job.fields(), {"spec", "concurrencyPolicy"});
    for (const auto& live : there) {
        if (live.name() == name) continue;
        const auto facts = facts_of_job(live);
        if (live.deleting()) {
            if (facts.result == JobFacts::Result::running && policy != "Allow" && !policy.empty())
                room.wait_for = live.name();
        } else if (facts.result != JobFacts::Result::running) {
            auto& list = facts.result == JobFacts::Result::succeeded ? good : bad;
            list.push_back(
                {.created = facts.created.value_or(WallTime{}), .name = std::string{live.name()}});
        } else if (policy == "Replace") {
            room.remove.emplace_back(live.name());
        } else if (policy == "Forbid") {
            room.wait_for = live.name();
        }
    }
    const auto trim = [&room](std::vector<Ended>& list, std::int64_t limit) {
        std::ranges::sort(list, [](const Ended& a, const Ended& b) {
            return std::pair{b.created, b.name} < std::pair{a.created, a.name};
        });
        for (auto i = static_cast<std::size_t>(limit); i < list.size(); ++i)
            room.remove.push_back(std::move(list[i].name));
    };
    trim(good, limit_in(cron_job, "successfulJobsHistoryLimit", 3));
    trim(bad, limit_in(cron_job, "failedJobsHistoryLimit", 1));
    return room;
}

}  // namespace kled::gitops
