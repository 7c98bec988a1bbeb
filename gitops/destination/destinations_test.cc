// Another cluster, reached as a service account of this one: two embedded APIs. In front of ours
// stands what only a kube-apiserver has, tokens; in front of the other one a server that takes
// nothing but them.
#include "gitops/destination/destinations.h"

#include "apiserver/server.h"
#include "base/file.h"
#include "base/run.h"
#include "base/task_group.h"
#include "crypto/x509.h"
#include "gitops/cloud/fake_cloud.h"
#include "gitops/testing/issuing_api.h"
#include "kube/yaml.h"
#include "net/http_server.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kled::gitops {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const kube::GroupVersionKind map_kind{.group = "", .version = "v1", .kind = "ConfigMap"};

/// Lets in who shows `accepted`.
struct Gate {
    asio::awaitable<void> serve(net::Request request, const net::Peer&, net::ResponseWriter& out) {
        net::Response response;
        if (request.headers.get("Authorization") == "Bearer " + accepted) {
            request.headers.remove("Authorization");
            response = co_await behind->send(std::move(request));
        } else {
            ++refused;
            response.status = 401;
        }
        co_await out.respond(std::move(response));
    }
    std::shared_ptr<kube::Transport> behind;
    std::string accepted;
    int refused = 0;
};

api::ApiServer::Options in(const TemporaryDirectory& directory, const std::string& name) {
    api::ApiServer::Options options;
    options.state = directory.path() / name;
    return options;
}

net::ServerOptions with_tls(const crypto::CertificateAuthority& ca) {
    crypto::Issue issue;
    issue.subject.common_name = "far";
    issue.names = {"127.0.0.1"};
    issue.server = true;
    auto credential = ca.issue(issue);
    net::ServerTls tls;
    tls.certificate_pem = credential.certificate_pem;
    tls.key_pem = std::make_shared<const Secret>(std::move(credential.key_pem));
    net::ServerOptions options;
    options.tls = std::move(tls);
    return options;
}

kube::Object config_map(const std::string& name) {
    kube::Object map;
    map.fields()["apiVersion"] = "v1";
    map.fields()["kind"] = "ConfigMap";
    map.set_namespace("default");
    map.set_name(name);
    return map;
}

asio::awaitable<void> apply(kube::Client& client, kube::Object object) {
    const kube::ApplyOptions options;
    (void)co_await client.apply(object, options);
}

struct Clusters {
    explicit Clusters(const asio::any_io_executor& loop)
        : ca{crypto::CertificateAuthority::open(directory.path() / "ca", "far")},
          near{loop, in(directory, "near")},
          far{loop, in(directory, "far")},
          issuing{std::make_shared<testing::IssuingApi>(near.in_process_transport())},
          own{issuing},
          there{far.in_process_transport()},
          server{loop, with_tls(ca),
                 [this](net::Request request, const net::Peer& peer, net::ResponseWriter& out) {
                     return gate.serve(std::move(request), peer, out);
                 }},
          clouds{loop, net::ServerOptions{},
                 [this](net::Request request, const net::Peer& peer, net::ResponseWriter& out) {
                     return exchange.serve(std::move(request), peer, out);
                 }},
          destinations{loop, own, "", std::make_shared<cloud::Identities>(loop, detour())},
          tasks{loop} {
        gate.behind = far.in_process_transport();
        gate.accepted = "deployer.1";
        tasks.spawn(near.run());
        tasks.spawn(far.run());
        tasks.spawn(server.run());
        tasks.spawn(clouds.run());
        deployment.object.set_namespace("default");
        KubeConfigFrom from;
        from.config_map_name = "far";
        deployment.kube_config = std::move(from);
    }
    cloud::Identities::Options detour() {
        cloud::Identities::Options options;
        options.detour = [this](const net::Url&) {
            return net::parse_url("http://127.0.0.1:" + std::to_string(clouds.port()));
        };
        return options;
    }
    [[nodiscard]] std::string address() const {
        return "https://127.0.0.1:" + std::to_string(server.port());
    }
    /// The ConfigMap that names the other one.
    [[nodiscard]] kube::Object names_far(const std::string& provider) const {
        auto map = config_map("far");
        auto& data = map.fields()["data"].emplace_object();
        data["provider"] = provider;
        data["address"] = address();
        data["ca.crt"] = ca.certificate_pem();
        data["serviceAccountName"] = "deployer";
        return map;
    }
    asio::awaitable<void> describe(std::string audiences = "") {
        auto map = names_far("generic");
        if (!audiences.empty()) map.fields()["data"].get_object()["audiences"] = audiences;
        co_await apply(own, map);
    }
    asio::awaitable<void> account(std::string annotations = "") {
        const auto object = kube::Object::from(
            kube::parse_yaml("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: deployer, "
                             "namespace: default, annotations: {" +
                             annotations + "}}\n"));
        co_await apply(own, object);
    }
    asio::awaitable<std::string> failure() {
        try {
            (void)co_await destinations.of(deployment);
        } catch (const Error& error) {
            co_return std::string{to_string(error.kind())} + ": " + error.what();
        }
        co_return "none";
    }

