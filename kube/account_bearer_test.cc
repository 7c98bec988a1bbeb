#include "kube/account_bearer.h"

#include "base/error.h"
#include "base/run.h"
#include "kube/object.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace kled::kube {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// Hands out the tokens t1, t2, …, which last an hour.
class Issuer final : public Transport {
public:
    asio::awaitable<net::Response> send(net::Request request) override {
        targets.push_back(request.target);
        net::Response response;
        response.status = status;
        if (status == 201) {
            response.body = R"({"status":{"token":"t)" + std::to_string(++issued) +
                            R"(","expirationTimestamp":")" + to_rfc3339(now + 1h) + R"("}})";
        } else {
            response.body =
                R"({"kind":"Status","reason":"NotFound","message":"serviceaccounts \"a\" not found"})";
        }
        co_return response;
    }
    asio::awaitable<net::StreamResponse> open(net::Request) override {
        throw Error{ErrorKind::internal, "nobody streams tokens"};
    }

    unsigned status = 201;
    int issued = 0;
    WallTime now = *parse_rfc3339("2026-11-29T10:00:00Z");
    std::vector<std::string> targets;
};

/// Says with what it was asked; 401 unless that is `accepted`, where it is set.
class Far final : public Transport {
public:
    asio::awaitable<net::Response> send(net::Request request) override {
        net::Response response;
        response.body = request.headers.get("Authorization");
        response.status = status_for(response.body);
        ++asked;
        co_return response;
    }
    asio::awaitable<net::StreamResponse> open(net::Request request) override {
        net::StreamResponse response;
        last_open = request.headers.get("Authorization");
        response.status = status_for(last_open);
        co_return response;
    }
    [[nodiscard]] unsigned status_for(const std::string& authorization) const {
        return accepted.empty() || authorization == "Bearer " + accepted ? 200 : 401;
    }

    std::string accepted;
    std::string last_open;
    int asked = 0;
};

struct Fixture {
    Fixture() {
        TokenRequest request;
        request.ns = "web";
        request.account = "a";
        bearer.emplace(far, issuer, request, [this] { return issuer.now; });
    }
    asio::awaitable<std::string> ask() {
        net::Request request;
        const auto response = co_await bearer->send(request);
        co_return std::to_string(response.status) + " " + response.body;
    }
    asio::awaitable<std::string> failure() {
        try {
            (void)co_await ask();
        } catch (const Error& error) {
            co_return std::string{to_string(error.kind())} + ": " + error.what();
        }
        co_return "none";
    }
    Issuer issuer;
    std::shared_ptr<Far> far = std::make_shared<Far>();
    std::optional<AccountBearer> bearer;
};

asio::awaitable<void> renewal() {
    Fixture f;
    co_await f.bearer->sign_in();
    EXPECT_EQ(co_await f.ask(), "200 Bearer t1");
    f.issuer.now += 54min;
    EXPECT_EQ(co_await f.ask(), "200 Bearer t1");
    f.issuer.now += 1min;
    EXPECT_EQ(co_await f.ask(), "200 Bearer t2");
    EXPECT_EQ(co_await f.ask(), "200 Bearer t2");
    EXPECT_EQ(f.issuer.targets.size(), 2U);
    EXPECT_EQ(f.issuer.targets.back(), "/api/v1/namespaces/web/serviceaccounts/a/token");
}
TEST(AccountBearer, ExchangesItsTokenBeforeItEnds) { run_to_end(renewal()); }

asio::awaitable<void> refusal() {
    Fixture f;
    EXPECT_EQ(co_await f.ask(), "200 Bearer t1");
    f.far->accepted = "t2";
    EXPECT_EQ(co_await f.ask(), "200 Bearer t2");
    f.far->accepted = "another's";
    EXPECT_EQ(co_await f.ask(), "401 Bearer t3") << "asked twice, not for ever";
    EXPECT_EQ(f.far->asked, 5);
    f.far->accepted = "t4";
    net::Request request;
    const auto stream = co_await f.bearer->open(request);
    EXPECT_EQ(stream.status, 200U);
    EXPECT_EQ(f.far->last_open, "Bearer t4");
}
TEST(AccountBearer, AsksForAnotherTokenWhenOneIsRefused) { run_to_end(refusal()); }

asio::awaitable<void> outage() {
    Fixture f;
    f.issuer.status = 404;
    const std::string missing =
        "not found: token of service account web/a: serviceaccounts \"a\" not found";
    EXPECT_EQ(co_await f.failure(), missing);
    f.issuer.status = 201;
    EXPECT_EQ(co_await f.ask(), "200 Bearer t1");
    f.issuer.status = 503;
    f.issuer.now += 56min;
    EXPECT_EQ(co_await f.ask(), "200 Bearer t1") << "it is still good";
    const auto tries = f.issuer.targets.size();
    EXPECT_EQ(co_await f.ask(), "200 Bearer t1");
    EXPECT_EQ(f.issuer.targets.size(), tries) << "not with each request";
    f.issuer.now += 10s;
    EXPECT_EQ(co_await f.ask(), "200 Bearer t1");
    EXPECT_EQ(f.issuer.targets.size(), tries + 1);
    f.issuer.now += 4min;
    EXPECT_TRUE((co_await f.failure()).starts_with("unavailable: ")) << "its end";
}
TEST(AccountBearer, KeepsAGoodTokenWhileNoneIsIssued) { run_to_end(outage()); }

}  // namespace
}  // namespace kled::kube
