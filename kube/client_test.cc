#include "kube/client.h"

#include "base/run.h"
#include "base/task_group.h"
#include "kube/discovery.h"
#include "tests/support/fake_api.h"

#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace kled::kube {
namespace {

namespace asio = boost::asio;
using test::FakeApi;

const GroupVersionKind config_map{"", "v1", "ConfigMap"};
const GroupVersionKind namespace_kind{"", "v1", "Namespace"};

Object object(std::string_view kind, std::string_view ns, std::string_view name) {
    Object made;
    made.fields()["apiVersion"] = kind == "Deployment" ? "apps/v1" : "v1";
    made.fields()["kind"] = kind;
    made.set_name(name);
    if (!ns.empty()) made.set_namespace(ns);
    return made;
}

struct Fixture {
    explicit Fixture(const asio::any_io_executor& loop)
        : api{std::make_shared<FakeApi>(loop)}, client{api} {}
    std::shared_ptr<FakeApi> api;
    Client client;
};

using Body = asio::awaitable<void> (*)(FakeApi&, Client&);

asio::awaitable<void> with_api(Body body) {
    Fixture f{co_await asio::this_coro::executor};
    co_await body(*f.api, f.client);
}

void run(Body body) { run_to_end(with_api(body)); }

template <typename T>
asio::awaitable<std::string> failure_of(asio::awaitable<T> work) {
    try {
        (void)co_await std::move(work);
    } catch (const Error& error) {
        co_return std::string{to_string(error.kind())} + ": " + error.what();
    }
    co_return "worked";
}

asio::awaitable<void> all_verbs(FakeApi& api, Client& client) {
    const auto wanted = object("ConfigMap", "web", "a");
    const auto created = co_await client.create(wanted);
    EXPECT_FALSE(created.uid().empty());
    EXPECT_TRUE(api.has("/api/v1/namespaces/web/configmaps/a"));

    auto changed = created;
    changed.set_label("app", "x");
    const auto updated = co_await client.update(changed);
    EXPECT_EQ(updated.label("app"), "x");
    EXPECT_EQ(co_await failure_of(client.update(changed)),
              "conflict: the object has been modified");

    json::value patch = json::object{};
    patch.get_object()["data"].emplace_object()["k"] = "v";
    const auto patched = co_await client.patch(config_map, "web", "a", PatchType::merge, patch, "");
    EXPECT_EQ(find_string(patched.fields(), {"data", "k"}), "v");
    EXPECT_EQ(api.bodies.back().headers.get("Content-Type"), "application/merge-patch+json");

    ApplyOptions apply;
    apply.dry_run = true;
    (void)co_await client.apply(wanted, apply, "status");
    EXPECT_EQ(
        api.requests.back(),
        "PATCH /api/v1/namespaces/web/configmaps/a/status?fieldManager=kled&force=true&dryRun=All");
    EXPECT_EQ(api.bodies.back().headers.get("Content-Type"), "application/apply-patch+yaml");

    const auto found = co_await client.get(config_map, "web", "a");
    EXPECT_TRUE(found.has_value());
    DeleteOptions remove;
    remove.uid = "u";
    EXPECT_TRUE(co_await client.remove(config_map, "web", "a", remove));
    EXPECT_EQ(api.bodies.back().body,
              R"({"apiVersion":"v1","kind":"DeleteOptions","propagationPolicy":"Background",)"
              R"("preconditions":{"uid":"u"}})");
    EXPECT_FALSE(co_await client.remove(config_map, "web", "a", remove));
    const auto gone = co_await client.get(config_map, "web", "a");
    EXPECT_FALSE(gone.has_value());
}
TEST(Client, SendsEachVerbToItsPath) { run(all_verbs); }

asio::awaitable<void> cluster_scope(FakeApi& api, Client& client) {
    (void)co_await client.create(object("Namespace", "", "web"));
    const auto found = co_await client.get(namespace_kind, "ignored", "web");
    EXPECT_TRUE(found.has_value());
    EXPECT_EQ(api.requests.back(), "GET /api/v1/namespaces/web");
    EXPECT_EQ(co_await failure_of(client.create(object("ConfigMap", "", "a"))),
              "invalid: ConfigMap  needs a namespace: its kind is namespaced");
}
TEST(Client, ScopeDecidesAboutTheNamespace) { run(cluster_scope); }

asio::awaitable<void> pages(FakeApi& api, Client& client) {
    for (int i = 0; i < 5; ++i) {
        const auto name = std::to_string(i);
        api.put("/api/v1/namespaces/web/configmaps/" + name,
                object("ConfigMap", "web", name).fields());
    }
    api.put("/api/v1/namespaces/other/configmaps/x", object("ConfigMap", "other", "x").fields());
    ListOptions options;
    options.ns = "web";
    options.page = 2;
    const auto list = co_await client.list(config_map, options);
    EXPECT_EQ(list.items.size(), 5U);
    EXPECT_EQ(list.items[4].kind(), "ConfigMap");
    EXPECT_EQ(list.items[4].api_version(), "v1");
    EXPECT_EQ(list.resource_version, "16");
    EXPECT_EQ(api.requests.size(), 5U) << "two of discovery, three pages";
    options.ns.clear();
    const auto all = co_await client.list(config_map, options);
    EXPECT_EQ(all.items.size(), 6U);
}
TEST(Client, ListsPageByPage) { run(pages); }

asio::awaitable<void> expired_pages(FakeApi& api, Client& client) {
    for (int i = 0; i < 3; ++i) {
        const auto name = std::to_string(i);
        api.put("/api/v1/namespaces/web/configmaps/" + name,
                object("ConfigMap", "web", name).fields());
    }
    (void)co_await client.map(config_map);
    ListOptions options;
    options.page = 2;
    api.answer_next(200, R"({"metadata":{"continue":"c","resourceVersion":"5"},"items":[{}]})");
    api.answer_next(410, FakeApi::failure(410, "Expired", "continue is too old").body);
    const auto list = co_await client.list(config_map, options);
    EXPECT_EQ(list.items.size(), 3U);
    EXPECT_EQ(api.requests.back(), "GET /api/v1/configmaps");
}
TEST(Client, AListThatExpiresBetweenPagesIsReadWhole) { run(expired_pages); }

asio::awaitable<void> busy(FakeApi& api, Client& client) {
    (void)co_await client.map(config_map);
    net::Headers headers;
    headers.set("Retry-After", "0");
    api.answer_next(429, "slow down", headers);
    api.answer_next(503, "", headers);
    (void)co_await client.create(object("ConfigMap", "web", "a"));
    EXPECT_TRUE(api.has("/api/v1/namespaces/web/configmaps/a"));
    for (int i = 0; i < 5; ++i) api.answer_next(429, "slow\ndown", headers);
    EXPECT_EQ(co_await failure_of(client.create(object("ConfigMap", "web", "b"))),
              "unavailable: HTTP status 429: slow down");
    api.answer_next(500, "no promise to get better");
    EXPECT_EQ(co_await failure_of(client.create(object("ConfigMap", "web", "b"))),
              "unavailable: HTTP status 500: no promise to get better");
    api.answer_next(0);
    EXPECT_EQ(co_await failure_of(client.create(object("ConfigMap", "web", "b"))),
              "unavailable: fake: connection refused");
    api.answer_next(200, "<html>");
    const auto what = co_await failure_of(client.create(object("ConfigMap", "web", "b")));
    EXPECT_TRUE(what.starts_with(
        "unavailable: POST /api/v1/namespaces/web/configmaps: the server's answer is not JSON"))
        << what;
}
TEST(Client, WaitsWhereTheServerSaysSo) { run(busy); }

asio::awaitable<void> unknown_kinds(FakeApi& api, Client& client) {
    const GroupVersionKind unknown{"kled.io", "v1", "Thing"};
    const auto absent = co_await client.map(unknown);
    EXPECT_FALSE(absent.has_value());
    const auto read = api.requests.size();
    const auto again = co_await client.map(unknown);
    EXPECT_FALSE(again.has_value());
    EXPECT_EQ(api.requests.size(), read) << "not read twice within a second";
    EXPECT_EQ(co_await failure_of(client.get(unknown, "a", "b")),
              "not found: kled.io/v1/Thing is not served by the API server");
    ObjectId id;
    id.group = "apps";
    id.kind = "Deployment";
    const auto deployment = co_await client.map(id);
    EXPECT_EQ(deployment->resource.version, "v1");
    EXPECT_EQ(Client::path(*deployment, "a b"), "/apis/apps/v1/namespaces/a%20b/deployments");
}
TEST(Client, AKindThatIsNotServedIsAnAnswer) { run(unknown_kinds); }

asio::awaitable<void> map_one(Client& client, int& found) {
    const auto mapping = co_await client.map(config_map);
    if (mapping) ++found;
}

asio::awaitable<void> together(FakeApi& api, Client& client) {
    int found = 0;
    TaskGroup tasks{co_await asio::this_coro::executor};
    for (int i = 0; i < 10; ++i) tasks.spawn(map_one(client, found));
    co_await even_if_cancelled;
    co_await tasks.join();
    EXPECT_EQ(found, 10);
    EXPECT_EQ(api.requests.size(), 2U);
}
TEST(Client, DiscoveryIsReadOnceForAllWhoWait) { run(together); }

TEST(Discovery, OldServersAreReadVersionByVersion) {
    const auto groups = parse_json(R"({"kind":"APIGroupList","groups":[{"name":"autoscaling",
        "versions":[{"groupVersion":"autoscaling/v1"},{"groupVersion":"autoscaling/v2"}],
        "preferredVersion":{"groupVersion":"autoscaling/v2"}}]})");
    EXPECT_EQ(listed_versions(groups),
              (std::vector<std::string>{"autoscaling/v2", "autoscaling/v1"}));
    EXPECT_EQ(listed_versions(parse_json(R"({"kind":"APIVersions","versions":["v1"]})")),
              std::vector<std::string>{"v1"});
    Discovery discovery;
    discovery.add_version("autoscaling/v2", parse_json(R"({"resources":[
        {"name":"hpas/status","kind":"HPA","namespaced":true},
        {"name":"hpas","kind":"HPA","namespaced":true}, {"name":7}, null]})"));
    ASSERT_EQ(discovery.all().size(), 1U);
    EXPECT_EQ(discovery.all()[0].resource.resource, "hpas");
    EXPECT_EQ(discovery.all()[0].scope, Scope::namespaced);
}

TEST(StatusError, SaysWhatTheServerSaid) {
    net::Response response;
    response.status = 409;
    response.body = R"({"kind":"Status","message":"Apply failed","reason":"Conflict","code":409,
        "details":{"causes":[{"reason":"FieldManagerConflict","message":"conflict with \"x\"",
        "field":".spec.replicas"}]}})";
    const auto error = StatusError::from_response(response);
    EXPECT_EQ(error.kind(), ErrorKind::conflict);
    EXPECT_EQ(error.reason(), "Conflict");
    ASSERT_EQ(error.causes().size(), 1U);
    EXPECT_EQ(error.causes()[0].type, "FieldManagerConflict");
    EXPECT_EQ(error.causes()[0].field, ".spec.replicas");
}

}  // namespace
}  // namespace kled::kube
