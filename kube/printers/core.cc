#include "kube/printers/row.h"

#include <map>
#include <set>

namespace kled::kube::printers {

namespace {

void config_map_cells(Row& row) {
    row.name()
        .add(static_cast<std::int64_t>(size_of(row.at({"data"})) + size_of(row.at({"binaryData"}))))
        .age();
}

void secret_cells(Row& row) {
    row.name()
        .add(text_or(row.text({"type"}), "Opaque"))
        .add(static_cast<std::int64_t>(size_of(row.at({"data"}))))
        .age();
}

void service_account_cells(Row& row) {
    row.name().add(static_cast<std::int64_t>(size_of(row.at({"secrets"})))).age();
}

void namespace_cells(Row& row) { row.name().add(row.text({"status", "phase"})).age(); }

void node_cells(Row& row) {
    std::vector<std::string> status;
    const auto* const ready = condition(row.at({"status", "conditions"}), "Ready");
    status.emplace_back(ready == nullptr                     ? "Unknown"
                        : text(*ready, {"status"}) == "True" ? "Ready"
                                                             : "NotReady");
    if (truth(row.at({"spec", "unschedulable"}))) status.emplace_back("SchedulingDisabled");
    std::set<std::string, std::less<>> roles;
    if (const auto* const map = row.at({"metadata", "labels"});
        map != nullptr && map->is_object()) {
        for (const auto& [key, value] : map->get_object()) {
            constexpr std::string_view prefix = "node-role.kubernetes.io/";
            const std::string_view label = key;
            if (label.starts_with(prefix) && label.size() > prefix.size())
                roles.emplace(label.substr(prefix.size()));
            if (label == "kubernetes.io/role" && value.is_string() && !value.get_string().empty())
                roles.emplace(value.get_string());
        }
    }
    row.name()
        .add(joined(status, ","))
        .add(roles.empty() ? std::string{none} : joined(roles, ","))
        .age()
        .add(row.text({"status", "nodeInfo", "kubeletVersion"}));
    for (const auto* const type : {"InternalIP", "ExternalIP"}) {
        std::string address{none};
        for (const auto& each : elements(row.at({"status", "addresses"}))) {
            if (text(each, {"type"}) != type) continue;
            address = text(each, {"address"});
            break;
        }
        row.add(address);
    }
    for (const auto* const field : {"osImage", "kernelVersion", "containerRuntimeVersion"})
        row.add(text_or(row.text({"status", "nodeInfo", field}), unknown));
}

void event_cells(Row& row) {
    // events.k8s.io has the same under other names.
    const bool core = row.at({"involvedObject"}) != nullptr;
    const std::string_view target = core ? "involvedObject" : "regarding";
    const auto either = [&](Path of_core, Path other) {
        return core ? row.text(of_core) : row.text(other);
    };
    const auto first_time = either({"firstTimestamp"}, {"deprecatedFirstTimestamp"});
    const auto first = since(first_time.empty() ? row.text({"eventTime"}) : first_time, row.now);
    const auto last_time = either({"lastTimestamp"}, {"deprecatedLastTimestamp"});
    auto last = last_time.empty() ? first : since(last_time, row.now);
    auto count = number(core ? row.at({"count"}) : row.at({"deprecatedCount"}));
    if (row.at({"series"}) != nullptr) {
        last = since(row.text({"series", "lastObservedTime"}), row.now);
        count = row.number({"series", "count"});
    } else if (count == 0) {
        count = 1;
    }
    const auto kind = lower(row.text({target, "kind"}));
    const auto name = row.text({target, "name"});
    const auto component =
        text_or(either({"source", "component"}, {"deprecatedSource", "component"}),
                either({"reportingComponent"}, {"reportingController"}));
    const auto host = text_or(either({"source", "host"}, {"deprecatedSource", "host"}),
                              row.text({"reportingInstance"}));
    auto message = either({"message"}, {"note"});
    constexpr std::string_view blanks = " \t\r\n\v\f";
    const auto begin = message.find_first_not_of(blanks);
    message = begin == std::string_view::npos
                  ? std::string_view{}
                  : message.substr(begin, message.find_last_not_of(blanks) - begin + 1);
    row.add(last)
        .add(row.text({"type"}))
        .add(row.text({"reason"}))
        .add(name.empty() ? kind : kind + "/" + std::string{name})
        .add(row.text({target, "fieldPath"}));
    row.add(host.empty() ? component : component + ", " + host)
        .add(message)
        .add(first)
        .add(count)
        .name();
}

void resource_quota_cells(Row& row) {
    std::map<std::string, std::string, std::less<>> hard;
    if (const auto* const map = row.at({"status", "hard"}); map != nullptr && map->is_object()) {
        for (const auto& [key, value] : map->get_object()) hard.emplace(key, quantity(&value));
    }
    std::vector<std::string> requests;
    std::vector<std::string> limits;
    for (const auto& [resource, amount] : hard) {
        auto& list = resource.starts_with("limits.") ? limits : requests;
        list.push_back(resource + ": " + quantity(row.at({"status", "used", resource})) + "/" +
                       amount);
    }
    row.name().add(joined(requests, ", ")).add(joined(limits, ", ")).age();
}

void component_status_cells(Row& row) {
    const auto* const healthy = condition(row.at({"conditions"}), "Healthy");
    row.name().add(healthy == nullptr                     ? "Unknown"
                   : text(*healthy, {"status"}) == "True" ? "Healthy"
                                                          : "Unhealthy");
    row.add(healthy == nullptr ? std::string_view{} : text(*healthy, {"message"}))
        .add(healthy == nullptr ? std::string_view{} : text(*healthy, {"error"}));
}

constexpr std::string_view event_columns =
    "Last Seen|Type|Reason|Object|Subobject+|Source+|Message|First Seen+|Count+|Name+";

constexpr Kind kinds[] = {
    {"", "ConfigMap", "Name|Data|Age", cells_of<config_map_cells>},
    {"", "Secret", "Name|Type|Data|Age", cells_of<secret_cells>},
    {"", "ServiceAccount", "Name|Secrets|Age", cells_of<service_account_cells>},
    {"", "Namespace", "Name|Status|Age", cells_of<namespace_cells>},
    {"", "Node",
     "Name|Status|Roles|Age|Version|Internal-IP+|External-IP+|OS-Image+|Kernel-Version+|Container-"
     "Runtime+",
     cells_of<node_cells>},
    {"", "Event", event_columns, cells_of<event_cells>},
    {"", "ResourceQuota", "Name|Request|Limit|Age", cells_of<resource_quota_cells>},
    {"", "LimitRange", "Name|Created At@", cells_of<created_at_cells>},
    {"", "ComponentStatus", "Name|Status|Message|Error", cells_of<component_status_cells>},
    {"events.k8s.io", "Event", event_columns, cells_of<event_cells>},
};

}  // namespace

std::span<const Kind> core_kinds() noexcept { return kinds; }

}  // namespace kled::kube::printers
