// The API without sockets: requests in, answers out.
#include "apiserver/api.h"

#include "apiserver/definitions.h"
#include "apiserver/namespaces.h"
#include "base/file.h"
#include "base/task_group.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kled::api {
namespace {

namespace asio = boost::asio;

std::string text_of(const json::object& object, std::initializer_list<std::string_view> path) {
    return std::string{kube::find_string(object, path)};
}

/// A server in a temporary directory; `restart` opens the same store again.
class Server {
public:
    explicit Server(std::size_t history_bytes = 1U << 20U) : history_bytes_{history_bytes} {
        start();
    }
    ~Server() { stop(); }

    void restart() {
        stop();
        start();
    }

    struct Reply {
        unsigned status = 0;
        json::object body;
        std::vector<std::string> warnings;
        std::unique_ptr<net::BodyStream> stream;
        [[nodiscard]] std::string text(std::initializer_list<std::string_view> path) const {
            return text_of(body, path);
        }
        [[nodiscard]] const json::array& items() const { return body.at("items").as_array(); }
    };

    Reply send(std::string method, std::string target, std::string body = {},
               std::vector<std::pair<std::string, std::string>> headers = {}) {
        net::Request request;
        request.method = std::move(method);
        request.target = std::move(target);
        request.body = std::move(body);
        if (!request.body.empty()) request.headers.set("Content-Type", "application/json");
        request.headers.set("User-Agent", "test/1");
        for (auto& [name, value] : headers) request.headers.set(name, std::move(value));
        auto answer = wait(running_->api.dispatch(
            std::move(request), User{"admin", {"system:masters", "system:authenticated"}}));
        Reply reply;
        reply.status = answer.status;
        if (!answer.stream && answer.body.starts_with('{'))
            reply.body = kube::parse_json(answer.body).as_object();
        for (const auto& [name, value] : answer.headers) {
            if (name == "Warning") reply.warnings.push_back(value);
        }
        reply.stream = std::move(answer.stream);
        return reply;
    }
    Reply get(std::string target) { return send("GET", std::move(target)); }
    Reply post(std::string target, std::string body) {
        return send("POST", std::move(target), std::move(body));
    }
    Reply merge(std::string target, std::string body) {
        return send("PATCH", std::move(target), std::move(body),
                    {{"Content-Type", "application/merge-patch+json"}});
    }

    /// The events that are there now, or come with the next write.
    std::vector<json::object> events(net::BodyStream& stream) {
        const auto piece = wait(stream.next());
        std::vector<json::object> all;
        std::string_view left = piece ? std::string_view{*piece} : std::string_view{};
        while (!left.empty()) {
            const auto end = left.find('\n');
            all.push_back(kube::parse_json(left.substr(0, end)).as_object());
            left.remove_prefix(end + 1);
        }
        return all;
    }

    template <typename T>
    T wait(asio::awaitable<T> work) {
        std::optional<T> result;
        std::exception_ptr error;
        asio::co_spawn(loop_, std::move(work), [&](std::exception_ptr failure, T value) {
            error = std::move(failure);
            result = std::move(value);
        });
        while (!result) {
            if (loop_.stopped()) loop_.restart();
            loop_.run_one();
        }
        if (error) std::rethrow_exception(error);
        return std::move(*result);
    }

    struct Waiting {
        asio::cancellation_signal stop;
        bool done = false;
    };
    /// Starts to wait, and lets go of the loop.
    std::shared_ptr<Waiting> start(asio::awaitable<std::optional<std::string>> work) {
        auto waiting = std::make_shared<Waiting>();
        asio::co_spawn(
            loop_, std::move(work),
            asio::bind_cancellation_slot(waiting->stop.slot(),
                                         [waiting](std::exception_ptr, std::optional<std::string>) {
                                             waiting->done = true;
                                         }));
        return waiting;
    }
    void settle() {
        // Lifecycles run until nothing is left to do but waiting.
        while (loop_.run_one_for(std::chrono::milliseconds{50}) > 0) {
        }
    }

private:
    struct Running {
        Running(asio::io_context& loop, Storage::Options options)
            : storage{loop.get_executor(), std::move(options)},
              api{loop.get_executor(), storage, registry, nullptr},
              definitions{loop.get_executor(), api},
              namespaces{loop.get_executor(), api},
              tasks{loop.get_executor()} {
            tasks.spawn(storage.run());
            tasks.spawn(definitions.run());
            tasks.spawn(namespaces.run());
        }
        Registry registry;
        Storage storage;
        Api api;
        Definitions definitions;
        Namespaces namespaces;
        TaskGroup tasks;
    };

