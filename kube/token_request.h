/// Tokens of service accounts, as an API server hands them out (authentication.k8s.io/v1,
/// TokenRequest).
#pragma once

#include "base/clock.h"
#include "base/secret.h"
#include "kube/transport.h"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kled::kube {

/// What is asked for.
struct TokenRequest {
    std::string ns;
    std::string account;
    std::vector<std::string> audiences;  ///< who is to take it; empty: the API server itself
    std::chrono::seconds lifetime{3600};

    /// "service account ns/name": for messages.
    [[nodiscard]] std::string account_name() const;
    [[nodiscard]] net::Request http() const;
};

struct IssuedToken {
    std::shared_ptr<const Secret> text;
    WallTime issued;
    WallTime expires;

    /// Time for another one: five minutes before its end, or half its life where that is less.
    [[nodiscard]] bool due(WallTime now) const noexcept;
    [[nodiscard]] bool over(WallTime now) const noexcept { return now >= expires; }
};

/// Error(invalid) when `body` is no TokenRequest with a token and its end.
[[nodiscard]] IssuedToken read_issued_token(std::string_view body, WallTime now);

/// Asks `server`. Error names the account; not_found: there is none, or the server issues no
/// tokens; denied: we may not ask for one.
boost::asio::awaitable<IssuedToken> request_token(Transport& server, TokenRequest asked);

}  // namespace kled::kube
