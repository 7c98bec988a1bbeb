#include "edge/workload.h"

#include "base/encoding.h"
#include "base/error.h"
#include "crypto/hash.h"
#include "kube/quantity.h"

#include <algorithm>
#include <set>
#include <utility>

namespace kled::edge {

namespace {

using Variables = std::map<std::string, std::string, std::less<>>;

/// Why a workload is not run.
struct Refusal {
    std::string reason;
    std::string message;
};

[[noreturn]] void refuse(std::string reason, std::string message) {
    throw Refusal{.reason = std::move(reason), .message = std::move(message)};
}

std::string_view text(const json::object& object, std::string_view key) {
    return kube::find_string(object, {key});
}

std::int64_t number(const json::object& object, std::string_view key, std::int64_t absent) {
    const auto* value = object.if_contains(key);
    if (value == nullptr) return absent;
    boost::system::error_code ec;
    const auto result = value->to_number<std::int64_t>(ec);
    return ec ? absent : result;
}

bool flag(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value != nullptr && value->is_bool() && value->get_bool();
}

/// The elements of an array that are objects; absent: none.
std::vector<const json::object*> objects(const json::object& object, std::string_view key) {
    std::vector<const json::object*> result;
    const auto* value = object.if_contains(key);
    if (value == nullptr || !value->is_array()) return result;
    for (const auto& element : value->get_array())
        if (element.is_object()) result.push_back(&element.get_object());
    return result;
}

std::vector<std::string> texts(const json::object& object, std::string_view key) {
    std::vector<std::string> result;
    const auto* value = object.if_contains(key);
    if (value == nullptr || !value->is_array()) return result;
    for (const auto& element : value->get_array())
        if (element.is_string()) result.emplace_back(element.get_string());
    return result;
}

/// Relative, and stays below where it is put.
bool safe_path(std::string_view path) {
    if (path.empty() || path.front() == '/' || path.find('\0') != std::string_view::npos)
        return false;
    const std::filesystem::path parsed{path};
    return std::ranges::none_of(parsed,
                                [](const auto& part) { return part == ".." || part == "."; });
}

/// "/etc/app" as a path below a root; refused when it would leave it.
std::string mount_path(std::string_view path) {
    while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
    if (path.empty() || path.front() != '/' || !safe_path(path.substr(1)))
        refuse("InvalidPath", "mountPath \"" + std::string{path} + "\" is not an absolute path");
    return std::string{path};
}

unsigned mode_of(const json::object& object, std::string_view key, unsigned absent) {
    return static_cast<unsigned>(number(object, key, absent)) & 0777U;
}

/// A ConfigMap or Secret as key → bytes.
using Data = std::map<std::string, std::string, std::less<>>;

class Planner {
public:
    Planner(const BundleContent& bundle, const PlanOptions& options)
        : bundle_{bundle}, options_{options} {}

    Workload plan(const kube::Object& object) {
        const auto& [pod_metadata, pod] = pod_of(object);
        Workload workload{.id = {.kind = std::string{object.kind()},
                                 .ns = std::string{object.ns()},
                                 .name = std::string{object.name()}},
                          .deployment = bundle_.deployment};
        const auto runtime = kube::find_string(pod_metadata, {"annotations", runtime_annotation});
        if (runtime != "process") {
            refuse("ImageNotSupported",
                   "this device runs no container images; a pod with the annotation " +
                       std::string{runtime_annotation} + ": process runs its command as a process");
        }
        if (!options_.process_runtime) {
            refuse("ProcessRuntimeDisabled",
                   "start kled-agent with --enable-process-runtime to run processes");
        }
        for (const auto* key : {"initContainers", "ephemeralContainers"}) {
            if (!objects(pod, key).empty())
                refuse("NotSupported", std::string{key} + " do not run on devices");
        }
        const auto policy = text(pod, "restartPolicy");
        if (policy == "Never") workload.restart = RestartPolicy::never;
        if (policy == "OnFailure") workload.restart = RestartPolicy::on_failure;
        workload.grace = std::chrono::seconds{
            std::clamp<std::int64_t>(number(pod, "terminationGracePeriodSeconds", 30), 0, 3600)};

        names_ = {.object = &object, .pod_metadata = &pod_metadata, .pod = &pod};
        for (const auto* container : objects(pod, "containers"))
            workload.containers.push_back(plan_container(workload.id, *container));
        if (workload.containers.empty()) refuse("Invalid", "the pod has no containers");
        workload.digest = digest(workload);
        return workload;
    }

