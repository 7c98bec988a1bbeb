/// For tests: an embedded API that issues tokens, and one service that exchanges them as the clouds
/// do.
#pragma once

#include "apiserver/server.h"
#include "base/encoding.h"
#include "base/error.h"
#include "base/file.h"
#include "base/run.h"
#include "base/task_group.h"
#include "gitops/cloud/git_login.h"
#include "gitops/cloud/identities.h"
#include "gitops/cloud/registry_login.h"
#include "gitops/testing/issuing_api.h"
#include "kube/yaml.h"
#include "net/http_server.h"

#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::gitops::cloud::testing {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using gitops::testing::IssuingApi;
using gitops::testing::until_ready;

/// Exchanges whatever it is shown for something with a number.
struct Exchange {
    asio::awaitable<void> serve(net::Request request, const net::Peer&, net::ResponseWriter& out) {
        asked.push_back(request.target + " " + request.body);
        last = request;
        net::Response response;
        response.status = status;
        const auto number = std::to_string(asked.size());
        const bool amazon = request.body.starts_with("Action=");
        const bool agent = request.method == "GET";
        if (agent) asked.back() += std::string{request.headers.get("Authorization")};
        if (auto other = of_services(request, number); other && status == 200) {
            response.body = std::move(*other);
        } else if (status != 200) {
            response.body =
                agent    ? "[trace]: no association"
                : amazon ? "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you"
                           "</Message></Error></ErrorResponse>"
                         : R"({"error":"invalid_client","error_description":"not you\r\nx"})";
        } else if (agent) {
            response.body = R"({"AccessKeyId":"PK)" + number + R"(","SecretAccessKey":"secret",)" +
                            R"("Token":"P)" + number + R"(","Expiration":")" +
                            to_rfc3339(WallTime::clock::now() + life) + R"("})";
        } else if (amazon) {
            response.body =
                "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
                "<AccessKeyId>AK" +
                number + "</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>S" +
                number + "</SessionToken><Expiration>" + to_rfc3339(WallTime::clock::now() + life) +
                "</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
                "</AssumeRoleWithWebIdentityResponse>";
        } else {
            response.body = R"({"token_type":"Bearer","access_token":"bearer-)" + number +
                            R"(","expires_in":)" + std::to_string(life.count()) + "}";
        }
        co_await out.respond(std::move(response));
    }
    /// The login of a registry, an account's token of Google, or where a cluster is; nullopt:
    /// something else is asked for.
    std::optional<std::string> of_services(const net::Request& request,
                                           const std::string& number) const {
        const std::string_view target = request.target;
        const auto end = WallTime::clock::now() + life;
        const auto seconds = std::to_string(std::chrono::system_clock::to_time_t(end));
        if (request.headers.has("X-Amz-Target")) {
            const std::string data = R"({"authorizationToken":")" +
                                     to_base64("AWS:pass-" + number) + R"(","expiresAt":)" +
                                     seconds + ".5}";
            const bool list = request.headers.get("X-Amz-Target").starts_with("AmazonEC2");
            return R"({"authorizationData":)" + (list ? "[" + data + "]" : data) + "}";
        }
        if (target == "/oauth2/exchange") {
            return R"({"refresh_token":"h.)" + to_base64url(R"({"exp":)" + seconds + "}") + ".s" +
                   number + R"("})";
        }
        if (target.ends_with(":generateAccessToken")) {
            return R"({"accessToken":"account-)" + number + R"(","expireTime":")" +
                   to_rfc3339(end) + R"("})";
        }
        const auto ca = to_base64("-----BEGIN CERTIFICATE-----\n");
        if (target.starts_with("/clusters/")) {
            return R"({"cluster":{"endpoint":"https://eks.example","certificateAuthority":{"data":")" +
                   ca + R"("}}})";
        }
        if (target.starts_with("/v1/projects/")) {
            return R"({"endpoint":"gke.example","masterAuth":{"clusterCaCertificate":")" + ca +
                   R"("}})";
        }
        if (target.find("/listClusterUserCredential") != std::string_view::npos) {
            return R"({"kubeconfigs":[{"value":")" +
                   to_base64(
                       "clusters: [{cluster: {server: 'https://aks.example', "
                       "certificate-authority-data: " +
                       ca + "}}]") +
                   R"("}]})";
        }
        return std::nullopt;
    }
    std::vector<std::string> asked;
    net::Request last;
    unsigned status = 200;
    std::chrono::seconds life = 1h;
};

