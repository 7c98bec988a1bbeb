/// Flux's OCIRepository: a source whose files are in a layer of an artifact, in a registry.
#pragma once

#include "gitops/access/registry_access.h"
#include "gitops/git/semver.h"
#include "gitops/objects/api.h"
#include "gitops/oci/manifest.h"
#include "gitops/oci/reference.h"

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

namespace re2 {
class RE2;
}

namespace kled::gitops {

struct OciRepository {
    /// Which artifact of the repository: the first that is set counts, else the tag "latest".
    struct Ref {
        std::string digest{};
        std::string semver{};  ///< the highest tag in `range`,
        git::VersionRange range{};
        std::shared_ptr<const re2::RE2>
            filter{};  ///< of those in which this is found; null: of all
        std::string tag{};

        /// Of `tags`, by `semver`. Error(not_found) when none fits. May take seconds: the pattern
        /// is the user's, and there are many tags.
        [[nodiscard]] std::string choose(const std::vector<std::string>& tags,
                                         const std::stop_token& stop = {}) const;
    };
    /// Which layer, and what becomes of it.
    struct LayerSelector {
        std::string media_type{};  ///< empty: the first is taken, whatever it is
        bool copy = false;         ///< the archive is passed on as it is

        bool operator==(const LayerSelector&) const = default;
        /// Error(not_found) when `manifest` has none.
        [[nodiscard]] oci::Descriptor select(const oci::Manifest& manifest) const;
        /// As the API has it.
        [[nodiscard]] kube::json::object to_json() const;
    };

    kube::Object object;
    std::string url;            ///< "oci://registry.example.org/team/app"
    oci::Reference repository;  ///< that, without a tag and a digest
    Ref ref;
    LayerSelector layer;
    bool layer_given = false;  ///< spec.layerSelector is there
    std::string ignore;        ///< patterns of files that are no part of it
    RegistrySecrets secrets;
    bool insecure = false;  ///< http
    std::string verify;  ///< Secret with the keys whose signatures count; empty: none is asked for
    Duration interval{};
    Duration timeout{60'000};
    bool suspend = false;
    std::vector<Unsupported> unsupported;

    /// Error(invalid) "spec.url: …".
    static OciRepository from_object(kube::Object object);
};

}  // namespace kled::gitops