    /// replicas other than one: 0 runs nothing, more run once with a condition.
    static std::int64_t replicas(const kube::Object& object) {
        if (object.kind() != "Deployment" || object.spec() == nullptr) return 1;
        return number(*object.spec(), "replicas", 1);
    }

private:
    struct Names {
        const kube::Object* object = nullptr;
        const json::object* pod_metadata = nullptr;
        const json::object* pod = nullptr;
    };

    static std::pair<const json::object&, const json::object&> pod_of(const kube::Object& object) {
        static const json::object none;
        if (object.kind() == "Pod") {
            return {object.metadata() == nullptr ? none : *object.metadata(),
                    object.spec() == nullptr ? none : *object.spec()};
        }
        const auto* metadata = kube::find(object.fields(), {"spec", "template", "metadata"});
        const auto* spec = kube::find(object.fields(), {"spec", "template", "spec"});
        return {metadata != nullptr && metadata->is_object() ? metadata->get_object() : none,
                spec != nullptr && spec->is_object() ? spec->get_object() : none};
    }

    Container plan_container(const WorkloadId& id, const json::object& spec) {
        Container container{.name = std::string{text(spec, "name")}, .root = {}};
        if (!safe_path(container.name) || container.name.find('/') != std::string::npos)
            refuse("Invalid", "a container has no usable name");
        container.root = options_.roots / id.folder() / container.name;

        Variables variables{{"KLED_ROOT", container.root.string()}};
        container.env.emplace_back("KLED_ROOT", container.root.string());
        const auto set = [&](std::string name, std::string value) {
            if (name.empty() || name.find('=') != std::string::npos ||
                name.find('\0') != std::string::npos || value.find('\0') != std::string::npos)
                refuse("Invalid", "environment variable \"" + name + "\" cannot be set");
            const auto held =
                std::ranges::find(container.env, name, &std::pair<std::string, std::string>::first);
            if (held != container.env.end()) container.env.erase(held);
            variables.insert_or_assign(name, value);
            container.env.emplace_back(std::move(name), std::move(value));
        };
        for (const auto* from : objects(spec, "envFrom")) {
            for (auto& [key, value] : data_from(*from))
                set(std::string{text(*from, "prefix")} + key, value);
        }
        for (const auto* entry : objects(spec, "env")) {
            const auto* source = entry->if_contains("valueFrom");
            if (source == nullptr || !source->is_object()) {
                set(std::string{text(*entry, "name")}, expand(text(*entry, "value"), variables));
            } else if (auto value = value_from(source->get_object())) {
                set(std::string{text(*entry, "name")}, *std::move(value));
            }
        }

        for (const auto* key : {"command", "args"}) {
            for (const auto& argument : texts(spec, key))
                container.argv.push_back(expand(argument, variables));
        }
        if (texts(spec, "command").empty()) {
            refuse("NoCommand", "container " + container.name +
                                    ": a process needs `command`; there is no image to take it "
                                    "from");
        }
        if (const auto directory = text(spec, "workingDir"); !directory.empty())
            container.directory = mount_path(directory);
        for (const auto* mount : objects(spec, "volumeMounts"))
            container.mounts.push_back(plan_mount(*mount));
        container.readiness = probe(spec, "readinessProbe", variables);
        container.liveness = probe(spec, "livenessProbe", variables);
        container.startup = probe(spec, "startupProbe", variables);
        container.limits = limits(spec);
        return container;
    }

    const kube::Object* find_object(std::string_view kind, std::string_view name) const {
        for (const auto& object : bundle_.objects) {
            if (object.kind() == kind && object.api_version() == "v1" && object.name() == name &&
                object.ns() == names_.object->ns())
                return &object;
        }
        return nullptr;
    }