inline api::ApiServer::Options in(const TemporaryDirectory& directory) {
    api::ApiServer::Options options;
    options.state = directory.path() / "api";
    return options;
}

struct Cloud {
    explicit Cloud(const asio::any_io_executor& loop)
        : api{loop, in(directory)},
          issuing{std::make_shared<IssuingApi>(api.in_process_transport())},
          client{issuing},
          embedded{api.in_process_transport()},
          server{loop, net::ServerOptions{},
                 [this](net::Request request, const net::Peer& peer, net::ResponseWriter& out) {
                     return exchange.serve(std::move(request), peer, out);
                 }},
          identities{loop, options()},
          registries{identities},
          tasks{loop} {
        const auto url = "http://127.0.0.1:" + std::to_string(server.port());
        variables["AWS_ENDPOINT_URL_STS"] = url;
        variables["AZURE_AUTHORITY_HOST"] = url + "/";
        amazon.cloud = "aws";
        amazon.url = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/shop";
        azure.cloud = "azure";
        azure.url = "https://dev.azure.com/org/project/_git/shop";
        for (auto* repository : {&amazon, &azure}) repository->object.set_namespace("default");
        tasks.spawn(api.run());
        tasks.spawn(server.run());
    }
    /// `account`: that of those who name none.
    Identities::Options options(std::string account = {}) {
        Identities::Options result;
        result.default_account = std::move(account);
        result.variables = [this](const std::string& name) { return variables[name]; };
        result.detour = [this](const net::Url& endpoint) {
            hosts.push_back(endpoint.host);
            if (endpoint.host == "127.0.0.1") return endpoint;
            EXPECT_EQ(endpoint.scheme + endpoint.port, "https443") << endpoint.host;
            return net::parse_url("http://127.0.0.1:" + std::to_string(server.port()));
        };
        return result;
    }
    asio::awaitable<void> account(std::string annotations) {
        const auto object = kube::Object::from(
            kube::parse_yaml("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: deployer, "
                             "namespace: default, annotations: {" +
                             annotations + "}}\n"));
        const kube::ApplyOptions options;
        (void)co_await client.apply(object, options);
    }
    /// What the server is shown, or the error.
    asio::awaitable<std::string> shown(const GitRepository& repository) {
        return shown(repository, identities, client);
    }
    static asio::awaitable<std::string> shown(const GitRepository& repository, Identities& signing,
                                              kube::Client& there) {
        git::Access access;
        try {
            co_await sign_in(signing, there, repository, access);
        } catch (const Error& error) {
            co_return std::string{to_string(error.kind())} + ": " + error.what();
        }
        if (access.bearer_token) co_return "Bearer " + std::string{access.bearer_token->reveal()};
        const std::string password{access.password ? access.password->reveal() : ""};
        EXPECT_EQ(password.size(), 16U + 64U) << password;
        co_return access.user;
    }
    std::string file(const std::string& name, const std::string& text) const {
        const auto path = directory.path() / name;
        write_file_atomic(path, text, 0600);
        return path.string();
    }

    TemporaryDirectory directory;
    api::ApiServer api;
    std::shared_ptr<IssuingApi> issuing;
    kube::Client client;
    kube::Client embedded;
    Exchange exchange;
    net::HttpServer server;
    std::map<std::string, std::string> variables;
    std::vector<std::string> hosts;  ///< that were asked, or would have been
    GitRepository amazon;
    GitRepository azure;
    Identities identities;
    RegistryLogins registries;
    TaskGroup tasks;
};

using Case = asio::awaitable<void> (*)(Cloud&);

inline asio::awaitable<void> with_cloud(Case body) {
    Cloud cloud{co_await asio::this_coro::executor};
    std::exception_ptr failure;
    try {
        co_await until_ready(cloud.client);
        co_await body(cloud);
    } catch (...) {
        failure = std::current_exception();
    }
    cloud.tasks.cancel();
    co_await even_if_cancelled;
    co_await cloud.tasks.join();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace kled::gitops::cloud::testing
