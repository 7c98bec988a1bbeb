// The client half of kube against real API servers: the embedded one over HTTPS and in-process, and
// whatever cluster KLED_TEST_KUBECONFIG names (./dev test --lab: a stock kube-apiserver).
#include "apiserver/server.h"
#include "base/file.h"
#include "base/run.h"
#include "base/task_group.h"
#include "crypto/hash.h"
#include "kube/events.h"
#include "kube/https_transport.h"
#include "kube/informer.h"
#include "kube/kubeconfig.h"
#include "kube/yaml.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

namespace kled::kube {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

const GroupVersionKind config_map{"", "v1", "ConfigMap"};
const GroupVersionKind widget{"kled.test", "v1", "Widget"};

/// A namespace of its own on one server.
struct Place {
    Client& client;
    std::string ns;
    asio::any_io_executor loop;
};

Object config(const Place& place, const std::string& name, const std::string& value) {
    Object object;
    object.fields()["apiVersion"] = "v1";
    object.fields()["kind"] = "ConfigMap";
    object.set_name(name);
    object.set_namespace(place.ns);
    object.fields()["data"].emplace_object()["k"] = value;
    return object;
}

asio::awaitable<void> until(std::function<bool()> condition) {
    asio::steady_timer timer{co_await asio::this_coro::executor};
    for (int i = 0; i < 3000 && !condition(); ++i) {
        timer.expires_after(10ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
    EXPECT_TRUE(condition());
}

asio::awaitable<void> verbs(Place place) {
    auto& client = place.client;
    const auto wanted = config(place, "a", "1");
    const auto created = co_await client.create(wanted);
    EXPECT_FALSE(created.uid().empty());
    std::string reason;
    try {
        (void)co_await client.create(wanted);
    } catch (const StatusError& error) {
        reason = error.reason();
    }
    EXPECT_EQ(reason, "AlreadyExists");

    auto changed = created;
    changed.set_label("app", "x");
    const auto updated = co_await client.update(changed);
    EXPECT_EQ(updated.label("app"), "x");
    EXPECT_NE(updated.resource_version(), created.resource_version());
    reason.clear();
    try {
        changed.set_label("app", "y");
        (void)co_await client.update(changed);
    } catch (const StatusError& error) {
        EXPECT_EQ(error.kind(), ErrorKind::conflict);
        reason = error.reason();
    }
    EXPECT_EQ(reason, "Conflict");

    json::value patch = json::object{};
    patch.get_object()["data"].emplace_object()["more"] = "2";
    const auto merged =
        co_await client.patch(config_map, place.ns, "a", PatchType::merge, patch, "");
    EXPECT_EQ(find_string(merged.fields(), {"data", "more"}), "2");
    const auto operations = parse_json(R"([{"op":"remove","path":"/data/more"}])");
    const auto removed =
        co_await client.patch(config_map, place.ns, "a", PatchType::json, operations, "");
    EXPECT_EQ(find_string(removed.fields(), {"data", "more"}), "");

    DeleteOptions wrong;
    wrong.uid = "another";
    reason.clear();
    try {
        (void)co_await client.remove(config_map, place.ns, "a", wrong);
    } catch (const StatusError& error) {
        reason = error.reason();
    }
    EXPECT_EQ(reason, "Conflict");
    const DeleteOptions options;
    EXPECT_TRUE(co_await client.remove(config_map, place.ns, "a", options));
    EXPECT_FALSE(co_await client.remove(config_map, place.ns, "a", options));
    const auto gone = co_await client.get(config_map, place.ns, "a");
    EXPECT_FALSE(gone.has_value());
}

asio::awaitable<void> applies(Place place) {
    auto& client = place.client;
    ApplyOptions ours;
    const auto first = co_await client.apply(config(place, "a", "1"), ours);
    EXPECT_EQ(find_string(first.fields(), {"data", "k"}), "1");
    ApplyOptions other;
    other.field_manager = "another";
    other.force = false;
    std::vector<StatusError::Cause> causes;
    try {
        (void)co_await client.apply(config(place, "a", "2"), other);
    } catch (const StatusError& error) {
        causes = error.causes();
    }
    EXPECT_EQ(causes.size(), 1U);
    if (!causes.empty()) {
        EXPECT_EQ(causes[0].type, "FieldManagerConflict");
        EXPECT_EQ(causes[0].field, ".data.k");
    }
    other.force = true;
    const auto taken = co_await client.apply(config(place, "a", "2"), other);
    EXPECT_EQ(find_string(taken.fields(), {"data", "k"}), "2");
    const auto same = co_await client.apply(config(place, "a", "2"), other);
    EXPECT_EQ(same.resource_version(), taken.resource_version()) << "nothing changed";
    ours.dry_run = true;
    const auto dry = co_await client.apply(config(place, "dry", "1"), ours);
    EXPECT_EQ(dry.name(), "dry");
    const auto absent = co_await client.get(config_map, place.ns, "dry");
    EXPECT_FALSE(absent.has_value());
}

asio::awaitable<void> pages(Place place) {
    for (int i = 0; i < 7; ++i) {
        auto object = config(place, "page" + std::to_string(i), "x");
        object.set_label("parity", i % 2 == 0 ? "even" : "odd");
        (void)co_await place.client.create(object);
    }
    ListOptions options;
    options.ns = place.ns;
    options.page = 2;
    options.label_selector = "parity in (even, odd)";
    const auto all = co_await place.client.list(config_map, options);
    EXPECT_EQ(all.items.size(), 7U);
    EXPECT_FALSE(all.resource_version.empty());
    options.label_selector = "parity=even";
    const auto even = co_await place.client.list(config_map, options);
    EXPECT_EQ(even.items.size(), 4U);
    EXPECT_EQ(even.items.front().kind(), "ConfigMap");
}

asio::awaitable<void> with_informer(Place place, Informer& informer) {
    co_await informer.wait_until_synced();
    std::map<std::string, std::string> expected;
    for (int i = 0; i < 60; ++i) {
        const auto name = "w" + std::to_string(i % 7);
        if (i % 5 == 4) {
            const DeleteOptions options;
            (void)co_await place.client.remove(config_map, place.ns, name, options);
            expected.erase(name);
        } else {
            const ApplyOptions options;
            (void)co_await place.client.apply(config(place, name, std::to_string(i)), options);
            expected[name] = std::to_string(i);
        }
        asio::steady_timer timer{place.loop, 50ms};
        co_await timer.async_wait(asio::use_awaitable);
    }
    const auto as_expected = [&] {
        std::map<std::string, std::string> found;
        for (const auto& object : informer.list(place.ns)) {
            if (object.name().starts_with('w'))
                found[std::string{object.name()}] = find_string(object.fields(), {"data", "k"});
        }
        return found == expected;
    };
    co_await until(as_expected);
}

asio::awaitable<void> informs(Place place) {
    InformerOptions options;
    options.watch.list.ns = place.ns;
    options.watch.lifetime = 1000ms;  // so that streams end and begin again all the time
    Informer informer{place.loop, place.client, config_map, options};
    int changes = 0;
    informer.add_handler([&changes](const Informer::Change&) { ++changes; });
    TaskGroup tasks{place.loop};
    tasks.spawn(informer.run());
    std::exception_ptr failure;
    try {
        co_await with_informer(place, informer);
    } catch (...) {
        failure = std::current_exception();
    }
    EXPECT_GE(changes, 50);
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
    if (failure) std::rethrow_exception(failure);
}

constexpr auto* widgets = R"(
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.kled.test}
spec:
  group: kled.test
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}}}
)";

