#include "gitops/build/manifest.h"

#include <utility>

namespace kled::gitops {

namespace json = boost::json;

namespace {

/// A Secret only: other kinds may have a field of that name (SopsSecret).
bool is_encrypted(const kube::Object& object) {
    return object.kind() == "Secret" && object.api_version() == "v1" &&
           object.fields().contains("sops") &&
           object.annotation("kustomize.toolkit.fluxcd.io/decrypt") != "disabled";
}

std::optional<Manifest::Definition> definition_in(const kube::Object& object) {
    const auto* spec = object.spec();
    if (object.kind() != "CustomResourceDefinition" || spec == nullptr) return std::nullopt;
    const bool cluster = kube::find_string(*spec, {"scope"}) == "Cluster";
    return Manifest::Definition{.group = std::string{kube::find_string(*spec, {"group"})},
                                .kind = std::string{kube::find_string(*spec, {"names", "kind"})},
                                .scope = cluster ? kube::Scope::cluster : kube::Scope::namespaced};
}

}  // namespace

Manifest::Manifest(kube::LoadedObject loaded)
    : id{loaded.object.id()},
      version{loaded.object.gvk().version},
      place{loaded.origin.at("")},
      encrypted{is_encrypted(loaded.object)},
      defines{definition_in(loaded.object)} {
    const json::value fields(std::move(loaded.object.fields()));
    text = kube::to_json(fields);
    digest = crypto::sha256(kube::to_canonical_json(fields));
}

kube::Object Manifest::decode() const { return kube::Object::from(kube::parse_json(text)); }

Manifests manifests_of(std::vector<kube::LoadedObject> objects) {
    Manifests result;
    result.reserve(objects.size());
    for (auto& object : objects)
        result.push_back(std::make_shared<const Manifest>(std::move(object)));
    return result;
}

}  // namespace kled::gitops
