#include "gitops/receive/receiver.h"

#include "base/error.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "gitops/receive/receiver_objects.h"
#include "kube/object.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::size_t webhook_depth = 64;

/// Where GitHub, GitLab, Gitea and Bitbucket put the repository's addresses.
std::vector<std::string> urls_in(std::string_view body) {
    std::vector<std::string> urls;
    try {
        const auto value = kube::parse_json(body, webhook_depth);
        for (const auto* holder : {"repository", "project"}) {
            for (const auto* key : {"clone_url", "ssh_url", "git_url", "html_url", "git_http_url",
                                    "git_ssh_url", "web_url", "url"}) {
                const auto* url = kube::find(value, {holder, key});
                if (url != nullptr && url->is_string()) urls.emplace_back(url->get_string());
            }
        }
    } catch (const Error&) {
        return {};  // a generic hook may send anything
    }
    return urls;
}

WebhookVerdict refuse(unsigned status, std::string message) {
    return {.status = status, .message = std::move(message), .look = false, .urls = {}};
}

struct WebhookRoute {
    std::shared_ptr<const Secret> secret;
    Nudge nudge;
    ReceiverObjects* receivers;

    static asio::awaitable<void> serve(std::shared_ptr<const WebhookRoute> self,
                                       net::Request request, std::string peer,
                                       net::ResponseWriter& out) {
        const auto path = net::parse_target(request.target).path;
        const bool fixed = path == "/hook/generic" || path == "/hook/github";
        if (self->receivers != nullptr && !fixed) {
            auto response = co_await self->receivers->answer(std::move(request));
            co_return co_await out.respond(std::move(response));
        }
        auto verdict = self->secret ? judge_webhook(request, self->secret->reveal())
                                    : refuse(404, "there is no such hook");
        if (verdict.look) {
            std::size_t count = 0;
            for (const auto& url : verdict.urls) count += co_await self->nudge(url);
            if (verdict.urls.empty()) count = co_await self->nudge("");
            log::info("gitops", "webhook", {{"from", peer}, {"sources", count}});
        } else if (verdict.status >= 400) {
            log::warn("gitops", "webhook refused", {{"from", peer}, {"why", verdict.message}});
        }
        co_await out.respond(text_response(verdict.status, std::move(verdict.message)));
    }
};

asio::awaitable<void> serve_notify(std::shared_ptr<const Nudge> nudge, net::Request request,
                                   std::optional<net::Peer::Credentials> peer,
                                   net::ResponseWriter& out) {
    if (!peer) throw Error{ErrorKind::denied, "only over the Unix socket of this machine"};
    if (request.method != "POST") throw Error{ErrorKind::invalid, "POST a JSON object"};
    const auto value = kube::parse_json(request.body, webhook_depth);
    const auto* repository = kube::find(value, {"repository"});
    if (repository == nullptr || !repository->is_string())
        throw Error{ErrorKind::invalid, "`repository` is missing"};
    const auto count = co_await (*nudge)(std::string{repository->get_string()});
    log::info("gitops", "notified",
              {{"repository", std::string_view{repository->get_string()}},
               {"uid", peer->uid},
               {"sources", count}});
    json::object answer;
    answer["sources"] = count;
    net::Response response;
    response.headers.set("Content-Type", "application/json");
    response.body = kube::to_json(json::value(std::move(answer)));
    co_await out.respond(std::move(response));
}

}  // namespace

net::Response text_response(unsigned status, std::string line) {
    net::Response response;
    response.status = status;
    response.headers.set("Content-Type", "text/plain; charset=utf-8");
    response.body = std::move(line) + "\n";
    return response;
}

bool signature_matches(std::string_view header, std::string_view secret, std::string_view body) {
    constexpr std::array<std::string_view, 3> algorithms{"sha256", "sha512", "sha1"};
    const auto equals = header.find('=');
    if (equals == std::string_view::npos) return false;
    const auto algorithm = header.substr(0, equals);
    if (std::ranges::find(algorithms, algorithm) == algorithms.end()) return false;
    std::string given{header.substr(equals + 1)};
    std::ranges::transform(given, given.begin(), [](unsigned char c) { return std::tolower(c); });
    return equal_constant_time(given, crypto::hmac_hex(algorithm, secret, body));
}

WebhookVerdict judge_webhook(const net::Request& request, std::string_view secret) {
    const auto target = net::parse_target(request.target);
    std::string_view header;
    if (target.path == "/hook/generic") {
        header = "X-Signature";
    } else if (target.path == "/hook/github") {
        header = "X-Hub-Signature-256";
    } else {
        return refuse(404, "there is no such hook");
    }
    if (request.method != "POST") return refuse(405, "a webhook is a POST");
    if (request.body.size() > webhook_body_limit) return refuse(413, "the body is too large");
    if (secret.empty() || !signature_matches(request.headers.get(header), secret, request.body))
        return refuse(401, "the signature in " + std::string{header} + " is absent or wrong");
    if (const auto event = request.headers.get("X-GitHub-Event"); event == "ping")
        return refuse(200, "pong");
    return {.status = 200, .message = "looking", .look = true, .urls = urls_in(request.body)};
}

net::Handler webhook_handler(std::shared_ptr<const Secret> secret, Nudge nudge,
                             ReceiverObjects* receivers) {
    auto route =
        std::make_shared<const WebhookRoute>(std::move(secret), std::move(nudge), receivers);
    return [route](net::Request request, const net::Peer& peer, net::ResponseWriter& out) {
        return WebhookRoute::serve(route, std::move(request), peer.address, out);
    };
}

net::Handler notify_handler(Nudge nudge) {
    auto shared = std::make_shared<const Nudge>(std::move(nudge));
    return [shared](net::Request request, const net::Peer& peer, net::ResponseWriter& out) {
        return serve_notify(shared, std::move(request), peer.credentials, out);
    };
}

}  // namespace kled::gitops
