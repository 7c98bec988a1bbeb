// What ships as YAML: it builds, the embedded API takes it, and its parts fit together.
#include "apiserver/server.h"
#include "base/file.h"
#include "base/run.h"
#include "base/task_group.h"
#include "kube/client.h"
#include "kustomize/build.h"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace kled {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using kube::Object;

const fs::path manifests = KLED_SOURCE_DIR "/manifests";
const std::vector<std::string> clusters{"dev", "edge-staging", "edge-production", "pipeline"};

std::vector<Object> build(const fs::path& directory) {
    std::vector<Object> objects;
    const auto path = kustomize::DiskFiles::path_of(directory);
    for (auto& loaded : kustomize::build(kustomize::DiskFiles{}, path).objects)
        objects.push_back(std::move(loaded.object));
    return objects;
}

/// What the deployment objects of a cluster deliver.
std::vector<Object> delivered(const std::vector<Object>& cluster) {
    std::vector<Object> objects;
    for (const auto& object : cluster) {
        if (object.kind() != "Kustomization" && object.kind() != "EdgeDeployment") continue;
        const std::string path{kube::find_string(*object.spec(), {"path"})};
        for (auto& built : build(manifests / path)) objects.push_back(std::move(built));
    }
    return objects;
}

asio::awaitable<void> apply_all(kube::Client& client, const std::vector<Object>& objects) {
    const kube::ApplyOptions options{};
    for (const auto& object : objects) {
        std::string refusal;
        try {
            co_await client.apply(object, options);
        } catch (const Error& error) {
            refusal = error.what();
        }
        EXPECT_EQ(refusal, "") << object.kind() << " " << object.name();
    }
}

/// "" when it was accepted.
asio::awaitable<std::string> refusal(kube::Client& client, Object object) {
    std::string message;
    try {
        co_await client.create(object);
    } catch (const Error& error) {
        message = error.what();
    }
    co_return message;
}

Object edge_object(std::string_view kind, std::string_view spec) {
    const auto text = R"({"apiVersion":"edge.kled.io/v1","kind":")" + std::string{kind} +
                      R"(","metadata":{"name":"x","namespace":"flux-system"},"spec":)" +
                      std::string{spec} + "}";
    return Object::from(kube::parse_json(text));
}

asio::awaitable<void> check_definitions(kube::Client& client) {
    const auto source = std::string{R"("sourceRef":{"kind":"GitRepository","name":"fleet"})"};
    EXPECT_NE(co_await refusal(client, edge_object("EdgeDeployment", "{" + source + "}")), "");
    EXPECT_NE(
        co_await refusal(client, edge_object("EdgeDeployment",
                                             R"({"placement":{},"interval":"5",)" + source + "}")),
        "");
    EXPECT_EQ(co_await refusal(client,
                               edge_object("EdgeDeployment", R"({"placement":{},)" + source + "}")),
              "");
    EXPECT_NE(co_await refusal(client, edge_object("EdgeNode", R"({"fleet":"A/B"})")), "");
    EXPECT_EQ(co_await refusal(client, edge_object("EdgeNode", "{}")), "");
    const kube::GroupVersionKind kind{.group = "edge.kled.io", .version = "v1", .kind = "EdgeNode"};
    const std::string none;
    const std::string name = "x";
    const auto node = co_await client.get(kind, none, name);
    EXPECT_TRUE(node && kube::find_string(*node->spec(), {"fleet"}) == "default");
}

asio::awaitable<bool> is_ready(kube::Client& client) {
    net::Request request;
    request.target = "/readyz";
    try {
        const auto response = co_await client.transport().send(std::move(request));
        co_return response.status == 200;
    } catch (const Error&) {
        co_return false;  // it opens its doors when its store is ready
    }
}

