#include "base/error.h"
#include "kustomize/scalar.h"
#include "kustomize/transformers.h"

#include <utility>

namespace kled::kustomize {

namespace {

/// kustomize keeps its own notes there, writes into a null too, and finds that again where it reads
/// annotations.
void find_annotations(Resource& resource) {
    const auto* there = kube::find(resource.object.fields(), {"metadata", "annotations"});
    if (there == nullptr ? resource.has_build_annotations() : there->is_null())
        resource.make_annotations();
}

}  // namespace

void add_pairs(ResourceMap& resources, const Pairs& pairs, const FieldSpecs& fields) {
    if (pairs.empty()) return;
    std::vector<std::vector<std::string>> made(pairs.size());  // the maps that got a new key
    std::vector<bool> quoted;
    for (const auto& pair : pairs) quoted.push_back(reads_as_no_text(pair.second));
    for (const auto& item : resources.items()) {
        for (const auto& spec : fields) {
            if (spec.path == "metadata/annotations" && selects(spec.gvk, item->id.gvk))
                find_annotations(*item);
            visit_places(*item, spec, Make::map, [&](json::value& field, const std::string& place) {
                if (field.is_null()) return;
                auto* map = field.if_object();
                if (map == nullptr) {
                    throw Error{ErrorKind::invalid, "field " + spec.path +
                                                        ": expected a map, found a " +
                                                        std::string{type_name(field)}};
                }
                std::size_t i = 0;
                for (const auto& [key, value] : pairs) {
                    auto* there = map->if_contains(key);
                    if (there == nullptr) {
                        map->emplace(key, value);
                        made[i].push_back(place);
                        if (quoted[i]) item->notation.put_in_quotes(key, value);
                    } else {
                        // What takes another value's place takes its quotes.
                        const auto* old = there->if_string();
                        if (old != nullptr && item->notation.is_quoted(key, *old))
                            item->notation.put_in_quotes(key, value);
                        *there = value;
                        item->shared.written(item->object.fields(), *there);
                    }
                    ++i;
                }
            });
        }
        std::size_t i = 0;
        for (const auto& pair : pairs) item->shared.add(pair.first, std::exchange(made[i++], {}));
    }
}

}  // namespace kled::kustomize
