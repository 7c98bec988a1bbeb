/// Flux's `Provider` and `Alert` (notification.toolkit.fluxcd.io/v1beta3): who is told of what.
#pragma once

#include "base/clock.h"
#include "gitops/objects/api.h"
#include "gitops/reconcile/events.h"
#include "kube/object.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace re2 {
class RE2;
}

namespace kled::gitops {

struct Provider {
    kube::Object object;
    std::string type;     ///< "generic", "slack", "github", …
    std::string address;  ///< a URL; the Secret's `address` comes first
    std::string channel;
    std::string username;
    std::string proxy;
    std::string secret_name;              ///< empty: none, as the two below
    std::string certificate_secret_name;  ///< certSecretRef
    std::string proxy_secret_name;
    Duration timeout{15'000};  ///< for one request
    bool suspend = false;
    std::vector<Unsupported> unsupported;

    /// Error(invalid) "spec.type: …".
    static Provider from_object(kube::Object object);
    /// Whether it sets a commit's status, and is no place for messages.
    [[nodiscard]] bool sets_commit_status() const;
};

/// What is told: Flux's event (fluxcd/pkg apis/event/v1beta1).
struct Notification {
    std::string api_version;  ///< of the object that it is about, as the next four
    std::string kind;
    std::string ns;
    std::string name;
    std::string uid;
    bool error = false;
    WallTime time;
    std::string reason;
    std::string message;
    std::map<std::string, std::string> metadata;  ///< "revision", "summary", …

    [[nodiscard]] std::string_view severity() const { return error ? "error" : "info"; }
    /// Flux's controller of that kind: what receivers know it by.
    [[nodiscard]] std::string_view controller() const;
    /// "kustomization/apps.flux-system".
    [[nodiscard]] std::string title() const;
    [[nodiscard]] kube::json::object to_json() const;
};

struct Alert {
    struct Source {
        std::string kind;
        std::string ns;                             ///< the alert's own when not given
        std::string name;                           ///< "*": all, or those that have `labels`
        std::map<std::string, std::string> labels;  ///< matchLabels
    };
    using Pattern = std::shared_ptr<const re2::RE2>;

    kube::Object object;
    std::string provider;  ///< of the same namespace
    bool errors_only = false;
    std::vector<Source> sources;
    std::vector<Pattern> included;  ///< only messages in which one is found; empty: any
    std::vector<Pattern> excluded;
    std::map<std::string, std::string> metadata;
    std::string summary;
    bool suspend = false;

    /// Error(invalid) "spec.exclusionList: …".
    static Alert from_object(kube::Object object);

    /// `no_cross_namespace_refs`: sources of other namespaces do not count.
    [[nodiscard]] bool wants(const Event& event, bool no_cross_namespace_refs) const;
    /// Metadata from weak to strong: annotations "event.toolkit.fluxcd.io/…" of the object,
    /// eventMetadata, summary, the revision and its origin (Flux's RFC 0008).
    [[nodiscard]] Notification notification(const Event& event) const;
};

}  // namespace kled::gitops
