#include "edge/enrolment_server.h"

#include "base/error.h"
#include "base/log.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace kled::edge {

namespace asio = boost::asio;

namespace {

asio::awaitable<void> serve(Hub& hub, net::Request request, const net::Peer& peer,
                            net::ResponseWriter& out) {
    net::Response response;
    if (request.method == "GET" && request.target == enrolment_ca_path) {
        response.headers.set("Content-Type", "application/x-pem-file");
        response.body = hub.server_ca_pem();
        co_await out.respond(std::move(response));
        co_return;
    }
    if (request.method != "POST" || request.target != enrolment_join_path)
        throw Error{ErrorKind::not_found,
                    "devices join with POST " + std::string{enrolment_join_path}};
    std::optional<Error> failure;
    try {
        auto enrolment = parse_enrolment_request(request.body);
        wipe(request.body);
        const auto answer = co_await hub.enrol(std::move(enrolment));
        response.headers.set("Content-Type", "application/json");
        response.body = to_json(answer);
    } catch (const Error& error) {
        failure = error;
    }
    if (failure) {
        log::warn("edge", "enrolment refused",
                  {{"peer", peer.address}, {"error", failure->what()}});
        asio::steady_timer pause{co_await asio::this_coro::executor, std::chrono::seconds{1}};
        co_await pause.async_wait(asio::use_awaitable);
        throw *failure;
    }
    co_await out.respond(std::move(response));
}

}  // namespace

std::unique_ptr<net::HttpServer> make_enrolment_server(Hub& hub, const Pki& pki,
                                                       const EnrolmentServerOptions& options) {
    auto names = options.names;
    for (const auto& own : {std::string{"localhost"}, std::string{"127.0.0.1"}, options.host})
        if (std::ranges::find(names, own) == names.end()) names.push_back(own);
    auto credential = pki.server(names);
    net::ServerOptions server;
    server.host = options.host;
    server.port = options.port;
    server.tls =
        net::ServerTls{.certificate_pem = std::move(credential.certificate_pem),
                       .key_pem = std::make_shared<const Secret>(std::move(credential.key_pem)),
                       .client_ca_pem = {},
                       .require_client_certificate = false};
    server.body_limit = 64U << 10U;
    server.connection_limit = 64;
    return std::make_unique<net::HttpServer>(
        hub.executor(), std::move(server),
        [&hub](net::Request request, const net::Peer& peer, net::ResponseWriter& out) {
            return serve(hub, std::move(request), peer, out);
        });
}

}  // namespace kled::edge
