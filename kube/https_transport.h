/// The way to an API server over the network, with credentials that are renewed on the way.
#pragma once

#include "kube/kubeconfig.h"
#include "kube/transport.h"

#include <boost/asio/any_io_executor.hpp>

#include <memory>

namespace kled::kube {

/// Certificates and tokens in files are read again when they change, exec plugins run again when
/// what they gave expires or the server answers 401. Used from one loop. Error(denied) names the
/// source of credentials that cannot be had.
class HttpsTransport final : public Transport {
public:
    HttpsTransport(boost::asio::any_io_executor executor, ClusterAccess access);
    ~HttpsTransport() override;

    boost::asio::awaitable<net::Response> send(net::Request request) override;
    boost::asio::awaitable<net::StreamResponse> open(net::Request request) override;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::kube