    /// nullopt: absent, which the caller may allow.
    std::optional<Data> config_map(std::string_view name) const {
        const auto* object = find_object("ConfigMap", name);
        if (object == nullptr) return std::nullopt;
        Data data;
        for (const auto* key : {"data", "binaryData"}) {
            const auto* fields = object->fields().if_contains(key);
            if (fields == nullptr || !fields->is_object()) continue;
            for (const auto& field : fields->get_object()) {
                if (!field.value().is_string()) continue;
                const auto& value = field.value().get_string();
                if (std::string_view{key} == "data") {
                    data.insert_or_assign(field.key(), std::string{value});
                } else if (auto decoded = from_base64(value)) {
                    data.insert_or_assign(field.key(), *std::move(decoded));
                }
            }
        }
        return data;
    }

    std::optional<Data> secret(std::string_view name) const {
        const auto held = bundle_.secrets.find(
            SecretKey{bundle_.deployment, std::string{names_.object->ns()}, std::string{name}});
        if (held == bundle_.secrets.end()) return std::nullopt;
        Data data;
        for (const auto& [key, value] : held->second) data.emplace(key, value.reveal());
        return data;
    }

    Data need(std::optional<Data> data, std::string_view kind, std::string_view name,
              bool optional) const {
        if (data) return *std::move(data);
        if (optional) return {};
        refuse("ConfigMissing", std::string{kind} + " \"" + std::string{name} +
                                    "\" is not among the objects of " + bundle_.deployment);
    }

    Data data_from(const json::object& from) const {
        if (const auto* ref = kube::find(from, {"configMapRef"}); ref && ref->is_object()) {
            const auto name = text(ref->get_object(), "name");
            return need(config_map(name), "ConfigMap", name, flag(ref->get_object(), "optional"));
        }
        if (const auto* ref = kube::find(from, {"secretRef"}); ref && ref->is_object()) {
            const auto name = text(ref->get_object(), "name");
            return need(secret(name), "Secret", name, flag(ref->get_object(), "optional"));
        }
        return {};
    }

    /// nullopt: an optional reference to something absent.
    std::optional<std::string> value_from(const json::object& source) const {
        for (const bool is_secret : {false, true}) {
            const auto* ref = kube::find(source, {is_secret ? "secretKeyRef" : "configMapKeyRef"});
            if (ref == nullptr || !ref->is_object()) continue;
            const auto& fields = ref->get_object();
            const auto name = text(fields, "name");
            const auto key = text(fields, "key");
            const auto data = is_secret ? secret(name) : config_map(name);
            if (data && data->contains(key)) return data->find(key)->second;
            if (flag(fields, "optional")) return std::nullopt;
            refuse("ConfigMissing", std::string{is_secret ? "Secret" : "ConfigMap"} + " \"" +
                                        std::string{name} + "\" has no key \"" + std::string{key} +
                                        "\" among the objects of " + bundle_.deployment);
        }
        if (const auto* ref = kube::find(source, {"fieldRef"}); ref && ref->is_object())
            return field(text(ref->get_object(), "fieldPath"));
        refuse("NotSupported", "an environment variable has a valueFrom that devices do not have");
    }

    std::string field(std::string_view path) const {
        if (path == "metadata.name") return std::string{names_.object->name()};
        if (path == "metadata.namespace") return std::string{names_.object->ns()};
        if (path == "spec.nodeName") return options_.device;
        for (const std::string_view map : {"labels", "annotations"}) {
            const auto prefix = "metadata." + std::string{map} + "['";
            if (path.starts_with(prefix) && path.ends_with("']")) {
                const auto key = path.substr(prefix.size(), path.size() - prefix.size() - 2);
                return std::string{kube::find_string(*names_.pod_metadata, {map, key})};
            }
        }
        refuse("NotSupported", "fieldPath " + std::string{path} + " has no value on a device");
    }

