/// Where a Kustomization's objects go, and as whom: this cluster or the one of `spec.kubeConfig`,
/// with kled's own rights or those of a service account.
#pragma once

#include "gitops/apply/applier.h"
#include "gitops/cloud/cluster_login.h"
#include "gitops/destination/remote_cluster.h"
#include "gitops/objects/api.h"
#include "kube/client.h"
#include "kube/transport.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kled::gitops {

/// False for kled's embedded API: nothing there makes a Deployment's pods.
boost::asio::awaitable<bool> runs_controllers(kube::Transport& server);

/// One API server as one user.
class Destination {
public:
    /// `ways` are what the last of them needs; it is the client's.
    explicit Destination(std::vector<std::shared_ptr<kube::Transport>> ways)
        : ways_{std::move(ways)}, client{ways_.back()} {}

    /// The same, asked once.
    boost::asio::awaitable<bool> runs_controllers();

private:
    std::vector<std::shared_ptr<kube::Transport>> ways_;
    std::optional<bool> runs_controllers_;

public:
    kube::Client client;
    Applier applier{client, {}};
};

/// Used from one loop. A destination lives as long as somebody holds it.
class Destinations {
public:
    /// `own` outlives it. `default_account`: the service account of those that name none; empty:
    /// kled itself.
    Destinations(boost::asio::any_io_executor loop, kube::Client& own, std::string default_account);
    /// The same, with identities of clouds that others use too.
    Destinations(boost::asio::any_io_executor loop, kube::Client& own, std::string default_account,
                 std::shared_ptr<cloud::Identities> identities);

    /// The same one while nothing about it changes; another token of the account of a
    /// `configMapRef` is no change. Error(not_found) when the Secret, the ConfigMap or that account
    /// is not there; Error(invalid) when it cannot be used, or when the server keeps no rights of
    /// its own, so that a service account would bound nothing.
    boost::asio::awaitable<std::shared_ptr<Destination>> of(const Deployment& deployment);

    /// This cluster, as a service account of `ns`; empty: the default one. Errors as of `of`.
    boost::asio::awaitable<std::shared_ptr<Destination>> as(std::string ns, std::string account);

    /// Whether the Secret, the ConfigMap and the service account that it needs are still there.
    boost::asio::awaitable<bool> can_be_reached(const Deployment& deployment);

private:
    [[nodiscard]] std::string account_of(const Deployment& deployment) const;
    boost::asio::awaitable<std::string> kubeconfig_of(const Deployment& deployment);
    boost::asio::awaitable<RemoteCluster> cluster_of(const Deployment& deployment);
    boost::asio::awaitable<std::shared_ptr<kube::Transport>> way_to(const RemoteCluster& cluster);

    boost::asio::any_io_executor loop_;
    kube::Client& own_client_;
    std::shared_ptr<Destination> own_;
    std::string default_account_;
    std::shared_ptr<cloud::ClusterLogins> clouds_;
    std::map<std::string, std::weak_ptr<Destination>> others_;
};

}  // namespace kled::gitops