asio::awaitable<void> custom_kinds(Place place) {
    auto& client = place.client;
    const ApplyOptions options;
    const auto definition = Object::from(parse_yaml(widgets));
    (void)co_await client.apply(definition, options);
    // Follow it before it is served: the informer waits for it.
    InformerOptions informer_options;
    informer_options.watch.backoff = Backoff::Options{.first = 50ms, .limit = 200ms};
    Informer informer{place.loop, client, widget, informer_options};
    TaskGroup tasks{place.loop};
    tasks.spawn(informer.run());
    std::optional<Mapping> mapping;
    asio::steady_timer timer{place.loop};
    for (int i = 0; i < 100 && !mapping; ++i) {
        timer.expires_after(100ms);
        co_await timer.async_wait(asio::use_awaitable);
        mapping = co_await client.map(widget);
    }
    EXPECT_TRUE(mapping.has_value());
    Object one;
    one.fields()["apiVersion"] = "kled.test/v1";
    one.fields()["kind"] = "Widget";
    one.set_name("one");
    one.set_namespace(place.ns);
    one.fields()["spec"].emplace_object()["size"] = 3;
    (void)co_await client.apply(one, options);
    co_await until([&] { return informer.get(place.ns, "one").has_value(); });
    one.fields()["spec"].get_object()["size"] = "big";
    std::string reason;
    try {
        (void)co_await client.apply(one, options);
    } catch (const StatusError& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        reason = error.what();
    }
    EXPECT_NE(reason.find("spec.size"), std::string::npos) << reason;
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
}