    Mount plan_mount(const json::object& mount) const {
        const auto name = text(mount, "name");
        const json::object* volume = nullptr;
        for (const auto* candidate : objects(*names_.pod, "volumes"))
            if (text(*candidate, "name") == name) volume = candidate;
        if (volume == nullptr) refuse("Invalid", "no volume \"" + std::string{name} + "\"");

        Mount result{.path = mount_path(text(mount, "mountPath"))};
        const json::object* source = nullptr;
        Data data;
        if (const auto* map = volume->if_contains("configMap"); map && map->is_object()) {
            source = &map->get_object();
            const auto from = text(*source, "name");
            data = need(config_map(from), "ConfigMap", from, flag(*source, "optional"));
        } else if (const auto* held = volume->if_contains("secret"); held && held->is_object()) {
            source = &held->get_object();
            const auto from = text(*source, "secretName");
            data = need(secret(from), "Secret", from, flag(*source, "optional"));
            result.secret = true;
        } else if (volume->contains("emptyDir")) {
            return result;
        } else {
            refuse("VolumeNotSupported", "volume \"" + std::string{name} +
                                             "\": devices have configMap, secret and emptyDir");
        }

        const auto mode = mode_of(*source, "defaultMode", 0644);
        if (const auto items = objects(*source, "items"); !items.empty()) {
            for (const auto* item : items) {
                const auto held = data.find(text(*item, "key"));
                if (held == data.end())
                    refuse("ConfigMissing", "volume \"" + std::string{name} + "\" has no key \"" +
                                                std::string{text(*item, "key")} + "\"");
                result.files.push_back({.name = std::string{text(*item, "path")},
                                        .content = held->second,
                                        .mode = mode_of(*item, "mode", mode)});
            }
        } else {
            for (auto& [key, value] : data)
                result.files.push_back({.name = key, .content = value, .mode = mode});
        }
        if (const auto one = text(mount, "subPath"); !one.empty()) {
            std::erase_if(result.files, [&](const auto& file) { return file.name != one; });
            if (result.files.empty())
                refuse("ConfigMissing", "volume \"" + std::string{name} + "\" has no file \"" +
                                            std::string{one} + "\"");
            result.directory = false;
        }
        for (auto& file : result.files) {
            if (!safe_path(file.name))
                refuse("InvalidPath", "volume \"" + std::string{name} + "\": \"" + file.name +
                                          "\" leaves the volume");
            if (result.secret) file.mode &= 0500U | 0600U;
        }
        return result;
    }

    std::uint16_t port(const json::object& spec, const json::value* given) const {
        if (given != nullptr && given->is_string()) {
            for (const auto* candidate : objects(spec, "ports")) {
                if (text(*candidate, "name") == given->get_string())
                    return static_cast<std::uint16_t>(number(*candidate, "containerPort", 0));
            }
        } else if (given != nullptr) {
            boost::system::error_code ec;
            const auto value = given->to_number<std::uint16_t>(ec);
            if (!ec && value != 0) return value;
        }
        refuse("Invalid", "a probe names no port of its container");
    }

