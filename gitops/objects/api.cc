#include "gitops/objects/api.h"

#include "base/error.h"
#include "gitops/cloud/codecommit.h"
#include "gitops/cloud/entra.h"
#include "gitops/objects/annotations.h"
#include "gitops/objects/fields.h"
#include "gitops/objects/source_kinds.h"
#include "kube/names.h"

#include <algorithm>
#include <array>
#include <utility>

namespace kled::gitops {

namespace json = boost::json;

namespace {

/// "./clusters/dev/" → "clusters/dev". Error(invalid) when it climbs.
std::string clean_path(const Reader& spec, std::string_view field) {
    const auto given = spec.text(field);
    std::string result;
    std::string_view rest = given;
    while (!rest.empty()) {
        const auto slash = rest.find('/');
        const auto part = rest.substr(0, slash);
        rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
        if (part.empty() || part == ".") continue;
        if (part == "..") throw spec.bad(field, "'" + given + "' leads out of the repository");
        if (!result.empty()) result += '/';
        result += part;
    }
    return result;
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

/// `now`, with a null for each text of `before` that is not in it: who writes a status merges.
json::object replacing(const json::value* before, json::object now) {
    if (before == nullptr || !before->is_object()) return now;
    for (const auto& item : before->get_object()) {
        if (item.value().is_string() && !now.contains(item.key())) now[item.key()] = nullptr;
    }
    return now;
}

/// Of a GitRepository: what its artifact was made with.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> observed_fields{{
    {"ignore", "observedIgnore"},
    {"include", "observedInclude"},
    {"recurseSubmodules", "observedRecurseSubmodules"},
    {"sparseCheckout", "observedSparseCheckout"},
}};

/// What the object is asked for beside its spec.
void read_annotations(Deployment& deployment, const kube::Object& object) {
    const auto bad = [](std::string_view key, const std::string& what) {
        return Error{ErrorKind::invalid, "metadata.annotations[" + std::string{key} + "]: " + what};
    };
    if (const auto pin = object.annotation(pin_annotation); !pin.empty()) {
        deployment.pin = commit_in(pin);
        if (deployment.pin.empty()) {
            throw bad(pin_annotation, "'" + std::string{pin} +
                                          "' is neither 40 hex digits nor a revision that ends "
                                          "with sha1:<40 hex digits> or sha256:<64 hex digits>");
        }
    }
    if (const auto drift = object.annotation(drift_annotation); !drift.empty()) {
        try {
            deployment.drift = parse_drift(drift);
        } catch (const Error& error) {
            throw bad(drift_annotation, error.what());
        }
    }
    if (const auto windows = object.annotation(windows_annotation); !windows.empty()) {
        deployment.windows = DeployWindows::parse(
            windows, "metadata.annotations[" + std::string{windows_annotation} + "]");
    }
    deployment.deploy_now = commit_in(object.annotation(deploy_now_annotation));
    if (const auto prune = object.annotation(prune_annotation); !prune.empty()) {
        if (prune != "confirm") {
            throw bad(prune_annotation,
                      "'" + std::string{prune} + "' is not confirm, which is all it can say");
        }
        deployment.confirm_prune = true;
    }
    deployment.prune_approved = object.annotation(prune_approved_annotation);
    deployment.pipeline = object.annotation(pipeline_annotation);
}

}  // namespace

