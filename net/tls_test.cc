#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/run.h"
#include "base/task_group.h"
#include "crypto/x509.h"
#include "net/http_client.h"
#include "net/http_server.h"

#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace kled::net {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// Two authorities, and a server certificate for 127.0.0.1 and kled.test from the first.
struct Authorities {
    TemporaryDirectory directory;
    crypto::CertificateAuthority ours =
        crypto::CertificateAuthority::open(directory.path() / "ours", "ours");
    crypto::CertificateAuthority other =
        crypto::CertificateAuthority::open(directory.path() / "other", "other");

    [[nodiscard]] static crypto::Issue server_issue() {
        crypto::Issue issue;
        issue.subject.common_name = "localhost";  // must not count as a name
        issue.names = {"127.0.0.1", "kled.test"};
        issue.server = true;
        issue.client = false;
        return issue;
    }
    [[nodiscard]] ServerTls server_tls() const {
        auto credential = ours.issue(server_issue());
        ServerTls tls;
        tls.certificate_pem = credential.certificate_pem;
        tls.key_pem = std::make_shared<const Secret>(std::move(credential.key_pem));
        return tls;
    }
    [[nodiscard]] ClientOptions client_options(const crypto::CertificateAuthority* signer) const {
        ClientOptions options;
        options.tls.ca_pem = ours.certificate_pem();
        if (signer == nullptr) return options;
        crypto::Issue issue;
        issue.subject.common_name = "device-1";
        issue.subject.organizations = {"devices", "edge"};
        auto credential = signer->issue(issue);
        options.tls.certificate_pem = credential.certificate_pem;
        options.tls.key_pem = std::make_shared<const Secret>(std::move(credential.key_pem));
        return options;
    }
};

asio::awaitable<void> who(Request, const Peer& peer, ResponseWriter& out) {
    Response response;
    response.body = "nobody";
    if (peer.certificate) {
        response.body = peer.certificate->common_name;
        for (const auto& organization : peer.certificate->organizations)
            response.body += "," + organization;
        EXPECT_FALSE(peer.certificate->serial_hex.empty());
    }
    co_await out.respond(response);
}

/// The body of one GET, or its error without the origin.
asio::awaitable<std::string> ask(Url origin, ClientOptions options) {
    HttpClient client{co_await asio::this_coro::executor, origin, std::move(options)};
    try {
        const auto response = co_await client.send(Request());
        co_return response.body;
    } catch (const Error& error) {
        const std::string what = error.what();
        co_return std::string{to_string(error.kind())} + what.substr(what.find(": "));
    }
}

using Body = asio::awaitable<void> (*)(const Authorities&, HttpServer&, Url);

asio::awaitable<void> with_server(Body body, bool ask_for_certificate, bool require) {
    const auto loop = co_await asio::this_coro::executor;
    const Authorities authorities;
    ServerOptions options;
    options.tls = authorities.server_tls();
    if (ask_for_certificate) options.tls->client_ca_pem = authorities.ours.certificate_pem();
    options.tls->require_client_certificate = require;
    HttpServer server{loop, options, who};
    TaskGroup tasks{loop};
    tasks.spawn(server.run());
    const auto url = parse_url("https://127.0.0.1:" + std::to_string(server.port()));
    co_await body(authorities, server, url);
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
}

asio::awaitable<void> names_and_authorities(const Authorities& ca, HttpServer&, Url url) {
    EXPECT_EQ(co_await ask(url, ca.client_options(nullptr)), "nobody");

    auto named = ca.client_options(nullptr);
    named.tls.server_name = "kled.test";
    EXPECT_EQ(co_await ask(url, named), "nobody");
    named.tls.server_name = "localhost";
    EXPECT_EQ(co_await ask(url, named),
              "denied: the peer's certificate is not accepted: hostname mismatch");
    named.tls.server_name = "127.0.0.2";
    EXPECT_EQ(co_await ask(url, named),
              "denied: the peer's certificate is not accepted: IP address mismatch");

    auto foreign = ca.client_options(nullptr);
    foreign.tls.ca_pem = ca.other.certificate_pem();
    EXPECT_TRUE((co_await ask(url, foreign)).starts_with("denied: the peer's certificate"));
    foreign.tls.insecure = true;
    EXPECT_EQ(co_await ask(url, foreign), "nobody");
    EXPECT_TRUE((co_await ask(url, ClientOptions())).starts_with("denied: "))
        << "not one of the system's authorities";
}
TEST(Tls, TheServerMustShowTheRightNameFromTheRightAuthority) {
    run_to_end(with_server(names_and_authorities, false, false));
}

