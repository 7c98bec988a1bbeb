/// How requests reach an API server: over HTTPS, or in-process to an embedded one.
#pragma once

#include "net/http.h"

#include <boost/asio/awaitable.hpp>

namespace kled::kube {

class Transport {
public:
    virtual ~Transport() = default;
    virtual boost::asio::awaitable<net::Response> send(net::Request request) = 0;
    virtual boost::asio::awaitable<net::StreamResponse> open(net::Request request) = 0;
};

}  // namespace kled::kube