    void start() {
        Storage::Options options;
        options.file = directory_.path() / "api.db";
        options.history_bytes = history_bytes_;
        running_ = std::make_unique<Running>(loop_, options);
        bool done = false;
        asio::co_spawn(loop_, running_->namespaces.bootstrap(), [&](std::exception_ptr error) {
            done = true;
            if (error) std::rethrow_exception(error);
        });
        while (!done) loop_.run_one();
    }
    void stop() {
        running_->tasks.cancel();
        asio::co_spawn(loop_, running_->tasks.join(), [](std::exception_ptr) {});
        loop_.restart();
        loop_.run();
        loop_.restart();
        running_.reset();
    }

    TemporaryDirectory directory_;
    std::size_t history_bytes_;
    asio::io_context loop_{1};
    std::unique_ptr<Running> running_;
};

constexpr auto configmaps = "/api/v1/namespaces/default/configmaps";

std::string configmap(std::string_view name, std::string_view value = "1",
                      std::string_view label = {}) {
    std::string text =
        R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":")" + std::string{name} + '"';
    if (!label.empty()) text += R"(,"labels":{"app":")" + std::string{label} + "\"}";
    return text + R"(},"data":{"key":")" + std::string{value} + "\"}}";
}

TEST(Api, CreatesReadsUpdatesAndDeletes) {
    Server server;
    const auto created = server.post(configmaps, configmap("a"));
    ASSERT_EQ(created.status, 201U) << kube::to_json(created.body);
    EXPECT_EQ(created.text({"metadata", "namespace"}), "default");
    EXPECT_EQ(created.text({"metadata", "uid"}).size(), 36U);
    EXPECT_FALSE(created.text({"metadata", "creationTimestamp"}).empty());

    const auto read = server.get(std::string{configmaps} + "/a");
    EXPECT_EQ(read.status, 200U);
    EXPECT_EQ(read.body, created.body);

    const auto updated = server.send("PUT", std::string{configmaps} + "/a", configmap("a", "2"));
    EXPECT_EQ(updated.status, 200U);
    EXPECT_EQ(updated.text({"metadata", "uid"}), created.text({"metadata", "uid"}));
    EXPECT_GT(std::stoull(updated.text({"metadata", "resourceVersion"})),
              std::stoull(created.text({"metadata", "resourceVersion"})));

    const auto deleted = server.send("DELETE", std::string{configmaps} + "/a");
    EXPECT_EQ(deleted.status, 200U);
    EXPECT_EQ(deleted.text({"status"}), "Success");
    EXPECT_EQ(deleted.text({"details", "uid"}), created.text({"metadata", "uid"}));
    EXPECT_EQ(server.get(std::string{configmaps} + "/a").status, 404U);
}

