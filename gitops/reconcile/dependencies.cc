#include "gitops/reconcile/dependencies.h"

#include <map>

namespace kled::gitops {

std::vector<Key> dependencies_of(const kube::Object& object) {
    std::vector<Key> result;
    const auto* list =
        object.spec() == nullptr ? nullptr : kube::find(*object.spec(), {"dependsOn"});
    if (list == nullptr || !list->is_array()) return result;
    for (const auto& item : list->get_array()) {
        if (!item.is_object()) continue;
        const auto ns = kube::find_string(item.get_object(), {"namespace"});
        const auto name = kube::find_string(item.get_object(), {"name"});
        if (name.empty()) continue;
        result.push_back({.kind = std::string{object.kind()},
                          .ns = std::string{ns.empty() ? object.ns() : ns},
                          .name = std::string{name}});
    }
    return result;
}

std::optional<std::string> cycle_through(const Key& start,
                                         const std::function<std::vector<Key>(const Key&)>& next) {
    // By breadth, so that the shortest way is the one that is named; each with who led to it.
    std::map<Key, Key> from;
    std::vector<Key> level{start};
    while (!level.empty()) {
        std::vector<Key> deeper;
        for (const auto& key : level) {
            for (const auto& dependency : next(key)) {
                if (dependency == start) {
                    const auto shown = [&](const Key& k) {
                        return k.ns == start.ns ? k.name : k.ns + "/" + k.name;
                    };
                    std::string text = shown(start);
                    for (auto at = key; at != start; at = from.at(at))
                        text.insert(0, shown(at) + " -> ");
                    return shown(start) + " -> " + text;
                }
                if (from.emplace(dependency, key).second) deeper.push_back(dependency);
            }
        }
        level = std::move(deeper);
    }
    return std::nullopt;
}

}  // namespace kled::gitops
