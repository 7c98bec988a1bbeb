#include "kube/printers/row.h"
#include "kube/table.h"

namespace kled::kube::printers {

namespace {

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
    row.add(expiration == nullptr ? std::string{none}
                                  : human_duration(std::chrono::seconds{number(expiration)}))
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

constexpr std::string_view admission = "admissionregistration.k8s.io";
constexpr std::string_view flow_control = "flowcontrol.apiserver.k8s.io";
constexpr std::string_view rbac = "rbac.authorization.k8s.io";
constexpr std::string_view binding_columns = "Name|Role|Age|Users+|Groups+|ServiceAccounts+";

constexpr Kind kinds[] = {
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
    {rbac, "Role", "Name|Created At@", cells_of<created_at_cells>},
    {rbac, "ClusterRole", "Name|Created At@", cells_of<created_at_cells>},
    {rbac, "RoleBinding", binding_columns, cells_of<binding_cells>},
    {rbac, "ClusterRoleBinding", binding_columns, cells_of<binding_cells>},
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

}  // namespace

std::span<const Kind> control_kinds() noexcept { return kinds; }

}  // namespace kled::kube::printers
