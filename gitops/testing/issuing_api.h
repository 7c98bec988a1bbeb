/// For tests: what a kube-apiserver has and the embedded API has not, tokens of service accounts,
/// in front of an embedded one.
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "kube/client.h"
#include "kube/object.h"
#include "kube/transport.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::gitops::testing {

/// The tokens of accounts that exist, for an hour: "deployer.1", "deployer.2", …
class IssuingApi final : public kube::Transport {
public:
    explicit IssuingApi(std::shared_ptr<kube::Transport> inner) : inner_{std::move(inner)} {}

    boost::asio::awaitable<net::Response> send(net::Request request) override {
        constexpr std::string_view end = "/token";
        if (request.target == "/version") {
            net::Response response;
            response.body = R"({"gitVersion":"v1.34.0"})";
            co_return response;
        }
        if (request.method != "POST" || !request.target.ends_with(end))
            co_return co_await inner_->send(std::move(request));
        net::Request account;
        account.target = request.target.substr(0, request.target.size() - end.size());
        const auto name = account.target.substr(account.target.rfind('/') + 1);
        auto response = co_await inner_->send(std::move(account));
        if (response.status != 200) co_return response;
        const auto asked = kube::parse_json(request.body);
        const auto* audiences = kube::find(asked.get_object(), {"spec", "audiences"});
        audiences_.push_back(audiences == nullptr ? "" : kube::to_json(*audiences));
        response.status = 201;
        response.body = R"({"status":{"token":")" + name + "." + std::to_string(audiences_.size()) +
                        R"(","expirationTimestamp":")" +
                        to_rfc3339(WallTime::clock::now() + std::chrono::hours{1}) + R"("}})";
        co_return response;
    }
    boost::asio::awaitable<net::StreamResponse> open(net::Request request) override {
        return inner_->open(std::move(request));
    }
    /// Of each token that was issued.
    [[nodiscard]] const std::vector<std::string>& audiences() const { return audiences_; }

private:
    std::shared_ptr<kube::Transport> inner_;
    std::vector<std::string> audiences_;
};

/// Until an API of this process answers.
inline boost::asio::awaitable<void> until_ready(kube::Client& client) {
    const kube::GroupVersionKind kind{.group = "", .version = "v1", .kind = "Namespace"};
    boost::asio::steady_timer pause{co_await boost::asio::this_coro::executor};
    for (int i = 0; i < 2000; ++i) {
        try {
            const auto found = co_await client.get(kind, "", "default");
            if (found) co_return;
        } catch (const Error&) {  // not yet
        }
        pause.expires_after(std::chrono::milliseconds{5});
        co_await pause.async_wait(boost::asio::use_awaitable);
    }
    throw Error{ErrorKind::unavailable, "the API did not come up"};
}

}  // namespace kled::gitops::testing