TEST(Api, RefusesInKubernetesWords) {
    Server server;
    const auto missing = server.get("/apis/apps/v1/namespaces/default/deployments/x");
    EXPECT_EQ(missing.status, 404U);
    EXPECT_EQ(
        kube::to_json(missing.body),
        R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"deployments.apps \"x\" not found",)"
        R"("reason":"NotFound","details":{"name":"x","group":"apps","kind":"deployments"},"code":404})");

    server.post(configmaps, configmap("a"));
    const auto twice = server.post(configmaps, configmap("a"));
    EXPECT_EQ(twice.status, 409U);
    EXPECT_EQ(twice.text({"reason"}), "AlreadyExists");
    EXPECT_EQ(twice.text({"message"}), R"(configmaps "a" already exists)");

    const auto stale = server.merge(std::string{configmaps} + "/a",
                                    R"({"metadata":{"resourceVersion":"1"},"data":{"key":"3"}})");
    EXPECT_EQ(stale.status, 409U);
    EXPECT_EQ(
        stale.text({"message"}),
        R"(Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again)");

    const auto nowhere = server.post("/api/v1/namespaces/nope/configmaps", configmap("a"));
    EXPECT_EQ(nowhere.status, 404U);
    EXPECT_EQ(nowhere.text({"message"}), R"(namespaces "nope" not found)");

    const auto badly_named = server.post(configmaps, configmap("A_b"));
    EXPECT_EQ(badly_named.status, 422U);
    EXPECT_EQ(badly_named.text({"message"}).substr(0, 71),
              R"(ConfigMap "A_b" is invalid: metadata.name: Invalid value: "A_b": a lowe)");
    EXPECT_EQ(server.send("DELETE", "/api/v1/namespaces/default").status, 403U);
}

TEST(Api, KeepsTheResourceVersionWhenNothingChanges) {
    Server server;
    const auto created = server.post(configmaps, configmap("a"));
    const auto same = server.merge(std::string{configmaps} + "/a", R"({"data":{"key":"1"}})");
    EXPECT_EQ(same.text({"metadata", "resourceVersion"}),
              created.text({"metadata", "resourceVersion"}));
}

TEST(Api, CountsGenerationsOfTheSpecAlone) {
    Server server;
    const std::string deployments = "/apis/apps/v1/namespaces/default/deployments";
    const auto created = server.post(
        deployments,
        R"({"metadata":{"name":"d"},"spec":{"replicas":1,"selector":{},"template":{}},"status":{"replicas":7}})");
    ASSERT_EQ(created.status, 201U) << kube::to_json(created.body);
    EXPECT_EQ(created.body.at("metadata").at("generation"), 1);
    EXPECT_FALSE(created.body.contains("status"));
    EXPECT_EQ(server.merge(deployments + "/d", R"({"metadata":{"labels":{"a":"b"}}})")
                  .body.at("metadata")
                  .at("generation"),
              1);
    EXPECT_EQ(server.merge(deployments + "/d", R"({"spec":{"replicas":2}})")
                  .body.at("metadata")
                  .at("generation"),
              2);
    const auto status = server.merge(deployments + "/d/status",
                                     R"({"spec":{"replicas":9},"status":{"replicas":3}})");
    EXPECT_EQ(status.body.at("metadata").at("generation"), 2);
    EXPECT_EQ(status.body.at("spec").at("replicas"), 2);
    EXPECT_EQ(status.body.at("status").at("replicas"), 3);
}

