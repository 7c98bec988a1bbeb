#include "gitops/transform/substitute.h"

#include "base/error.h"
#include "gitops/transform/envsubst.h"
#include "kube/yaml.h"

namespace kled::gitops {

namespace {

constexpr std::string_view switch_off = "kustomize.toolkit.fluxcd.io/substitute";

bool left_alone(const kube::Object& object) {
    return object.label(switch_off) == "disabled" || object.annotation(switch_off) == "disabled";
}

/// Flux's rule: [_[:alpha:]][_[:alpha:][:digit:]]*
bool is_name(std::string_view name) {
    const auto letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    const auto part = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
    return !name.empty() && letter(name.front()) && std::ranges::all_of(name, part);
}

kube::Object substituted(const kube::Object& object, const Lookup& lookup, bool secret) {
    const auto text = envsubst(kube::to_yaml(kube::json::value(object.fields())), lookup);
    kube::YamlOptions options;
    options.dialect = kube::YamlDialect::configuration;  // what Flux reads it with
    options.duplicate_keys_are_errors = true;
    try {
        auto result = kube::Object::from(kube::parse_yaml(text, options));
        if (result.kind().empty() || result.api_version().empty() || result.name().empty())
            throw Error{ErrorKind::invalid, "it has lost its apiVersion, kind or name"};
        return result;
    } catch (const Error& error) {
        throw Error{error.kind(), secret ? "the result is not valid; what it is stays unsaid, for "
                                           "it holds values of a Secret"
                                         : "the result is not valid: " + std::string{error.what()}};
    }
}

}  // namespace

void check_names(const Variables& variables) {
    for (const auto& [name, value] : variables.values) {
        if (!is_name(name)) {
            throw Error{ErrorKind::invalid, "spec.postBuild: '" + name +
                                                "' is no name of a variable: letters, digits and "
                                                "'_', not first a digit"};
        }
    }
}

void substitute(kube::LoadedObject& loaded, const Variables& variables) {
    auto& [object, origin] = loaded;
    if (left_alone(object)) return;
    const Lookup lookup = [&](std::string_view name) -> std::optional<std::string> {
        const auto found = variables.values.find(name);
        return found == variables.values.end() ? std::nullopt : std::optional{found->second};
    };
    try {
        object = substituted(object, lookup, variables.secret);
    } catch (const Error& error) {
        throw error.within(origin.at("") + ": spec.postBuild: " + object.id().to_string());
    }
}

void substitute(std::vector<kube::LoadedObject>& objects, const Variables& variables) {
    check_names(variables);
    for (auto& loaded : objects) substitute(loaded, variables);
}

}  // namespace kled::gitops
