// Alerts and Providers in a cluster: from what happens to what a real server is told.
#include "crypto/hash.h"
#include "gitops/notify/notifier.h"
#include "gitops/store/cluster_store.h"
#include "gitops/testing/world.h"
#include "net/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

namespace kled::gitops {
namespace {

namespace asio = boost::asio;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string source_api = "source.toolkit.fluxcd.io/v1";
const std::string notification_api = "notification.toolkit.fluxcd.io/v1beta3";

class NotifierMode : public ::testing::Test {
protected:
    NotifierMode() {
        world.apply_definitions({{notification_group, "Alert"}, {notification_group, "Provider"}});
        world.repository.commit({{"a.yaml", "1"}});
    }
    ~NotifierMode() override {
        world.stop_reconciler();
        notifier.reset();
        server.reset();
    }

    void start(Notifier::Options options = {}) {
        options.settle = Duration{0};
        options.retry = {.first = Duration{5}, .limit = Duration{20}};
        world.start([](kube::Client& client) {
            return std::make_unique<ClusterStore>(client, ClusterStore::Options{});
        });
        notifier =
            std::make_unique<Notifier>(world.executor(), world.client(), world.recorded(), options);
        world.on_event = [this](const Event& event) {
            if (notifier) notifier->take(event);
        };
        world.beside(notifier->run());
        server = std::make_unique<net::HttpServer>(
            world.executor(), net::ServerOptions{},
            [this](net::Request request, const net::Peer&, net::ResponseWriter& out) {
                return answer(std::move(request), out);
            });
        world.beside(server->run());
    }
    asio::awaitable<void> answer(net::Request request, net::ResponseWriter& out) {
        net::Response response;
        {
            const std::scoped_lock lock{mutex};
            response.body = request.method == "GET" ? statuses : "{}";
            response.status = failures.empty() ? 200 : failures.front();
            if (!failures.empty()) failures.erase(failures.begin());
            requests.push_back(std::move(request));
        }
        co_await out.respond(std::move(response));
    }
    std::vector<net::Request> told() {
        const std::scoped_lock lock{mutex};
        return requests;
    }
    std::string url() { return "http://127.0.0.1:" + std::to_string(server->port()); }

    void apply_source(const std::string& name, const std::string& branch = "main") {
        world.apply("apiVersion: " + source_api + "\nkind: GitRepository\nmetadata: {name: " +
                    name + ", namespace: default, labels: {of: " + name +
                    "}}\nspec:\n  url: " + world.repository.url() +
                    "\n  interval: 10m\n  ref: {branch: " + branch + "}\n");
    }
    void apply_provider(const std::string& more) {
        world.apply("apiVersion: " + notification_api +
                    "\nkind: Provider\nmetadata: {name: chat, namespace: default}\nspec:\n" + more);
    }
    void apply_alert(const std::string& more) {
        world.apply("apiVersion: " + notification_api +
                    "\nkind: Alert\nmetadata: {name: news, namespace: default}\nspec:\n"
                    "  providerRef: {name: chat}\n" +
                    more);
    }
    void apply_secret(const std::string& data) {
        world.apply(
            "apiVersion: v1\nkind: Secret\nmetadata: {name: chat, namespace: default}\n"
            "stringData:\n" +
            data);
    }
    /// The notifier knows of what was applied: also of one more of each kind, which it refuses.
    void known(const std::string& name = "last") {
        world.apply("apiVersion: " + notification_api + "\nkind: Alert\nmetadata: {name: " + name +
                    ", namespace: default}\nspec:\n"
                    "  providerRef: {name: chat}\n  exclusionList: ['(']\n"
                    "  eventSources: [{kind: GitRepository, name: x}]\n");
        world.apply("apiVersion: " + notification_api + "\nkind: Provider\nmetadata: {name: " +
                    name + ", namespace: default}\nspec:\n  type: telegram\n");
        ASSERT_TRUE(world.eventually([&] {
            std::size_t count = 0;
            for (const auto& event : world.events())
                if (event.about.name() == name) ++count;
            return count == 2;
        }));
    }
    void answer_first(std::vector<unsigned> with) {
        const std::scoped_lock lock{mutex};
        failures = std::move(with);
    }
    std::string event_of(const std::string& kind, const std::string& reason) {
        for (const auto& event : world.events())
            if (event.about.kind() == kind && event.reason == reason) return event.message;
        return {};
    }