TEST(Api, ReadsBuiltInKindsAsTheirTypesDo) {
    Server server;
    const std::string target = "/apis/apps/v1/namespaces/default/deployments";
    const auto mistyped =
        server.post(target, R"({"metadata":{"name":"d"},"spec":{"replicas":"two"}})");
    EXPECT_EQ(mistyped.status, 400U);
    EXPECT_EQ(
        mistyped.text({"message"}),
        R"(Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32)");
    const auto warned = server.post(
        target, R"({"metadata":{"name":"d"},"spec":{"replica":2,"replicas":1,"replicas":3}})");
    EXPECT_EQ(warned.status, 201U);
    EXPECT_EQ(warned.warnings,
              (std::vector<std::string>{R"(299 - "duplicate field \"spec.replicas\"")",
                                        R"(299 - "unknown field \"spec.replica\"")"}));
    EXPECT_FALSE(warned.body.at("spec").as_object().contains("replica"));
    const auto strict = server.post(target + "?fieldValidation=Strict",
                                    R"({"metadata":{"name":"e"},"spec":{"replica":2}})");
    EXPECT_EQ(strict.status, 400U);
    EXPECT_EQ(
        strict.text({"message"}),
        R"(Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.replica")");
}

TEST(Api, DryRunStoresNothing) {
    Server server;
    EXPECT_EQ(server.post(std::string{configmaps} + "?dryRun=All", configmap("a")).status, 201U);
    EXPECT_EQ(server.get(std::string{configmaps} + "/a").status, 404U);
    server.post(configmaps, configmap("a"));
    EXPECT_EQ(server.send("DELETE", std::string{configmaps} + "/a?dryRun=All").status, 200U);
    EXPECT_EQ(server.get(std::string{configmaps} + "/a").status, 200U);
}

TEST(Api, GeneratesNames) {
    Server server;
    const auto created = server.post(configmaps, R"({"metadata":{"generateName":"a-"}})");
    EXPECT_EQ(created.status, 201U);
    EXPECT_EQ(created.text({"metadata", "name"}).size(), 7U);
}

TEST(Api, HoldsWhatHasFinalizers) {
    Server server;
    server.post(configmaps, R"({"metadata":{"name":"a","finalizers":["example.com/hold"]}})");
    const auto held = server.send("DELETE", std::string{configmaps} + "/a");
    EXPECT_EQ(held.status, 200U);
    EXPECT_FALSE(held.text({"metadata", "deletionTimestamp"}).empty());
    const auto more =
        server.merge(std::string{configmaps} + "/a",
                     R"({"metadata":{"finalizers":["example.com/hold","example.com/b"]}})");
    EXPECT_EQ(more.status, 422U);
    EXPECT_EQ(
        server.merge(std::string{configmaps} + "/a", R"({"metadata":{"finalizers":null}})").status,
        200U);
    EXPECT_EQ(server.get(std::string{configmaps} + "/a").status, 404U);
}

TEST(Api, ListsInPiecesOfOneMoment) {
    Server server;
    for (const auto* name : {"a", "b", "c"}) server.post(configmaps, configmap(name));
    const auto first = server.get(std::string{configmaps} + "?limit=2");
    ASSERT_EQ(first.items().size(), 2U);
    EXPECT_EQ(first.body.at("metadata").at("remainingItemCount"), 1);
    server.post(configmaps, configmap("d"));
    server.send("DELETE", std::string{configmaps} + "/c");
    const auto second = server.get(std::string{configmaps} +
                                   "?limit=2&continue=" + first.text({"metadata", "continue"}));
    ASSERT_EQ(second.items().size(), 1U);
    EXPECT_EQ(second.items()[0].at("metadata").at("name"), "c");
    EXPECT_EQ(second.text({"metadata", "resourceVersion"}),
              first.text({"metadata", "resourceVersion"}));
    EXPECT_EQ(server.get(std::string{configmaps} + "?continue=nonsense").status, 400U);
}

TEST(Api, AContinuedListThatIsTooOldIs410WithATokenForTheRest) {
    Server server{4096};
    for (const auto* name : {"a", "b", "c"}) server.post(configmaps, configmap(name));
    const auto first = server.get(std::string{configmaps} + "?limit=1");
    for (int i = 0; i < 30; ++i)
        server.merge(std::string{configmaps} + "/a",
                     R"({"data":{"n":")" + std::to_string(i) + "\"}}");
    const auto gone = server.get(std::string{configmaps} +
                                 "?limit=1&continue=" + first.text({"metadata", "continue"}));
    EXPECT_EQ(gone.status, 410U);
    EXPECT_EQ(gone.text({"reason"}), "Expired");
    const auto rest =
        server.get(std::string{configmaps} + "?continue=" + gone.text({"metadata", "continue"}));
    EXPECT_EQ(rest.items().size(), 2U);
}

