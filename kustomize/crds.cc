#include "kustomize/crds.h"

#include "kustomize/scalar.h"

#include <set>
#include <string>

namespace kled::kustomize {

namespace {

std::optional<std::string> text_at(const json::value& property, std::string_view name) {
    const auto* value = kube::find(property, {name});
    if (value == nullptr || !value->is_string()) return std::nullopt;
    return text_of(*value);
}

class Crds {
public:
    explicit Crds(const json::object& definitions) : definitions_{definitions} {}

    Configuration read() {
        for (const auto& definition : definitions_) {
            const auto* properties = properties_of(definition.key());
            const bool is_kind = properties != nullptr && properties->contains("kind") &&
                                 properties->contains("apiVersion") &&
                                 properties->contains("metadata");
            if (!is_kind) continue;
            const std::string name = definition.key();
            kind_ = {.group = {}, .version = {}, .kind = name.substr(name.rfind('.') + 1)};
            walk(name, "");
        }
        return std::move(configuration_);
    }

private:
    const json::object* properties_of(std::string_view type) const {
        const auto* definition = definitions_.if_contains(type);
        const auto* properties =
            definition == nullptr ? nullptr : kube::find(*definition, {"Schema", "properties"});
        return properties == nullptr ? nullptr : properties->if_object();
    }

    FieldSpec field(const std::string& path) const { return {.gvk = kind_, .path = path}; }

    void walk(const std::string& type, const std::string& path) {
        const auto* properties = properties_of(type);
        // A type that contains itself has fields without end.
        if (properties == nullptr || !above_.insert(type).second) return;
        for (const auto& entry : *properties) {
            const auto& property = entry.value();
            const auto here = (path.empty() ? "" : path + "/") + std::string{entry.key()};
            if (text_at(property, "x-kubernetes-annotation"))
                configuration_.common_annotations.add(field(here));
            if (text_at(property, "x-kubernetes-label-selector"))
                configuration_.common_labels.add(field(here));
            if (text_at(property, "x-kubernetes-identity"))
                configuration_.name_prefix.add(field(here));
            const auto version = text_at(property, "x-kubernetes-object-ref-api-version");
            const auto kind = text_at(property, "x-kubernetes-object-ref-kind");
            if (version && kind) {
                const auto name =
                    text_at(property, "x-kubernetes-object-ref-name-key").value_or("name");
                configuration_.add_name_reference(
                    {.target = {.group = {}, .version = *version, .kind = *kind},
                     .referrers = {field(here + "/" + name)}});
            }
            if (const auto reference = text_at(property, "$ref")) walk(*reference, here);
        }
        above_.erase(type);
    }

    const json::object& definitions_;
    Gvk kind_;
    std::set<std::string> above_;
    Configuration configuration_;
};

}  // namespace

Configuration configuration_of_crds(const json::value& definitions) {
    const auto* map = definitions.if_object();
    return map == nullptr ? Configuration{} : Crds{*map}.read();
}

}  // namespace kled::kustomize