    testing::World world;
    std::unique_ptr<net::HttpServer> server;
    std::unique_ptr<Notifier> notifier;
    std::mutex mutex;
    std::vector<net::Request> requests;
    std::vector<unsigned> failures;
    std::string statuses = "[]";
};

TEST_F(NotifierMode, ANewRevisionIsToldOnce) {
    start();
    apply_secret("  address: " + url() + "/hook\n  token: s3cret\n  headers: 'X-Cluster: one'\n");
    apply_provider(
        "  type: generic-hmac\n  address: http://127.0.0.1:1\n"
        "  secretRef: {name: chat}\n");
    apply_alert(
        "  eventSources: [{kind: GitRepository, name: '*', matchLabels: {of: fleet}}]\n"
        "  summary: the fleet\n  eventMetadata: {env: test}\n");
    known();
    apply_source("other");
    apply_source("fleet");
    ASSERT_TRUE(world.eventually([&] { return !told().empty(); }));
    const auto request = told().front();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.target, "/hook");
    EXPECT_EQ(request.headers.get("gotk-component"), "source-controller");
    EXPECT_EQ(request.headers.get("X-Cluster"), "one");
    EXPECT_EQ(request.headers.get("X-Signature"),
              "sha256=" + crypto::hmac_hex("sha256", "s3cret", request.body));
    const auto body = kube::parse_json(request.body);
    EXPECT_EQ(kube::find_string(body.get_object(), {"involvedObject", "name"}), "fleet");
    EXPECT_EQ(kube::find_string(body.get_object(), {"reason"}), "NewArtifact");
    EXPECT_EQ(kube::find_string(body.get_object(), {"metadata", "summary"}), "the fleet");
    EXPECT_EQ(kube::find_string(body.get_object(), {"metadata", "env"}), "test");
    EXPECT_THAT(std::string{kube::find_string(body.get_object(), {"metadata", "revision"})},
                HasSubstr("main@sha1:"));

