#include "kube/kubeconfig.h"

#include "base/error.h"
#include "base/file.h"
#include "base/run.h"
#include "base/task_group.h"
#include "crypto/x509.h"
#include "kube/https_transport.h"
#include "net/http_server.h"

#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <string>

namespace kled::kube {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;

constexpr auto* both = R"(
apiVersion: v1
kind: Config
current-context: one
contexts:
- {name: one, context: {cluster: c1, user: u1, namespace: web}}
- {name: two, context: {cluster: c2, user: u2}}
- {name: torn, context: {cluster: nowhere}}
clusters:
- name: c1
  cluster:
    server: https://10.0.0.1:6443/base/
    certificate-authority-data: Q0E=
    tls-server-name: kubernetes
    proxy-url: http://proxy:3128
- name: c2
  cluster: {server: "https://[::1]:6443", certificate-authority: pki/ca.crt}
users:
- name: u1
  user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}
- name: u2
  user: {tokenFile: token, token: "other"}
)";

struct Files {
    TemporaryDirectory directory;
    fs::path write(const std::string& name, std::string_view text, unsigned mode = 0600) const {
        const auto path = directory.path() / name;
        write_file_atomic(path, text, mode);
        return path;
    }
};

std::string refusal(std::string_view text, const std::string& context = {}) {
    const Files files;
    const auto file = files.write("config", text);
    try {
        (void)load_kubeconfig({file}, context);
    } catch (const Error& error) {
        std::string what = error.what();
        const auto at = what.find(file.string());
        return at == std::string::npos ? what : what.replace(at, file.string().size(), "config");
    }
    return "accepted";
}

TEST(Kubeconfig, AContextNamesClusterAndUser) {
    const Files files;
    const auto file = files.write("config", both);
    const auto one = load_kubeconfig({file});
    EXPECT_EQ(one.source, "context one of " + file.string());
    EXPECT_EQ(one.server.host, "10.0.0.1");
    EXPECT_EQ(one.server.target, "/base/");
    EXPECT_EQ(one.ca.text->reveal(), "CA");
    EXPECT_EQ(one.certificate.text->reveal(), "CERT");
    EXPECT_EQ(one.key.text->reveal(), "KEY");
    EXPECT_EQ(one.tls_server_name, "kubernetes");
    EXPECT_EQ(one.proxy, "http://proxy:3128");
    EXPECT_EQ(one.ns, "web");

    const auto two = load_kubeconfig({file}, "two");
    EXPECT_EQ(two.server.host, "::1");
    EXPECT_EQ(two.ca.file, files.directory.path() / "pki/ca.crt");
    EXPECT_EQ(two.token.file, files.directory.path() / "token");
    EXPECT_EQ(two.ns, "default");
}

TEST(Kubeconfig, FilesAreMergedAndTheFirstWins) {
    const Files files;
    const auto first = files.write("first", R"(
current-context: two
users: [{name: u2, user: {token: from-first}}]
)");
    const auto second = files.write("second", both);
    const auto merged = load_kubeconfig({files.directory.path() / "absent", first, second});
    EXPECT_EQ(merged.token.text->reveal(), "from-first");
    EXPECT_EQ(merged.server.port, "6443");
    EXPECT_EQ(merged.ca.file, files.directory.path() / "pki/ca.crt") << "relative to its own file";
}

TEST(Kubeconfig, WhatIsWrongIsNamed) {
    EXPECT_EQ(refusal(both, "three"), "kubeconfig config: no context \"three\"");
    EXPECT_EQ(refusal(both, "torn"),
              "config: context \"torn\": cluster \"nowhere\" is not defined");
    EXPECT_NE(refusal("- a list"), "accepted");
    EXPECT_NE(refusal("a: [").find("config:"), std::string::npos);
    EXPECT_TRUE(refusal("{}").starts_with("kubeconfig config: has no current-context"));
    const std::string start =
        "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n";
    EXPECT_EQ(refusal(start + "clusters: [{name: c, cluster: {}}]"),
              "config: cluster \"c\": server is missing");
    EXPECT_EQ(refusal(start + "clusters: [{name: c, cluster: {server: 'https://h', "
                              "certificate-authority-data: '!'}}]"),
              "config: cluster \"c\": certificate-authority-data is not base64");
    const auto cluster = start + "clusters: [{name: c, cluster: {server: 'https://h'}}]\n";
    EXPECT_EQ(refusal(cluster), "config: context \"a\": user \"u\" is not defined");
    EXPECT_EQ(refusal(cluster + "users: [{name: u, user: {client-certificate: x}}]"),
              "config: user \"u\": client-certificate and client-key go together");
    EXPECT_NE(refusal(cluster + "users: [{name: u, user: {exec: {apiVersion: v1}}}]"), "accepted");
    EXPECT_NE(refusal(cluster + "users: [{name: u, user: {token: 7}}]"), "accepted");
    EXPECT_EQ(refusal(cluster + "users: [{name: u}]"), "accepted");
}

