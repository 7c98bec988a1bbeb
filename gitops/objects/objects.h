/// What commands see of deployment objects and do to them, wherever they are kept: as objects of
/// the cluster, or as the ConfigMaps of a FileStore.
#pragma once

#include "gitops/objects/api.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kled::gitops {

struct FoundObject {
    kube::Object object;
    std::string state;  ///< the ConfigMap that keeps it; empty: it is in the API itself
    std::string state_namespace;
};

/// Sources, Kustomizations, EdgeDeployments, Pipelines and the objects of image automation
/// of `ns` (empty: all), sources first, by namespace and name.
boost::asio::awaitable<std::vector<FoundObject>> find_objects(kube::Client& client, std::string ns);

/// The kinds that `word` names, as kubectl takes it: "Kustomization", "kustomizations", "ks",
/// "kustomizations.kustomize.toolkit.fluxcd.io", in any case; "source" and "sources" are each of
/// theirs. Empty: it names none.
[[nodiscard]] std::vector<std::string_view> kinds_named(std::string_view word);
/// "sources, gitrepositories (gitrepo, git), …": for messages.
[[nodiscard]] std::string known_kinds();

/// "apps", or with any name of its kind "kustomization/apps", "ks/apps", "source/fleet": exactly
/// one of `objects`. Error(not_found), also of a kind that there is not, or, when several have the
/// name, Error(invalid) that lists them.
[[nodiscard]] const FoundObject& select(const std::vector<FoundObject>& objects,
                                        std::string_view name);

/// Asks for a reconciliation now; `token` appears as status.lastHandledReconcileAt when it is done.
boost::asio::awaitable<void> request_reconcile(kube::Client& client, const FoundObject& found,
                                               std::string token);
/// Sets annotations of the object; an empty value takes one away.
boost::asio::awaitable<void> annotate(kube::Client& client, const FoundObject& found,
                                      const std::map<std::string, std::string>& annotations);
boost::asio::awaitable<void> set_suspended(kube::Client& client, const FoundObject& found,
                                           bool suspended);

/// The object as it is now; nullopt: it went.
boost::asio::awaitable<std::optional<kube::Object>> read_again(kube::Client& client,
                                                               const FoundObject& found);

/// "True", "False", "Unknown" and its message, in a few words for a table: "Applied", "Healthy".
struct Summary {
    std::string ready;
    std::string state;  ///< Applied, Passed, Healthy, Fetched, Suspended, Reconciling, Failed,
                        ///< Stalled; Scanned, Elected and UpToDate of image objects
    std::string message;
    std::string revision;
};
[[nodiscard]] Summary summarise(const kube::Object& object);

}  // namespace kled::gitops