    // The token is read when it is needed.
    apply_secret("  address: " + url() + "/hook\n  token: another\n");
    world.repository.commit({{"a.yaml", "2"}});
    world.nudge();
    ASSERT_TRUE(world.eventually([&] { return told().size() == 2; }));
    EXPECT_EQ(told()[1].headers.get("X-Signature"),
              "sha256=" + crypto::hmac_hex("sha256", "another", told()[1].body));
}

TEST_F(NotifierMode, OnlyErrorsWhereThatIsAskedFor) {
    start();
    apply_provider("  type: slack\n  address: " + url() + "\n  channel: ops\n");
    apply_alert(
        "  eventSources: [{kind: GitRepository, name: '*'}]\n  eventSeverity: error\n"
        "  exclusionList: ['branch .gone. does']\n");
    known();
    apply_source("fleet");
    apply_source("quiet", "gone");
    ASSERT_TRUE(
        world.eventually([&] { return !event_of("GitRepository", "GitOperationFailed").empty(); }));
    apply_source("loud", "absent");
    ASSERT_TRUE(world.eventually([&] { return !told().empty(); }));
    EXPECT_THAT(told()[0].body, HasSubstr("gitrepository/loud.default"));
    EXPECT_THAT(told()[0].body, HasSubstr(R"("color":"danger")"));
    EXPECT_THAT(told()[0].body, HasSubstr(R"("channel":"ops")"));
}

TEST_F(NotifierMode, ABusyServerIsAskedAgainAndARefusalIsSaidWithoutSecrets) {
    start();
    apply_secret("  address: " + url() + "/T0ken-in-path\n  token: s3cret-token\n");
    apply_provider("  type: generic\n  secretRef: {name: chat}\n");
    apply_alert("  eventSources: [{kind: GitRepository, name: '*'}]\n");
    known();
    answer_first({503, 429, 500});
    apply_source("fleet");
    ASSERT_TRUE(world.eventually([&] { return told().size() == 4; }));
    EXPECT_EQ(told()[0].body, told()[3].body);

    answer_first({403});
    apply_source("second");
    ASSERT_TRUE(
        world.eventually([&] { return !event_of("Provider", "NotificationFailed").empty(); }));
    EXPECT_EQ(event_of("Provider", "NotificationFailed"), "127.0.0.1: the server says 403");
    EXPECT_EQ(told().size(), 5U);

    // A server that is away holds nobody up.
    apply_secret("  address: http://127.0.0.1:1/T0ken-in-path\n  token: s3cret-token\n");
    apply_source("third");
    EXPECT_TRUE(world.eventually([&] {
        const auto object = world.get(source_api, "GitRepository", "default", "third");
        return SourceStatus::from_object(*object).conditions.is_true("Ready");
    }));
    ASSERT_TRUE(world.eventually([&] {
        for (const auto& event : world.events())
            if (event.about.kind() == "Provider" &&
                event.message != "127.0.0.1: the server says 403")
                return true;
        return false;
    }));
    for (const auto& event : world.events()) {
        EXPECT_THAT(event.message, Not(HasSubstr("T0ken-in-path")));
        EXPECT_THAT(event.message, Not(HasSubstr("s3cret-token")));
    }
}

TEST_F(NotifierMode, ACommitGetsItsStatus) {
    start();
    apply_secret("  token: s3cret\n");
    apply_provider("  type: gitea\n  address: " + url() + "/org/app\n  secretRef: {name: chat}\n");
    apply_alert("  eventSources: [{kind: GitRepository, name: fleet}]\n");
    known();
    const auto commit = world.repository.commit({{"a.yaml", "2"}});
    apply_source("fleet");
    ASSERT_TRUE(world.eventually([&] { return told().size() == 2; }));
    EXPECT_EQ(told()[0].method, "GET");
    EXPECT_EQ(told()[1].target, "/api/v1/repos/org/app/statuses/" + commit);
    EXPECT_EQ(told()[1].headers.get("Authorization"), "token s3cret");
    const auto body = kube::parse_json(told()[1].body);
    EXPECT_EQ(kube::find_string(body.get_object(), {"state"}), "success");
    EXPECT_THAT(std::string{kube::find_string(body.get_object(), {"context"})},
                HasSubstr("gitrepository/fleet/"));
}

TEST_F(NotifierMode, WhatIsMissingIsSaid) {
    start();
    apply_alert("  eventSources: [{kind: GitRepository, name: '*'}]\n");
    known();
    EXPECT_THAT(event_of("Alert", "InvalidSpec"), HasSubstr("spec.exclusionList"));
    EXPECT_THAT(event_of("Provider", "UnsupportedField"), HasSubstr("spec.type: telegram"));
    apply_source("fleet");
    EXPECT_TRUE(world.eventually([&] { return !event_of("Alert", "ProviderNotFound").empty(); }));
    apply_provider("  type: slack\n  secretRef: {name: absent}\n");
    known("later");
    apply_source("second");
    EXPECT_TRUE(world.eventually([&] {
        return event_of("Provider", "NotificationFailed") == "Secret default/absent does not exist";
    }));
}

TEST(Repetitions, AreForgottenAfterAWhile) {
    Repetitions repetitions{Duration{1'000}};
    const SteadyTime start{};
    Event event;
    event.about.set_name("a");
    event.message = "m";
    EXPECT_TRUE(repetitions.is_new(event, start));
    EXPECT_FALSE(repetitions.is_new(event, start + Duration{999}));
    EXPECT_TRUE(repetitions.is_new(event, start + Duration{1'000}));
    event.revision = "main@sha1:1";
    EXPECT_TRUE(repetitions.is_new(event, start));
    for (int i = 0; i < 10'000; ++i) {
        event.message = std::to_string(i);
        EXPECT_TRUE(repetitions.is_new(event, start));
    }
}

}  // namespace
}  // namespace kled::gitops