TEST(Api, SelectsByLabelsAndFields) {
    Server server;
    server.post(configmaps, configmap("a", "1", "web"));
    server.post(configmaps, configmap("b", "1", "db"));
    EXPECT_EQ(server.get(std::string{configmaps} + "?labelSelector=app%3Dweb").items().size(), 1U);
    EXPECT_EQ(
        server.get(std::string{configmaps} + "?fieldSelector=metadata.name%3Db").items().size(),
        1U);
    EXPECT_EQ(server.get(std::string{configmaps} + "?fieldSelector=data.key%3D1").status, 400U);
}

TEST(Api, WatchesFromAVersionAndShowsWhatEntersAndLeavesTheSelection) {
    Server server;
    const auto start =
        server.post(configmaps, configmap("a", "1", "web")).text({"metadata", "resourceVersion"});
    auto watch = server.get(std::string{configmaps} +
                            "?watch=1&labelSelector=app%3Dweb&resourceVersion=" + start);
    ASSERT_TRUE(watch.stream);
    server.post(configmaps, configmap("b", "1", "db"));
    server.merge(std::string{configmaps} + "/b", R"({"metadata":{"labels":{"app":"web"}}})");
    server.merge(std::string{configmaps} + "/b", R"({"data":{"key":"2"}})");
    const auto left =
        server.merge(std::string{configmaps} + "/b", R"({"metadata":{"labels":{"app":"db"}}})");
    server.send("DELETE", std::string{configmaps} + "/a");
    const auto events = server.events(*watch.stream);
    ASSERT_EQ(events.size(), 4U);
    EXPECT_EQ(text_of(events[0], {"type"}), "ADDED");
    EXPECT_EQ(text_of(events[1], {"type"}), "MODIFIED");
    EXPECT_EQ(text_of(events[2], {"type"}), "DELETED");
    EXPECT_EQ(text_of(events[2], {"object", "metadata", "resourceVersion"}),
              left.text({"metadata", "resourceVersion"}));
    EXPECT_EQ(text_of(events[2], {"object", "metadata", "labels", "app"}), "web");
    EXPECT_EQ(text_of(events[3], {"type"}), "DELETED");
    EXPECT_EQ(text_of(events[3], {"object", "metadata", "name"}), "a");
}

TEST(Api, AWatchWaitsForWhatComes) {
    Server server;
    auto watch = server.get(std::string{configmaps} + "?watch=1");
    auto waiting = server.start(watch.stream->next());
    server.settle();
    EXPECT_FALSE(waiting->done);
    server.post(configmaps, configmap("a"));
    server.settle();
    EXPECT_TRUE(waiting->done);
    auto cancelled = server.start(watch.stream->next());
    server.settle();
    cancelled->stop.emit(asio::cancellation_type::terminal);
    server.settle();
    EXPECT_TRUE(cancelled->done);
}

TEST(Api, SendsInitialEventsAndTheMarkThatEndsThem) {
    Server server;
    server.post(configmaps, configmap("a"));
    auto watch = server.get(std::string{configmaps} +
                            "?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&"
                            "allowWatchBookmarks=true");
    ASSERT_TRUE(watch.stream);
    const auto events = server.events(*watch.stream);
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(text_of(events[0], {"type"}), "ADDED");
    EXPECT_EQ(text_of(events[1], {"type"}), "BOOKMARK");
    EXPECT_EQ(
        text_of(events[1], {"object", "metadata", "annotations", "k8s.io/initial-events-end"}),
        "true");
}

TEST(Api, AWatchFromAForgottenVersionEndsWith410) {
    Server server;
    const auto version =
        server.post(configmaps, configmap("a")).text({"metadata", "resourceVersion"});
    server.merge(std::string{configmaps} + "/a", R"({"data":{"key":"2"}})");
    server.restart();
    auto watch = server.get(std::string{configmaps} + "?watch=1&resourceVersion=" + version);
    const auto events = server.events(*watch.stream);
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(text_of(events[0], {"type"}), "ERROR");
    EXPECT_EQ(events[0].at("object").at("code"), 410);
    EXPECT_TRUE(server.events(*watch.stream).empty());
}

