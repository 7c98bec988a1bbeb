#include "edge/hub_status.h"

#include "kube/object.h"

#include <algorithm>
#include <utility>

namespace kled::edge {

namespace {

json::object condition(const Condition& c, const json::object& before, WallTime now) {
    json::object entry{{"type", c.type},
                       {"status", c.status ? "True" : "False"},
                       {"reason", c.reason.empty() ? c.type : c.reason},
                       {"message", c.message},
                       {"lastTransitionTime", to_rfc3339(now)}};
    const auto* old = before.if_contains("conditions");
    if (old == nullptr || !old->is_array()) return entry;
    for (const auto& held : old->get_array()) {
        if (!held.is_object()) continue;
        const auto& fields = held.get_object();
        if (kube::find_string(fields, {"type"}) == c.type &&
            kube::find_string(fields, {"status"}) == (c.status ? "True" : "False"))
            entry["lastTransitionTime"] = kube::find_string(fields, {"lastTransitionTime"});
    }
    return entry;
}

json::object position(std::uint64_t gen, std::string_view digest) {
    return {{"generation", gen}, {"digest", digest}};
}

Condition readiness(const DeviceRecord& device, bool current) {
    Condition ready{.type = "Ready", .status = false};
    if (!device.refused.empty()) {
        ready.reason = "ProtocolRefused";
        ready.message = device.refused;
    } else if (!device.online) {
        ready.reason = "Offline";
        ready.message = "last seen at " + to_rfc3339(device.last_seen);
    } else if (device.at.gen == 0) {
        ready.status = true;
        ready.reason = "NothingAssigned";
        ready.message = "no deployment selects this device";
    } else if (!current) {
        ready.reason = "Progressing";
        ready.message = "generation " + std::to_string(device.at.gen) + ": " +
                        std::string{to_string(device.report.phase)};
    } else {
        ready.status = device.report.phase == Phase::healthy;
        ready.reason = to_string(device.report.phase);
        ready.message = "runs generation " + std::to_string(device.at.gen);
    }
    return ready;
}

}  // namespace

json::object node_status(const DeviceRecord& device, const json::object& before, WallTime now) {
    const auto& report = device.report;
    const bool current = report.observed == device.at;
    json::array conditions;
    conditions.push_back(condition(readiness(device, current), before, now));
    // A type stands once in a list of conditions; a second of the same adds to the message.
    std::map<std::string, Condition> own;
    for (const auto& c : report.conditions) {
        const auto [held, fresh] = own.emplace(c.type, c);
        if (!fresh) held->second.message += "; " + c.message;
    }
    own.erase("Ready");
    for (const auto& [type, c] : own) conditions.push_back(condition(c, before, now));
    json::array workloads;
    for (const auto& w : report.workloads) {
        workloads.push_back(json::object{{"kind", w.kind},
                                         {"namespace", w.ns},
                                         {"name", w.name},
                                         {"deployment", w.deployment},
                                         {"phase", w.phase},
                                         {"ready", w.ready},
                                         {"restarts", w.restarts},
                                         {"message", w.message}});
    }
    json::object status{
        {"online", device.online},
        {"phase", to_string(report.phase)},
        {"agentVersion", device.agent},
        {"architecture", device.arch},
        {"desired",
         position(device.at.gen, device.document ? device.document->digest : std::string{})},
        {"observed", position(report.observed.gen, report.digest)},
        {"conditions", std::move(conditions)},
        {"workloads", std::move(workloads)}};
    if (device.last_seen != WallTime{}) status["lastSeen"] = to_rfc3339(device.last_seen);
    return status;
}

json::object deployment_status(const DeploymentRecord& deployment,
                               const std::map<std::string, DeviceRecord>& devices,
                               const std::map<std::string, Document, std::less<>>& documents,
                               const json::object& before, WallTime now) {
    std::size_t desired = 0;
    std::size_t updated = 0;
    std::size_t ready = 0;
    std::string waiting_for;
    for (const auto& [name, device] : devices) {
        if (!device.document) continue;
        const auto document = documents.find(device.document->digest);
        if (document == documents.end() ||
            std::ranges::none_of(document->second.bundles, [&](const auto& bundle) {
                return bundle.deployment == deployment.name;
            }))
            continue;
        ++desired;
        const bool current = device.report.observed == device.at;
        const bool well = current && device.report.phase != Phase::refused &&
                          std::ranges::all_of(device.report.workloads, [&](const auto& workload) {
                              return workload.deployment != deployment.name || workload.ready;
                          });
        if (current) ++updated;
        if (well) ++ready;
        if (!well && waiting_for.empty())
            waiting_for = name + " is " +
                          (device.online ? std::string{to_string(device.report.phase)}
                                         : std::string{"offline"});
    }
    Condition state{.type = "Ready", .status = ready == desired};
    if (deployment.selector.empty()) {
        state = {.type = "Ready",
                 .status = false,
                 .reason = "NoPlacement",
                 .message =
                     "placement.selector is not set, so no device runs this; an empty "
                     "selector takes all devices"};
    } else if (desired == 0) {
        state.reason = "NoDevices";
        state.message = "no device has the labels of placement.selector";
    } else if (state.status) {
        state.reason = "Healthy";
        state.message = "runs on " + std::to_string(ready) + " devices";
    } else {
        state.reason = "Progressing";
        state.message = std::to_string(ready) + " of " + std::to_string(desired) +
                        " devices are ready; " + waiting_for;
    }
    return {{"observedGeneration", deployment.generation},
            {"revision", deployment.latest},
            {"devices", {{"desired", desired}, {"updated", updated}, {"ready", ready}}},
            {"conditions", json::array{condition(state, before, now)}}};
}

bool same_but_time(const json::object& a, const json::object& b) {
    const auto without = [](const json::object& object) {
        auto copy = object;
        copy.erase("lastSeen");
        return copy;
    };
    return without(a) == without(b);
}

}  // namespace kled::edge
