#include "kube/gvk.h"
#include "kube/printers/row.h"
#include "kube/table.h"

namespace kled::kube::printers {

namespace {

std::string ready_of(const Row& row, std::int64_t default_replicas) {
    return std::to_string(row.number({"status", "readyReplicas"})) + "/" +
           std::to_string(number(row.at({"spec", "replicas"}), default_replicas));
}

void deployment_cells(Row& row) {
    row.name()
        .add(ready_of(row, 1))
        .add(row.number({"status", "updatedReplicas"}))
        .add(row.number({"status", "availableReplicas"}))
        .age();
    row.containers({"spec", "template", "spec", "containers"})
        .add(selector(row.at({"spec", "selector"}), ""));
}

void replica_set_cells(Row& row) {
    row.name()
        .add(number(row.at({"spec", "replicas"}), 1))
        .add(row.number({"status", "replicas"}))
        .add(row.number({"status", "readyReplicas"}))
        .age();
    row.containers({"spec", "template", "spec", "containers"})
        .add(selector(row.at({"spec", "selector"})));
}

void replication_controller_cells(Row& row) {
    row.name()
        .add(number(row.at({"spec", "replicas"}), 1))
        .add(row.number({"status", "replicas"}))
        .add(row.number({"status", "readyReplicas"}))
        .age();
    row.containers({"spec", "template", "spec", "containers"})
        .add(labels(row.at({"spec", "selector"})));
}

void stateful_set_cells(Row& row) {
    row.name().add(ready_of(row, 1)).age().containers({"spec", "template", "spec", "containers"});
}

void daemon_set_cells(Row& row) {
    row.name();
    for (const auto* const field : {"desiredNumberScheduled", "currentNumberScheduled",
                                    "numberReady", "updatedNumberScheduled", "numberAvailable"})
        row.add(row.number({"status", field}));
    row.add(labels(row.at({"spec", "template", "spec", "nodeSelector"}))).age();
    row.containers({"spec", "template", "spec", "containers"})
        .add(selector(row.at({"spec", "selector"})));
}

void controller_revision_cells(Row& row) {
    std::string owner{none};
    for (const auto& reference : elements(row.at({"metadata", "ownerReferences"}))) {
        if (!truth(find(reference, {"controller"}))) continue;
        const auto gvk =
            GroupVersionKind::parse(text(reference, {"apiVersion"}), text(reference, {"kind"}));
        owner = lower(gvk.kind + (gvk.group.empty() ? "" : "." + gvk.group)) + "/" +
                std::string{text(reference, {"name"})};
        break;
    }
    row.name().add(owner).add(row.number({"revision"})).age();
}

void pod_template_cells(Row& row) {
    row.name()
        .containers({"template", "spec", "containers"})
        .add(labels(row.at({"template", "metadata", "labels"})));
}

void job_cells(Row& row) {
    const auto succeeded = std::to_string(row.number({"status", "succeeded"}));
    std::string completions;
    if (const auto* const wanted = row.at({"spec", "completions"});
        wanted != nullptr && wanted->is_number()) {
        completions = succeeded + "/" + std::to_string(number(wanted));
    } else {
        const auto parallelism = row.number({"spec", "parallelism"});
        completions =
            succeeded + "/1" + (parallelism > 1 ? " of " + std::to_string(parallelism) : "");
    }
    std::string duration;
    if (const auto start = parse_rfc3339(row.text({"status", "startTime"}))) {
        const auto end = parse_rfc3339(row.text({"status", "completionTime"})).value_or(row.now);
        duration = human_duration(std::chrono::duration_cast<std::chrono::seconds>(end - *start));
    }
    const auto* const conditions = row.at({"status", "conditions"});
    std::string_view status = "Running";
    const auto is = [&](std::string_view type) { return condition_is_true(conditions, type); };
    if (is("Complete")) {
        status = "Complete";
    } else if (is("Failed")) {
        status = "Failed";
    } else if (row.object.deleting()) {
        status = "Terminating";
    } else {
        for (const auto* const type : {"Suspended", "FailureTarget", "SuccessCriteriaMet"}) {
            if (!is(type)) continue;
            status = type;
            break;
        }
    }
    row.name().add(status).add(completions).add(duration).age();
    row.containers({"spec", "template", "spec", "containers"})
        .add(selector(row.at({"spec", "selector"})));
}

void cron_job_cells(Row& row) {
    const auto* const suspend = row.at({"spec", "suspend"});
    const auto last = row.text({"status", "lastScheduleTime"});
    row.name()
        .add(row.text({"spec", "schedule"}))
        .add(text_or(row.text({"spec", "timeZone"}), none));
    row.add(suspend == nullptr || !suspend->is_bool() ? unset
            : suspend->get_bool()                     ? "True"
                                                      : "False");
    row.add(static_cast<std::int64_t>(size_of(row.at({"status", "active"}))))
        .add(last.empty() ? std::string{none} : since(last, row.now))
        .age();
    row.containers({"spec", "jobTemplate", "spec", "template", "spec", "containers"})
        .add(selector(row.at({"spec", "jobTemplate", "spec", "selector"})));
}

void autoscaler_cells(Row& row) {
    std::vector<std::string> metrics;
    const auto& statuses = elements(row.at({"status", "currentMetrics"}));
    const auto& specs = elements(row.at({"spec", "metrics"}));
    for (std::size_t i = 0; i < specs.size(); ++i) {
        static const json::value nothing;
        const auto& spec = specs[i];
        const auto& status = i < statuses.size() ? statuses[i] : nothing;
        const auto type = text(spec, {"type"});
        const std::string_view field = type == "External"            ? "external"
                                       : type == "Pods"              ? "pods"
                                       : type == "Object"            ? "object"
                                       : type == "Resource"          ? "resource"
                                       : type == "ContainerResource" ? "containerResource"
                                                                     : "";
        if (field.empty()) {
            metrics.emplace_back("<unknown type>");
            continue;
        }
        const auto* const average = find(spec, {field, "target", "averageValue"});
        const auto current = [&](std::string_view name) {
            const auto* const value = find(status, {field, "current", name});
            return value == nullptr ? std::string{unknown} : quantity(value);
        };
        const bool of_resource = field == "resource" || field == "containerResource";
        const auto prefix =
            of_resource ? std::string{text(spec, {field, "name"})} + ": " : std::string{};
        if (average != nullptr) {
            metrics.push_back(prefix + current("averageValue") + "/" + quantity(average) +
                              (of_resource || field == "pods" ? "" : " (avg)"));
        } else if (of_resource) {
            const auto percent = [](const json::value* value, std::string_view otherwise) {
                return value == nullptr ? std::string{otherwise}
                                        : std::to_string(number(value)) + "%";
            };
            metrics.push_back(
                prefix + percent(find(status, {field, "current", "averageUtilization"}), unknown) +
                "/" + percent(find(spec, {field, "target", "averageUtilization"}), "<auto>"));
        } else {
            metrics.push_back(current("value") + "/" +
                              quantity(find(spec, {field, "target", "value"})));
        }
    }
    row.name().add(std::string{row.text({"spec", "scaleTargetRef", "kind"})} + "/" +
                   std::string{row.text({"spec", "scaleTargetRef", "name"})});
    row.add(with_more(metrics, 2, none, ", "))
        .add(shown(row.at({"spec", "minReplicas"}), unset))
        .add(row.number({"spec", "maxReplicas"}))
        .add(row.number({"status", "currentReplicas"}))
        .age();
}

void disruption_budget_cells(Row& row) {
    row.name()
        .add(shown(row.at({"spec", "minAvailable"}), "N/A"))
        .add(shown(row.at({"spec", "maxUnavailable"}), "N/A"))
        .add(row.number({"status", "disruptionsAllowed"}))
        .age();
}

void scale_cells(Row& row) {
    row.name().add(row.number({"spec", "replicas"})).add(row.number({"status", "replicas"})).age();
}

constexpr Kind kinds[] = {
    {"", "PodTemplate", "Name|Containers|Images|Pod Labels", cells_of<pod_template_cells>},
    {"", "ReplicationController", "Name|Desired#|Current#|Ready#|Age|Containers+|Images+|Selector+",
     cells_of<replication_controller_cells>},
    {"apps", "Deployment", "Name|Ready|Up-to-date|Available|Age|Containers+|Images+|Selector+",
     cells_of<deployment_cells>},
    {"apps", "ReplicaSet", "Name|Desired#|Current#|Ready#|Age|Containers+|Images+|Selector+",
     cells_of<replica_set_cells>},
    {"apps", "StatefulSet", "Name|Ready|Age|Containers+|Images+", cells_of<stateful_set_cells>},
    {"apps", "DaemonSet",
     "Name|Desired#|Current#|Ready#|Up-to-date#|Available#|Node "
     "Selector|Age|Containers+|Images+|Selector+",
     cells_of<daemon_set_cells>},
    {"apps", "ControllerRevision", "Name|Controller|Revision|Age",
     cells_of<controller_revision_cells>},
    {"batch", "Job", "Name|Status|Completions|Duration|Age|Containers+|Images+|Selector+",
     cells_of<job_cells>},
    {"batch", "CronJob",
     "Name|Schedule|Timezone|Suspend?|Active#|Last Schedule|Age|Containers+|Images+|Selector+",
     cells_of<cron_job_cells>},
    {"autoscaling", "HorizontalPodAutoscaler",
     "Name|Reference|Targets|MinPods|MaxPods|Replicas|Age", cells_of<autoscaler_cells>},
    {"autoscaling", "Scale", "Name|Desired#|Available#|Age", cells_of<scale_cells>},
    {"policy", "PodDisruptionBudget", "Name|Min Available|Max Unavailable|Allowed Disruptions#|Age",
     cells_of<disruption_budget_cells>},
};

}  // namespace

std::span<const Kind> workload_kinds() noexcept { return kinds; }

}  // namespace kled::kube::printers
