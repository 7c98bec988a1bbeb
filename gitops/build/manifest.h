/// One object as Git means it, encoded: what is kept from one revision to the next. Most are never
/// looked into again, and the text takes a tenth of the memory that the fields would.
#pragma once

#include "crypto/hash.h"
#include "kube/object.h"
#include "kube/schema.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kled::gitops {

struct Manifest {
    /// What a CustomResourceDefinition defines.
    struct Definition {
        std::string group;
        std::string kind;
        kube::Scope scope = kube::Scope::namespaced;
        bool operator==(const Definition&) const = default;
    };

    /// Error(invalid): a number in it that JSON has none for.
    explicit Manifest(kube::LoadedObject loaded);

    [[nodiscard]] kube::GroupVersionKind gvk() const {
        return {.group = id.group, .version = version, .kind = id.kind};
    }
    /// Its fields, in the order of the files.
    [[nodiscard]] kube::Object decode() const;

    kube::ObjectId id;        ///< as the files have it: a namespace may be missing
    std::string version;      ///< of its API
    std::string text;         ///< JSON
    crypto::Sha256 digest{};  ///< of the canonical JSON
    std::string place;        ///< "file:line": for messages
    bool encrypted = false;   ///< a Secret as SOPS has encrypted it
    std::optional<Definition> defines;
};

using Manifests = std::vector<std::shared_ptr<const Manifest>>;

/// Of objects that were made or read one by one.
[[nodiscard]] Manifests manifests_of(std::vector<kube::LoadedObject> objects);

}  // namespace kled::gitops