asio::awaitable<void> optional_certificate(const Authorities& ca, HttpServer&, Url url) {
    EXPECT_EQ(co_await ask(url, ca.client_options(nullptr)), "nobody");
    EXPECT_EQ(co_await ask(url, ca.client_options(&ca.ours)), "device-1,devices,edge");
    const auto refused = co_await ask(url, ca.client_options(&ca.other));
    EXPECT_TRUE(refused.starts_with("denied: the peer does not accept our certificate: "))
        << refused;
}
TEST(Tls, AClientIsKnownByItsCertificate) {
    run_to_end(with_server(optional_certificate, true, false));
}

asio::awaitable<void> required_certificate(const Authorities& ca, HttpServer&, Url url) {
    const auto refused = co_await ask(url, ca.client_options(nullptr));
    EXPECT_TRUE(refused.starts_with("denied: the peer does not accept our certificate: "))
        << refused;
    EXPECT_EQ(co_await ask(url, ca.client_options(&ca.ours)), "device-1,devices,edge");
}
TEST(Tls, ACertificateCanBeRequired) { run_to_end(with_server(required_certificate, true, true)); }

asio::awaitable<void> reloading(const Authorities& ca, HttpServer& server, Url url) {
    auto credential = ca.other.issue(Authorities::server_issue());
    ServerTls tls;
    tls.certificate_pem = credential.certificate_pem;
    tls.key_pem = std::make_shared<const Secret>(std::move(credential.key_pem));

    HttpClient kept{co_await asio::this_coro::executor, url, ca.client_options(nullptr)};
    (void)co_await kept.send(Request());
    server.reload_tls(tls);
    const auto still = co_await kept.send(Request());
    EXPECT_EQ(still.status, 200U) << "a connection keeps what it has";
    EXPECT_TRUE((co_await ask(url, ca.client_options(nullptr))).starts_with("denied: "));
    auto options = ca.client_options(nullptr);
    options.tls.ca_pem = ca.other.certificate_pem();
    EXPECT_EQ(co_await ask(url, options), "nobody");

    tls.key_pem = std::make_shared<const Secret>(crypto::PrivateKey::generate().pem());
    EXPECT_THROW(server.reload_tls(tls), Error);
    EXPECT_EQ(co_await ask(url, options), "nobody") << "a bad one changes nothing";
}
TEST(Tls, CertificatesAreReloadedWithoutARestart) {
    run_to_end(with_server(reloading, false, false));
}

asio::awaitable<Completed> program(std::string words, std::string input) {
    Command command;
    for (std::size_t at = 0; at < words.size();) {
        const auto end = std::min(words.find(' ', at), words.size());
        command.argv.push_back(words.substr(at, end - at));
        at = end + 1;
    }
    co_return co_await run(command, std::move(input), 10s);
}

asio::awaitable<void> others(const Authorities& ca, HttpServer&, Url url) {
    const auto file = ca.directory.path() / "ca.pem";
    write_file_atomic(file, ca.ours.certificate_pem());
    const auto address = url.host + ":" + url.port;
    const auto curl =
        co_await program("curl -sS --cacert " + file.string() + " https://" + address + "/", "");
    EXPECT_EQ(curl.out, "nobody") << curl.err;
    const auto old = co_await program(
        "openssl s_client -tls1_1 -cipher ALL:@SECLEVEL=0 -connect " + address, "");
    EXPECT_NE(old.status, 0) << old.out;
    const auto alpn =
        co_await program("openssl s_client -alpn h2,http/1.1 -connect " + address, "Q\n");
    EXPECT_NE(alpn.out.find("ALPN protocol: http/1.1"), std::string::npos) << alpn.out;
    const auto plain = co_await program("curl -sS http://" + address + "/", "");
    EXPECT_NE(plain.status, 0);
}
TEST(Tls, ProgramsOfOthersAreServed) { run_to_end(with_server(others, false, false)); }

TEST(Tls, WhatDoesNotBelongTogetherIsRefused) {
    const Authorities ca;
    const auto listen = [](const ServerTls& tls) {
        asio::io_context loop;
        ServerOptions options;
        options.tls = tls;
        const HttpServer server{loop.get_executor(), options, who};
    };
    auto tls = ca.server_tls();
    EXPECT_NO_THROW(listen(tls));
    tls.key_pem = std::make_shared<const Secret>(crypto::PrivateKey::generate().pem());
    EXPECT_THROW(listen(tls), Error);
    tls.key_pem = nullptr;
    EXPECT_THROW(listen(tls), Error);
    tls = ca.server_tls();
    tls.certificate_pem = "no certificate";
    EXPECT_THROW(listen(tls), Error);
    tls = ca.server_tls();
    tls.require_client_certificate = true;
    EXPECT_THROW(listen(tls), Error);
    tls.client_ca_pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    EXPECT_THROW(listen(tls), Error);
}

}  // namespace
}  // namespace kled::net
