#include "kustomize/configuration.h"

#include "kustomize/order.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace kled::kustomize {

namespace {

constexpr std::string_view apps = "apps";
constexpr std::string_view batch = "batch";
constexpr std::string_view rbac = "rbac.authorization.k8s.io";

FieldSpec spec(std::string_view kind, std::string_view path, bool create = false,
               std::string_view group = {}, std::string_view version = {}) {
    return {.gvk = {.group = std::string{group},
                    .version = std::string{version},
                    .kind = std::string{kind}},
            .path = std::string{path},
            .create = create};
}

/// Where kinds with pods have their pod's spec.
struct PodOwner {
    std::string_view kind;
    std::string_view pod_spec;
    std::string_view version = {};
};
constexpr PodOwner pod{"Pod", "spec/", "v1"};
constexpr PodOwner pod_template{"PodTemplate", "template/spec/"};
constexpr PodOwner cron_job{"CronJob", "spec/jobTemplate/spec/template/spec/"};
constexpr PodOwner owner(std::string_view kind) { return {kind, "spec/template/spec/"}; }

FieldSpec spec(const PodOwner& owner, std::string_view path) {
    return spec(owner.kind, std::string{owner.pod_spec} + std::string{path}, false, {},
                owner.version);
}

FieldSpecs metadata_labels() {
    return {spec("", "metadata/labels", true),
            spec("ReplicationController", "spec/template/metadata/labels", true, "", "v1"),
            spec("Deployment", "spec/template/metadata/labels", true),
            spec("ReplicaSet", "spec/template/metadata/labels", true),
            spec("DaemonSet", "spec/template/metadata/labels", true),
            spec("StatefulSet", "spec/template/metadata/labels", true, apps),
            spec("Job", "spec/template/metadata/labels", true, batch),
            spec("CronJob", "spec/jobTemplate/metadata/labels", true, batch),
            spec("CronJob", "spec/jobTemplate/spec/template/metadata/labels", true, batch)};
}

FieldSpecs claim_labels() {
    return {spec("StatefulSet", "spec/volumeClaimTemplates[]/metadata/labels", true, apps)};
}

FieldSpecs common_labels() {
    FieldSpecs specs{spec("Service", "spec/selector", true, "", "v1"),
                     spec("ReplicationController", "spec/selector", true, "", "v1"),
                     spec("Deployment", "spec/selector/matchLabels", true),
                     spec("ReplicaSet", "spec/selector/matchLabels", true),
                     spec("DaemonSet", "spec/selector/matchLabels", true),
                     spec("StatefulSet", "spec/selector/matchLabels", true, apps),
                     spec("Job", "spec/selector/matchLabels", false, batch),
                     spec("CronJob", "spec/jobTemplate/spec/selector/matchLabels", false, batch),
                     spec("PodDisruptionBudget", "spec/selector/matchLabels", false, "policy")};
    for (const auto* path :
         {"spec/podSelector/", "spec/ingress/from/podSelector/", "spec/egress/to/podSelector/"}) {
        specs.add(
            spec("NetworkPolicy", std::string{path} + "matchLabels", false, "networking.k8s.io"));
    }
    for (const auto* kind : {"Deployment", "StatefulSet"}) {
        for (const std::string affinity : {"podAffinity", "podAntiAffinity"}) {
            const auto path = "spec/template/spec/affinity/" + affinity;
            specs.add(spec(kind,
                           path + "/preferredDuringSchedulingIgnoredDuringExecution/"
                                  "podAffinityTerm/labelSelector/matchLabels",
                           false, apps));
            specs.add(spec(
                kind,
                path + "/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
                false, apps));
        }
        specs.add(spec(kind,
                       "spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels",
                       false, apps));
    }
    specs.add_all(metadata_labels());
    specs.add_all(claim_labels());
    return specs;
}

FieldSpecs common_annotations() {
    return {spec("", "metadata/annotations", true),
            spec("ReplicationController", "spec/template/metadata/annotations", true, "", "v1"),
            spec("Deployment", "spec/template/metadata/annotations", true),
            spec("ReplicaSet", "spec/template/metadata/annotations", true),
            spec("DaemonSet", "spec/template/metadata/annotations", true),
            spec("StatefulSet", "spec/template/metadata/annotations", true),
            spec("Job", "spec/template/metadata/annotations", true, batch),
            spec("CronJob", "spec/jobTemplate/metadata/annotations", true, batch),
            spec("CronJob", "spec/jobTemplate/spec/template/metadata/annotations", true, batch)};
}

FieldSpecs images() {
    FieldSpecs specs;
    for (const std::string pod_spec : {"spec/", "spec/template/spec/"}) {
        specs.add(spec("", pod_spec + "containers[]/image", true));
        specs.add(spec("", pod_spec + "initContainers[]/image", true));
        specs.add(spec("", pod_spec + "volumes[]/image/reference", true));
    }
    specs.add(spec("", "spec/jobTemplate/spec/template/spec/volumes[]/image/reference", true));
    return specs;
}

FieldSpecs variables() {
    FieldSpecs specs;
    for (const auto& pods : {cron_job, owner("DaemonSet"), owner("Deployment"), owner("Job"),
                             PodOwner{"Pod", "spec/"}, owner("ReplicaSet"), owner("StatefulSet")}) {
        for (const std::string containers : {"containers/", "initContainers/"}) {
            for (const auto* field : {"args", "command", "env/value", "volumeMounts/mountPath"}) {
                specs.add(spec(pods, containers + field));
            }
        }
        if (pods.kind != "CronJob" && pods.kind != "StatefulSet")
            specs.add(spec(pods, "volumes/nfs/server"));
    }
    specs.add(spec("CronJob", "spec/jobTemplate/spec/template/volumes/nfs/server"));
    specs.add(spec("StatefulSet", "spec/volumeClaimTemplates/spec/nfs/server"));
    specs.add(spec("Deployment", "spec/template/metadata/annotations"));
    for (const auto* path : {"spec/rules/host", "spec/tls/hosts", "spec/tls/secretName"}) {
        specs.add(spec("Ingress", path));
    }
    for (const auto* path : {"spec/ports/port", "spec/ports/targetPort"})
        specs.add(spec("Service", path));
    specs.add(spec("PersistentVolume", "spec/nfs/server"));
    specs.add(spec("", "metadata/labels"));
    specs.add(spec("", "metadata/annotations"));
    return specs;
}

FieldSpecs in_pods(std::initializer_list<std::string_view> paths) {
    FieldSpecs specs;
    for (const auto& pods : {pod, pod_template, owner("Deployment"), owner("ReplicaSet"),
                             owner("DaemonSet"), owner("StatefulSet"), owner("Job"), cron_job}) {
        for (const auto path : paths) specs.add(spec(pods, path));
    }
    return specs;
}

/// For fields of which kustomize knows neither PodTemplate nor ReplicaSet.
FieldSpecs in_running_pods(std::string_view path) {
    FieldSpecs specs;
    for (const auto& pods :
         {PodOwner{"Pod", "spec/"}, owner("StatefulSet"), owner("Deployment"),
          owner("ReplicationController"), cron_job, owner("Job"), owner("DaemonSet")}) {
        specs.add(spec(pods, path));
    }
    return specs;
}

FieldSpecs to_config_maps() {
    auto specs =
        in_pods({"volumes/configMap/name", "containers/env/valueFrom/configMapKeyRef/name",
                 "initContainers/env/valueFrom/configMapKeyRef/name",
                 "containers/envFrom/configMapRef/name", "initContainers/envFrom/configMapRef/name",
                 "volumes/projected/sources/configMap/name"});
    specs.add_all(
        {spec("Node", "spec/configSource/configMap"), spec("Role", "rules/resourceNames"),
         spec("ClusterRole", "rules/resourceNames"),
         spec("Ingress",
              "metadata/annotations/nginx.ingress.kubernetes.io\\/fastcgi-params-configmap")});
    return specs;
}

FieldSpecs to_secrets() {
    auto specs =
        in_pods({"volumes/secret/secretName", "containers/env/valueFrom/secretKeyRef/name",
                 "initContainers/env/valueFrom/secretKeyRef/name",
                 "containers/envFrom/secretRef/name", "initContainers/envFrom/secretRef/name",
                 "imagePullSecrets/name", "volumes/projected/sources/secret/name"});
    specs.add_all(
        {spec("Ingress", "spec/tls/secretName"),
         spec("Ingress", "metadata/annotations/ingress.kubernetes.io\\/auth-secret"),
         spec("Ingress", "metadata/annotations/nginx.ingress.kubernetes.io\\/auth-secret"),
         spec("Ingress", "metadata/annotations/nginx.ingress.kubernetes.io\\/auth-tls-secret"),
         spec("ServiceAccount", "imagePullSecrets/name"),
         spec("StorageClass", "parameters/secretName"),
         spec("StorageClass", "parameters/adminSecretName"),
         spec("StorageClass", "parameters/userSecretName"),
         spec("StorageClass", "parameters/secretRef"), spec("Role", "rules/resourceNames"),
         spec("ClusterRole", "rules/resourceNames"),
         spec("Service", "spec/template/spec/containers/env/valueFrom/secretKeyRef/name", false,
              "serving.knative.dev", "v1"),
         spec("PersistentVolume", "spec/azureFile/secretName")});
    return specs;
}

FieldSpecs to_services() {
    FieldSpecs specs{spec("StatefulSet", "spec/serviceName", false, apps),
                     spec("APIService", "spec/service/name", false, "apiregistration.k8s.io")};
    for (const auto* path :
         {"spec/rules/http/paths/backend/serviceName", "spec/backend/serviceName",
          "spec/rules/http/paths/backend/service/name", "spec/defaultBackend/service/name"}) {
        specs.add(spec("Ingress", path));
    }
    for (const auto* kind : {"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"}) {
        specs.add(
            spec(kind, "webhooks/clientConfig/service", false, "admissionregistration.k8s.io"));
    }
    return specs;
}

FieldSpecs to_service_accounts() {
    FieldSpecs specs{spec("RoleBinding", "subjects", false, rbac),
                     spec("ClusterRoleBinding", "subjects", false, rbac)};
    specs.add_all(in_running_pods("serviceAccountName"));
    return specs;
}

std::vector<NameReference> name_references() {
    const auto target = [](std::string_view kind, std::string_view version = {},
                           std::string_view group = {}) {
        return Gvk{.group = std::string{group},
                   .version = std::string{version},
                   .kind = std::string{kind}};
    };
    const auto role_ref = [](std::string_view kind) {
        return spec(kind, "roleRef/name", false, rbac);
    };
    std::vector<NameReference> all;
    for (const auto* kind : {"Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"}) {
        all.push_back(
            {target(kind), {spec("HorizontalPodAutoscaler", "spec/scaleTargetRef/name")}});
    }
    all.push_back({target("ConfigMap", "v1"), to_config_maps()});
    all.push_back({target("Secret", "v1"), to_secrets()});
    all.push_back({target("Service", "v1"), to_services()});
    all.push_back({target("Role", "", rbac), {role_ref("RoleBinding")}});
    all.push_back({target("ClusterRole", "", rbac),
                   {role_ref("RoleBinding"), role_ref("ClusterRoleBinding")}});
    all.push_back({target("ServiceAccount", "v1"), to_service_accounts()});
    all.push_back({target("PersistentVolumeClaim", "v1"),
                   in_running_pods("volumes/persistentVolumeClaim/claimName")});
    all.push_back({target("PersistentVolume", "v1"),
                   {spec("PersistentVolumeClaim", "spec/volumeName"),
                    spec("ClusterRole", "rules/resourceNames")}});
    all.push_back({target("StorageClass", "v1", "storage.k8s.io"),
                   {spec("PersistentVolume", "spec/storageClassName"),
                    spec("PersistentVolumeClaim", "spec/storageClassName"),
                    spec("StatefulSet", "spec/volumeClaimTemplates/spec/storageClassName")}});
    all.push_back(
        {target("PriorityClass", "v1", "scheduling.k8s.io"), in_running_pods("priorityClassName")});
    // The group with a slash is kustomize's: nothing has it, and so nothing is renamed there.
    all.push_back({target("IngressClass", "v1", "networking.k8s.io/v1"),
                   {spec("Ingress", "spec/ingressClassName")}});
    all.push_back({target("ValidatingAdmissionPolicy", "", "admissionregistration.k8s.io"),
                   {spec("ValidatingAdmissionPolicyBinding", "spec/policyName", false,
                         "admissionregistration.k8s.io")}});
    return all;
}

Configuration make_standard() {
    Configuration standard;
    standard.name_prefix = {spec("", "metadata/name")};
    standard.name_suffix = {spec("", "metadata/name")};
    standard.ns = {
        spec("Namespace", "metadata/name", true),
        spec("APIService", "spec/service/namespace", true, "apiregistration.k8s.io"),
        spec("CustomResourceDefinition", "spec/conversion/webhook/clientConfig/service/namespace",
             false, "apiextensions.k8s.io")};
    standard.common_labels = common_labels();
    standard.template_labels = metadata_labels();
    standard.claim_labels = claim_labels();
    standard.common_annotations = common_annotations();
    standard.images = images();
    for (const auto* kind : {"Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"}) {
        standard.replicas.add(spec(kind, "spec/replicas", true));
    }
    standard.variables = variables();
    standard.name_references = name_references();
    Configuration merged;
    merged.merge(standard);
    return merged;
}

/// The tables by their names in configuration files.
constexpr std::array<std::pair<std::string_view, FieldSpecs Configuration::*>, 11> tables{{
    {"namePrefix", &Configuration::name_prefix},
    {"nameSuffix", &Configuration::name_suffix},
    {"namespace", &Configuration::ns},
    {"commonLabels", &Configuration::common_labels},
    {"labels", &Configuration::labels},
    {"templateLabels", &Configuration::template_labels},
    {"volumeClaimTemplateLabels", &Configuration::claim_labels},
    {"commonAnnotations", &Configuration::common_annotations},
    {"images", &Configuration::images},
    {"replicas", &Configuration::replicas},
    {"varReference", &Configuration::variables},
}};

}  // namespace

