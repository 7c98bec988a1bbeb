/// One object on its way through a build, and what the build remembers about it beside the YAML.
#pragma once

#include "kube/gvk.h"
#include "kube/object.h"
#include "kustomize/notation.h"
#include "kustomize/shared_values.h"

#include <boost/json/object.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kustomize {

namespace json = boost::json;
using Gvk = kube::GroupVersionKind;

/// What an object is called, as its own text says it.
struct Id {
    Gvk gvk;
    std::string name;
    std::string ns;
    bool operator==(const Id&) const = default;

    /// The namespace for comparisons: "default" when none is given, a word that is no namespace for
    /// a kind that has none.
    [[nodiscard]] std::string_view effective_namespace() const noexcept;
    [[nodiscard]] bool cluster_scoped() const noexcept;
    /// "Deployment.apps/v1 web/frontend": for messages.
    [[nodiscard]] std::string to_string() const;
};

/// Same kind, name and effective namespace.
[[nodiscard]] bool same(const Id& a, const Id& b) noexcept;

/// Whether each part `selector` names is the one of `gvk`.
[[nodiscard]] bool selects(const Gvk& selector, const Gvk& gvk) noexcept;

/// Kinds outside every namespace, as kustomize knows them: the API of Kubernetes 1.21 and
/// validating admission policies.
[[nodiscard]] bool cluster_scoped(const Gvk& gvk) noexcept;
/// Whether kustomize knows that without a look into its OpenAPI document.
[[nodiscard]] bool scope_is_known(const Gvk& gvk) noexcept;

/// Where an object, a generator or a transformer came from, for `buildMetadata`.
struct Provenance {
    std::string path;       ///< of the file; for what is configured: of the file that does it
    std::string repo = {};  ///< another repository, which `path` is then of
    std::string ref = {};
    bool configured = false;  ///< made or changed by `kind` in `path`
    std::string api_version = {};
    std::string kind = {};
    std::string name = {};
    std::string ns = {};
};

enum class Behavior { unspecified, create, replace, merge };

struct Resource {
    /// A name an object had before: what references in other objects may still say.
    struct PreviousId {
        std::string kind;
        std::string name;
        std::string effective_namespace;
    };

    kube::Object object;
    kube::Origin origin;
    Id id;  ///< of `object`; `refresh` after every change that may touch it
    std::vector<PreviousId> previous;   ///< oldest first
    std::vector<std::string> prefixes;  ///< in the order they were added
    std::vector<std::string> suffixes;
    Behavior behavior = Behavior::unspecified;
    bool needs_hash = false;             ///< the name gets a hash of the content at the end
    bool removed = false;                ///< deleted by a patch; leaves the map with the next sweep
    std::vector<std::string> variables;  ///< names of `vars` whose value is here
    std::optional<Provenance> provenance;
    std::vector<Provenance> transformations;
    Notation notation;         ///< of what is in `object`
    SharedValues shared;       ///< in `object`
    std::size_t position = 0;  ///< in its ResourceMap

    void refresh();
    /// Remembers the present id before a change of name, namespace or kind.
    void store_previous_id();
    /// The first id it had; group and version are the present ones.
    [[nodiscard]] Id original_id() const;
    [[nodiscard]] Id previous_id(std::size_t index) const;
    /// "Deployment web (deploy.yaml:3)"
    [[nodiscard]] std::string describe() const;

    void set_name(const std::string& name);
    /// An empty `ns` takes the field away.
    void set_namespace(const std::string& ns);
    void set_kind(const std::string& kind);

    /// The texts in `map`, if there is one, are not folded any more.
    void unfold(const json::object* map);
    /// Writes and reads folded texts, as kustomize does at the end and before JSON patches.
    void refold(bool annotations);

    /// Whether kustomize keeps something about it in its annotations while it builds: names it had,
    /// prefixes, where it came from. It has annotations then.
    [[nodiscard]] bool has_build_annotations() const noexcept;
    void make_annotations();

    /// metadata.labels or metadata.annotations; nullptr when absent.
    [[nodiscard]] const json::object* metadata_map(std::string_view field) const;
};

/// Resource::refold, of a value below `key`.
void refold(json::value& value, std::string_view key, const Notation::Marks& folded);

}  // namespace kled::kustomize