asio::awaitable<void> records(Place place) {
    const auto about = co_await place.client.create(config(place, "eventful", "1"));
    EventRecorder recorder{place.loop, place.client};
    EventNote note;
    note.reason = "Tested";
    note.message = "it works";
    recorder.record(about, note);
    TaskGroup tasks{place.loop};
    tasks.spawn(recorder.run());
    const GroupVersionKind event{"", "v1", "Event"};
    ListOptions options;
    options.ns = place.ns;
    options.field_selector = "involvedObject.name=eventful";
    asio::steady_timer timer{place.loop};
    Client::List found;
    for (int i = 0; i < 100 && found.items.empty(); ++i) {
        timer.expires_after(20ms);
        co_await timer.async_wait(asio::use_awaitable);
        found = co_await place.client.list(event, options);
    }
    EXPECT_EQ(found.items.size(), 1U);
    for (const auto& one : found.items)
        EXPECT_EQ(find_string(one.fields(), {"message"}), "it works");
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
}

using Case = asio::awaitable<void> (*)(Place);

asio::awaitable<void> in_a_namespace(Case body, std::shared_ptr<Transport> transport) {
    const auto loop = co_await asio::this_coro::executor;
    Client client{std::move(transport)};
    const Place place{client, "kled-" + crypto::random_hex(4), loop};
    Object ns;
    ns.fields()["apiVersion"] = "v1";
    ns.fields()["kind"] = "Namespace";
    ns.set_name(place.ns);
    (void)co_await client.create(ns);
    co_await body(place);
    const DeleteOptions options;
    const GroupVersionKind kind{"", "v1", "Namespace"};
    (void)co_await client.remove(kind, "", place.ns, options);
}

