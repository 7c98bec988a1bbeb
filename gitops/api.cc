#include "gitops/api.h"

#include "base/error.h"

#include <algorithm>
#include <initializer_list>

namespace kled::gitops {

namespace json = boost::json;

namespace {

/// Typed reading of a spec: a mistyped field is an error that names it.
class Reader {
public:
    explicit Reader(const json::object* fields, std::string path = "spec")
        : fields_{fields}, path_{std::move(path)} {}

    [[nodiscard]] Error bad(std::string_view name, const std::string& what) const {
        return {ErrorKind::invalid, path_ + "." + std::string{name} + ": " + what};
    }
    [[nodiscard]] const json::value* field(std::string_view name) const {
        const auto* value = fields_ == nullptr ? nullptr : fields_->if_contains(name);
        return value == nullptr || value->is_null() ? nullptr : value;
    }
    [[nodiscard]] std::string text(std::string_view name) const {
        const auto* value = field(name);
        if (value == nullptr) return {};
        if (!value->is_string()) throw bad(name, "not a text");
        return std::string{value->get_string()};
    }
    [[nodiscard]] std::string required(std::string_view name) const {
        auto value = text(name);
        if (value.empty()) throw bad(name, "is required");
        return value;
    }
    [[nodiscard]] bool flag(std::string_view name) const {
        const auto* value = field(name);
        if (value == nullptr) return false;
        if (!value->is_bool()) throw bad(name, "not true or false");
        return value->get_bool();
    }
    [[nodiscard]] Duration duration(std::string_view name, Duration fallback) const {
        const auto value = text(name);
        if (value.empty()) return fallback;
        try {
            return parse_duration(value);
        } catch (const Error& error) {
            throw bad(name, error.what());
        }
    }
    [[nodiscard]] Reader object(std::string_view name) const {
        const auto* value = field(name);
        if (value == nullptr) return Reader{nullptr, path_ + "." + std::string{name}};
        if (!value->is_object()) throw bad(name, "not a mapping");
        return Reader{&value->get_object(), path_ + "." + std::string{name}};
    }
    [[nodiscard]] json::array array(std::string_view name) const {
        const auto* value = field(name);
        if (value == nullptr) return {};
        if (!value->is_array()) throw bad(name, "not a list");
        return value->get_array();
    }
    [[nodiscard]] std::vector<Reader> objects(std::string_view name) const {
        std::vector<Reader> result;
        const auto* value = field(name);
        if (value == nullptr) return result;
        if (!value->is_array()) throw bad(name, "not a list");
        for (std::size_t i = 0; i < value->get_array().size(); ++i) {
            const auto place = std::string{name} + "[" + std::to_string(i) + "]";
            const auto& item = value->get_array()[i];
            if (!item.is_object()) throw bad(place, "not a mapping");
            result.emplace_back(&item.get_object(), path_ + "." + place);
        }
        return result;
    }
    [[nodiscard]] std::map<std::string, std::string> texts(std::string_view name) const {
        std::map<std::string, std::string> result;
        const auto inner = object(name);
        if (inner.fields_ == nullptr) return result;
        for (const auto& item : *inner.fields_) result.emplace(item.key(), inner.text(item.key()));
        return result;
    }
    /// Which of `names` are set to anything.
    [[nodiscard]] std::vector<Unsupported> unsupported(
        std::initializer_list<std::string_view> names) const {
        std::vector<Unsupported> result;
        for (const auto name : names) {
            const auto* value = field(name);
            if (value == nullptr || (value->is_bool() && !value->get_bool()) ||
                (value->is_array() && value->get_array().empty())) {
                continue;
            }
            result.push_back({path_ + "." + std::string{name}});
        }
        return result;
    }

private:
    const json::object* fields_;
    std::string path_;
};

void append(std::vector<Unsupported>& list, std::vector<Unsupported> more) {
    list.insert(list.end(), std::make_move_iterator(more.begin()),
                std::make_move_iterator(more.end()));
}

/// "./clusters/dev/" → "clusters/dev". Error(invalid) when it climbs.
std::string clean_path(const Reader& spec) {
    const auto given = spec.text("path");
    std::string result;
    std::string_view rest = given;
    while (!rest.empty()) {
        const auto slash = rest.find('/');
        const auto part = rest.substr(0, slash);
        rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
        if (part.empty() || part == ".") continue;
        if (part == "..") throw spec.bad("path", "'" + given + "' leads out of the repository");
        if (!result.empty()) result += '/';
        result += part;
    }
    return result;
}

void set_or_erase(json::object& object, std::string_view key, const std::string& value) {
    if (value.empty()) {
        if (const auto* found = object.find(key); found != object.end()) object.stable_erase(found);
    } else {
        object[key] = value;
    }
}

json::object& status_of(kube::Object& object) {
    auto& value = object.fields()["status"];
    if (!value.is_object()) value.emplace_object();
    return value.get_object();
}

std::int64_t integer(const json::object* status, std::string_view name) {
    const auto* value = status == nullptr ? nullptr : status->if_contains(name);
    return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

std::string text_in(const kube::Object& object, std::initializer_list<std::string_view> path) {
    const auto* status = object.status();
    return status == nullptr ? std::string{} : std::string{kube::find_string(*status, path)};
}

std::optional<PostBuild> post_build_of(const Reader& spec) {
    if (spec.field("postBuild") == nullptr) return std::nullopt;
    const auto fields = spec.object("postBuild");
    PostBuild result;
    result.substitute = fields.texts("substitute");
    for (const auto& item : fields.objects("substituteFrom")) {
        PostBuild::From from{.kind = item.required("kind"),
                             .name = item.required("name"),
                             .optional = item.flag("optional")};
        if (from.kind != "ConfigMap" && from.kind != "Secret")
            throw item.bad("kind", "'" + from.kind + "' is neither ConfigMap nor Secret");
        result.substitute_from.push_back(std::move(from));
    }
    const auto strategy = fields.text("substituteStrategy");
    if (!strategy.empty() && strategy != "WithVariables" && strategy != "Always")
        throw fields.bad("substituteStrategy", "'" + strategy + "' is no such strategy");
    result.always = strategy == "Always";
    return result;
}

}  // namespace

Key key_of(const kube::Object& object) {
    return {.kind = std::string{object.kind()},
            .ns = std::string{object.ns()},
            .name = std::string{object.name()}};
}

std::string_view reconcile_request(const kube::Object& object) {
    return object.annotation(requested_at);
}

GitRepository GitRepository::from_object(kube::Object object) {
    GitRepository result;
    const Reader spec{object.spec()};
    result.url = spec.required("url");
    const auto ref = spec.object("ref");
    result.reference = {.branch = ref.text("branch"),
                        .tag = ref.text("tag"),
                        .name = ref.text("name"),
                        .commit = ref.text("commit"),
                        .semver = ref.text("semver")};
    result.ignore = spec.text("ignore");
    for (const auto& folder : spec.array("sparseCheckout")) {
        if (!folder.is_string()) throw spec.bad("sparseCheckout", "not a list of folders");
        result.sparse.emplace_back(folder.get_string());
    }
    result.secret_name = spec.object("secretRef").text("name");
    result.proxy_secret_name = spec.object("proxySecretRef").text("name");
    result.interval = spec.duration("interval", {});
    if (result.interval <= Duration{}) throw spec.bad("interval", "is required, and more than 0");
    result.timeout = spec.duration("timeout", Duration{60'000});
    result.suspend = spec.flag("suspend");
    result.unsupported =
        spec.unsupported({"verify", "include", "recurseSubmodules", "serviceAccountName"});
    if (const auto provider = spec.text("provider"); !provider.empty() && provider != "generic")
        result.unsupported.push_back({"spec.provider: " + provider});
    result.object = std::move(object);
    return result;
}

Deployment Deployment::from_object(kube::Object object) {
    Deployment result;
    const bool kustomization = object.kind() == "Kustomization";
    const Reader spec{object.spec()};
    const auto own_ns = std::string{object.ns()};
    const auto source = spec.object("sourceRef");
    result.source = {.kind = source.required("kind"),
                     .ns = source.text("namespace"),
                     .name = source.required("name")};
    if (result.source.ns.empty()) result.source.ns = own_ns;
    if (result.source.kind != "GitRepository")
        result.unsupported.push_back({"spec.sourceRef.kind: " + result.source.kind});
    result.path = clean_path(spec);
    result.interval = spec.duration("interval", kustomization ? Duration{} : Duration{600'000});
    if (result.interval <= Duration{}) throw spec.bad("interval", "is required, and more than 0");
    result.retry_interval = spec.duration("retryInterval", result.interval);
    result.timeout = spec.duration("timeout", result.interval);
    result.prune = spec.flag("prune");
    result.wait = spec.flag("wait");
    result.force = spec.flag("force");
    result.suspend = spec.flag("suspend");
    for (const auto& item : spec.objects("dependsOn")) {
        auto ns = item.text("namespace");
        result.depends_on.push_back({.kind = std::string{object.kind()},
                                     .ns = ns.empty() ? own_ns : std::move(ns),
                                     .name = item.required("name")});
        append(result.unsupported, item.unsupported({"readyExpr"}));
    }
    for (const auto& item : spec.objects("healthChecks")) {
        const auto gvk =
            kube::GroupVersionKind::parse(item.text("apiVersion"), item.required("kind"));
        result.health_checks.push_back({.group = gvk.group,
                                        .kind = gvk.kind,
                                        .ns = item.text("namespace"),
                                        .name = item.required("name")});
    }
    result.target_namespace = spec.text("targetNamespace");
    result.name_prefix = spec.text("namePrefix");
    result.name_suffix = spec.text("nameSuffix");
    const auto common = spec.object("commonMetadata");
    result.common_labels = common.texts("labels");
    result.common_annotations = common.texts("annotations");
    result.patches = spec.array("patches");
    result.images = spec.array("images");
    result.components = spec.array("components");
    result.ignore_missing_components = spec.flag("ignoreMissingComponents");
    result.build_metadata = spec.array("buildMetadata");
    if (kustomization) {
        result.post_build = post_build_of(spec);
        if (spec.field("decryption") != nullptr) {
            const auto decryption = spec.object("decryption");
            if (const auto provider = decryption.required("provider"); provider != "sops")
                throw decryption.bad("provider", "'" + provider + "' is not sops");
            result.decryption = {.secret_name = decryption.object("secretRef").text("name")};
            append(result.unsupported, decryption.unsupported({"serviceAccountName"}));
        }
        const auto policy = spec.text("deletionPolicy");
        if (!policy.empty() && policy != "MirrorPrune" && policy != "Delete" &&
            policy != "WaitForTermination" && policy != "Orphan") {
            throw spec.bad("deletionPolicy", "'" + policy + "' is no such policy");
        }
        result.wait_for_termination = policy == "WaitForTermination";
        result.orphan = policy == "Orphan" ||
                        (!result.prune && policy != "Delete" && policy != "WaitForTermination");
        append(result.unsupported, spec.unsupported({"kubeConfig", "serviceAccountName",
                                                     "healthCheckExprs", "ignore"}));
    }
    result.object = std::move(object);
    return result;
}

SourceStatus SourceStatus::from_object(const kube::Object& object) {
    SourceStatus result;
    result.conditions = Conditions::from_status(object.status());
    result.observed_generation = integer(object.status(), "observedGeneration");
    result.handled_request = text_in(object, {"lastHandledReconcileAt"});
    result.artifact_revision = text_in(object, {"artifact", "revision"});
    result.artifact_time = text_in(object, {"artifact", "lastUpdateTime"});
    auto& artifact = result.artifact;
    artifact.digest = text_in(object, {"artifact", "digest"});
    artifact.path = text_in(object, {"artifact", "path"});
    artifact.url = text_in(object, {"artifact", "url"});
    const auto* size =
        object.status() == nullptr ? nullptr : kube::find(*object.status(), {"artifact", "size"});
    if (size != nullptr && size->is_int64() && size->get_int64() > 0)
        artifact.size = static_cast<std::uint64_t>(size->get_int64());
    return result;
}

void SourceStatus::write_to(kube::Object& object) const {
    auto& status = status_of(object);
    status["conditions"] = conditions.to_json();
    status["observedGeneration"] = observed_generation;
    set_or_erase(status, "lastHandledReconcileAt", handled_request);
    if (artifact_revision.empty()) return;
    // Flux's schema requires path and url, also where no archive is served.
    kube::json::object fields;
    fields["digest"] = artifact.digest;
    fields["lastUpdateTime"] = artifact_time;
    fields["path"] = artifact.path;
    fields["revision"] = artifact_revision;
    if (artifact.size > 0) fields["size"] = static_cast<std::int64_t>(artifact.size);
    fields["url"] = artifact.url;
    status["artifact"] = std::move(fields);
}

DeploymentStatus DeploymentStatus::from_object(const kube::Object& object) {
    DeploymentStatus result;
    result.conditions = Conditions::from_status(object.status());
    if (object.kind() != "Kustomization") {
        // Ready and the rest are the target's to say; ours is one condition among them.
        const auto* rendered = result.conditions.find("Rendered");
        Conditions own;
        if (rendered != nullptr) own.put(Condition{*rendered}.named("Ready"));
        result.conditions = std::move(own);
        return result;
    }
    result.observed_generation = integer(object.status(), "observedGeneration");
    result.handled_request = text_in(object, {"lastHandledReconcileAt"});
    result.last_applied_revision = text_in(object, {"lastAppliedRevision"});
    result.last_attempted_revision = text_in(object, {"lastAttemptedRevision"});
    result.inventory = Inventory::from_status(object.status());
    result.history = History::from_status(object.status());
    return result;
}

void DeploymentStatus::write_to(kube::Object& object) const {
    auto& status = status_of(object);
    if (object.kind() != "Kustomization") {
        auto all = Conditions::from_status(&status);
        if (const auto* ready = conditions.find("Ready"))
            all.put(Condition{*ready}.named("Rendered"));
        status["conditions"] = all.to_json();
        return;
    }
    status["conditions"] = conditions.to_json();
    status["observedGeneration"] = observed_generation;
    set_or_erase(status, "lastHandledReconcileAt", handled_request);
    set_or_erase(status, "lastAppliedRevision", last_applied_revision);
    set_or_erase(status, "lastAttemptedRevision", last_attempted_revision);
    status["inventory"] = inventory.to_json();
    status["history"] = history.to_json();
}

}  // namespace kled::gitops
