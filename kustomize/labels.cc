#include "base/error.h"
#include "kustomize/scalar.h"
#include "kustomize/transformers.h"

namespace kled::kustomize {

void add_pairs(ResourceMap& resources, const Pairs& pairs, const FieldSpecs& fields) {
    if (pairs.empty()) return;
    for (const auto& item : resources.items()) {
        for (const auto& spec : fields) {
            visit(*item, spec, Make::map, [&](json::value& field) {
                if (field.is_null()) return;
                auto* map = field.if_object();
                if (map == nullptr) {
                    throw Error{ErrorKind::invalid, "field " + spec.path +
                                                        ": expected a map, found a " +
                                                        std::string{type_name(field)}};
                }
                for (const auto& [key, value] : pairs) (*map)[key] = value;
            });
        }
    }
}

}  // namespace kled::kustomize
