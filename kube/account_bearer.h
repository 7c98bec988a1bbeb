/// Requests that show another server a token that ends: one of a service account of ours, or one
/// that a cloud gives for it.
#pragma once

#include "kube/token_request.h"
#include "kube/transport.h"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <memory>
#include <optional>

namespace kled::kube {

/// Sets `Authorization`. The token is asked for at `issuer` (or by `issue`), kept in memory,
/// exchanged before its end and once more when the other server answers 401: whoever holds this
/// sees the same server all the while. `issuer` outlives it; used from one loop.
class AccountBearer final : public Transport {
public:
    using Now = std::function<WallTime()>;
    AccountBearer(std::shared_ptr<Transport> way, Transport& issuer, TokenRequest asked,
                  Now now = WallTime::clock::now);
    /// Starts to ask for one; it is called again and again. What it refers to outlives this.
    using Issue = std::function<boost::asio::awaitable<IssuedToken>()>;
    AccountBearer(std::shared_ptr<Transport> way, Issue issue, Now now = WallTime::clock::now);

    /// Asks for a token unless there is one: what is wrong with the account shows here. Errors as
    /// of request_token or of `issue`, also of the two below.
    boost::asio::awaitable<void> sign_in();

    boost::asio::awaitable<net::Response> send(net::Request request) override;
    boost::asio::awaitable<net::StreamResponse> open(net::Request request) override;

private:
    using Shown = std::shared_ptr<const Secret>;
    boost::asio::awaitable<Shown> token();
    /// Another one than `refused`.
    boost::asio::awaitable<Shown> instead_of(Shown refused);
    boost::asio::awaitable<void> renew();

    std::shared_ptr<Transport> way_;
    Issue issue_;
    Now now_;
    std::optional<IssuedToken> token_;
    bool renewing_ = false;
    WallTime next_try_ = WallTime::min();
};

}  // namespace kled::kube
