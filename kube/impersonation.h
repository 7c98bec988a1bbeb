/// Requests in the name of somebody else, whose rights then count.
#pragma once

#include "kube/transport.h"

#include <boost/asio/awaitable.hpp>

#include <string>
#include <utility>

namespace kled::kube {

/// Sets `Impersonate-User`; the credentials of `way` must be allowed to impersonate him, or the
/// server refuses every request. `way` outlives it.
class Impersonation final : public Transport {
public:
    Impersonation(Transport& way, std::string user) : way_{way}, user_{std::move(user)} {}

    boost::asio::awaitable<net::Response> send(net::Request request) override {
        request.headers.set("Impersonate-User", user_);
        return way_.send(std::move(request));
    }
    boost::asio::awaitable<net::StreamResponse> open(net::Request request) override {
        request.headers.set("Impersonate-User", user_);
        return way_.open(std::move(request));
    }

private:
    Transport& way_;
    std::string user_;
};

}  // namespace kled::kube