const std::shared_ptr<const Configuration>& Configuration::standard() {
    static const auto standard = std::make_shared<const Configuration>(make_standard());
    return standard;
}

Gvk read_gvk(Fields& fields) {
    return {.group = fields.text("group"),
            .version = fields.text("version"),
            .kind = fields.text("kind")};
}

FieldSpec read_field_spec(Fields& fields) {
    return {.gvk = read_gvk(fields), .path = fields.text("path"), .create = fields.flag("create")};
}

Configuration Configuration::read(const json::value& value, Document& document) {
    Configuration configuration;
    Fields fields{value, "", document};
    for (const auto& [name, table] : tables) {
        fields.each(name,
                    [&](Fields& entry) { (configuration.*table).add(read_field_spec(entry)); });
    }
    fields.each("nameReference", [&](Fields& entry) {
        NameReference reference{.target = read_gvk(entry), .referrers = {}};
        entry.each("fieldSpecs",
                   [&](Fields& referrer) { reference.referrers.add(read_field_spec(referrer)); });
        configuration.name_references.push_back(std::move(reference));
    });
    return configuration;
}

void Configuration::add_name_reference(const NameReference& reference) {
    bool found = false;
    for (auto& there : name_references) {
        if (there.target != reference.target) continue;
        there.referrers.add_all(reference.referrers);
        found = true;
    }
    if (!found) name_references.push_back(reference);
}

void Configuration::merge(const Configuration& other) {
    for (const auto& [name, table] : tables) {
        (this->*table).add_all(other.*table);
        (this->*table).sort();
    }
    for (const auto& reference : other.name_references) add_name_reference(reference);
    std::stable_sort(name_references.begin(), name_references.end(),
                     [](const NameReference& a, const NameReference& b) {
                         return legacy_less(a.target, b.target);
                     });
}

std::shared_ptr<const Configuration> merged(std::shared_ptr<const Configuration> a,
                                            const std::shared_ptr<const Configuration>& b) {
    const auto& standard = Configuration::standard();
    if (a == b || (a == nullptr && b == standard)) return b;
    auto both =
        a == nullptr ? std::make_shared<Configuration>() : std::make_shared<Configuration>(*a);
    both->merge(*b);
    return both;
}

}  // namespace kled::kustomize
