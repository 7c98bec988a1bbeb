/// Flux's objects as kled reads them, and the deployment objects of other kinds that share their
/// shape. What is not named here stays in `object` as it was read.
#pragma once

#include "base/clock.h"
#include "gitops/drift/ignore_rules.h"
#include "gitops/git/revision.h"
#include "gitops/objects/history.h"
#include "gitops/objects/inventory.h"
#include "gitops/objects/status.h"
#include "gitops/source/artifacts.h"
#include "gitops/windows/deploy_windows.h"
#include "kube/object.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kled::gitops {

inline constexpr std::string_view source_group = "source.toolkit.fluxcd.io";
inline constexpr std::string_view kustomize_group = "kustomize.toolkit.fluxcd.io";
inline constexpr std::string_view notification_group = "notification.toolkit.fluxcd.io";
inline constexpr std::string_view finalizer = "finalizers.fluxcd.io";
/// A new value asks for a reconciliation now.
inline constexpr std::string_view requested_at = "reconcile.fluxcd.io/requestedAt";

/// Of a source or a deployment object: by kind, since several kinds live in one map.
struct Key {
    std::string kind;
    std::string ns;
    std::string name;
    auto operator<=>(const Key&) const = default;
    /// "Kustomization/flux-system/apps": for messages.
    [[nodiscard]] std::string to_string() const { return kind + "/" + ns + "/" + name; }
};
[[nodiscard]] Key key_of(const kube::Object& object);

/// A field that is set and that this version does not act on: applying without it would not be
/// what its author wants.
struct Unsupported {
    std::string field;  ///< "spec.decryption"
};

struct GitRepository {
    kube::Object object;
    std::string url;
    git::Reference reference;
    std::string ignore;               ///< patterns of files that are no part of it
    std::vector<std::string> sparse;  ///< sparseCheckout: only these folders are
    struct Include {
        std::string name;  ///< of a GitRepository of the same namespace
        std::string from;  ///< a path in it; "" is the root
        std::string to;    ///< where that goes
    };
    std::vector<Include> include;
    bool submodules = false;  ///< recurseSubmodules
    struct Verify {
        std::string mode;  ///< "HEAD", "Tag", "TagAndHEAD", or the older "head"
        std::string secret_name;
        [[nodiscard]] bool head() const { return mode != "Tag"; }
        [[nodiscard]] bool tag() const { return mode.starts_with("Tag"); }
    };
    std::optional<Verify> verify;
    std::string secret_name;  ///< empty: none
    std::string proxy_secret_name;
    bool github_app = false;      ///< the Secret is a GitHub App's
    std::string cloud;            ///< "aws" or "azure": whose identities its server knows
    std::string service_account;  ///< with `cloud`: whose identity; empty: kledd's own
    Duration interval{};
    Duration timeout{60'000};
    bool suspend = false;
    std::vector<Unsupported> unsupported;

    /// Error(invalid) "spec.url: …".
    static GitRepository from_object(kube::Object object);
};

struct SourceReference {
    std::string kind;
    std::string ns;  ///< of the object itself when not given
    std::string name;
};

/// `spec.postBuild`: what is written in place of `${name}` in the built objects.
struct PostBuild {
    struct From {
        std::string kind;  ///< ConfigMap or Secret, of the object's own namespace
        std::string name;
        bool optional = false;
    };
    std::map<std::string, std::string> substitute;
    std::vector<From> substitute_from;
    bool always = false;  ///< substituteStrategy: Always, also where there is no variable
};

/// `spec.decryption` by SOPS.
struct Decryption {
    std::string secret_name;  ///< with the keys; empty: none
};

/// `spec.kubeConfig`: the cluster that objects go to; one of the two names.
struct KubeConfigFrom {
    std::string secret_name;
    std::string key;  ///< empty: "value", else "value.yaml"
    std::string config_map_name;
};

/// What becomes of an object of Git's that others change.
enum class Drift {
    repair,  ///< at once, and at each interval
    report,  ///< an event says so
    ignore,
};
/// Error(invalid): none of them.
[[nodiscard]] Drift parse_drift(std::string_view text);

/// A Kustomization, or an object of another kind that names a source and a path (EdgeDeployment).
struct Deployment {
    kube::Object object;
    SourceReference source;
    std::string path;  ///< without leading "./" or '/'; "" is the root
    Duration interval{};
    Duration retry_interval{};
    bool retry_given = false;
    Duration timeout{};
    bool prune = false;
    bool wait = false;
    bool force = false;
    bool suspend = false;
    bool orphan = false;  ///< deletionPolicy: Orphan, what it brought stays when it goes
    bool wait_for_termination = false;  ///< deletionPolicy: it goes when what it brought is gone
    std::vector<Key> depends_on;
    std::vector<kube::ObjectId> health_checks;
    std::string target_namespace;
    std::string name_prefix;
    std::string name_suffix;
    std::map<std::string, std::string> common_labels;
    std::map<std::string, std::string> common_annotations;
    kube::json::array patches;
    kube::json::array images;
    kube::json::array components;
    bool ignore_missing_components = false;
    kube::json::array build_metadata;
    std::optional<PostBuild> post_build;
    std::optional<Decryption> decryption;
    std::optional<KubeConfigFrom> kube_config;  ///< none: the cluster of the object itself
    std::string service_account;                ///< whose rights bound it; empty: the default's
    std::string pin;  ///< of its annotations: the commit to deploy; empty: the source's newest
    std::optional<Drift> drift;  ///< of its annotations
    IgnoreRules ignore;
    DeployWindows windows;       ///< of its annotations
    std::string deploy_now;      ///< of its annotations: the commit that need not wait for a window
    bool confirm_prune = false;  ///< of its annotations: what it prunes waits for an approval
    std::string prune_approved;  ///< the digest of the list that was approved last
    std::string pipeline;  ///< of its annotations: which says what to deploy; empty: none does
    std::vector<Unsupported> unsupported;

