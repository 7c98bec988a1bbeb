#include "kube/token_request.h"

#include "base/error.h"
#include "kube/client.h"
#include "kube/object.h"

#include <algorithm>

namespace kled::kube {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto spare = 5min;
constexpr std::size_t longest_token = 64U << 10U;

/// It becomes part of a header.
bool is_token(std::string_view text) {
    return !text.empty() && text.size() <= longest_token &&
           std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

std::string TokenRequest::account_name() const { return "service account " + ns + "/" + account; }

net::Request TokenRequest::http() const {
    json::object body;
    body["apiVersion"] = "authentication.k8s.io/v1";
    body["kind"] = "TokenRequest";
    auto& spec = body["spec"].emplace_object();
    if (!audiences.empty()) spec["audiences"] = json::array(audiences.begin(), audiences.end());
    spec["expirationSeconds"] = static_cast<std::int64_t>(lifetime.count());
    net::Request request;
    request.method = "POST";
    request.target = "/api/v1/namespaces/" + net::percent_encode(ns) + "/serviceaccounts/" +
                     net::percent_encode(account) + "/token";
    request.headers.set("Accept", "application/json");
    request.headers.set("Content-Type", "application/json");
    request.body = to_json(body);
    return request;
}

bool IssuedToken::due(WallTime now) const noexcept {
    const auto early = std::min<WallTime::duration>(spare, (expires - issued) / 2);
    return now >= expires - early;
}

IssuedToken read_issued_token(std::string_view body, WallTime now) {
    json::value answer;
    try {
        answer = parse_json(body);
    } catch (const Error&) {  // no word of it: a token may be in it
        throw Error{ErrorKind::invalid, "the server's answer is no TokenRequest"};
    }
    const auto* const fields = answer.if_object();
    const auto token = fields == nullptr ? "" : find_string(*fields, {"status", "token"});
    const auto until =
        fields == nullptr ? "" : find_string(*fields, {"status", "expirationTimestamp"});
    const auto expires = parse_rfc3339(until);
    if (!is_token(token) || !expires)
        throw Error{ErrorKind::invalid, "the server's answer holds no token with an end"};
    return {.text = std::make_shared<const Secret>(std::string{token}),
            .issued = now,
            .expires = *expires};
}

asio::awaitable<IssuedToken> request_token(Transport& server, TokenRequest asked) {
    const auto context = "token of " + asked.account_name();
    try {
        auto response = co_await server.send(asked.http());
        if (response.status >= 400) throw StatusError::from_response(response);
        auto token = read_issued_token(response.body, WallTime::clock::now());
        wipe(response.body);
        co_return token;
    } catch (const Error& error) {
        throw error.within(context);
    }
}

}  // namespace kled::kube