TEST(Kubeconfig, OfSomebodyElseNamesNothingOfThisMachine) {
    const std::string start =
        "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n";
    const auto said = [&](const std::string& cluster, const std::string& user) -> std::string {
        try {
            const auto access =
                read_kubeconfig(start + "clusters: [{name: c, cluster: {server: 'https://h'" +
                                    cluster + "}}]\nusers: [{name: u, user: {" + user + "}}]",
                                "theirs");
            return access.server.host + " " + std::string{access.token.text->reveal()};
        } catch (const Error& error) {
            return error.what();
        }
    };
    EXPECT_EQ(said(", certificate-authority-data: Q0E=", "token: t"), "h t");
    const std::string where = "context a of theirs: ";
    EXPECT_EQ(said(", certificate-authority: /etc/ca", "token: t"),
              where + "certificate-authority is a file; use certificate-authority-data");
    EXPECT_EQ(said("", "tokenFile: /etc/passwd"), where + "tokenFile is a file; use token");
    EXPECT_EQ(said("", "client-certificate: /c, client-key: /k"),
              where + "client-certificate is a file; use client-certificate-data");
    EXPECT_EQ(said("", "exec: {apiVersion: client.authentication.k8s.io/v1, command: touch}"),
              where + "exec plugins are not run for a kubeconfig of the cluster");
    EXPECT_EQ(said(", insecure-skip-tls-verify: true", "token: t"),
              where + "insecure-skip-tls-verify is not allowed here");
}

TEST(Kubeconfig, AbsentFilesAreNotFound) {
    EXPECT_THROW((void)load_kubeconfig({"/nonexistent/a", "/nonexistent/b"}), Error);
}

TEST(Kubeconfig, APodHasItsServiceAccount) {
    const Files files;
    ::unsetenv("KUBERNETES_SERVICE_HOST");
    EXPECT_FALSE(in_cluster_access(files.directory.path()));
    ::setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    ::setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    EXPECT_FALSE(in_cluster_access(files.directory.path()));
    files.write("token", "t\n");
    files.write("namespace", "web");
    const auto access = in_cluster_access(files.directory.path());
    ASSERT_TRUE(access);
    EXPECT_EQ(access->server.host, "fd00::1");
    EXPECT_EQ(access->ns, "web");
    EXPECT_EQ(access->token.file, files.directory.path() / "token");
}

// ---- the transport with it

/// Says who asked; a bearer other than `accepted` is refused.
struct Gate {
    std::string accepted;
    asio::awaitable<void> serve(net::Request request, const net::Peer& peer,
                                net::ResponseWriter& out) const {
        net::Response response;
        const std::string authorization{request.headers.get("Authorization")};
        response.body = request.target + " " + authorization;
        if (peer.certificate) response.body += " " + peer.certificate->common_name;
        if (!accepted.empty() && authorization != "Bearer " + accepted) response.status = 401;
        co_await out.respond(response);
    }
};

struct Server {
    Server(const asio::any_io_executor& loop, const net::ServerOptions& options)
        : server{loop, options,
                 [this](net::Request request, const net::Peer& peer, net::ResponseWriter& out) {
                     return gate.serve(std::move(request), peer, out);
                 }},
          tasks{loop} {
        tasks.spawn(server.run());
    }
    [[nodiscard]] ClusterAccess access(const std::string& scheme, const std::string& path) const {
        ClusterAccess access;
        access.source = "test";
        access.server =
            net::parse_url(scheme + "://127.0.0.1:" + std::to_string(server.port()) + path);
        return access;
    }
    Gate gate;
    net::HttpServer server;
    TaskGroup tasks;
};

asio::awaitable<std::string> ask(Transport& transport) {
    net::Request request;
    request.target = "/api";
    const auto response = co_await transport.send(request);
    co_return std::to_string(response.status) + " " + response.body;
}

using Case = asio::awaitable<void> (*)(Server&, const Files&);

asio::awaitable<void> with_server(Case body) {
    const auto loop = co_await asio::this_coro::executor;
    const Files files;
    const net::ServerOptions options;
    Server server{loop, options};
    std::exception_ptr failure;
    try {
        co_await body(server, files);
    } catch (...) {
        failure = std::current_exception();
    }
    server.tasks.cancel();
    co_await even_if_cancelled;
    co_await server.tasks.join();
    if (failure) std::rethrow_exception(failure);
}

