// Signing in with an embedded API that issues tokens and one service that exchanges them, as AWS
// STS and Microsoft Entra do.
#include "gitops/cloud/identities.h"

#include "apiserver/server.h"
#include "base/error.h"
#include "base/file.h"
#include "base/run.h"
#include "base/task_group.h"
#include "gitops/cloud/git_login.h"
#include "gitops/issuing_api.h"
#include "kube/yaml.h"
#include "net/http_server.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace kled::gitops::cloud {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string role = "arn:aws:iam::123456789012:role/git";

/// Exchanges whatever it is shown for something with a number.
struct Exchange {
    asio::awaitable<void> serve(net::Request request, const net::Peer&, net::ResponseWriter& out) {
        asked.push_back(request.target + " " + request.body);
        net::Response response;
        response.status = status;
        const auto number = std::to_string(asked.size());
        const bool amazon = request.body.starts_with("Action=");
        const bool agent = request.method == "GET";
        if (agent) asked.back() += std::string{request.headers.get("Authorization")};
        if (status != 200) {
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
    std::vector<std::string> asked;
    unsigned status = 200;
    std::chrono::seconds life = 1h;
};

api::ApiServer::Options in(const TemporaryDirectory& directory) {
    api::ApiServer::Options options;
    options.state = directory.path() / "api";
    return options;
}

struct Cloud {
    explicit Cloud(const asio::any_io_executor& loop)
        : api{loop, in(directory)},
          issuing{std::make_shared<testing::IssuingApi>(api.in_process_transport())},
          client{issuing},
          embedded{api.in_process_transport()},
          server{loop, net::ServerOptions{},
                 [this](net::Request request, const net::Peer& peer, net::ResponseWriter& out) {
                     return exchange.serve(std::move(request), peer, out);
                 }},
          identities{loop, [this](const std::string& name) { return variables[name]; }},
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
        git::Access access;
        try {
            co_await sign_in(identities, client, repository, access);
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
    std::shared_ptr<testing::IssuingApi> issuing;
    kube::Client client;
    kube::Client embedded;
    Exchange exchange;
    net::HttpServer server;
    std::map<std::string, std::string> variables;
    GitRepository amazon;
    GitRepository azure;
    Identities identities;
    TaskGroup tasks;
};

using Case = asio::awaitable<void> (*)(Cloud&);

asio::awaitable<void> with_cloud(Case body) {
    Cloud cloud{co_await asio::this_coro::executor};
    std::exception_ptr failure;
    try {
        co_await testing::until_ready(cloud.client);
        co_await body(cloud);
    } catch (...) {
        failure = std::current_exception();
    }
    cloud.tasks.cancel();
    co_await even_if_cancelled;
    co_await cloud.tasks.join();
    if (failure) std::rethrow_exception(failure);
}

asio::awaitable<void> own_keys(Cloud& c) {
    EXPECT_THAT(co_await c.shown(c.amazon), StartsWith("invalid: spec.provider aws: kledd has no"));
    c.variables["AWS_ACCESS_KEY_ID"] = "AKIA";
    c.variables["AWS_SECRET_ACCESS_KEY"] = "secret";
    EXPECT_EQ(co_await c.shown(c.amazon), "AKIA");
    c.variables["AWS_SESSION_TOKEN"] = "T";
    EXPECT_EQ(co_await c.shown(c.amazon), "AKIA%T");
    EXPECT_TRUE(c.exchange.asked.empty());
}
TEST(CloudIdentities, OfAmazonAreKeysOfTheProcess) { run_to_end(with_cloud(own_keys)); }

asio::awaitable<void> own_role(Cloud& c) {
    c.variables["AWS_ROLE_ARN"] = role;
    c.variables["AWS_WEB_IDENTITY_TOKEN_FILE"] = c.file("token", "of-a-file\n");
    EXPECT_EQ(co_await c.shown(c.amazon), "AK1%S1");
    EXPECT_THAT(c.exchange.asked,
                ElementsAre(AllOf(StartsWith("/ Action=AssumeRoleWithWebIdentity&"),
                                  HasSubstr("&RoleSessionName=kled&"),
                                  EndsWith("&WebIdentityToken=of-a-file"))));
    EXPECT_EQ(co_await c.shown(c.amazon), "AK1%S1");
    EXPECT_EQ(c.exchange.asked.size(), 1U) << "it is good for an hour";
    c.variables["AWS_ROLE_ARN"] = "admin";
    EXPECT_EQ(co_await c.shown(c.amazon), "invalid: AWS_ROLE_ARN is no role");
    c.variables["AWS_ROLE_ARN"] = role + "-2";
    c.exchange.status = 403;
    EXPECT_EQ(co_await c.shown(c.amazon),
              "denied: 127.0.0.1: " + role + "-2: status 403: AccessDenied: not you");
    c.exchange.status = 503;
    EXPECT_THAT(co_await c.shown(c.amazon), StartsWith("unavailable: "));
    c.variables["AWS_WEB_IDENTITY_TOKEN_FILE"] = "/nowhere/token";
    EXPECT_THAT(co_await c.shown(c.amazon),
                StartsWith("not found: AWS_WEB_IDENTITY_TOKEN_FILE: /nowhere/token"));
}
TEST(CloudIdentities, OfAmazonAreTheRoleOfTheProcess) { run_to_end(with_cloud(own_role)); }

asio::awaitable<void> own_pod(Cloud& c) {
    c.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] =
        "http://127.0.0.1:" + std::to_string(c.server.port()) + "/v1/credentials";
    EXPECT_THAT(co_await c.shown(c.amazon),
                StartsWith("not found: AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: "));
    c.variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = c.file("pod-token", "of-the-pod\n");
    EXPECT_EQ(co_await c.shown(c.amazon), "PK1%P1");
    EXPECT_THAT(c.exchange.asked, ElementsAre("/v1/credentials of-the-pod"));
    EXPECT_EQ(co_await c.shown(c.amazon), "PK1%P1");
    c.exchange.life = 4min;
    c.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] += "/2";
    EXPECT_EQ(co_await c.shown(c.amazon), "PK2%P2");
    EXPECT_EQ(co_await c.shown(c.amazon), "PK3%P3") << "five minutes before its end";
    c.exchange.status = 404;
    EXPECT_EQ(co_await c.shown(c.amazon),
              "denied: 127.0.0.1: the identity of this pod: status 404: [trace]: no association");
    c.variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://169.254.169.254/x";
    EXPECT_THAT(co_await c.shown(c.amazon), StartsWith("invalid: AWS_CONTAINER_CREDENTIALS_"));
    // A role comes first.
    c.exchange.status = 200;
    c.variables["AWS_ROLE_ARN"] = role;
    c.variables["AWS_WEB_IDENTITY_TOKEN_FILE"] = c.file("token", "of-a-file");
    EXPECT_THAT(co_await c.shown(c.amazon), StartsWith("AK"));
}
TEST(CloudIdentities, OfAmazonAreThePodOfTheProcess) { run_to_end(with_cloud(own_pod)); }

asio::awaitable<void> account_role(Cloud& c) {
    // What the process has is not for those that name an account.
    c.variables["AWS_ACCESS_KEY_ID"] = "AKIA";
    c.variables["AWS_SECRET_ACCESS_KEY"] = "secret";
    c.amazon.service_account = "deployer";
    EXPECT_EQ(co_await c.shown(c.amazon),
              "not found: spec.serviceAccountName: ServiceAccount default/deployer does not exist");
    co_await c.account("a: b");
    EXPECT_EQ(co_await c.shown(c.amazon),
              "invalid: spec.serviceAccountName: ServiceAccount default/deployer: "
              "metadata.annotations[eks.amazonaws.com/role-arn] names no role");
    co_await c.account("eks.amazonaws.com/role-arn: '" + role + "'");
    EXPECT_EQ(co_await c.shown(c.amazon), "AK1%S1");
    EXPECT_THAT(c.issuing->audiences(), ElementsAre(R"(["sts.amazonaws.com"])"));
    EXPECT_THAT(c.exchange.asked.back(),
                AllOf(HasSubstr("&RoleSessionName=deployer.default.kled.io&"),
                      EndsWith("&WebIdentityToken=deployer.1")));
    EXPECT_EQ(co_await c.shown(c.amazon), "AK1%S1");
    EXPECT_EQ(c.issuing->audiences().size(), 1U);

    git::Access access;
    std::string refused;
    Identities others{co_await asio::this_coro::executor};
    try {
        co_await sign_in(others, c.embedded, c.amazon, access);
    } catch (const Error& error) {
        refused = error.what();
    }
    EXPECT_EQ(refused,
              "spec.serviceAccountName: the embedded API issues no tokens for service accounts");
}
TEST(CloudIdentities, OfAmazonAreRolesOfAccounts) { run_to_end(with_cloud(account_role)); }

asio::awaitable<void> own_application(Cloud& c) {
    EXPECT_THAT(co_await c.shown(c.azure),
                StartsWith("invalid: spec.provider azure: kledd has no"));
    c.variables["AZURE_TENANT_ID"] = "tenant";
    c.variables["AZURE_CLIENT_ID"] = "application";
    c.variables["AZURE_FEDERATED_TOKEN_FILE"] = c.file("token", "of-a-file");
    EXPECT_EQ(co_await c.shown(c.azure), "Bearer bearer-1");
    EXPECT_THAT(c.exchange.asked,
                ElementsAre(AllOf(StartsWith("/tenant/oauth2/v2.0/token client_id=application&"),
                                  EndsWith("&client_assertion=of-a-file"))));
    EXPECT_EQ(co_await c.shown(c.azure), "Bearer bearer-1");
    c.variables["AZURE_CLIENT_ID"] = "other";
    c.exchange.life = 4min;
    EXPECT_EQ(co_await c.shown(c.azure), "Bearer bearer-2");
    EXPECT_EQ(co_await c.shown(c.azure), "Bearer bearer-3") << "five minutes before its end";
    c.exchange.status = 401;
    EXPECT_EQ(co_await c.shown(c.azure),
              "denied: 127.0.0.1: application other: status 401: invalid_client: not you");
    c.variables["AZURE_AUTHORITY_HOST"] = "http://login.example.org";
    EXPECT_EQ(co_await c.shown(c.azure), "invalid: AZURE_AUTHORITY_HOST must begin with https://");
}
TEST(CloudIdentities, OfAzureAreTheApplicationOfTheProcess) {
    run_to_end(with_cloud(own_application));
}

asio::awaitable<void> account_application(Cloud& c) {
    c.azure.service_account = "deployer";
    co_await c.account("azure.workload.identity/client-id: application");
    EXPECT_THAT(co_await c.shown(c.azure),
                EndsWith("metadata.annotations[azure.workload.identity/tenant-id] names none"));
    co_await c.account(
        "azure.workload.identity/client-id: application, azure.workload.identity/tenant-id: t");
    EXPECT_EQ(co_await c.shown(c.azure), "Bearer bearer-1");
    EXPECT_THAT(c.issuing->audiences(), ElementsAre(R"(["api://AzureADTokenExchange"])"));
    EXPECT_THAT(c.exchange.asked.back(), AllOf(StartsWith("/t/oauth2/v2.0/token "),
                                               EndsWith("&client_assertion=deployer.1")));
}
TEST(CloudIdentities, OfAzureAreApplicationsOfAccounts) {
    run_to_end(with_cloud(account_application));
}

}  // namespace
}  // namespace kled::gitops::cloud