asio::awaitable<void> until_ready(Transport& transport) {
    asio::steady_timer timer{co_await asio::this_coro::executor};
    for (unsigned i = 0, status = 0; i < 1000 && status != 200; ++i) {
        net::Request request;
        request.target = "/readyz";
        try {
            const auto response = co_await transport.send(request);
            status = response.status;
        } catch (const Error&) {
        }
        timer.expires_after(1ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

asio::awaitable<void> against_embedded(Case body, bool in_process) {
    const auto loop = co_await asio::this_coro::executor;
    const TemporaryDirectory directory;
    api::ApiServer::Options options;
    options.state = directory.path() / "api";
    api::ApiServer server{loop, options};
    TaskGroup tasks{loop};
    tasks.spawn(server.run());
    std::exception_ptr failure;
    try {
        std::shared_ptr<Transport> transport = server.in_process_transport();
        if (!in_process) {
            const std::vector<std::filesystem::path> files(1, server.admin_kubeconfig());
            transport = std::make_shared<HttpsTransport>(loop, load_kubeconfig(files));
        }
        co_await until_ready(*transport);
        co_await in_a_namespace(body, transport);
    } catch (...) {
        failure = std::current_exception();
    }
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
    if (failure) std::rethrow_exception(failure);
}

asio::awaitable<void> against_cluster(Case body, std::filesystem::path kubeconfig) {
    const std::vector<std::filesystem::path> files(1, kubeconfig);
    auto access = load_kubeconfig(files);
    const auto loop = co_await asio::this_coro::executor;
    co_await in_a_namespace(body, std::make_shared<HttpsTransport>(loop, std::move(access)));
}

class Servers : public testing::TestWithParam<const char*> {
protected:
    static void check(Case body) {
        const std::string which = GetParam();
        if (which != "Cluster")
            return run_to_end(against_embedded(body, which == "EmbeddedInProcess"));
        const char* const kubeconfig = std::getenv("KLED_TEST_KUBECONFIG");
        if (kubeconfig == nullptr) GTEST_SKIP() << "KLED_TEST_KUBECONFIG names no cluster";
        run_to_end(against_cluster(body, kubeconfig));
    }
};
INSTANTIATE_TEST_SUITE_P(KubeClient, Servers,
                         testing::Values("EmbeddedInProcess", "EmbeddedHttps", "Cluster"),
                         [](const auto& which) { return std::string{which.param}; });

TEST_P(Servers, TakeEveryVerb) { check(verbs); }
TEST_P(Servers, ApplyWithOwners) { check(applies); }
TEST_P(Servers, ListInPages) { check(pages); }
TEST_P(Servers, AreFollowedThroughManyStreams) { check(informs); }
TEST_P(Servers, ServeCustomKinds) { check(custom_kinds); }
TEST_P(Servers, KeepEvents) { check(records); }

// ---- one that is about to start

asio::awaitable<void> ask_early(std::shared_ptr<Transport> transport, unsigned& status,
                                TaskGroup& tasks) {
    net::Request request;
    request.method = "GET";
    request.target = "/readyz";
    const auto response = co_await transport->send(std::move(request));
    status = response.status;
    tasks.cancel();
}

asio::awaitable<void> before_it_runs() {
    const auto loop = co_await asio::this_coro::executor;
    const TemporaryDirectory directory;
    api::ApiServer::Options options;
    options.state = directory.path() / "api";
    api::ApiServer server{loop, options};
    unsigned status = 0;
    TaskGroup tasks{loop};
    tasks.spawn(ask_early(server.in_process_transport(), status, tasks));
    co_await asio::post(loop, asio::use_awaitable);
    tasks.spawn(server.run());
    co_await even_if_cancelled;
    co_await tasks.join();
    EXPECT_EQ(status, 200U);
    std::string refusal;
    try {
        const auto transport = server.in_process_transport();
        net::Request late;
        late.target = "/readyz";
        co_await transport->send(std::move(late));
    } catch (const Error& error) {
        refusal = error.what();
    }
    EXPECT_EQ(refusal, "the embedded API server is not running");
}
TEST(EmbeddedInProcess, ItIsWaitedForAtTheStart) { run_to_end(before_it_runs()); }

// ---- an API server that restarts

asio::awaitable<void> restart(Informer& informer, const api::ApiServer::Options& options,
                              std::filesystem::path kubeconfig) {
    const auto loop = co_await asio::this_coro::executor;
    const std::vector<std::filesystem::path> files(1, kubeconfig);
    for (int i = 0; i < 3; ++i) {
        api::ApiServer server{loop, options};
        TaskGroup tasks{loop};
        tasks.spawn(server.run());
        Client client{std::make_shared<HttpsTransport>(loop, load_kubeconfig(files))};
        const Place place{client, "default", loop};
        const auto name = "r" + std::to_string(i);
        const ApplyOptions apply;
        (void)co_await client.apply(config(place, name, "1"), apply);
        const auto condition = [&informer, &name] {
            return informer.get("default", name).has_value();
        };
        co_await until(condition);
        tasks.cancel();
        co_await even_if_cancelled;
        co_await tasks.join();
    }
    EXPECT_EQ(informer.keys("default").size(), 3U);
}

asio::awaitable<void> restarts() {
    const auto loop = co_await asio::this_coro::executor;
    const TemporaryDirectory directory;
    api::ApiServer::Options options;
    options.state = directory.path() / "api";
    std::filesystem::path kubeconfig;
    {
        const api::ApiServer first{loop, options};
        kubeconfig = first.admin_kubeconfig();
        options.port =
            static_cast<std::uint16_t>(std::stoi(first.url().substr(first.url().rfind(':') + 1)));
    }
    const std::vector<std::filesystem::path> files(1, kubeconfig);
    Client client{std::make_shared<HttpsTransport>(loop, load_kubeconfig(files))};
    InformerOptions informer_options;
    informer_options.watch.backoff = Backoff::Options{.first = 20ms, .limit = 100ms};
    informer_options.watch.list.label_selector = "";
    informer_options.watch.list.ns = "default";
    Informer informer{loop, client, config_map, informer_options};
    TaskGroup tasks{loop};
    tasks.spawn(informer.run());
    std::exception_ptr failure;
    try {
        co_await restart(informer, options, kubeconfig);
    } catch (...) {
        failure = std::current_exception();
    }
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
    if (failure) std::rethrow_exception(failure);
}
TEST(KubeClient, OutlivesRestartsOfTheServer) { run_to_end(restarts()); }

}  // namespace
}  // namespace kled::kube