TEST(Api, KeepsObjectsAndTheCounterOverARestart) {
    Server server;
    const auto before = server.post(configmaps, configmap("a"));
    server.restart();
    EXPECT_EQ(server.get(std::string{configmaps} + "/a").body, before.body);
    auto watch = server.get(std::string{configmaps} + "?watch=1&resourceVersion=" +
                            before.text({"metadata", "resourceVersion"}));
    const auto after = server.post(configmaps, configmap("b"));
    EXPECT_GT(std::stoull(after.text({"metadata", "resourceVersion"})),
              std::stoull(before.text({"metadata", "resourceVersion"})));
    EXPECT_EQ(server.events(*watch.stream).size(), 1U);
}

TEST(Api, ADeletedNamespaceTakesItsContentAlong) {
    Server server;
    server.post("/api/v1/namespaces", R"({"metadata":{"name":"n"}})");
    server.post("/api/v1/namespaces/n/configmaps", configmap("a"));
    server.post("/api/v1/namespaces/n/configmaps",
                R"({"metadata":{"name":"held","finalizers":["example.com/hold"]}})");
    const auto deleted = server.send("DELETE", "/api/v1/namespaces/n");
    EXPECT_EQ(deleted.text({"status", "phase"}), "Terminating");
    server.settle();
    EXPECT_EQ(server.get("/api/v1/namespaces/n/configmaps/a").status, 404U);
    const auto refused = server.post("/api/v1/namespaces/n/configmaps", configmap("b"));
    EXPECT_EQ(refused.status, 403U);
    EXPECT_EQ(
        refused.text({"message"}),
        R"(configmaps "b" is forbidden: unable to create new content in namespace n because it is being terminated)");
    server.merge("/api/v1/namespaces/n/configmaps/held", R"({"metadata":{"finalizers":null}})");
    server.settle();
    EXPECT_EQ(server.get("/api/v1/namespaces/n").status, 404U);
}

constexpr auto widgets_definition =
    R"({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
 "metadata":{"name":"widgets.example.com"},"spec":{"group":"example.com","scope":"Namespaced",
 "names":{"plural":"widgets","singular":"widget","kind":"Widget","shortNames":["wd"]},
 "versions":[{"name":"v1","served":true,"storage":true,"subresources":{"status":{}},
  "additionalPrinterColumns":[{"name":"Size","type":"integer","jsonPath":".spec.size"}],
  "schema":{"openAPIV3Schema":{"type":"object","properties":{
   "spec":{"type":"object","required":["size"],"properties":{
     "size":{"type":"integer","minimum":1,"maximum":10},
     "color":{"type":"string","enum":["red","blue"],"default":"red"},
     "name":{"type":"string","pattern":"^[a-z]+$"},
     "free":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}},
   "status":{"type":"object","properties":{"ready":{"type":"boolean"}}}}}}}]}})";
constexpr auto definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
constexpr auto widgets = "/apis/example.com/v1/namespaces/default/widgets";