asio::awaitable<bool> is_established(kube::Client& client, const Object& definition) {
    const auto kind = definition.gvk();
    const std::string none;
    const std::string name{definition.name()};
    const auto stored = co_await client.get(kind, none, name);
    const auto* conditions =
        stored ? kube::find(stored->fields(), {"status", "conditions"}) : nullptr;
    if (conditions == nullptr) co_return false;
    for (const auto& condition : conditions->as_array()) {
        const auto& fields = condition.as_object();
        if (kube::find_string(fields, {"type"}) == "Established")
            co_return kube::find_string(fields, {"status"}) == "True";
    }
    co_return false;
}

asio::awaitable<void> yield() {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
}

asio::awaitable<void> apply_everything(api::ApiServer& server, TaskGroup& tasks) {
    kube::Client early{server.in_process_transport()};
    while (!co_await is_ready(early)) co_await yield();
    const auto definitions = build(manifests / "crds");
    co_await apply_all(early, definitions);
    for (const auto& definition : definitions)
        while (!co_await is_established(early, definition)) co_await yield();
    kube::Client client{server.in_process_transport()};  // knows the new kinds from the start
    for (const auto& name : clusters) {
        const auto cluster = build(manifests / "clusters" / name);
        co_await apply_all(client, cluster);
        co_await apply_all(client, delivered(cluster));
    }
    co_await check_definitions(client);
    tasks.cancel();
}

asio::awaitable<void> serve(fs::path state) {
    const auto loop = co_await asio::this_coro::executor;
    api::ApiServer::Options options{};
    options.state = std::move(state);
    api::ApiServer server{loop, options};
    TaskGroup tasks{loop};
    tasks.spawn(server.run());
    tasks.spawn(apply_everything(server, tasks));
    co_await even_if_cancelled;
    co_await tasks.join();
}

TEST(Manifests, AreTakenByTheEmbeddedApi) {
    const TemporaryDirectory folder;
    run_to_end(serve(folder.path() / "api"));
}

TEST(Manifests, NameSourcesOfTheirOwnClusterAndPathsThatAreThere) {
    for (const auto& name : clusters) {
        const auto cluster = build(manifests / "clusters" / name);
        EXPECT_FALSE(delivered(cluster).empty()) << name;
        for (const auto& object : cluster) {
            if (object.kind() != "Kustomization" && object.kind() != "EdgeDeployment") continue;
            const auto source = kube::find_string(*object.spec(), {"sourceRef", "name"});
            EXPECT_TRUE(std::ranges::any_of(cluster, [&](const Object& candidate) {
                return candidate.kind() == "GitRepository" && candidate.name() == source &&
                       candidate.ns() == object.ns();
            })) << source;
        }
    }
}

TEST(Manifests, GiveDevicesProcessesOnLoopbackPortsOfTheirOwn) {
    std::set<std::string> ports;
    for (const auto* overlay : {"edge-staging", "edge-production"}) {
        for (const auto& object : build(manifests / "apps/demo-hello/overlays" / overlay)) {
            EXPECT_NE(object.kind(), "Service");
            if (object.kind() != "Deployment") continue;
            SCOPED_TRACE(std::string{overlay} + " " + std::string{object.name()});
            const auto* pod = kube::find(object.fields(), {"spec", "template"});
            ASSERT_NE(pod, nullptr);
            EXPECT_EQ(kube::find_string(pod->as_object(),
                                        {"metadata", "annotations", "edge.kled.io/runtime"}),
                      "process");
            const auto text = kube::to_json(*pod);
            EXPECT_EQ(text.find("0.0.0.0"), std::string::npos);
            const auto& container = pod->at("spec").at("containers").at(0).as_object();
            EXPECT_FALSE(container.at("command").as_array().empty());
            const auto& port = container.at("ports").at(0).at("containerPort");
            EXPECT_TRUE(ports.insert(kube::to_json(port)).second) << port;
            // The programs are told the port that the probes ask.
            if (const auto* env = container.if_contains("env")) {
                EXPECT_EQ(env->at(0).at("value").as_string(), kube::to_json(port));
            }
        }
    }
    EXPECT_EQ(ports.size(), 6U);
}

}  // namespace
}  // namespace kled
