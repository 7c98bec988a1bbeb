// In an embedded API.
#include "gitops/apply/prune.h"

#include "gitops/apply/apply_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

namespace kled::gitops {
namespace {

using ::testing::ElementsAre;

using PruneTest = testing::ApplyWorld;

TEST_F(PruneTest, PrunesOnlyWhatStillIsTheOwners) {
    apply(config("mine", "1") + "---\n" + config("given", "1") + "---\n" +
          config("protected", "1"));
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: given\n  namespace: default\n  "
        "labels: "
        "{kustomize.toolkit.fluxcd.io/name: other, kustomize.toolkit.fluxcd.io/namespace: "
        "default}\n");
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: protected\n  namespace: default\n  "
        "annotations: {kustomize.toolkit.fluxcd.io/prune: disabled}\n");
    Inventory::EntryList gone;
    for (const auto* name : {"mine", "given", "protected", "never"})
        gone.push_back({{.group = "", .kind = "ConfigMap", .ns = "default", .name = name}, "v1"});
    const auto changes = world.sync(prune(client, owner, gone, memory));
    std::map<std::string, std::string> by_name;
    for (const auto& change : changes) by_name[change.id.name] = to_string(change.action);
    EXPECT_EQ(by_name["mine"], "pruned");
    EXPECT_EQ(by_name["given"], "kept");
    EXPECT_EQ(by_name["protected"], "kept");
    EXPECT_EQ(by_name["never"], "pruned");
    EXPECT_TRUE(world.get("v1", "ConfigMap", "default", "given"));
    EXPECT_FALSE(world.get("v1", "ConfigMap", "default", "mine"));
}

TEST_F(PruneTest, LeavesAloneWhatSaysSoInTheCluster) {
    apply(config("a", "1") + "---\n" + config("b", "1"));
    const auto say = [&](const std::string& name, const std::string& metadata) {
        world.apply("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name +
                    "\n  namespace: default\n  " + metadata + "\n");
    };
    say("a", "labels: {kustomize.toolkit.fluxcd.io/reconcile: disabled}");
    say("b", "annotations: {kustomize.toolkit.fluxcd.io/ssa: ignore}");
    Inventory::EntryList gone;
    for (const auto* name : {"a", "b"})
        gone.push_back({{.group = "", .kind = "ConfigMap", .ns = "default", .name = name}, "v1"});
    EXPECT_THAT(actions(world.sync(prune(client, owner, gone, memory))),
                ElementsAre("kept", "kept"));
}

/// Behind which extension API servers are away: of `ext` the only one, of `moved` that of a
/// version.
class Away : public testing::Passing {
public:
    using Passing::Passing;
    boost::asio::awaitable<net::Response> send(net::Request request) override {
        if (request.target == "/apis/ext.example.org/v1") return answer(503, "");
        if (request.target == "/apis/moved.example.org")
            return answer(200, R"({"versions":[{"version":"v1"},{"version":"v2"}]})");
        if (request.target == "/apis/moved.example.org/v2") return answer(status, body);
        return Passing::send(std::move(request));
    }
    unsigned status = 503;
    std::string body;

private:
    static boost::asio::awaitable<net::Response> answer(unsigned status, std::string body) {
        net::Response response;
        response.status = status;
        response.body = std::move(body);
        co_return response;
    }
};

TEST_F(PruneTest, ForgetsWhatItCannotPruneOnlyWhereItsKindIsGone) {
    auto away = std::make_shared<Away>(world.client().transport());
    kube::Client behind{away};
    const auto thing = [](const std::string& group) {
        return Inventory::EntryList::value_type{
            {.group = group, .kind = "Thing", .ns = "default", .name = "a"}, "v1"};
    };
    const auto pruned = [&] {
        std::map<std::string, std::string> by_group;
        const Inventory::EntryList gone{thing("ext.example.org"), thing("gone.example.org"),
                                        thing("moved.example.org"), thing("")};
        for (const auto& change : world.sync(prune(behind, owner, gone, memory)))
            by_group[change.id.group] = to_string(change.action);
        return by_group;
    };
    const std::map<std::string, std::string> expected{{"", "pruned"},
                                                      {"ext.example.org", "failed"},
                                                      {"gone.example.org", "pruned"},
                                                      {"moved.example.org", "failed"}};
    EXPECT_EQ(pruned(), expected);
    away->status = 200;
    away->body = R"({"resources":[{"kind":"Thing"}]})";
    EXPECT_EQ(pruned()["moved.example.org"], "failed");
    away->body = R"({"resources":[{"kind":"Other"}]})";
    EXPECT_EQ(pruned()["moved.example.org"], "pruned");
    away->body = "not JSON";
    EXPECT_EQ(pruned()["moved.example.org"], "failed");
}

}  // namespace
}  // namespace kled::gitops
