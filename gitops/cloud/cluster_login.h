/// Clusters of clouds, reached with an identity there (`provider` of the ConfigMap of
/// `spec.kubeConfig.configMapRef`): no Secret holds a kubeconfig.
#pragma once

#include "gitops/cloud/clusters.h"
#include "gitops/cloud/identities.h"
#include "gitops/cloud/kept.h"
#include "kube/token_request.h"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <utility>

namespace kled::gitops::cloud {

/// Used from one loop. Errors as of Identities.
class ClusterLogins {
public:
    explicit ClusterLogins(std::shared_ptr<Identities> identities)
        : identities_{std::move(identities)} {}

    /// Where it is, as its cloud says; kept for an hour. `cluster` has a resource.
    boost::asio::awaitable<ClusterPlace> place(kube::Client& client, Applicant who,
                                               CloudCluster cluster);
    /// What is shown to it.
    boost::asio::awaitable<kube::IssuedToken> token(kube::Client& client, Applicant who,
                                                    CloudCluster cluster);

private:
    struct Asked {
        net::Url endpoint;
        net::Request request;
    };
    boost::asio::awaitable<Asked> question(kube::Client& client, Applicant who,
                                           CloudCluster cluster);

    std::shared_ptr<Identities> identities_;
    Kept<ClusterPlace> places_;
};

}  // namespace kled::gitops::cloud
