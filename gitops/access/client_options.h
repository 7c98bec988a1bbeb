/// How a server is asked one thing that is reached with certificates and a proxy of its own.
#pragma once

#include "net/http_client.h"

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace kled::gitops {

/// `access`: git::Access, ProviderAccess. Neither connecting nor the whole takes longer than
/// `timeout`; an answer has at most `limit` bytes.
template <typename Access>
net::ClientOptions client_options(const Access& access, std::chrono::milliseconds timeout,
                                  std::size_t limit) {
    net::ClientOptions options;
    options.tls.ca_pem = access.ca_pem;
    options.tls.certificate_pem = access.certificate_pem;
    options.tls.key_pem = access.key_pem;
    options.proxy = access.proxy;
    options.timeout = timeout;
    options.connect_timeout = std::min(options.connect_timeout, timeout);
    options.body_limit = limit;
    return options;
}

}  // namespace kled::gitops
