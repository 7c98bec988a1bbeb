/// ConfigMaps and Secrets that deployment objects are made of and that ask to be followed, by
/// Flux's label `reconcile.fluxcd.io/watch: Enabled`: a change of one counts at once.
#pragma once

#include "gitops/objects/api.h"
#include "kube/client.h"
#include "kube/object.h"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <string>
#include <string_view>

namespace kled::gitops {

inline constexpr std::string_view watch_label = "reconcile.fluxcd.io/watch";

/// Whether the deployment object `work` reads the ConfigMap or Secret (`kind`) `name` of its
/// namespace: variables, keys for decryption, the way to another cluster.
[[nodiscard]] bool is_made_of(const kube::Object& work, std::string_view kind,
                              std::string_view name);

/// Tells `changed` of each object of `kind` with the label, also of those that are there already
/// and of one that went, until cancelled. Reads their metadata only.
boost::asio::awaitable<void> watch_inputs(kube::Client& client, std::string kind,
                                          std::function<void(const Key&)> changed);

}  // namespace kled::gitops
