#include "base/error.h"
#include "kustomize/scalar.h"
#include "kustomize/transformers.h"

#include <algorithm>

namespace kled::kustomize {

namespace {

/// Whether it has, or had, the name as a kind of the spec.
bool had_name(const Resource& resource, const std::string& name, const Gvk& kind) {
    if (resource.id.name == name && selects(kind, resource.id.gvk)) return true;
    for (std::size_t i = 0; i < resource.previous.size(); ++i) {
        const auto id = resource.previous_id(i);
        if (id.name == name && selects(kind, id.gvk)) return true;
    }
    return false;
}

}  // namespace

void set_replicas(ResourceMap& resources, const Replica& replica, const FieldSpecs& fields) {
    bool found = false;
    const auto named = resources.named(replica.name);
    for (const auto& spec : fields) {
        for (auto* resource : named) {
            if (!had_name(*resource, replica.name, spec.gvk)) continue;
            found = true;
            const auto name = spec.field();
            visit(*resource, spec, Make::text, [&](json::value& field) {
                if (field.is_object() || field.is_array()) {
                    throw Error{ErrorKind::invalid,
                                "field " + spec.path + " is a " + std::string{type_name(field)}};
                }
                const auto* old = field.if_string();
                const bool quoted =
                    old != nullptr && !old->empty() && resource->notation.is_quoted(name, *old);
                field = replica.count;
                if (quoted) field = text_of(field);  // the quotes stay
            });
        }
    }
    if (!found) throw Error{ErrorKind::not_found, "nothing with replicas is named " + replica.name};
}

}  // namespace kled::kustomize
