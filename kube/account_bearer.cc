#include "kube/account_bearer.h"

#include "base/error.h"
#include "base/log.h"

#include <chrono>
#include <utility>

namespace kled::kube {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto pause_after_failure = 10s;  // while the old token still does

net::Request authorized(net::Request request, const Secret& token) {
    request.headers.set("Authorization", "Bearer " + std::string{token.reveal()});
    return request;
}

}  // namespace

AccountBearer::AccountBearer(std::shared_ptr<Transport> way, Transport& issuer, TokenRequest asked,
                             Now now)
    : AccountBearer{std::move(way),
                    [&issuer, asked = std::move(asked)] { return request_token(issuer, asked); },
                    std::move(now)} {}

AccountBearer::AccountBearer(std::shared_ptr<Transport> way, Issue issue, Now now)
    : way_{std::move(way)}, issue_{std::move(issue)}, now_{std::move(now)} {}

asio::awaitable<void> AccountBearer::renew() {
    struct Mark {
        bool& renewing;
        explicit Mark(bool& flag) : renewing{flag} { renewing = true; }
        ~Mark() { renewing = false; }
    };
    const Mark mark{renewing_};
    auto issuing = issue_();
    auto fresh = co_await std::move(issuing);
    fresh.issued = now_();
    token_ = std::move(fresh);
    next_try_ = WallTime::min();
}

asio::awaitable<AccountBearer::Shown> AccountBearer::token() {
    const auto now = now_();
    const bool usable = token_ && !token_->over(now);
    if (usable && (!token_->due(now) || renewing_ || now < next_try_)) co_return token_->text;
    std::string failure;
    try {
        co_await renew();
    } catch (const Error& error) {
        if (!usable) throw;
        failure = error.what();
    }
    if (!failure.empty()) {
        next_try_ = now + pause_after_failure;
        log::warn("kube", "a token could not be renewed yet; the old one is still good",
                  {{"error", failure}});
    }
    co_return token_->text;
}

asio::awaitable<AccountBearer::Shown> AccountBearer::instead_of(Shown refused) {
    if (token_ && token_->text == refused) co_await renew();
    co_return token_->text;
}

asio::awaitable<void> AccountBearer::sign_in() { (void)co_await token(); }

asio::awaitable<net::Response> AccountBearer::send(net::Request request) {
    auto shown = co_await token();
    auto response = co_await way_->send(authorized(request, *shown));
    if (response.status != 401) co_return response;
    // The account was made anew, or the keys of its server are others now.
    shown = co_await instead_of(std::move(shown));
    co_return co_await way_->send(authorized(std::move(request), *shown));
}

asio::awaitable<net::StreamResponse> AccountBearer::open(net::Request request) {
    auto shown = co_await token();
    auto response = co_await way_->open(authorized(request, *shown));
    if (response.status != 401) co_return response;
    shown = co_await instead_of(std::move(shown));
    co_return co_await way_->open(authorized(std::move(request), *shown));
}

}  // namespace kled::kube