    std::optional<Probe> probe(const json::object& spec, std::string_view key,
                               const Variables& variables) const {
        const auto* value = spec.if_contains(key);
        if (value == nullptr || !value->is_object()) return std::nullopt;
        const auto& fields = value->get_object();
        const auto seconds = [&](std::string_view name, std::int64_t absent) {
            return std::chrono::seconds{
                std::clamp<std::int64_t>(number(fields, name, absent), 0, 86'400)};
        };
        const auto count = [&](std::string_view name, std::int64_t absent) {
            return static_cast<unsigned>(
                std::clamp<std::int64_t>(number(fields, name, absent), 1, 1000));
        };
        Probe probe{.initial_delay = seconds("initialDelaySeconds", 0),
                    .period = std::max(std::chrono::seconds{1}, seconds("periodSeconds", 10)),
                    .timeout = std::max(std::chrono::seconds{1}, seconds("timeoutSeconds", 1)),
                    .failure_threshold = count("failureThreshold", 3),
                    .success_threshold = count("successThreshold", 1)};
        if (const auto* http = fields.if_contains("httpGet"); http && http->is_object()) {
            const auto& get = http->get_object();
            if (text(get, "scheme") == "HTTPS")
                refuse("NotSupported", std::string{key} + ": HTTPS probes are not supported");
            probe.kind = Probe::Kind::http;
            probe.port = port(spec, get.if_contains("port"));
            if (const auto path = text(get, "path"); !path.empty()) probe.path = path;
            if (probe.path.front() != '/') probe.path.insert(0, "/");
            if (const auto host = text(get, "host"); !host.empty()) probe.host = host;
            if (probe.path.find_first_of("\r\n ") != std::string::npos)
                refuse("Invalid", std::string{key} + ": the path has spaces or line breaks");
        } else if (const auto* tcp = fields.if_contains("tcpSocket"); tcp && tcp->is_object()) {
            probe.kind = Probe::Kind::tcp;
            probe.port = port(spec, tcp->get_object().if_contains("port"));
            if (const auto host = text(tcp->get_object(), "host"); !host.empty()) probe.host = host;
        } else if (const auto* exec = fields.if_contains("exec"); exec && exec->is_object()) {
            probe.kind = Probe::Kind::exec;
            for (const auto& argument : texts(exec->get_object(), "command"))
                probe.command.push_back(expand(argument, variables));
            if (probe.command.empty())
                refuse("Invalid", std::string{key} + ": exec has no command");
        } else {
            refuse("NotSupported",
                   std::string{key} + ": devices probe with httpGet, tcpSocket or exec");
        }
        return probe;
    }

    static Limits limits(const json::object& spec) {
        Limits limits;
        const auto* given = kube::find(spec, {"resources", "limits"});
        if (given == nullptr || !given->is_object()) return limits;
        const auto read = [&](std::string_view key) -> std::optional<kube::Quantity> {
            const auto* value = given->get_object().if_contains(key);
            if (value == nullptr) return std::nullopt;
            try {
                return kube::Quantity::parse(value->is_string() ? std::string{value->get_string()}
                                                                : kube::to_json(*value));
            } catch (const Error& error) {
                refuse("Invalid", "limits." + std::string{key} + ": " + error.what());
            }
        };
        if (const auto memory = read("memory"))
            limits.memory_bytes =
                static_cast<std::uint64_t>(std::max<std::int64_t>(0, memory->value()));
        if (const auto cpu = read("cpu"))
            limits.cpu_millis =
                static_cast<std::uint64_t>(std::max<std::int64_t>(0, cpu->milli_value()));
        return limits;
    }

    /// Everything the process sees, but not where it lives.
    static std::string digest(const Workload& workload) {
        crypto::Sha256Stream hash;
        const auto add = [&hash](std::string_view part) {
            hash.update(std::to_string(part.size()));
            hash.update(":");
            hash.update(part);
        };
        const auto add_number = [&add](auto value) { add(std::to_string(value)); };
        const auto add_probe = [&](const std::optional<Probe>& probe) {
            add_number(probe.has_value() ? 1 : 0);
            if (!probe) return;
            add_number(static_cast<int>(probe->kind));
            add(probe->host);
            add_number(probe->port);
            add(probe->path);
            for (const auto& argument : probe->command) add(argument);
            for (const auto time : {probe->initial_delay, probe->period, probe->timeout})
                add_number(time.count());
            add_number(probe->failure_threshold);
            add_number(probe->success_threshold);
        };
        add_number(static_cast<int>(workload.restart));
        add_number(workload.grace.count());
        for (const auto& c : workload.containers) {
            add(c.name);
            add_number(c.argv.size());
            for (const auto& argument : c.argv) add(argument);
            add_number(c.env.size());
            for (const auto& [name, value] : c.env) {
                add(name);
                add(value);
            }
            add(c.directory);
            add_number(c.mounts.size());
            for (const auto& mount : c.mounts) {
                add(mount.path);
                add_number(mount.directory ? 1 : 0);
                for (const auto& file : mount.files) {
                    add(file.name);
                    add(file.content);
                    add_number(file.mode);
                }
            }
            add_probe(c.readiness);
            add_probe(c.liveness);
            add_probe(c.startup);
            add_number(c.limits.memory_bytes);
            add_number(c.limits.cpu_millis);
        }
        const auto sum = hash.finish();
        return to_hex({reinterpret_cast<const char*>(sum.data()), sum.size()});
    }

    const BundleContent& bundle_;
    const PlanOptions& options_;
    Names names_;
};

bool runs_pods(const kube::Object& object) {
    static const std::set<std::pair<std::string_view, std::string_view>> kinds{
        {"apps/v1", "Deployment"}, {"apps/v1", "DaemonSet"}, {"v1", "Pod"}};
    return kinds.contains({object.api_version(), object.kind()});
}

/// Kinds that would run pods elsewhere and that a device does not know.
bool would_run_pods(const kube::Object& object) {
    static const std::set<std::string_view> kinds{"StatefulSet", "ReplicaSet", "Job", "CronJob",
                                                  "ReplicationController"};
    return kinds.contains(object.kind());
}

}  // namespace

std::string WorkloadId::folder() const {
    std::string lower = kind;
    for (auto& c : lower)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    // Names of objects have no '_', so the folder names one workload.
    return lower + "_" + ns + "_" + name;
}

std::string WorkloadId::to_string() const {
    return kind + " " + (ns.empty() ? name : ns + "/" + name);
}

std::string expand(std::string_view text, const Variables& variables) {
    std::string result;
    while (!text.empty()) {
        const auto dollar = text.find('$');
        result.append(text.substr(0, dollar));
        if (dollar == std::string_view::npos) break;
        text.remove_prefix(dollar);
        if (text.starts_with("$$")) {
            result.push_back('$');
            text.remove_prefix(2);
            continue;
        }
        const auto end = text.starts_with("$(") ? text.find(')') : std::string_view::npos;
        const auto known = end == std::string_view::npos ? variables.end()
                                                         : variables.find(text.substr(2, end - 2));
        if (known == variables.end()) {
            result.push_back('$');
            text.remove_prefix(1);
        } else {
            result.append(known->second);
            text.remove_prefix(end + 1);
        }
    }
    return result;
}

Plan plan_workloads(const std::vector<BundleContent>& bundles, const PlanOptions& options) {
    Plan plan;
    std::map<WorkloadId, std::string> owners;
    for (const auto& bundle : bundles) {
        for (const auto& object : bundle.objects) {
            const bool runs = runs_pods(object);
            if (!runs && !would_run_pods(object)) continue;
            const WorkloadId id{.kind = std::string{object.kind()},
                                .ns = std::string{object.ns()},
                                .name = std::string{object.name()}};
            const auto report = [&](const std::string& reason, const std::string& message) {
                plan.refused.push_back({.kind = id.kind,
                                        .ns = id.ns,
                                        .name = id.name,
                                        .deployment = bundle.deployment,
                                        .phase = "Refused",
                                        .message = message});
                plan.conditions.push_back({.type = reason,
                                           .status = true,
                                           .reason = reason,
                                           .message = id.to_string() + ": " + message});
            };
            try {
                if (!safe_path(id.folder()) || id.folder().find('/') != std::string::npos)
                    refuse("Invalid", "its name cannot be used");
                if (!runs)
                    refuse("KindNotSupported", "devices run Deployments, DaemonSets and Pods");
                const auto [owner, first] = owners.emplace(id, bundle.deployment);
                if (!first) refuse("Conflict", "it also comes with " + owner->second);
                const auto replicas = Planner::replicas(object);
                if (replicas == 0) continue;
                plan.workloads.push_back(Planner{bundle, options}.plan(object));
                if (replicas > 1) {
                    plan.conditions.push_back({.type = "ReplicasNotSupported",
                                               .status = true,
                                               .reason = "ReplicasNotSupported",
                                               .message = id.to_string() + ": one of " +
                                                          std::to_string(replicas) +
                                                          " replicas runs here"});
                }
            } catch (const Refusal& refusal) {
                report(refusal.reason, refusal.message);
            }
        }
    }
    std::ranges::sort(plan.workloads, {}, &Workload::id);
    return plan;
}

}  // namespace kled::edge
