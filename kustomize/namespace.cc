#include "base/error.h"
#include "kustomize/scalar.h"
#include "kustomize/transformers.h"

namespace kled::kustomize {

namespace {

bool is_role_binding(std::string_view kind) {
    return kind == "RoleBinding" || kind == "ClusterRoleBinding";
}

class Setter {
public:
    explicit Setter(const NamespaceChange& change) : change_{change} {}

    void operator()(json::value& field) const {
        if (field.is_object() || field.is_array()) {
            throw Error{ErrorKind::invalid,
                        "a namespace is text, found a " + std::string{type_name(field)}};
        }
        if (change_.unset_only && !text_of(field).empty()) return;
        field = json::value(change_.ns);
    }

    void set_subjects(Resource& resource) const {
        auto* subjects = resource.object.fields().if_contains("subjects");
        if (change_.subjects == Subjects::none || subjects == nullptr || !subjects->is_array())
            return;
        const bool by_kind = change_.subjects == Subjects::all_service_accounts;
        for (auto& subject : subjects->get_array()) {
            auto* map = subject.if_object();
            const auto* field =
                map == nullptr ? nullptr : map->if_contains(by_kind ? "kind" : "name");
            if (field != nullptr && text_equals(*field, by_kind ? "ServiceAccount" : "default")) {
                (*this)((*map)["namespace"]);
            }
        }
    }

private:
    const NamespaceChange& change_;
};

}  // namespace

void set_namespace(Resource& resource, const NamespaceChange& change, const FieldSpecs& fields) {
    const Setter set{change};
    if (!resource.id.cluster_scoped()) {
        try {
            set(resource.object.metadata()["namespace"]);
        } catch (const Error& error) {
            throw error.within(resource.describe());
        }
    }
    const bool role_binding = is_role_binding(resource.id.gvk.kind);
    if (role_binding) set.set_subjects(resource);
    for (const auto& spec : fields) {
        if (spec.path == "metadata/namespace") continue;  // that was done, and knows scopes
        if (spec.path == "metadata/name" && resource.id.gvk.api_version() != "v1") continue;
        if (role_binding && is_role_binding(spec.gvk.kind) && spec.path == "subjects/namespace")
            continue;
        visit(resource, spec, Make::text, set);
    }
}

void set_namespace(ResourceMap& resources, const NamespaceChange& change,
                   const FieldSpecs& fields) {
    if (change.ns.empty()) return;
    for (const auto& item : resources.items()) {
        auto& resource = *item;
        resource.store_previous_id();
        set_namespace(resource, change, fields);
        resources.changed(resource);
        const auto same_id = resources.with_current_id(resource.id);
        if (same_id.size() > 1) {
            throw Error{ErrorKind::conflict, "in namespace " + change.ns + ", " +
                                                 same_id[0]->describe() + " and " +
                                                 same_id[1]->describe() + " are the same object"};
        }
    }
}

}  // namespace kled::kustomize