asio::awaitable<void> tokens(Server& server, const Files& files) {
    const auto loop = co_await asio::this_coro::executor;
    auto access = server.access("http", "/base/");
    access.token.file = files.write("token", "first\n");
    HttpsTransport transport{loop, access};
    EXPECT_EQ(co_await ask(transport), "200 /base/api Bearer first");
    // It is renewed, and the old one ends before we would have looked.
    files.write("token", "second\n");
    server.gate.accepted = "second";
    EXPECT_EQ(co_await ask(transport), "200 /base/api Bearer second");
    server.gate.accepted = "third";
    EXPECT_TRUE((co_await ask(transport)).starts_with("401 ")) << "asked twice, not for ever";
}
TEST(HttpsTransport, ReadsATokenAgainWhenItIsRefused) { run_to_end(with_server(tokens)); }

asio::awaitable<void> plugins(Server& server, const Files& files) {
    const auto loop = co_await asio::this_coro::executor;
    auto access = server.access("http", "");
    const auto counter = files.directory.path() / "runs";
    const auto script = files.write("plugin", R"(#!/bin/sh
echo run >> "$COUNTER"
printf '%s' "$KUBERNETES_EXEC_INFO" > "$COUNTER.info"
n=$(wc -l < "$COUNTER")
echo "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",
\"status\":{\"token\":\"$1-$n\",\"expirationTimestamp\":\"2099-01-01T00:00:00Z\"}}"
)",
                                    0700);
    ExecPlugin plugin;
    plugin.api_version = "client.authentication.k8s.io/v1";
    plugin.argv.push_back(script.string());
    plugin.argv.emplace_back("an arg; echo injected");
    plugin.env.emplace_back("COUNTER", counter.string());
    plugin.provide_cluster_info = true;
    access.exec = plugin;
    HttpsTransport transport{loop, access};
    EXPECT_EQ(co_await ask(transport), "200 /api Bearer an arg; echo injected-1");
    EXPECT_EQ(co_await ask(transport), "200 /api Bearer an arg; echo injected-1") << "kept";
    server.gate.accepted = "an arg; echo injected-2";
    EXPECT_EQ(co_await ask(transport), "200 /api Bearer an arg; echo injected-2");
    const auto info = read_file(counter.string() + ".info");
    EXPECT_NE(info.find("\"server\":\"http://127.0.0.1:"), std::string::npos) << info;

    plugin.argv.front() = "kled-no-such-plugin";
    plugin.install_hint = "install it";
    access.exec = plugin;
    HttpsTransport missing{loop, access};
    std::string what;
    try {
        (void)co_await ask(missing);
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::denied);
        what = error.what();
    }
    EXPECT_TRUE(what.starts_with("credential plugin kled-no-such-plugin: ")) << what;
    EXPECT_TRUE(what.ends_with("install it")) << what;
}
TEST(HttpsTransport, AsksPluginsForCredentials) { run_to_end(with_server(plugins)); }

crypto::Credential issue(const crypto::CertificateAuthority& ca, const std::string& name) {
    crypto::Issue issue;
    issue.subject.common_name = name;
    issue.names = {"127.0.0.1"};
    issue.server = true;
    return ca.issue(issue);
}

asio::awaitable<void> certificates() {
    const auto loop = co_await asio::this_coro::executor;
    const Files files;
    const auto ca = crypto::CertificateAuthority::open(files.directory.path() / "ca", "test");
    auto credential = issue(ca, "server");
    net::ServerTls tls;
    tls.certificate_pem = credential.certificate_pem;
    tls.key_pem = std::make_shared<const Secret>(std::move(credential.key_pem));
    tls.client_ca_pem = ca.certificate_pem();
    net::ServerOptions options;
    options.tls = tls;
    Server server{loop, options};
    auto access = server.access("https", "");
    access.ca.file = files.write("ca.crt", ca.certificate_pem());
    const auto first = issue(ca, "first");
    access.certificate.file = files.write("client.crt", first.certificate_pem);
    access.key.file = files.write("client.key", first.key_pem.reveal());
    access.token.file = files.write("token", "t");
    HttpsTransport transport{loop, access};
    EXPECT_EQ(co_await ask(transport), "200 /api Bearer t first");

    // Renewed: first one file, then the other. In between the old pair serves.
    const auto second = issue(ca, "second");
    files.write("client.crt", second.certificate_pem);
    server.gate.accepted = "u";  // a 401 makes it look at once
    EXPECT_EQ(co_await ask(transport), "401 /api Bearer t first");
    files.write("client.key", second.key_pem.reveal());
    EXPECT_EQ(co_await ask(transport), "401 /api Bearer t second");
    server.tasks.cancel();
    co_await even_if_cancelled;
    co_await server.tasks.join();
}
TEST(HttpsTransport, UsesCertificatesAsTheyAreRenewed) { run_to_end(certificates()); }

}  // namespace
}  // namespace kled::kube
