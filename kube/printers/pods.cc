#include "kube/printers/row.h"
#include "kube/table.h"

#include <algorithm>
#include <optional>

namespace kled::kube::printers {

namespace {

struct PodState {
    std::string reason;
    std::int64_t restarts = 0;
    std::size_t ready = 0;
    std::size_t containers = 0;
    std::optional<WallTime> last_restart;
};

void note_restart(const json::value& status, std::optional<WallTime>& last) {
    const auto finished = parse_rfc3339(text(status, {"lastState", "terminated", "finishedAt"}));
    if (finished && (!last || *last < *finished)) last = finished;
}

std::string exit_of(const json::value& terminated) {
    const auto signal = number(find(terminated, {"signal"}));
    return signal != 0 ? "Signal:" + std::to_string(signal)
                       : "ExitCode:" + std::to_string(number(find(terminated, {"exitCode"})));
}

bool is_sidecar(const Row& row, std::string_view name) {
    for (const auto& container : elements(row.at({"spec", "initContainers"}))) {
        if (text(container, {"name"}) == name)
            return text(container, {"restartPolicy"}) == "Always";
    }
    return false;
}

PodState pod_state(const Row& row) {
    PodState pod;
    const auto phase = row.text({"status", "phase"});
    pod.reason = text_or(row.text({"status", "reason"}), phase);
    for (const auto& each : elements(row.at({"status", "conditions"}))) {
        if (text(each, {"type"}) == "PodScheduled" && text(each, {"reason"}) == "SchedulingGated")
            pod.reason = "SchedulingGated";
    }
    const auto& init_containers = elements(row.at({"spec", "initContainers"}));
    pod.containers = size_of(row.at({"spec", "containers"}));
    for (const auto& container : init_containers)
        pod.containers += text(container, {"restartPolicy"}) == "Always" ? 1 : 0;

    std::int64_t sidecar_restarts = 0;
    std::optional<WallTime> last_sidecar_restart;
    bool initializing = false;
    std::size_t index = 0;
    for (const auto& status : elements(row.at({"status", "initContainerStatuses"}))) {
        const auto count = number(find(status, {"restartCount"}));
        pod.restarts += count;
        note_restart(status, pod.last_restart);
        const bool sidecar = is_sidecar(row, text(status, {"name"}));
        if (sidecar) {
            sidecar_restarts += count;
            note_restart(status, last_sidecar_restart);
        }
        const auto* const terminated = find(status, {"state", "terminated"});
        const auto waiting = text(status, {"state", "waiting", "reason"});
        const auto number_of = index++;
        if (terminated != nullptr && number(find(*terminated, {"exitCode"})) == 0) continue;
        if (sidecar && truth(find(status, {"started"}))) {
            pod.ready += truth(find(status, {"ready"})) ? 1 : 0;
            continue;
        }
        initializing = true;
        if (terminated != nullptr) {
            pod.reason = "Init:" + text_or(text(*terminated, {"reason"}), exit_of(*terminated));
        } else if (!waiting.empty() && waiting != "PodInitializing") {
            pod.reason = "Init:" + std::string{waiting};
        } else {
            pod.reason =
                "Init:" + std::to_string(number_of) + "/" + std::to_string(init_containers.size());
        }
        break;
    }

    if (!initializing || condition_is_true(row.at({"status", "conditions"}), "Initialized")) {
        pod.restarts = sidecar_restarts;
        pod.last_restart = last_sidecar_restart;
        bool has_running = false;
        const auto& statuses = elements(row.at({"status", "containerStatuses"}));
        for (auto status = statuses.rbegin(); status != statuses.rend(); ++status) {
            pod.restarts += number(find(*status, {"restartCount"}));
            note_restart(*status, pod.last_restart);
            const auto waiting = text(*status, {"state", "waiting", "reason"});
            if (!waiting.empty()) {
                pod.reason = waiting;
            } else if (const auto* const terminated = find(*status, {"state", "terminated"});
                       terminated != nullptr && !terminated->is_null()) {
                pod.reason = text_or(text(*terminated, {"reason"}), exit_of(*terminated));
            } else if (truth(find(*status, {"ready"})) &&
                       find(*status, {"state", "running"}) != nullptr) {
                has_running = true;
                ++pod.ready;
            }
        }
        if (pod.reason == "Completed" && has_running)
            pod.reason = condition_is_true(row.at({"status", "conditions"}), "Ready") ? "Running"
                                                                                      : "NotReady";
    }
    if (row.object.deleting()) {
        if (row.text({"status", "reason"}) == "NodeLost") {
            pod.reason = "Unknown";
        } else if (phase != "Succeeded" && phase != "Failed") {
            pod.reason = "Terminating";
        }
    }
    return pod;
}

void pod_cells(Row& row) {
    const auto pod = pod_state(row);
    auto restarts = std::to_string(pod.restarts);
    if (pod.restarts != 0 && pod.last_restart)
        restarts += " (" +
                    human_duration(std::chrono::duration_cast<std::chrono::seconds>(
                        row.now - *pod.last_restart)) +
                    " ago)";
    row.name()
        .add(std::to_string(pod.ready) + "/" + std::to_string(pod.containers))
        .add(pod.reason)
        .add(restarts)
        .age();

    const auto& ips = elements(row.at({"status", "podIPs"}));
    row.add(text_or(ips.empty() ? std::string_view{} : text(ips.front(), {"ip"}), none));
    row.add(text_or(row.text({"spec", "nodeName"}), none))
        .add(text_or(row.text({"status", "nominatedNodeName"}), none));
    const auto& gates = elements(row.at({"spec", "readinessGates"}));
    if (gates.empty()) {
        row.add(none);
        return;
    }
    const auto open = std::ranges::count_if(gates, [&](const json::value& gate) {
        return condition_is_true(row.at({"status", "conditions"}), text(gate, {"conditionType"}));
    });
    row.add(std::to_string(open) + "/" + std::to_string(gates.size()));
}

constexpr Kind kinds[] = {
    {"", "Pod", "Name|Ready|Status|Restarts|Age|IP+|Node+|Nominated Node+|Readiness Gates+",
     cells_of<pod_cells>},
};

}  // namespace

std::span<const Kind> pod_kinds() noexcept { return kinds; }

}  // namespace kled::kube::printers
