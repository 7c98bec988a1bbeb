#include "gitops/s3/client.h"

#include "base/error.h"
#include "base/retry.h"
#include "crypto/hash.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <random>
#include <string_view>

namespace kled::gitops::s3 {

namespace asio = boost::asio;

namespace {

constexpr std::size_t refusal_limit_bytes = 64U << 10U;
constexpr unsigned attempts = 4;

bool is_busy(unsigned status) {
    return status == 429 || status == 500 || (status >= 502 && status <= 504);
}

ErrorKind kind_of(unsigned status) {
    if (status == 401 || status == 403) return ErrorKind::denied;
    if (status == 404) return ErrorKind::not_found;
    return status >= 400 && status < 500 ? ErrorKind::invalid : ErrorKind::unavailable;
}

/// Up to `limit` bytes; nullopt: there are more.
asio::awaitable<std::optional<std::string>> read(net::BodyStream& body, std::size_t limit) {
    std::string bytes;
    for (;;) {
        auto piece = co_await body.next();
        if (!piece) co_return bytes;
        if (piece->size() > limit - bytes.size()) co_return std::nullopt;
        bytes += *piece;
    }
}

std::string text_of(const Refusal& refusal, unsigned status) {
    auto text = "the server answered " + std::to_string(status);
    if (!refusal.code.empty()) text += " " + refusal.code;
    if (!refusal.message.empty()) text += ": " + refusal.message;
    return text;
}

}  // namespace

Client::Client(asio::any_io_executor executor, Location location, Access access)
    : executor_{std::move(executor)},
      location_{std::move(location)},
      access_{std::move(access)},
      address_{Address::of(location_)} {
    connect();
}

void Client::connect() {
    net::ClientOptions options;
    options.tls = access_.tls;
    options.proxy = access_.proxy;
    options.timeout = access_.timeout;
    options.gap_timeout = access_.timeout;
    http_ = std::make_shared<net::HttpClient>(executor_, net::parse_url(address_.origin),
                                              std::move(options));
}

net::Request Client::request(const Asked& asked) const {
    Signable signable;
    signable.path = address_.path + encode_path(asked.key);
    signable.query = asked.query;
    net::Request result;
    result.target = signable.path;
    if (!asked.query.empty()) result.target += "?" + encode_query(asked.query);
    result.headers.set("Host", address_.host);
    if (!access_.credentials) return result;
    const Scope scope{.date = amz_date(std::chrono::system_clock::now()),
                      .region = address_.region};
    signable.payload_sha256 = crypto::sha256_hex("");
    signable.headers = {{"host", address_.host},
                        {"x-amz-content-sha256", signable.payload_sha256},
                        {"x-amz-date", scope.date}};
    if (access_.session_token) {
        signable.headers.emplace_back("x-amz-security-token",
                                      std::string{access_.session_token->reveal()});
    }
    for (const auto& [name, value] : signable.headers) result.headers.set(name, value);
    result.headers.set("Authorization", authorization(signable, scope, *access_.credentials));
    return result;
}

bool Client::move_to(const std::string& region) {
    if (moved_ || region.empty() || region == address_.region) return false;
    auto location = location_;
    location.region = region;
    try {
        address_ = Address::of(location);
    } catch (const Error&) {  // that is no region
        return false;
    }
    moved_ = true;
    connect();
    return true;
}

asio::awaitable<std::optional<net::StreamResponse>> Client::exchange(Asked asked) {
    asio::steady_timer timer{executor_};
    const Backoff::Options soon{.first = Duration{200}, .limit = Duration{5'000}};
    Backoff backoff{soon, std::random_device{}()};
    for (;;) {
        const auto where = address_.host + ": " + asked.what;
        const auto http = http_;
        auto response = co_await http->open(request(asked));
        if (response.status == 200) co_return response;
        const auto body = co_await read(*response.body, refusal_limit_bytes);
        const auto refusal = parse_refusal(body ? std::string_view{*body} : std::string_view{});
        const auto status = response.status;
        if (status == 404 && !asked.key.empty() && refusal.code != "NoSuchBucket") {
            if (refusal.code == "NoSuchKey") co_return std::nullopt;
            throw Error{ErrorKind::invalid, where + ": " + text_of(refusal, status)};
        }
        const std::string named{response.headers.get("x-amz-bucket-region")};
        if (!is_busy(status) && move_to(named.empty() ? refusal.region : named)) continue;
        if (!is_busy(status) || backoff.failures() + 1 >= attempts)
            throw Error{kind_of(status), where + ": " + text_of(refusal, status)};
        timer.expires_after(backoff.next());
        co_await timer.async_wait(asio::use_awaitable);
    }
}

asio::awaitable<Listing> Client::list(std::string prefix, std::string next) {
    Asked asked;
    asked.what = "list of bucket '" + location_.bucket + "'";
    // Keys with characters that XML has not come encoded.
    asked.query = {{"encoding-type", "url"}, {"list-type", "2"}};
    if (!prefix.empty()) asked.query.emplace_back("prefix", std::move(prefix));
    if (!next.empty()) asked.query.emplace_back("continuation-token", std::move(next));
    const auto where = address_.host + ": " + asked.what;
    const auto response = co_await exchange(std::move(asked));
    const auto page = co_await read(*response->body, page_limit_bytes);
    if (!page) {
        throw Error{ErrorKind::exhausted,
                    where + ": a page of more than " + std::to_string(page_limit_bytes) + " bytes"};
    }
    try {
        co_return parse_listing(*page);
    } catch (const Error& error) {
        throw error.within(where);
    }
}

asio::awaitable<std::optional<Content>> Client::get(std::string key, std::size_t limit_bytes) {
    Asked asked;
    asked.what = "object '" + key + "' of bucket '" + location_.bucket + "'";
    asked.key = std::move(key);
    const auto where = address_.host + ": " + asked.what;
    const auto response = co_await exchange(std::move(asked));
    if (!response) co_return std::nullopt;
    auto bytes = co_await read(*response->body, limit_bytes);
    if (!bytes) {
        throw Error{ErrorKind::exhausted, where + ": it has more than " +
                                              std::to_string(limit_bytes) +
                                              " bytes; spec.ignore leaves it out"};
    }
    Content content;
    content.etag = bare_etag(response->headers.get("ETag"));
    content.bytes = std::move(*bytes);
    co_return content;
}

}  // namespace kled::gitops::s3