    /// Error(invalid) "spec.path: …". Kinds other than Kustomization need no interval and no prune.
    static Deployment from_object(kube::Object object);
};

struct SourceStatus : CommonStatus {
    std::string artifact_revision;  ///< artifact.revision
    std::string artifact_time;      ///< artifact.lastUpdateTime
    Artifact artifact;  ///< not served: only the digest, "sha1:<tree>", the content's own name
    kube::json::array included;     ///< includedArtifacts: of `spec.include`, in its order
    std::string verification_mode;  ///< sourceVerificationMode: of what was verified last
    // Of an OCIRepository:
    std::map<std::string, std::string> artifact_metadata;  ///< artifact.metadata: of its manifest
    std::string observed_ignore;                           ///< with which it was made
    kube::json::object observed_layer;                     ///< observedLayerSelector

    /// `artifact` as the API has it.
    [[nodiscard]] kube::json::object artifact_json() const;

    static SourceStatus from_object(const kube::Object& object);
    void write_to(kube::Object& object) const;
    bool operator==(const SourceStatus&) const = default;
};

/// Of kinds other than Kustomization only the condition Rendered is ours (Ready here): what becomes
/// of what was delivered is the target's to say.
struct DeploymentStatus : CommonStatus {
    std::string last_applied_revision;
    /// What that was made of, where an artifact says so: "main@sha1:…" of a repository.
    std::string last_applied_origin;
    std::string last_attempted_revision;
    Inventory inventory;
    History history;

    static DeploymentStatus from_object(const kube::Object& object);
    void write_to(kube::Object& object) const;
    /// What write_to() will write again and may be long: nobody needs it twice.
    static void take_lists_out_of(kube::Object& object);
    bool operator==(const DeploymentStatus&) const = default;
};

/// The value of the annotation that asks for a reconciliation; empty: none.
[[nodiscard]] std::string_view reconcile_request(const kube::Object& object);

}  // namespace kled::gitops
