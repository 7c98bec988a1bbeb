#include "base/error.h"
#include "kustomize/scalar.h"
#include "kustomize/transformers.h"

namespace kled::kustomize {

namespace {

/// Objects whose name means something to the API server.
bool keeps_its_name(const Gvk& gvk) {
    return gvk.kind == "CustomResourceDefinition" || gvk.kind == "Namespace" ||
           (gvk.kind == "APIService" && gvk.group == "apiregistration.k8s.io");
}

}  // namespace

void add_affix(ResourceMap& resources, Affix affix, const std::string& text,
               const FieldSpecs& fields) {
    for (const auto& item : resources.items()) {
        auto& resource = *item;
        const auto original = resource.original_id().gvk;
        if (keeps_its_name(original)) continue;
        for (const auto& spec : fields) {
            if (!selects(spec.gvk, original)) continue;
            if (spec.path == "metadata/name" && !text.empty()) {
                (affix == Affix::prefix ? resource.prefixes : resource.suffixes).push_back(text);
                resource.store_previous_id();
            }
            const auto name = spec.field();
            visit(resource, spec, Make::text, [&](json::value& field) {
                if (field.is_object() || field.is_array()) {
                    throw Error{ErrorKind::invalid, resource.describe() + ": field " + spec.path +
                                                        " is a " + std::string{type_name(field)} +
                                                        ", not text"};
                }
                const auto old = field.is_null() ? "" : resource.notation.spelling(name, field);
                const auto fresh = affix == Affix::prefix ? text + old : old + text;
                if (plain(fresh).is_string()) {
                    field = json::value(fresh);
                } else {
                    resource.notation.rewrite(name, field, fresh);
                }
            });
            resources.changed(resource);
        }
    }
}

}  // namespace kled::kustomize