TEST(Api, ServesCustomKinds) {
    Server server;
    ASSERT_EQ(server.post(definitions, widgets_definition).status, 201U);
    server.settle();
    const auto definition = server.get(std::string{definitions} + "/widgets.example.com");
    EXPECT_EQ(definition.text({"status", "acceptedNames", "kind"}), "Widget");
    const auto created = server.post(
        widgets,
        R"({"metadata":{"name":"w"},"spec":{"size":3,"odd":1,"free":{"x":1}},"status":{"ready":true}})");
    ASSERT_EQ(created.status, 201U) << kube::to_json(created.body);
    EXPECT_EQ(created.text({"spec", "color"}), "red");
    EXPECT_FALSE(created.body.at("spec").as_object().contains("odd"));
    EXPECT_EQ(created.body.at("spec").at("free").at("x"), 1);
    EXPECT_FALSE(created.body.contains("status"));
    EXPECT_EQ(created.warnings, std::vector<std::string>{R"(299 - "unknown field \"spec.odd\"")"});

    const auto wrong = server.post(
        widgets, R"({"metadata":{"name":"x"},"spec":{"size":"big","color":"green","name":"A"}})");
    EXPECT_EQ(wrong.status, 422U);
    EXPECT_EQ(wrong.text({"message"}),
              "Widget.example.com \"x\" is invalid: [spec.size: Invalid value: \"string\": "
              "spec.size in body must be of type integer: \"string\", "
              "spec.color: Unsupported value: \"green\": supported values: \"red\", \"blue\", "
              "spec.name: Invalid value: \"A\": spec.name in body should match '^[a-z]+$']");
    EXPECT_EQ(server.post(widgets, R"({"metadata":{"name":"x"},"spec":{}})").text({"message"}),
              "Widget.example.com \"x\" is invalid: spec.size: Required value");

    server.restart();
    EXPECT_EQ(server.get(std::string{widgets} + "/w").status, 200U);
    EXPECT_EQ(server.send("DELETE", std::string{definitions} + "/widgets.example.com").status,
              200U);
    server.settle();
    EXPECT_EQ(server.get(std::string{definitions} + "/widgets.example.com").status, 404U);
    EXPECT_EQ(server.get(widgets).status, 404U);
}

TEST(Api, TellsWhatItServes) {
    Server server;
    const auto plain = server.get("/apis/apps/v1");
    EXPECT_EQ(plain.text({"groupVersion"}), "apps/v1");
    const auto aggregated = server.send(
        "GET", "/apis", "",
        {{"Accept",
          "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/"
          "json"}});
    EXPECT_EQ(aggregated.text({"kind"}), "APIGroupDiscoveryList");
    EXPECT_EQ(server.get("/apis/nope/v1").status, 404U);
    EXPECT_EQ(server.get("/openapi/v3/apis/apps/v1").text({"openapi"}), "3.0.0");
    EXPECT_EQ(server.get("/openapi/v2").text({"swagger"}), "2.0");
}

/// As client-go's metadata client asks a stock API server.
TEST(Api, WatchesMetadataAlone) {
    Server server;
    auto watch = server.send(
        "GET", std::string{configmaps} + "?watch=1", "",
        {{"Accept",
          "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"}});
    ASSERT_TRUE(watch.stream);
    server.post(configmaps, configmap("a"));
    const auto events = server.events(*watch.stream);
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(text_of(events[0], {"type"}), "ADDED");
    EXPECT_EQ(text_of(events[0], {"object", "kind"}), "PartialObjectMetadata");
    EXPECT_EQ(text_of(events[0], {"object", "apiVersion"}), "meta.k8s.io/v1");
    EXPECT_EQ(text_of(events[0], {"object", "metadata", "name"}), "a");
    const auto& object = events[0].at("object").as_object();
    EXPECT_TRUE(object.at("metadata").as_object().contains("managedFields"));
    EXPECT_FALSE(object.contains("data"));
}

TEST(Api, AnswersTablesAndMetadata) {
    Server server;
    server.post(configmaps, configmap("a"));
    const auto table =
        server.send("GET", configmaps, "",
                    {{"Accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}});
    EXPECT_EQ(table.text({"kind"}), "Table");
    EXPECT_EQ(table.body.at("rows").at(0).at("cells").at(0), "a");
    const auto partial = server.send(
        "GET", configmaps, "",
        {{"Accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}});
    EXPECT_EQ(partial.text({"kind"}), "PartialObjectMetadataList");
    EXPECT_FALSE(partial.items()[0].as_object().contains("data"));
    EXPECT_EQ(
        server.send("GET", configmaps, "", {{"Accept", "application/vnd.kubernetes.protobuf"}})
            .status,
        406U);
    EXPECT_EQ(server
                  .send("POST", configmaps, "k8s",
                        {{"Content-Type", "application/vnd.kubernetes.protobuf"}})
                  .status,
              415U);
}

}  // namespace
}  // namespace kled::api
