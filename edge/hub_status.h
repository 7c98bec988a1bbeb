/// What the Kubernetes API shows of a fleet: pure functions of the hub's records.
#pragma once

#include "base/clock.h"
#include "edge/bundle.h"
#include "edge/fleet.h"
#include "edge/hub_store.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace kled::edge {

/// EdgeNode.status. Conditions that are as in `before` keep their lastTransitionTime.
[[nodiscard]] json::object node_status(const DeviceRecord& device, const json::object& before,
                                       WallTime now);

/// The hub's part of EdgeDeployment.status: observedGeneration, revision, devices, Ready.
[[nodiscard]] json::object deployment_status(
    const DeploymentRecord& deployment, const std::map<std::string, DeviceRecord>& devices,
    const std::map<std::string, Document, std::less<>>& documents, const json::object& before,
    WallTime now);

/// Equal but for `lastSeen`.
[[nodiscard]] bool same_but_time(const json::object& a, const json::object& b);

}  // namespace kled::edge
