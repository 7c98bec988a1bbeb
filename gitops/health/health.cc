#include "gitops/health/health.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

namespace kled::gitops {

namespace json = boost::json;

namespace {

using State = Health::State;

Health in_progress(std::string message) { return {State::in_progress, std::move(message)}; }
Health failed(std::string message) { return {State::failed, std::move(message)}; }

std::int64_t number(const json::object& object, std::initializer_list<std::string_view> path,
                    std::int64_t fallback = 0) {
    const auto* value = kube::find(object, path);
    if (value == nullptr) return fallback;
    if (value->is_int64()) return value->get_int64();
    if (value->is_uint64()) return static_cast<std::int64_t>(value->get_uint64());
    return fallback;
}

struct Found {
    std::string_view status;
    std::string_view reason;
    std::string_view message;
    [[nodiscard]] std::string text() const {
        return std::string{message.empty() ? reason : message};
    }
};

std::optional<Found> condition(const json::object& object, std::string_view type) {
    const auto* list = kube::find(object, {"status", "conditions"});
    if (list == nullptr || !list->is_array()) return std::nullopt;
    for (const auto& item : list->get_array()) {
        if (!item.is_object()) continue;
        const auto& fields = item.get_object();
        if (kube::find_string(fields, {"type"}) != type) continue;
        return Found{.status = kube::find_string(fields, {"status"}),
                     .reason = kube::find_string(fields, {"reason"}),
                     .message = kube::find_string(fields, {"message"})};
    }
    return std::nullopt;
}

std::string count(std::string_view what, std::int64_t have, std::int64_t want) {
    return std::string{what} + ": " + std::to_string(have) + "/" + std::to_string(want);
}

Health deployment(const json::object& o) {
    if (const auto progress = condition(o, "Progressing");
        progress && progress->reason == "ProgressDeadlineExceeded") {
        return failed(progress->text());
    }
    const auto want = number(o, {"spec", "replicas"}, 1);
    const auto replicas = number(o, {"status", "replicas"});
    const auto updated = number(o, {"status", "updatedReplicas"});
    const auto ready = number(o, {"status", "readyReplicas"});
    const auto available = number(o, {"status", "availableReplicas"});
    if (const auto failure = condition(o, "ReplicaFailure"); failure && failure->status == "True")
        return failed(failure->text());
    if (want > replicas) return in_progress(count("replicas", replicas, want));
    if (want > updated) return in_progress(count("updated", updated, want));
    if (replicas > want) return in_progress(count("pending termination", replicas - want, want));
    if (updated > available) return in_progress(count("available", available, updated));
    if (want > ready) return in_progress(count("ready", ready, want));
    if (!condition(o, "Progressing") && !condition(o, "Available"))
        return in_progress("its controller has not looked at it yet");
    if (const auto is = condition(o, "Available"); is && is->status != "True")
        return in_progress(is->text());
    return {};
}

Health stateful_set(const json::object& o) {
    if (kube::find_string(o, {"spec", "updateStrategy", "type"}) == "OnDelete") return {};
    const auto want = number(o, {"spec", "replicas"}, 1);
    const auto replicas = number(o, {"status", "replicas"});
    const auto ready = number(o, {"status", "readyReplicas"});
    const auto current = number(o, {"status", "currentReplicas"});
    const auto updated = number(o, {"status", "updatedReplicas"});
    const auto partition = number(o, {"spec", "updateStrategy", "rollingUpdate", "partition"});
    if (want > replicas) return in_progress(count("replicas", replicas, want));
    if (want > ready) return in_progress(count("ready", ready, want));
    if (replicas > want) return in_progress(count("pending termination", replicas - want, want));
    if (partition > 0)
        return updated < want - partition ? in_progress(count("updated", updated, want - partition))
                                          : Health{};
    if (want > current) return in_progress(count("current", current, want));
    const auto now = kube::find_string(o, {"status", "currentRevision"});
    if (now != kube::find_string(o, {"status", "updateRevision"}))
        return in_progress(count("updated", updated, want));
    return {};
}

Health daemon_set(const json::object& o) {
    if (kube::find(o, {"status", "desiredNumberScheduled"}) == nullptr)
        return in_progress("its controller has not looked at it yet");
    const auto want = number(o, {"status", "desiredNumberScheduled"});
    const auto scheduled = number(o, {"status", "currentNumberScheduled"});
    const auto updated = number(o, {"status", "updatedNumberScheduled"});
    const auto available = number(o, {"status", "numberAvailable"});
    const auto ready = number(o, {"status", "numberReady"});
    if (want > scheduled) return in_progress(count("scheduled", scheduled, want));
    if (want > updated) return in_progress(count("updated", updated, want));
    if (want > available) return in_progress(count("available", available, want));
    if (want > ready) return in_progress(count("ready", ready, want));
    return {};
}

Health replica_set(const json::object& o) {
    if (const auto failure = condition(o, "ReplicaFailure"); failure && failure->status == "True")
        return in_progress(failure->text());
    const auto want = number(o, {"spec", "replicas"}, 1);
    const auto replicas = number(o, {"status", "replicas"});
    const auto labelled = number(o, {"status", "fullyLabeledReplicas"});
    const auto available = number(o, {"status", "availableReplicas"});
    const auto ready = number(o, {"status", "readyReplicas"});
    if (want > labelled) return in_progress(count("labelled", labelled, want));
    if (want > available) return in_progress(count("available", available, want));
    if (want > ready) return in_progress(count("ready", ready, want));
    if (replicas > want) return in_progress(count("pending termination", replicas - want, want));
    return {};
}

bool crash_looping(const json::object& o) {
    const auto* list = kube::find(o, {"status", "containerStatuses"});
    return list != nullptr && list->is_array() &&
           std::ranges::any_of(list->get_array(), [](const json::value& container) {
               const auto* reason = kube::find(container, {"state", "waiting", "reason"});
               return reason != nullptr && reason->is_string() &&
                      reason->get_string() == "CrashLoopBackOff";
           });
}

Health pod(const json::object& o) {
    const auto phase = kube::find_string(o, {"status", "phase"});
    if (phase == "Succeeded") return {};
    if (phase == "Failed") return failed("the pod failed");
    if (phase == "Running") {
        const auto ready = condition(o, "Ready");
        if (ready && ready->status == "True") return {};
        if (crash_looping(o)) return failed("a container keeps crashing");
        return in_progress("running, not ready");
    }
    if (const auto scheduled = condition(o, "PodScheduled");
        scheduled && scheduled->status == "False" && scheduled->reason == "Unschedulable") {
        return in_progress("not schedulable: " + scheduled->text());
    }
    return in_progress("pending");
}

Health job(const json::object& o) {
    if (const auto done = condition(o, "Failed"); done && done->status == "True")
        return failed(done->text());
    if (const auto done = condition(o, "Complete"); done && done->status == "True") return {};
    // Other than kstatus, and as Flux: what depends on a Job depends on its end.
    return in_progress(kube::find_string(o, {"status", "startTime"}).empty() ? "not started"
                                                                             : "running");
}

Health volume_claim(const json::object& o) {
    const auto phase = kube::find_string(o, {"status", "phase"});
    if (phase == "Bound") return {};
    return in_progress("the claim is not bound");
}

Health service(const json::object& o) {
    if (kube::find_string(o, {"spec", "type"}) != "LoadBalancer") return {};
    if (kube::find_string(o, {"spec", "clusterIP"}).empty())
        return in_progress("no cluster IP yet");
    const auto* ingress = kube::find(o, {"status", "loadBalancer", "ingress"});
    if (ingress == nullptr || !ingress->is_array() || ingress->get_array().empty())
        return in_progress("no load balancer address yet");
    return {};
}

Health definition(const json::object& o) {
    if (const auto names = condition(o, "NamesAccepted"); names && names->status == "False")
        return failed(names->text());
    if (const auto is = condition(o, "Established"); is) {
        if (is->status == "True") return {};
        if (is->reason != "Installing") return failed(is->text());
    }
    return in_progress("not established yet");
}

/// What any object may say of itself: observedGeneration, Reconciling, Stalled, Ready.
std::optional<Health> generic(const json::object& o) {
    if (kube::find(o, {"status", "observedGeneration"}) != nullptr &&
        number(o, {"status", "observedGeneration"}) != number(o, {"metadata", "generation"})) {
        return in_progress("its controller has not seen this generation yet");
    }
    if (const auto is = condition(o, "Stalled"); is && is->status == "True")
        return failed(is->text());
    if (const auto is = condition(o, "Reconciling"); is && is->status == "True")
        return in_progress(is->text());
    return std::nullopt;
}

using Rule = Health (*)(const json::object&);
struct KindRule {
    std::string_view group;
    std::string_view kind;
    Rule rule;
};
constexpr std::array rules{
    KindRule{"apps", "Deployment", deployment},
    KindRule{"apps", "StatefulSet", stateful_set},
    KindRule{"apps", "DaemonSet", daemon_set},
    KindRule{"apps", "ReplicaSet", replica_set},
    KindRule{"", "Pod", pod},
    KindRule{"batch", "Job", job},
    KindRule{"", "PersistentVolumeClaim", volume_claim},
    KindRule{"", "Service", service},
    KindRule{"apiextensions.k8s.io", "CustomResourceDefinition", definition},
};

}  // namespace

std::string_view to_string(Health::State state) noexcept {
    switch (state) {
        case State::current: return "Current";
        case State::in_progress: return "InProgress";
        case State::failed: return "Failed";
        case State::terminating: return "Terminating";
    }
    return "Unknown";
}

Health health_of(const kube::Object& object) {
    const auto& fields = object.fields();
    if (object.deleting()) return {State::terminating, "being deleted"};
    if (auto said = generic(fields)) return *said;
    const auto gvk = object.gvk();
    const auto* rule = std::ranges::find_if(
        rules, [&](const KindRule& r) { return r.group == gvk.group && r.kind == gvk.kind; });
    if (rule != rules.end()) return rule->rule(fields);
    // Anything else: what it says in a Ready condition, if it has one.
    if (const auto ready = condition(fields, "Ready"); ready && ready->status != "True")
        return in_progress(ready->text());
    return {};
}

}  // namespace kled::gitops
