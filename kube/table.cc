#include "kube/table.h"

#include "base/error.h"
#include "kube/quantity.h"
#include "kube/selector.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <span>
#include <utility>

namespace kled::kube {

namespace {

using std::chrono::seconds;

constexpr std::string_view none = "<none>";
constexpr std::string_view unset = "<unset>";
constexpr std::string_view unknown = "<unknown>";

using Path = std::initializer_list<std::string_view>;

// ---- reading, never throwing

std::string_view text(const json::object& object, Path path) noexcept {
    return find_string(object, path);
}
std::string_view text(const json::value& value, Path path) noexcept {
    const auto* const object = value.if_object();
    return object == nullptr ? std::string_view{} : find_string(*object, path);
}
std::string text_or(std::string_view value, std::string_view otherwise) {
    return std::string{value.empty() ? otherwise : value};
}

const json::value* at(const json::value& value, Path path) noexcept { return find(value, path); }

std::int64_t number(const json::value* value, std::int64_t otherwise = 0) noexcept {
    if (value == nullptr || !value->is_number()) return otherwise;
    if (const auto* const whole = value->if_int64()) return *whole;
    return otherwise;
}

bool truth(const json::value* value, bool otherwise = false) noexcept {
    return value != nullptr && value->is_bool() ? value->get_bool() : otherwise;
}

const json::array& elements(const json::value* value) noexcept {
    static const json::array nothing;
    return value == nullptr || !value->is_array() ? nothing : value->get_array();
}

std::size_t size_of(const json::value* value) noexcept {
    if (value == nullptr) return 0;
    if (const auto* const array = value->if_array()) return array->size();
    if (const auto* const object = value->if_object()) return object->size();
    return 0;
}

/// An IntOrString, a number or a text.
std::string shown(const json::value* value, std::string_view otherwise) {
    if (value == nullptr || value->is_null()) return std::string{otherwise};
    return value->is_string() ? std::string{value->get_string()} : to_json(*value);
}

/// As Go prints it: in its shortest form.
std::string quantity(const json::value* value, std::string_view otherwise = "0") {
    const auto given = shown(value, otherwise);
    try {
        return Quantity::parse(given).to_string();
    } catch (const Error&) {
        return given;
    }
}

// ---- writing

template <class Parts>
std::string joined(const Parts& parts, std::string_view separator) {
    std::string all;
    bool first = true;
    for (const auto& part : parts) {
        if (!first) all += separator;
        first = false;
        all += part;
    }
    return all;
}

std::string lower(std::string_view given) {
    std::string text{given};
    std::ranges::transform(text, text.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return text;
}

std::string since(std::string_view time, WallTime now) {
    const auto then = parse_rfc3339(time);
    return then ? human_duration(std::chrono::duration_cast<seconds>(now - *then))
                : std::string{unknown};
}

std::string age(const json::object& object, WallTime now) {
    return since(text(object, {"metadata", "creationTimestamp"}), now);
}

/// {"b": "2", "a": "1"} → "a=1,b=2".
std::string labels(const json::value* map) {
    const auto* const object = map == nullptr ? nullptr : map->if_object();
    if (object == nullptr || object->empty()) return std::string{none};
    std::vector<std::string> pairs;
    for (const auto& [key, value] : *object)
        pairs.push_back(std::string{key} + "=" + shown(&value, ""));
    std::ranges::sort(pairs);
    return joined(pairs, ",");
}

std::string selector(const json::value* value, std::string_view otherwise = none) {
    if (value == nullptr || !value->is_object()) return std::string{otherwise};
    try {
        return text_or(LabelSelector::from_object(value->get_object()).to_string(), otherwise);
    } catch (const Error&) {
        return "<error>";
    }
}

std::string with_more(std::span<const std::string> list, std::size_t most, std::string_view empty,
                      std::string_view separator = ",") {
    if (list.empty()) return std::string{empty};
    auto shown_part = joined(list.first(std::min(list.size(), most)), separator);
    if (list.size() > most) shown_part += " + " + std::to_string(list.size() - most) + " more...";
    return shown_part;
}

const json::value* condition(const json::value* conditions, std::string_view type) noexcept {
    for (const auto& each : elements(conditions)) {
        if (text(each, {"type"}) == type) return &each;
    }
    return nullptr;
}

bool condition_is_true(const json::value* conditions, std::string_view type) noexcept {
    const auto* const found = condition(conditions, type);
    return found != nullptr && text(*found, {"status"}) == "True";
}

/// What a printer writes its cells with.
struct Row {
    const Object& object;
    WallTime now;
    json::array& cells;

    [[nodiscard]] const json::object& fields() const noexcept { return object.fields(); }
    [[nodiscard]] const json::value* at(Path path) const noexcept {
        return find(object.fields(), path);
    }
    [[nodiscard]] std::string_view text(Path path) const noexcept {
        return find_string(object.fields(), path);
    }
    [[nodiscard]] std::int64_t number(Path path) const noexcept { return kube::number(at(path)); }

    Row& add(std::string_view value) {
        cells.emplace_back(json::string(value));
        return *this;
    }
    Row& add(std::int64_t value) {
        cells.emplace_back(value);
        return *this;
    }
    Row& flag(bool value) {
        cells.emplace_back(value);
        return *this;
    }
    Row& name() { return add(object.name()); }
    Row& age() { return add(kube::age(object.fields(), now)); }
    /// The names and the images of containers.
    Row& containers(Path path) {
        std::vector<std::string_view> names;
        std::vector<std::string_view> images;
        for (const auto& container : elements(at(path))) {
            names.push_back(kube::text(container, {"name"}));
            images.push_back(kube::text(container, {"image"}));
        }
        return add(joined(names, ",")).add(joined(images, ","));
    }
};

// ---- pods

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
    const auto signal = number(at(terminated, {"signal"}));
    return signal != 0 ? "Signal:" + std::to_string(signal)
                       : "ExitCode:" + std::to_string(number(at(terminated, {"exitCode"})));
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
        const auto count = number(at(status, {"restartCount"}));
        pod.restarts += count;
        note_restart(status, pod.last_restart);
        const bool sidecar = is_sidecar(row, text(status, {"name"}));
        if (sidecar) {
            sidecar_restarts += count;
            note_restart(status, last_sidecar_restart);
        }
        const auto* const terminated = at(status, {"state", "terminated"});
        const auto waiting = text(status, {"state", "waiting", "reason"});
        const auto number_of = index++;
        if (terminated != nullptr && number(at(*terminated, {"exitCode"})) == 0) continue;
        if (sidecar && truth(at(status, {"started"}))) {
            pod.ready += truth(at(status, {"ready"})) ? 1 : 0;
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
            pod.restarts += number(at(*status, {"restartCount"}));
            note_restart(*status, pod.last_restart);
            const auto waiting = text(*status, {"state", "waiting", "reason"});
            if (!waiting.empty()) {
                pod.reason = waiting;
            } else if (const auto* const terminated = at(*status, {"state", "terminated"});
                       terminated != nullptr && !terminated->is_null()) {
                pod.reason = text_or(text(*terminated, {"reason"}), exit_of(*terminated));
            } else if (truth(at(*status, {"ready"})) &&
                       at(*status, {"state", "running"}) != nullptr) {
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
        restarts +=
            " (" +
            human_duration(std::chrono::duration_cast<seconds>(row.now - *pod.last_restart)) +
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

// ---- workloads

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
        if (!truth(at(reference, {"controller"}))) continue;
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
        duration = human_duration(std::chrono::duration_cast<seconds>(end - *start));
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
        const auto* const average = at(spec, {field, "target", "averageValue"});
        const auto current = [&](std::string_view name) {
            const auto* const value = at(status, {field, "current", name});
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
                prefix + percent(at(status, {field, "current", "averageUtilization"}), unknown) +
                "/" + percent(at(spec, {field, "target", "averageUtilization"}), "<auto>"));
        } else {
            metrics.push_back(current("value") + "/" +
                              quantity(at(spec, {field, "target", "value"})));
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

// ---- network

std::string addresses_of(const json::value* ingress) {
    std::set<std::string, std::less<>> addresses;
    for (const auto& each : elements(ingress)) {
        const auto address = text_or(text(each, {"ip"}), text(each, {"hostname"}));
        if (!address.empty()) addresses.insert(address);
    }
    return joined(addresses, ",");
}

std::string external_ip(const Row& row) {
    const auto type = row.text({"spec", "type"});
    std::vector<std::string> addresses;
    for (const auto& each : elements(row.at({"spec", "externalIPs"})))
        addresses.push_back(shown(&each, ""));
    if (type == "ExternalName") return std::string{row.text({"spec", "externalName"})};
    if (type == "LoadBalancer") {
        const auto balancer = addresses_of(row.at({"status", "loadBalancer", "ingress"}));
        if (!balancer.empty()) addresses.insert(addresses.begin(), balancer);
        return addresses.empty() ? "<pending>" : joined(addresses, ",");
    }
    if (type != "ClusterIP" && type != "NodePort" && !type.empty()) return std::string{unknown};
    return addresses.empty() ? std::string{none} : joined(addresses, ",");
}

void service_cells(Row& row) {
    std::vector<std::string> ports;
    for (const auto& port : elements(row.at({"spec", "ports"}))) {
        const auto node_port = number(at(port, {"nodePort"}));
        ports.push_back(std::to_string(number(at(port, {"port"}))) +
                        (node_port > 0 ? ":" + std::to_string(node_port) : "") + "/" +
                        text_or(text(port, {"protocol"}), "TCP"));
    }
    const auto& ips = elements(row.at({"spec", "clusterIPs"}));
    row.name()
        .add(text_or(row.text({"spec", "type"}), "ClusterIP"))
        .add(ips.empty() ? text_or(row.text({"spec", "clusterIP"}), none)
                         : shown(&ips.front(), none));
    row.add(external_ip(row))
        .add(ports.empty() ? std::string{none} : joined(ports, ","))
        .age()
        .add(labels(row.at({"spec", "selector"})));
}

void endpoints_cells(Row& row) {
    std::vector<std::string> list;
    for (const auto& subset : elements(row.at({"subsets"}))) {
        const auto add = [&](const std::string& port) {
            for (const auto& address : elements(at(subset, {"addresses"}))) {
                const auto ip = text(address, {"ip"});
                list.push_back(ip.find(':') != std::string_view::npos && !port.empty()
                                   ? "[" + std::string{ip} + "]" + port
                                   : std::string{ip} + port);
            }
        };
        const auto& ports = elements(at(subset, {"ports"}));
        if (ports.empty()) add("");
        for (const auto& port : ports) add(":" + std::to_string(number(at(port, {"port"}))));
    }
    row.name().add(with_more(list, 3, none)).age();
}

void endpoint_slice_cells(Row& row) {
    std::vector<std::string> ports;
    for (const auto& port : elements(row.at({"ports"})))
        ports.push_back(shown(at(port, {"port"}), text_or(text(port, {"name"}), "*")));
    std::vector<std::string> addresses;
    for (const auto& endpoint : elements(row.at({"endpoints"}))) {
        for (const auto& address : elements(at(endpoint, {"addresses"})))
            addresses.push_back(shown(&address, ""));
    }
    row.name()
        .add(row.text({"addressType"}))
        .add(with_more(ports, 3, unset))
        .add(with_more(addresses, 3, unset))
        .age();
}

void ingress_cells(Row& row) {
    std::vector<std::string> hosts;
    const auto& rules = elements(row.at({"spec", "rules"}));
    bool more = false;
    for (const auto& rule : rules) {
        if (hosts.size() == 3) more = true;
        const auto host = text(rule, {"host"});
        if (!more && !host.empty()) hosts.emplace_back(host);
    }
    auto shown_hosts = hosts.empty() ? "*" : joined(hosts, ",");
    if (more) shown_hosts += " + " + std::to_string(rules.size() - 3) + " more...";
    row.name()
        .add(text_or(row.text({"spec", "ingressClassName"}), none))
        .add(shown_hosts)
        .add(addresses_of(row.at({"status", "loadBalancer", "ingress"})));
    row.add(elements(row.at({"spec", "tls"})).empty() ? "80" : "80, 443").age();
}

void ingress_class_cells(Row& row) {
    std::string parameters{none};
    if (row.at({"spec", "parameters"}) != nullptr) {
        const auto group = row.text({"spec", "parameters", "apiGroup"});
        parameters = std::string{row.text({"spec", "parameters", "kind"})} +
                     (group.empty() ? "" : "." + std::string{group}) + "/" +
                     std::string{row.text({"spec", "parameters", "name"})};
    }
    row.name().add(row.text({"spec", "controller"})).add(parameters).age();
}

void network_policy_cells(Row& row) {
    row.name().add(selector(row.at({"spec", "podSelector"}))).age();
}

void service_cidr_cells(Row& row) {
    std::vector<std::string> ranges;
    for (const auto& range : elements(row.at({"spec", "cidrs"})))
        ranges.push_back(shown(&range, ""));
    row.name().add(joined(ranges, ",")).age();
}

void ip_address_cells(Row& row) {
    std::string parent{none};
    if (row.at({"spec", "parentRef"}) != nullptr) {
        const auto part = [&](std::string_view field) {
            return std::string{row.text({"spec", "parentRef", field})};
        };
        parent = lower(part("resource") + (part("group").empty() ? "" : "." + part("group"))) +
                 (part("namespace").empty() ? "" : "/" + part("namespace")) + "/" + part("name");
    }
    row.name().add(parent);
}

// ---- core

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

std::string access_modes(const json::value* modes) {
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> short_names{
        {{"ReadWriteOnce", "RWO"},
         {"ReadOnlyMany", "ROX"},
         {"ReadWriteMany", "RWX"},
         {"ReadWriteOncePod", "RWOP"}}};
    std::vector<std::string_view> shown_modes;
    for (const auto& [mode, name] : short_names) {
        if (std::ranges::any_of(elements(modes), [&](const json::value& each) {
                return each.is_string() && each.get_string() == mode;
            }))
            shown_modes.push_back(name);
    }
    return joined(shown_modes, ",");
}

std::string storage_class(const Row& row) {
    return text_or(row.object.annotation("volume.beta.kubernetes.io/storage-class"),
                   row.text({"spec", "storageClassName"}));
}

std::string phase(const Row& row) {
    return row.object.deleting() ? "Terminating" : std::string{row.text({"status", "phase"})};
}

void volume_cells(Row& row) {
    std::string claim;
    if (row.at({"spec", "claimRef"}) != nullptr)
        claim = std::string{row.text({"spec", "claimRef", "namespace"})} + "/" +
                std::string{row.text({"spec", "claimRef", "name"})};
    row.name()
        .add(quantity(row.at({"spec", "capacity", "storage"})))
        .add(access_modes(row.at({"spec", "accessModes"})))
        .add(row.text({"spec", "persistentVolumeReclaimPolicy"}));
    row.add(phase(row))
        .add(claim)
        .add(storage_class(row))
        .add(text_or(row.text({"spec", "volumeAttributesClassName"}), unset))
        .add(row.text({"status", "reason"}))
        .age();
    row.add(text_or(row.text({"spec", "volumeMode"}), unset));
}

void volume_claim_cells(Row& row) {
    const auto volume = row.text({"spec", "volumeName"});
    row.name().add(phase(row)).add(volume);
    if (volume.empty()) {
        row.add("").add("");
    } else {
        row.add(quantity(row.at({"status", "capacity", "storage"})))
            .add(access_modes(row.at({"status", "accessModes"})));
    }
    row.add(storage_class(row))
        .add(text_or(row.text({"spec", "volumeAttributesClassName"}), unset))
        .age()
        .add(text_or(row.text({"spec", "volumeMode"}), unset));
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

// ---- the rest

void storage_class_cells(Row& row) {
    const bool is_default =
        row.object.annotation("storageclass.kubernetes.io/is-default-class") == "true" ||
        row.object.annotation("storageclass.beta.kubernetes.io/is-default-class") == "true";
    row.add(std::string{row.object.name()} + (is_default ? " (default)" : ""))
        .add(row.text({"provisioner"}))
        .add(text_or(row.text({"reclaimPolicy"}), "Delete"));
    row.add(text_or(row.text({"volumeBindingMode"}), "Immediate"))
        .flag(truth(row.at({"allowVolumeExpansion"})))
        .age();
}

void csi_driver_cells(Row& row) {
    std::vector<std::string> modes;
    for (const auto& mode : elements(row.at({"spec", "volumeLifecycleModes"})))
        modes.push_back(shown(&mode, ""));
    const auto* const requests = row.at({"spec", "tokenRequests"});
    std::vector<std::string_view> audiences;
    for (const auto& request : elements(requests)) audiences.push_back(text(request, {"audience"}));
    row.name()
        .flag(truth(row.at({"spec", "attachRequired"}), true))
        .flag(truth(row.at({"spec", "podInfoOnMount"})))
        .flag(truth(row.at({"spec", "storageCapacity"})));
    row.add(requests == nullptr ? std::string{unset} : joined(audiences, ","))
        .flag(truth(row.at({"spec", "requiresRepublish"})))
        .add(modes.empty() ? std::string{none} : joined(modes, ","))
        .age();
}

void csi_node_cells(Row& row) {
    row.name().add(static_cast<std::int64_t>(size_of(row.at({"spec", "drivers"})))).age();
}
void attributes_class_cells(Row& row) { row.name().add(row.text({"driverName"})).age(); }
void attachment_cells(Row& row) {
    row.name()
        .add(row.text({"spec", "attacher"}))
        .add(row.text({"spec", "source", "persistentVolumeName"}))
        .add(row.text({"spec", "nodeName"}))
        .flag(truth(row.at({"status", "attached"})))
        .age();
}

void created_at_cells(Row& row) { row.name().add(row.text({"metadata", "creationTimestamp"})); }

void binding_cells(Row& row) {
    row.name()
        .add(std::string{row.text({"roleRef", "kind"})} + "/" +
             std::string{row.text({"roleRef", "name"})})
        .age();
    std::vector<std::string> users;
    std::vector<std::string> groups;
    std::vector<std::string> accounts;
    for (const auto& subject : elements(row.at({"subjects"}))) {
        const auto kind = text(subject, {"kind"});
        const std::string name{text(subject, {"name"})};
        if (kind == "User") users.push_back(name);
        if (kind == "Group") groups.push_back(name);
        if (kind == "ServiceAccount")
            accounts.push_back(std::string{text(subject, {"namespace"})} + "/" + name);
    }
    row.add(joined(users, ", ")).add(joined(groups, ", ")).add(joined(accounts, ", "));
}

void lease_cells(Row& row) { row.name().add(row.text({"spec", "holderIdentity"})).age(); }
void priority_class_cells(Row& row) {
    row.name()
        .add(row.number({"value"}))
        .flag(truth(row.at({"globalDefault"})))
        .age()
        .add(row.text({"preemptionPolicy"}));
}
void runtime_class_cells(Row& row) { row.name().add(row.text({"handler"})).age(); }
void webhook_cells(Row& row) {
    row.name().add(static_cast<std::int64_t>(size_of(row.at({"webhooks"})))).age();
}

void policy_cells(Row& row) {
    std::string kind{unset};
    if (row.at({"spec", "paramKind"}) != nullptr)
        kind = std::string{row.text({"spec", "paramKind", "apiVersion"})} + "/" +
               std::string{row.text({"spec", "paramKind", "kind"})};
    row.name()
        .add(static_cast<std::int64_t>(size_of(row.at({"spec", "validations"}))))
        .add(kind)
        .age();
}

void policy_binding_cells(Row& row) {
    std::string parameter{unset};
    const auto name = row.text({"spec", "paramRef", "name"});
    if (!name.empty()) {
        parameter =
            text_or(row.text({"spec", "paramRef", "namespace"}), "*") + "/" + std::string{name};
    } else if (const auto* const chosen = row.at({"spec", "paramRef", "selector"})) {
        parameter = selector(chosen);
    }
    row.name().add(row.text({"spec", "policyName"})).add(parameter).age();
}

void flow_schema_cells(Row& row) {
    const auto* const dangling = condition(row.at({"status", "conditions"}), "Dangling");
    row.name()
        .add(row.text({"spec", "priorityLevelConfiguration", "name"}))
        .add(row.number({"spec", "matchingPrecedence"}))
        .add(text_or(row.text({"spec", "distinguisherMethod", "type"}), none))
        .age();
    row.add(dangling == nullptr ? "?" : text(*dangling, {"status"}));
}

void priority_level_cells(Row& row) {
    row.name().add(row.text({"spec", "type"}));
    const auto add = [&](const json::value* value) {
        if (value == nullptr) {
            row.add(none);
        } else {
            row.add(number(value));
        }
    };
    add(row.at({"spec", "limited", "nominalConcurrencyShares"}));
    for (const auto* const field : {"queues", "handSize", "queueLengthLimit"})
        add(row.at({"spec", "limited", "limitResponse", "queuing", field}));
    row.age();
}

void api_service_cells(Row& row) {
    std::string service = "Local";
    if (const auto* const reference = row.at({"spec", "service"});
        reference != nullptr && reference->is_object()) {
        service = std::string{row.text({"spec", "service", "namespace"})} + "/" +
                  std::string{row.text({"spec", "service", "name"})};
    }
    std::string status = "Unknown";
    if (const auto* const available = condition(row.at({"status", "conditions"}), "Available")) {
        status = text(*available, {"status"});
        const auto reason = text(*available, {"reason"});
        if (status != "True" && !reason.empty()) status += " (" + std::string{reason} + ")";
    }
    row.name().add(service).add(status).age();
}

void signing_request_cells(Row& row) {
    const auto* const conditions = row.at({"status", "conditions"});
    std::string status = condition(conditions, "Denied") != nullptr     ? "Denied"
                         : condition(conditions, "Approved") != nullptr ? "Approved"
                                                                        : "Pending";
    if (condition(conditions, "Failed") != nullptr) status += ",Failed";
    if (!row.text({"status", "certificate"}).empty()) status += ",Issued";
    const auto* const expiration = row.at({"spec", "expirationSeconds"});
    row.name()
        .age()
        .add(text_or(row.text({"spec", "signerName"}), none))
        .add(row.text({"spec", "username"}));
    row.add(expiration == nullptr ? std::string{none} : human_duration(seconds{number(expiration)}))
        .add(status);
}

void resource_claim_cells(Row& row) {
    std::vector<std::string_view> states;
    if (row.object.deleting()) states.emplace_back("deleted");
    if (row.at({"status", "allocation"}) == nullptr) {
        if (states.empty()) states.emplace_back("pending");
    } else {
        states.emplace_back("allocated");
        if (!elements(row.at({"status", "reservedFor"})).empty()) states.emplace_back("reserved");
    }
    row.name().add(joined(states, ",")).age();
}

void resource_slice_cells(Row& row) {
    row.name()
        .add(row.text({"spec", "nodeName"}))
        .add(row.text({"spec", "driver"}))
        .add(row.text({"spec", "pool", "name"}))
        .age();
}
void scale_cells(Row& row) {
    row.name().add(row.number({"spec", "replicas"})).add(row.number({"status", "replicas"})).age();
}
void generic_cells(Row& row) { row.name().age(); }

template <void (*Cells)(Row&)>
void cells_of(const Object& object, WallTime now, json::array& cells) {
    Row row{object, now, cells};
    Cells(row);
}

/// Columns are divided by |. A name ends in # for an integer, ? for a boolean, @ for a date, ! when
/// its format is "name", and then in + when only -o wide shows it.
struct Kind {
    std::string_view group;
    std::string_view kind;
    std::string_view columns;
    void (*cells)(const Object&, WallTime, json::array&);
};

constexpr std::string_view admission = "admissionregistration.k8s.io";
constexpr std::string_view flow_control = "flowcontrol.apiserver.k8s.io";
constexpr std::string_view rbac = "rbac.authorization.k8s.io";
constexpr std::string_view storage = "storage.k8s.io";
constexpr std::string_view network = "networking.k8s.io";
constexpr std::string_view binding_columns = "Name|Role|Age|Users+|Groups+|ServiceAccounts+";
constexpr std::string_view event_columns =
    "Last Seen|Type|Reason|Object|Subobject+|Source+|Message|First Seen+|Count+|Name+";

const Kind kinds[] = {
    {"", "Pod", "Name|Ready|Status|Restarts|Age|IP+|Node+|Nominated Node+|Readiness Gates+",
     cells_of<pod_cells>},
    {"", "PodTemplate", "Name|Containers|Images|Pod Labels", cells_of<pod_template_cells>},
    {"", "ReplicationController", "Name|Desired#|Current#|Ready#|Age|Containers+|Images+|Selector+",
     cells_of<replication_controller_cells>},
    {"", "Service", "Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector+",
     cells_of<service_cells>},
    {"", "Endpoints", "Name|Endpoints|Age", cells_of<endpoints_cells>},
    {"", "ConfigMap", "Name|Data|Age", cells_of<config_map_cells>},
    {"", "Secret", "Name|Type|Data|Age", cells_of<secret_cells>},
    {"", "ServiceAccount", "Name|Secrets|Age", cells_of<service_account_cells>},
    {"", "Namespace", "Name|Status|Age", cells_of<namespace_cells>},
    {"", "Node",
     "Name|Status|Roles|Age|Version|Internal-IP+|External-IP+|OS-Image+|Kernel-Version+|Container-"
     "Runtime+",
     cells_of<node_cells>},
    {"", "Event", event_columns, cells_of<event_cells>},
    {"", "PersistentVolume",
     "Name|Capacity|Access Modes|Reclaim "
     "Policy|Status|Claim|StorageClass|VolumeAttributesClass|Reason|Age|VolumeMode+",
     cells_of<volume_cells>},
    {"", "PersistentVolumeClaim",
     "Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|VolumeMode+",
     cells_of<volume_claim_cells>},
    {"", "ResourceQuota", "Name|Request|Limit|Age", cells_of<resource_quota_cells>},
    {"", "LimitRange", "Name|Created At@", cells_of<created_at_cells>},
    {"", "ComponentStatus", "Name|Status|Message|Error", cells_of<component_status_cells>},
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
    {"discovery.k8s.io", "EndpointSlice", "Name|AddressType|Ports|Endpoints|Age",
     cells_of<endpoint_slice_cells>},
    {"events.k8s.io", "Event", event_columns, cells_of<event_cells>},
    {"coordination.k8s.io", "Lease", "Name|Holder|Age", cells_of<lease_cells>},
    {"scheduling.k8s.io", "PriorityClass", "Name|Value#|Global-Default?|Age|PreemptionPolicy",
     cells_of<priority_class_cells>},
    {"node.k8s.io", "RuntimeClass", "Name|Handler|Age", cells_of<runtime_class_cells>},
    {"certificates.k8s.io", "CertificateSigningRequest",
     "Name|Age|SignerName|Requestor|RequestedDuration|Condition", cells_of<signing_request_cells>},
    {"apiregistration.k8s.io", "APIService", "Name|Service|Available|Age",
     cells_of<api_service_cells>},
    {"apiextensions.k8s.io", "CustomResourceDefinition", "Name|Created At@",
     cells_of<created_at_cells>},
    {"resource.k8s.io", "ResourceClaim", "Name|State|Age", cells_of<resource_claim_cells>},
    {"resource.k8s.io", "ResourceSlice", "Name|Node|Driver|Pool|Age",
     cells_of<resource_slice_cells>},
    {network, "Ingress", "Name|Class|Hosts|Address|Ports|Age", cells_of<ingress_cells>},
    {network, "IngressClass", "Name|Controller|Parameters|Age", cells_of<ingress_class_cells>},
    {network, "NetworkPolicy", "Name|Pod-Selector|Age", cells_of<network_policy_cells>},
    {network, "ServiceCIDR", "Name|CIDRs|Age", cells_of<service_cidr_cells>},
    {network, "IPAddress", "Name|ParentRef", cells_of<ip_address_cells>},
    {rbac, "Role", "Name|Created At@", cells_of<created_at_cells>},
    {rbac, "ClusterRole", "Name|Created At@", cells_of<created_at_cells>},
    {rbac, "RoleBinding", binding_columns, cells_of<binding_cells>},
    {rbac, "ClusterRoleBinding", binding_columns, cells_of<binding_cells>},
    {storage, "StorageClass",
     "Name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age",
     cells_of<storage_class_cells>},
    {storage, "CSIDriver",
     "Name|AttachRequired?|PodInfoOnMount?|StorageCapacity?|TokenRequests|RequiresRepublish?|Modes|"
     "Age",
     cells_of<csi_driver_cells>},
    {storage, "CSINode", "Name|Drivers#|Age", cells_of<csi_node_cells>},
    {storage, "CSIStorageCapacity", "Name|Created At@", cells_of<created_at_cells>},
    {storage, "VolumeAttachment", "Name|Attacher!|PV|Node|Attached?|Age",
     cells_of<attachment_cells>},
    {storage, "VolumeAttributesClass", "Name|DriverName|Age", cells_of<attributes_class_cells>},
    {admission, "MutatingWebhookConfiguration", "Name|Webhooks#|Age", cells_of<webhook_cells>},
    {admission, "ValidatingWebhookConfiguration", "Name|Webhooks#|Age", cells_of<webhook_cells>},
    {admission, "ValidatingAdmissionPolicy", "Name|Validations#|ParamKind|Age",
     cells_of<policy_cells>},
    {admission, "ValidatingAdmissionPolicyBinding", "Name|PolicyName|ParamRef|Age",
     cells_of<policy_binding_cells>},
    {flow_control, "FlowSchema",
     "Name|PriorityLevel|MatchingPrecedence|DistinguisherMethod|Age|MissingPL",
     cells_of<flow_schema_cells>},
    {flow_control, "PriorityLevelConfiguration",
     "Name|Type|NominalConcurrencyShares|Queues|HandSize|QueueLengthLimit|Age",
     cells_of<priority_level_cells>},
};

std::vector<TableColumn> columns_of(std::string_view text) {
    std::vector<TableColumn> columns;
    while (!text.empty()) {
        auto name = text.substr(0, text.find('|'));
        text.remove_prefix(std::min(name.size() + 1, text.size()));
        TableColumn column;
        if (name.ends_with('+')) {
            column.priority = 1;
            name.remove_suffix(1);
        }
        static constexpr std::array<std::pair<char, std::string_view>, 3> types{
            {{'#', "integer"}, {'?', "boolean"}, {'@', "date"}}};
        for (const auto& [sign, type] : types) {
            if (!name.ends_with(sign)) continue;
            column.type = type;
            name.remove_suffix(1);
        }
        if (name == "Name" || name.ends_with('!')) column.format = "name";
        column.name = name.substr(0, name.find('!'));
        columns.push_back(std::move(column));
    }
    return columns;
}

/// A cell of a custom resource's column; null where the value is not of the column's type.
json::value custom_cell(const json::value& value, const TableColumn& column, WallTime now) {
    if (column.type == "string")
        return json::string(value.is_null()     ? "<no value>"
                            : value.is_string() ? std::string{value.get_string()}
                                                : to_json(value));
    if (column.type == "integer" && value.is_number()) {
        if (!value.is_double()) return value;
        constexpr double limit = 9.2e18;
        return static_cast<std::int64_t>(std::clamp(value.get_double(), -limit, limit));
    }
    if (column.type == "number" && value.is_number()) return value;
    if (column.type == "boolean" && value.is_bool()) return value;
    if (column.type == "date" && value.is_string()) {
        const auto then = parse_rfc3339(value.get_string());
        return then ? json::string(human_duration(std::chrono::duration_cast<seconds>(now - *then)))
                    : json::string("<invalid>");
    }
    return nullptr;
}

}  // namespace

/// All printers of built-in kinds, made at first use.
class Kinds {
public:
    Kinds() {
        for (const auto& kind : kinds)
            printers_.emplace(std::pair{kind.group, kind.kind}, make(kind.columns, kind.cells));
    }
    [[nodiscard]] const TablePrinter& of(const GroupVersionKind& gvk) const {
        const auto found =
            printers_.find(std::pair{std::string_view{gvk.group}, std::string_view{gvk.kind}});
        return found == printers_.end() ? generic_ : found->second;
    }

private:
    static TablePrinter make(std::string_view columns, TablePrinter::Cells cells) {
        TablePrinter printer;
        printer.columns_ = columns_of(columns);
        printer.cells_ = cells;
        return printer;
    }
    std::map<std::pair<std::string_view, std::string_view>, TablePrinter> printers_;
    TablePrinter generic_ = make("Name|Age", cells_of<generic_cells>);
};

const TablePrinter& TablePrinter::of(const GroupVersionKind& gvk) {
    static const Kinds all;
    return all.of(gvk);
}

TablePrinter TablePrinter::of_custom_resource(const json::array& columns) {
    TablePrinter printer;
    printer.columns_.push_back(
        {.name = "Name", .type = "string", .format = "name", .description = "", .priority = 0});
    const auto add = [&](TableColumn column, std::string_view path) {
        printer.columns_.push_back(std::move(column));
        printer.paths_.push_back(JsonPath::parse(path));
    };
    for (const auto& column : columns) {
        const auto path = text(column, {"jsonPath"});
        add({.name = std::string{text(column, {"name"})},
             .type = std::string{text(column, {"type"})},
             .format = std::string{text(column, {"format"})},
             .description = text_or(
                 text(column, {"description"}),
                 "Custom resource definition column (in JSONPath format): " + std::string{path}),
             .priority = static_cast<int>(
                 std::clamp<std::int64_t>(number(at(column, {"priority"})), 0, 1'000'000))},
            path);
    }
    if (columns.empty())
        add({.name = "Age", .type = "date", .format = "", .description = "", .priority = 0},
            ".metadata.creationTimestamp");
    return printer;
}

json::array TablePrinter::cells(const Object& object, WallTime now) const {
    json::array cells;
    cells.reserve(columns_.size());
    if (cells_ != nullptr) {
        cells_(object, now, cells);
        return cells;
    }
    cells.emplace_back(json::string(object.name()));
    for (std::size_t i = 0; i < paths_.size(); ++i) {
        const auto found = paths_[i].find(object.fields());
        cells.push_back(found.empty() ? json::value(nullptr)
                                      : custom_cell(*found.front(), columns_[i + 1], now));
    }
    return cells;
}

json::object TablePrinter::row(const Object& object, IncludeObject include, WallTime now) const {
    json::object row;
    row.emplace("cells", cells(object, now));
    const auto phase = object.kind() == "Pod" && object.api_version() == "v1"
                           ? find_string(object.fields(), {"status", "phase"})
                           : std::string_view{};
    if (phase == "Succeeded" || phase == "Failed") {
        row.emplace("conditions",
                    json::array{json::object{
                        {"type", "Completed"},
                        {"status", "True"},
                        {"reason", phase},
                        {"message", phase == "Failed" ? "The pod failed."
                                                      : "The pod has completed successfully."}}});
    }
    if (include == IncludeObject::object) {
        row.emplace("object", object.fields());
    } else if (include == IncludeObject::metadata) {
        json::object partial{{"kind", "PartialObjectMetadata"}, {"apiVersion", "meta.k8s.io/v1"}};
        partial.emplace("metadata",
                        object.metadata() == nullptr ? json::object{} : *object.metadata());
        row.emplace("object", std::move(partial));
    }
    return row;
}

json::object TablePrinter::table(json::object list_metadata, bool with_columns) const {
    json::object table{{"kind", "Table"}, {"apiVersion", "meta.k8s.io/v1"}};
    table.emplace("metadata", std::move(list_metadata));
    json::array definitions;
    if (with_columns) {
        for (const auto& column : columns_) {
            definitions.push_back(json::object{{"name", column.name},
                                               {"type", column.type},
                                               {"format", column.format},
                                               {"description", column.description},
                                               {"priority", column.priority}});
        }
    }
    table.emplace("columnDefinitions", std::move(definitions));
    table.emplace("rows", json::array{});
    return table;
}

std::string human_duration(std::chrono::seconds duration) {
    const auto all = duration.count();
    const auto shown_pair = [](std::int64_t big, const char* big_unit, std::int64_t small,
                               const char* small_unit) {
        return std::to_string(big) + big_unit +
               (small == 0 ? "" : std::to_string(small) + small_unit);
    };
    if (all < -1) return "<invalid>";
    if (all < 0) return "0s";
    if (all < 120) return std::to_string(all) + "s";
    const auto minutes = all / 60;
    if (minutes < 10) return shown_pair(minutes, "m", all % 60, "s");
    if (minutes < 180) return std::to_string(minutes) + "m";
    const auto hours = all / 3600;
    if (hours < 8) return shown_pair(hours, "h", minutes % 60, "m");
    if (hours < 48) return std::to_string(hours) + "h";
    const auto days = hours / 24;
    if (hours < 24 * 8) return shown_pair(days, "d", hours % 24, "h");
    if (days < 365 * 2) return std::to_string(days) + "d";
    if (days < 365 * 8) return shown_pair(days / 365, "y", days % 365, "d");
    return std::to_string(days / 365) + "y";
}

}  // namespace kled::kube