Drift parse_drift(std::string_view text) {
    if (text == "repair") return Drift::repair;
    if (text == "report") return Drift::report;
    if (text == "ignore") return Drift::ignore;
    throw Error{ErrorKind::invalid,
                "'" + std::string{text} + "' is neither repair, report nor ignore"};
}

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
    for (const auto& item : spec.objects("include")) {
        GitRepository::Include include{.name = item.object("repository").required("name"),
                                       .from = clean_path(item, "fromPath"),
                                       .to = clean_path(item, "toPath")};
        if (include.to.empty()) {
            if (!item.text("toPath").empty())
                throw item.bad("toPath", "is the root of the repository, which is there already");
            include.to = include.name;
        }
        result.include.push_back(std::move(include));
    }
    result.submodules = spec.flag("recurseSubmodules");
    if (spec.field("verify") != nullptr) {
        const auto verify = spec.object("verify");
        GitRepository::Verify wanted{.mode = verify.text("mode"),
                                     .secret_name = verify.object("secretRef").required("name")};
        if (wanted.mode.empty()) wanted.mode = "HEAD";
        if (wanted.mode != "HEAD" && wanted.mode != "head" && wanted.mode != "Tag" &&
            wanted.mode != "TagAndHEAD") {
            throw verify.bad("mode", "'" + wanted.mode + "' is none of HEAD, Tag and TagAndHEAD");
        }
        result.verify = std::move(wanted);
    }
    const auto provider = spec.text("provider");
    if (provider == "aws" || provider == "azure") {
        result.cloud = provider;
        result.service_account = spec.text("serviceAccountName");
        if (!result.service_account.empty() &&
            !kube::check_dns1123_subdomain(result.service_account).empty())
            throw spec.bad("serviceAccountName", "not a name");
        try {
            if (provider == "aws") {
                (void)cloud::CodeCommit::from_url(result.url);
            } else {
                cloud::check_devops_url(result.url);
            }
        } catch (const Error& error) {
            throw spec.bad("url", error.what());
        }
    } else {
        append(result.unsupported, spec.unsupported({"serviceAccountName"}));
    }
    result.github_app = provider == "github";
    if (result.github_app && result.secret_name.empty())
        throw spec.bad("secretRef",
                       "is required where `provider` is github: a GitHub App's Secret");
    if (!provider.empty() && provider != "generic" && !result.github_app && result.cloud.empty())
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
    if (!is_source_kind(result.source.kind))
        result.unsupported.push_back({"spec.sourceRef.kind: " + result.source.kind});
    result.path = clean_path(spec, "path");
    result.interval = spec.duration("interval", kustomization ? Duration{} : Duration{600'000});
    if (result.interval <= Duration{}) throw spec.bad("interval", "is required, and more than 0");
    result.retry_interval = spec.duration("retryInterval", result.interval);
    result.retry_given = spec.field("retryInterval") != nullptr;
    // As Flux: a short interval leaves no less to what takes its time.
    constexpr Duration least{30'000};
    result.timeout = spec.duration("timeout", std::max(result.interval - least, least));
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
    if (spec.field("decryption") != nullptr) {
        const auto decryption = spec.object("decryption");
        if (const auto provider = decryption.required("provider"); provider != "sops")
            throw decryption.bad("provider", "'" + provider + "' is not sops");
        result.decryption = {.secret_name = decryption.object("secretRef").text("name")};
        append(result.unsupported, decryption.unsupported({"serviceAccountName"}));
    }
    if (kustomization) {
        result.post_build = post_build_of(spec);
        const auto policy = spec.text("deletionPolicy");
        if (!policy.empty() && policy != "MirrorPrune" && policy != "Delete" &&
            policy != "WaitForTermination" && policy != "Orphan") {
            throw spec.bad("deletionPolicy", "'" + policy + "' is no such policy");
        }
        result.wait_for_termination = policy == "WaitForTermination";
        result.orphan = policy == "Orphan" ||
                        (!result.prune && policy != "Delete" && policy != "WaitForTermination");
        if (spec.field("kubeConfig") != nullptr) {
            const auto from = spec.object("kubeConfig");
            const auto secret = from.object("secretRef");
            KubeConfigFrom cluster;
            if (from.field("configMapRef") != nullptr) {
                cluster.config_map_name = from.object("configMapRef").required("name");
                if (from.field("secretRef") != nullptr)
                    throw from.bad("configMapRef", "and secretRef exclude each other");
            } else {
                cluster.secret_name = secret.required("name");
                cluster.key = secret.text("key");
            }
            result.kube_config = std::move(cluster);
        }
        result.service_account = spec.text("serviceAccountName");
        if (!result.service_account.empty() &&
            !kube::check_dns1123_subdomain(result.service_account).empty())
            throw spec.bad("serviceAccountName", "not a name");
        result.ignore = IgnoreRules::read(spec);
        append(result.unsupported, spec.unsupported({"healthCheckExprs"}));
    }
    read_annotations(result, object);
    result.object = std::move(object);
    return result;
}

SourceStatus SourceStatus::from_object(const kube::Object& object) {
    SourceStatus result;
    result.read_common(object);
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
    const auto* included =
        object.status() == nullptr ? nullptr : object.status()->if_contains("includedArtifacts");
    if (included != nullptr && included->is_array()) result.included = included->get_array();
    result.verification_mode = text_in(object, {"sourceVerificationMode"});
    if (object.kind() != oci_kind || object.status() == nullptr) return result;
    const auto* metadata = kube::find(*object.status(), {"artifact", "metadata"});
    if (metadata != nullptr && metadata->is_object()) {
        for (const auto& item : metadata->get_object()) {
            if (item.value().is_string())
                result.artifact_metadata.emplace(item.key(), item.value().get_string());
        }
    }
    result.observed_ignore = text_in(object, {"observedIgnore"});
    const auto* layer = object.status()->if_contains("observedLayerSelector");
    if (layer != nullptr && layer->is_object()) result.observed_layer = layer->get_object();
    return result;
}

void SourceStatus::write_to(kube::Object& object) const {
    auto& status = write_common(object);
    set_or_erase(status, "sourceVerificationMode", verification_mode);
    if (!included.empty()) {
        status["includedArtifacts"] = included;
    } else if (auto* before = status.find("includedArtifacts"); before != status.end()) {
        status.stable_erase(before);
    }
    if (!artifact_revision.empty()) {
        auto told = artifact_json();
        const auto* own = told.if_contains("metadata");
        auto metadata = replacing(kube::find(status, {"artifact", "metadata"}),
                                  own == nullptr ? json::object{} : own->get_object());
        if (!metadata.empty()) told["metadata"] = std::move(metadata);
        status["artifact"] = std::move(told);
    }
    if (object.kind() == repository_kind) {
        if (!conditions.is_true("Ready")) return;
        for (const auto& [name, observed] : observed_fields) {
            const auto* value =
                object.spec() == nullptr ? nullptr : object.spec()->if_contains(name);
            if (value != nullptr) {
                status[observed] = *value;
            } else if (const auto* old = status.find(observed); old != status.end()) {
                status.stable_erase(old);
            }
        }
        return;
    }
    // Flux's other sources have these two; what a Bucket's say is in the object.
    if (object.kind() == oci_kind) {
        set_or_erase(status, "observedIgnore", observed_ignore);
        auto layer = replacing(status.if_contains("observedLayerSelector"), observed_layer);
        if (!observed_layer.empty()) {
            status["observedLayerSelector"] = std::move(layer);
        } else if (auto* old = status.find("observedLayerSelector"); old != status.end()) {
            status.stable_erase(old);
        }
    } else {
        set_or_erase(status, "observedIgnore",
                     object.spec() == nullptr
                         ? std::string{}
                         : std::string{kube::find_string(*object.spec(), {"ignore"})});
    }
    set_or_erase(status, "url",
                 artifact.url.empty()
                     ? std::string{}
                     : artifact.url.substr(0, artifact.url.rfind('/')) + "/latest.tar.gz");
}

kube::json::object SourceStatus::artifact_json() const {
    // Flux's schema requires path and url, also where no archive is served.
    kube::json::object fields;
    fields["digest"] = artifact.digest;
    fields["lastUpdateTime"] = artifact_time;
    if (!artifact_metadata.empty()) {
        json::object metadata;
        for (const auto& [key, value] : artifact_metadata) metadata[key] = value;
        fields["metadata"] = std::move(metadata);
    }
    fields["path"] = artifact.path;
    fields["revision"] = artifact_revision;
    if (artifact.size > 0) fields["size"] = static_cast<std::int64_t>(artifact.size);
    fields["url"] = artifact.url;
    return fields;
}

DeploymentStatus DeploymentStatus::from_object(const kube::Object& object) {
    DeploymentStatus result;
    if (object.kind() != "Kustomization") {
        // Ready and the rest are the target's to say; ours is one condition among them.
        const auto all = Conditions::from_status(object.status());
        if (const auto* rendered = all.find("Rendered"))
            result.conditions.put(Condition{*rendered}.named("Ready"));
        result.last_applied_revision = text_in(object, {"revision"});  // as the target says
        return result;
    }
    result.read_common(object);
    result.last_applied_revision = text_in(object, {"lastAppliedRevision"});
    result.last_applied_origin = text_in(object, {"lastAppliedOriginRevision"});
    result.last_attempted_revision = text_in(object, {"lastAttemptedRevision"});
    result.inventory = Inventory::from_status(object.status());
    result.history = History::from_status(object.status());
    return result;
}

void DeploymentStatus::take_lists_out_of(kube::Object& object) {
    auto* status = object.fields().if_contains("status");
    if (object.kind() != "Kustomization" || status == nullptr || !status->is_object()) return;
    auto& fields = status->get_object();
    if (const auto* list = fields.find("inventory"); list != fields.end())
        fields.stable_erase(list);
}

void DeploymentStatus::write_to(kube::Object& object) const {
    if (object.kind() != "Kustomization") {
        auto& status = status_of(object);
        auto all = Conditions::from_status(&status);
        if (const auto* ready = conditions.find("Ready"))
            all.put(Condition{*ready}.named("Rendered"));
        status["conditions"] = all.to_json();
        return;
    }
    auto& status = write_common(object);
    set_or_erase(status, "lastAppliedRevision", last_applied_revision);
    set_or_erase(status, "lastAppliedOriginRevision", last_applied_origin);
    set_or_erase(status, "lastAttemptedRevision", last_attempted_revision);
    status["inventory"] = inventory.to_json();
    status["history"] = history.to_json();
}

}  // namespace kled::gitops
