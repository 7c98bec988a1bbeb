/// Nudges from outside: webhooks of Git hosts, and the post-receive hook on this machine. Neither
/// says what to apply; the worst that a replay or a forgery could do is to make kled look.
#pragma once

#include "base/secret.h"
#include "net/http_server.h"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops {

/// "<algorithm>=<hex>": the HMAC of `body` under `secret`, by sha1, sha256 or sha512.
[[nodiscard]] bool signature_matches(std::string_view header, std::string_view secret,
                                     std::string_view body);

/// What a webhook asks for.
struct WebhookVerdict {
    unsigned status = 200;
    std::string message;
    bool look = false;
    std::vector<std::string> urls;  ///< of the repository; empty: any
};

/// POST `/hook/generic` with `X-Signature: sha256=<hex>` (also sha1=, sha512=), or `/hook/github`
/// with `X-Hub-Signature-256: sha256=<hex>`: the HMAC of the body under `secret`, compared in
/// constant time. What the body says about the repository narrows where to look.
[[nodiscard]] WebhookVerdict judge_webhook(const net::Request& request, std::string_view secret);

inline constexpr std::size_t webhook_body_limit = 1U << 20U;

/// Looks for something new at a URL (empty: anywhere); how many sources will. From any loop.
using Nudge = std::function<boost::asio::awaitable<std::size_t>(std::string url)>;

/// One line of plain text.
[[nodiscard]] net::Response text_response(unsigned status, std::string line);

class ReceiverObjects;

/// The handler of the webhook listener; give its server `webhook_body_limit`. `secret`: of the two
/// fixed paths, which are not there without one. `receivers` (null: none): of all others.
[[nodiscard]] net::Handler webhook_handler(std::shared_ptr<const Secret> secret, Nudge nudge,
                                           ReceiverObjects* receivers = nullptr);

/// The route `/v1/notify` of the Unix socket: POST {"repository": "<URL or path>"}. Only for a peer
/// that the kernel names.
[[nodiscard]] net::Handler notify_handler(Nudge nudge);

}  // namespace kled::gitops