    TemporaryDirectory directory;
    crypto::CertificateAuthority ca;
    api::ApiServer near;
    api::ApiServer far;
    std::shared_ptr<testing::IssuingApi> issuing;
    kube::Client own;
    kube::Client there;
    Gate gate;
    net::HttpServer server;
    cloud::testing::Exchange exchange;
    net::HttpServer clouds;
    Destinations destinations;
    Deployment deployment;
    TaskGroup tasks;
};

using Case = asio::awaitable<void> (*)(Clusters&);

asio::awaitable<void> with_clusters(Case body) {
    Clusters clusters{co_await asio::this_coro::executor};
    std::exception_ptr failure;
    try {
        co_await testing::until_ready(clusters.own);
        co_await testing::until_ready(clusters.there);
        co_await body(clusters);
    } catch (...) {
        failure = std::current_exception();
    }
    clusters.tasks.cancel();
    co_await even_if_cancelled;
    co_await clusters.tasks.join();
    if (failure) std::rethrow_exception(failure);
}

asio::awaitable<void> goes_there(Clusters& c) {
    EXPECT_EQ(co_await c.failure(),
              "not found: spec.kubeConfig.configMapRef: ConfigMap default/far does not exist");
    co_await c.describe();
    EXPECT_THAT(co_await c.failure(),
                HasSubstr("not found: spec.kubeConfig.configMapRef: token of service account "
                          "default/deployer: serviceaccounts \"deployer\" not found"));
    co_await c.account();
    const auto found = co_await c.destinations.of(c.deployment);
    co_await apply(found->client, config_map("a"));
    EXPECT_TRUE(co_await c.there.get(map_kind, "default", "a"));
    EXPECT_FALSE(co_await c.own.get(map_kind, "default", "a"));
    EXPECT_THAT(c.issuing->audiences(), ElementsAre("[\"" + c.address() + "\"]"));

    // Its token ends early: another one, and the same destination.
    c.gate.accepted = "deployer.2";
    co_await apply(found->client, config_map("b"));
    EXPECT_TRUE(co_await c.there.get(map_kind, "default", "b"));
    EXPECT_EQ(c.gate.refused, 1);
    EXPECT_EQ(c.issuing->audiences().size(), 2U);
    EXPECT_EQ(co_await c.destinations.of(c.deployment), found);
    EXPECT_EQ(c.issuing->audiences().size(), 2U) << "nothing was asked for again";

    co_await c.describe("- other\n");
    EXPECT_NE(co_await c.destinations.of(c.deployment), found);
    EXPECT_EQ(c.issuing->audiences().back(), "[\"other\"]");
}
TEST(Destinations, AreReachedAsAServiceAccount) { run_to_end(with_clusters(goes_there)); }

asio::awaitable<void> in_a_cloud(Clusters& c) {
    co_await c.account(
        "gcp.auth.fluxcd.io/workload-identity-provider: "
        "projects/1/locations/global/workloadIdentityPools/pool/providers/kled");
    auto map = c.names_far("gcp");
    co_await apply(c.own, map);
    c.gate.accepted = "bearer-1";
    const auto found = co_await c.destinations.of(c.deployment);
    co_await apply(found->client, config_map("a"));
    EXPECT_TRUE(co_await c.there.get(map_kind, "default", "a"));
    EXPECT_EQ(c.exchange.asked.size(), 1U);
    EXPECT_EQ(co_await c.destinations.of(c.deployment), found);

    auto& data = map.fields()["data"].get_object();
    data.erase("address");
    data["cluster"] = "projects/p/locations/l/clusters/none";
    c.exchange.status = 403;
    co_await apply(c.own, map);
    EXPECT_THAT(co_await c.failure(),
                HasSubstr("denied: spec.kubeConfig.configMapRef: container.googleapis.com: cluster "
                          "none: status 403"));
    data["serviceAccountName"] = "other";
    co_await apply(c.own, map);
    EXPECT_EQ(co_await c.failure(),
              "not found: spec.kubeConfig.configMapRef: ConfigMap default/far: "
              "data['serviceAccountName']: ServiceAccount default/other does not exist");
}
TEST(Destinations, AreReachedWithAnIdentityOfACloud) { run_to_end(with_clusters(in_a_cloud)); }

asio::awaitable<void> bounded(Clusters& c) {
    co_await c.describe();
    co_await c.account();
    c.deployment.service_account = "tenant";
    // Who it is over there is asked with the token too: nobody else is let in.
    EXPECT_EQ(co_await c.failure(),
              "invalid: service account 'tenant': the embedded API has no access rules that would "
              "bound it");
    EXPECT_EQ(c.gate.refused, 0);
}
TEST(Destinations, AreAskedWithTheirTokenWhatTheyAre) { run_to_end(with_clusters(bounded)); }

asio::awaitable<void> gone(Clusters& c) {
    EXPECT_FALSE(co_await c.destinations.can_be_reached(c.deployment));
    co_await c.describe();
    EXPECT_FALSE(co_await c.destinations.can_be_reached(c.deployment)) << "without the account";
    co_await c.account();
    EXPECT_TRUE(co_await c.destinations.can_be_reached(c.deployment));
    const kube::DeleteOptions options;
    (void)co_await c.own.remove(map_kind, "default", "far", options);
    EXPECT_FALSE(co_await c.destinations.can_be_reached(c.deployment));
}
TEST(Destinations, NeedTheirConfigMapAndItsAccount) { run_to_end(with_clusters(gone)); }

}  // namespace
}  // namespace kled::gitops
