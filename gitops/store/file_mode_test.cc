// From commits to objects in an embedded API, with what to deploy in files of the repository.
#include "base/timeout.h"
#include "gitops/objects/objects.h"
#include "gitops/store/file_store.h"
#include "gitops/testing/world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace kled::gitops {
namespace {

using git::testing::File;
using git::testing::Files;
using ::testing::HasSubstr;

std::string kustomization(const std::string& name, const std::string& path,
                          const std::string& more = "") {
    return "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: " +
           name + "}\nspec:\n  interval: 10m\n  retryInterval: 1s\n  path: " + path +
           "\n  prune: true\n  sourceRef: {kind: GitRepository, name: flux-system}\n" + more;
}

std::string config(const std::string& name, const std::string& value,
                   const std::string& ns = "web") {
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: " + ns +
           "}\ndata: {k: '" + value + "'}\n";
}

const std::string web_namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n";

class FileMode : public ::testing::Test {
protected:
    void start() {
        world.start([this](kube::Client& client) {
            FileStore::Options options;
            options.url = world.repository.url();
            options.reference.branch = "main";
            options.path = "clusters/dev";
            return std::make_unique<FileStore>(client, std::move(options));
        });
    }
    void push(const Files& next) {
        commit = world.repository.commit(next);
        world.nudge();
    }
    std::string value(const std::string& name, const std::string& ns = "web") {
        const auto object = world.get("v1", "ConfigMap", ns, name);
        return object ? std::string{kube::find_string(object->fields(), {"data", "k"})} : "absent";
    }
    Summary summary(const std::string& name) {
        const auto all = world.sync(find_objects(world.client(), ""));
        return summarise(select(all, name).object);
    }
    /// Until `name` says that it applied the last commit.
    bool applied(const std::string& name) {
        return world.eventually([&] {
            try {
                const auto s = summary(name);
                return s.ready == "True" && s.revision == "main@sha1:" + commit;
            } catch (const Error&) {
                return false;
            }
        });
    }
    bool becomes(const std::string& name, const std::string& wanted) {
        return world.eventually([&] { return value(name) == wanted; });
    }

    testing::World world;
    std::string commit;
    Files files{{"clusters/dev/apps.yaml", kustomization("apps", "./apps")},
                {"apps/ns.yaml", web_namespace},
                {"apps/a.yaml", config("a", "1")}};
};

TEST_F(FileMode, BringsWhatIsCommittedAndFollowsIt) {
    commit = world.repository.commit(files);
    start();
    ASSERT_TRUE(applied("ks/apps")) << summary("ks/apps").message;
    EXPECT_EQ(value("a"), "1");
    files.insert_or_assign("apps/a.yaml", config("a", "2"));
    files.insert_or_assign("apps/b.yaml", config("b", "1"));
    push(files);
    ASSERT_TRUE(applied("ks/apps"));
    EXPECT_EQ(value("a"), "2");
    EXPECT_EQ(value("b"), "1");
    EXPECT_EQ(summary("source/flux-system").state, "Fetched");
}

TEST_F(FileMode, PrunesWhatItBroughtAndNothingElse) {
    commit = world.repository.commit(files);
    world.apply(web_namespace);
    world.apply(config("a", "from before"));
    world.apply(config("bystander", "x"));
    files.insert_or_assign("apps/b.yaml", config("b", "1"));
    files.insert_or_assign("apps/bystander2.yaml", config("c", "1"));
    commit = world.repository.commit(files);
    start();
    ASSERT_TRUE(applied("ks/apps"));
    ASSERT_EQ(value("a"), "1") << "adopted";
    push({{"clusters/dev/apps.yaml", kustomization("apps", "./apps")},
          {"apps/c.yaml", config("c", "1")}});
    ASSERT_TRUE(applied("ks/apps"));
    EXPECT_EQ(value("b"), "absent");
    EXPECT_EQ(value("c"), "1");
    EXPECT_EQ(value("a"), "1") << "it was there before kled";
    EXPECT_EQ(value("bystander"), "x");
    EXPECT_TRUE(world.get("v1", "Namespace", "", "web")) << "it was there before kled";
}

TEST_F(FileMode, TakesAwayWhatALostKustomizationBrought) {
    files.insert_or_assign("clusters/dev/more.yaml", kustomization("more", "./more"));
    files.insert_or_assign("more/m.yaml", config("m", "1"));
    commit = world.repository.commit(files);
    start();
    ASSERT_TRUE(applied("ks/apps"));
    ASSERT_TRUE(becomes("m", "1"));
    files.erase("clusters/dev/more.yaml");
    push(files);
    EXPECT_TRUE(becomes("m", "absent"));
    EXPECT_EQ(value("a"), "1");
    EXPECT_TRUE(world.eventually([&] {
        return world.sync(find_objects(world.client(), "")).size() == 3;  // source, root, apps
    }));
}

TEST_F(FileMode, GoesOnWithTheLastGoodRevisionWhenOneIsBroken) {
    commit = world.repository.commit(files);
    start();
    ASSERT_TRUE(applied("ks/apps"));
    auto broken = files;
    broken.insert_or_assign("apps/a.yaml", "a: [\n");
    broken.erase("apps/ns.yaml");
    push(broken);
    EXPECT_TRUE(world.eventually([&] { return summary("ks/apps").ready == "False"; }));
    EXPECT_THAT(summary("ks/apps").message, HasSubstr("apps/a.yaml:"));
    EXPECT_EQ(value("a"), "1");
    world.repository.remove_branch("main");
    world.nudge();
    EXPECT_TRUE(world.eventually([&] { return summary("source/flux-system").ready == "False"; }));
    EXPECT_THAT(summary("source/flux-system").message, HasSubstr("the repository is empty"));
    EXPECT_EQ(value("a"), "1");
    files.insert_or_assign("apps/a.yaml", config("a", "3"));
    push(files);
    EXPECT_TRUE(applied("ks/apps"));
    EXPECT_EQ(value("a"), "3");
}

TEST_F(FileMode, FollowsARewrittenHistory) {
    files.insert_or_assign("apps/b.yaml", config("b", "1"));
    commit = world.repository.commit(files);
    start();
    ASSERT_TRUE(applied("ks/apps"));
    files.erase("apps/b.yaml");
    files.insert_or_assign("apps/a.yaml", config("a", "other"));
    commit = world.repository.replace(files);
    world.nudge();
    ASSERT_TRUE(applied("ks/apps"));
    EXPECT_EQ(value("a"), "other");
    EXPECT_EQ(value("b"), "absent");
}

TEST_F(FileMode, StartsWhatDependsOnSomethingTheMomentThatIsReady) {
    files.insert_or_assign("clusters/dev/apps.yaml",
                           kustomization("apps", "./apps", "  dependsOn: [{name: infra}]\n"));
    commit = world.repository.commit(files);
    start();
    ASSERT_TRUE(world.eventually([&] {
        try {
            return summary("ks/apps").message == "dependency 'flux-system/infra' does not exist";
        } catch (const Error&) {
            return false;
        }
    }));
    EXPECT_EQ(value("a"), "absent");
    files.insert_or_assign("clusters/dev/infra.yaml", kustomization("infra", "./infra"));
    files.insert_or_assign("infra/i.yaml", config("i", "1", "default"));
    push(files);
    ASSERT_TRUE(applied("ks/apps")) << summary("ks/apps").message;
    EXPECT_EQ(value("a"), "1");
}

TEST_F(FileMode, BringsACustomResourceWithItsDefinitionInOnePush) {
    files.insert_or_assign(
        "apps/crd.yaml",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: "
        "things.x.io}\nspec:\n  group: x.io\n  scope: Namespaced\n  names: {kind: Thing, plural: "
        "things, "
        "singular: thing, listKind: ThingList}\n  versions:\n  - name: v1\n    served: true\n    "
        "storage: "
        "true\n    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: "
        "true}}\n");
    files.insert_or_assign(
        "apps/a-thing.yaml",
        "apiVersion: x.io/v1\nkind: Thing\nmetadata: {name: t, namespace: web}\nspec: {a: 1}\n");
    commit = world.repository.commit(files);
    start();
    ASSERT_TRUE(applied("ks/apps")) << summary("ks/apps").message;
    EXPECT_TRUE(world.get("x.io/v1", "Thing", "web", "t"));
}

TEST_F(FileMode, TellsOfAnObjectThatFailsAndBringsTheOthers) {
    files.insert_or_assign("apps/b.yaml",
                           "apiVersion: v1\nkind: Nonsense\nmetadata: {name: n, namespace: web}\n");
    commit = world.repository.commit(files);
    start();
    ASSERT_TRUE(world.eventually([&] {
        try {
            return summary("ks/apps").ready == "False";
        } catch (const Error&) {
            return false;
        }
    }));
    EXPECT_THAT(summary("ks/apps").message, HasSubstr("Nonsense web/n"));
    EXPECT_EQ(value("a"), "1");
}

TEST_F(FileMode, RefusesToActOnHalfOfWhatItIsTold) {
    files.insert_or_assign("clusters/dev/apps.yaml",
                           kustomization("apps", "./apps", "  healthCheckExprs: [{kind: Pod}]\n"));
    commit = world.repository.commit(files);
    start();
    ASSERT_TRUE(world.eventually([&] {
        try {
            return summary("ks/apps").state == "Stalled";
        } catch (const Error&) {
            return false;
        }
    }));
    EXPECT_THAT(summary("ks/apps").message,
                HasSubstr("spec.healthCheckExprs is not supported yet"));
    EXPECT_EQ(value("a"), "absent");
}

TEST_F(FileMode, LetsNoFileWriteItsOwnState) {
    const std::string mine = "kled-gitops.kustomization.flux-system.apps";
    files.insert_or_assign("apps/b.yaml", config(mine, "forged", "kled-system"));
    commit = world.repository.commit(files);
    start();
    const auto refused = [&](const std::string& why) {
        return world.eventually([&] {
            try {
                const auto s = summary("ks/apps");
                return s.ready == "False" && s.message.find(why) != std::string::npos;
            } catch (const Error&) {
                return false;
            }
        });
    };
    EXPECT_TRUE(refused("apps/b.yaml:1: ConfigMap kled-system/" + mine + " is where kled keeps"))
        << summary("ks/apps").message;
    EXPECT_EQ(value("a"), "absent") << "half of it was applied";
    EXPECT_EQ(value(mine, "kled-system"), "") << "the state was written by a file";

    files.insert_or_assign("apps/b.yaml",
                           "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: any, namespace: "
                           "kled-system, labels: {gitops.kled.io/state: x}}\n");
    push(files);
    EXPECT_TRUE(refused("ConfigMap kled-system/any is where kled keeps"));

    // Beside it there is room.
    files.insert_or_assign("apps/b.yaml", config("any", "1", "kled-system"));
    push(files);
    EXPECT_TRUE(applied("ks/apps"));
    EXPECT_EQ(value("any", "kled-system"), "1");
}

TEST_F(FileMode, TakesOverFromAnotherRun) {
    commit = world.repository.commit(files);
    start();
    ASSERT_TRUE(applied("ks/apps"));
    world.stop_reconciler();
    files.erase("apps/a.yaml");
    files.insert_or_assign("apps/b.yaml", config("b", "1"));
    commit = world.repository.commit(files);
    start();
    ASSERT_TRUE(applied("ks/apps"));
    EXPECT_EQ(value("a"), "absent") << "what another run brought";
    EXPECT_EQ(value("b"), "1");
}

TEST_F(FileMode, AppliesAgainOnlyWhatDiffers) {
    commit = world.repository.commit(files);
    start();
    ASSERT_TRUE(applied("ks/apps"));
    const auto before = world.get("v1", "ConfigMap", "web", "a");
    world.stop_reconciler();
    files.insert_or_assign("apps/b.yaml", config("b", "1"));
    commit = world.repository.commit(files);
    start();
    ASSERT_TRUE(applied("ks/apps"));
    EXPECT_EQ(world.get("v1", "ConfigMap", "web", "a")->resource_version(),
              before->resource_version());
}

/// Takes what it is given.
class AnyFleet : public kube::Target {
public:
    boost::asio::awaitable<void> deliver(kube::Rendered) override { co_return; }
    boost::asio::awaitable<void> withdraw(kube::ObjectId) override { co_return; }
};

TEST_F(FileMode, WhatTheFleetSaysOfADeploymentTakesItThroughAPipeline) {
    commit = world.repository.commit(
        {{"clusters/dev/edge.yaml",
          "apiVersion: edge.kled.io/v1\nkind: EdgeDeployment\nmetadata: {name: web, annotations: "
          "{gitops.kled.io/pipeline: shop}}\nspec: {interval: 10m, path: apps, sourceRef: {kind: "
          "GitRepository, name: flux-system}, placement: {selector: {matchLabels: {a: b}}}}\n"},
         {"clusters/dev/pipeline.yaml",
          "apiVersion: gitops.kled.io/v1\nkind: Pipeline\nmetadata: {name: shop}\nspec:\n"
          "  sourceRef: {kind: GitRepository, name: flux-system}\n"
          "  stages: [{name: edge, targets: [{kind: EdgeDeployment, name: web}]}]\n"},
         {"apps/ns.yaml", web_namespace}});
    FileStore* store = nullptr;
    Reconciler::Options reconciler;
    reconciler.targets.emplace("EdgeDeployment", std::make_shared<AnyFleet>());
    world.start(
        [&](kube::Client& client) {
            FileStore::Options options;
            options.url = world.repository.url();
            options.reference.branch = "main";
            options.path = "clusters/dev";
            options.target_kinds = {"EdgeDeployment"};
            auto made = std::make_unique<FileStore>(client, std::move(options));
            store = made.get();
            return made;
        },
        std::move(reconciler));
    const auto stage = [&]() -> std::string {
        const auto state =
            world.get("v1", "ConfigMap", "kled-system", "kled-gitops.pipeline.flux-system.shop");
        const auto pipeline = state ? kept_object(*state) : std::nullopt;
        const auto* stages = pipeline && pipeline->status() != nullptr
                                 ? pipeline->status()->if_contains("stages")
                                 : nullptr;
        if (stages == nullptr || !stages->is_array() || stages->get_array().empty()) return {};
        return kube::to_json(stages->get_array().front());
    };
    EXPECT_TRUE(world.eventually([&] { return stage().find("Progressing") != std::string::npos; }))
        << stage();
    const auto report = [&](std::string ready) -> boost::asio::awaitable<int> {
        kube::json::object condition;
        condition["type"] = "Ready";
        condition["status"] = ready;
        condition["reason"] = "Devices";
        condition["message"] = "of 1";
        kube::json::object status;
        status["revision"] = "main@sha1:" + commit;
        status["observedGeneration"] = 1;
        status["conditions"] = kube::json::array{std::move(condition)};
        const Key key{.kind = "EdgeDeployment", .ns = "flux-system", .name = "web"};
        store->report(key, std::move(status));
        co_return 0;
    };
    world.sync(report("False"));
    world.sync(report("True"));
    EXPECT_TRUE(world.eventually([&] { return stage().find("Passed") != std::string::npos; }))
        << stage();
}

TEST_F(FileMode, CachesOfWhatWentWhileItWasDownGo) {
    commit = world.repository.commit(files);
    start();
    ASSERT_TRUE(applied("ks/apps"));
    world.stop_reconciler();
    const auto cache = world.directory.path() / "cache";
    const std::vector<std::string> gone{"flux-system_gone", "flux-system_gone+Bucket",
                                        "flux-system_gone+Kustomization"};
    for (const auto& name : gone) std::filesystem::create_directories(cache / name / "objects");
    start();
    for (const auto& name : gone) {
        EXPECT_TRUE(world.eventually([&] { return !std::filesystem::exists(cache / name); }))
            << name;
    }
    EXPECT_TRUE(std::filesystem::exists(cache / "flux-system_flux-system"));
}

/// Counts what it is told.
class Counting : public ObjectStore::Listener {
public:
    void changed(kube::Object) override { ++told; }
    void removed(const Key&) override { ++told; }
    void known(std::string_view) override { ++told; }
    void listed(std::string_view, const std::set<Key>&) override { ++told; }

    int told = 0;
};

TEST_F(FileMode, WithStateThatCannotBeReadNothingIsBegunUntilItIsPutRight) {
    const auto state = [](const std::string& object) {
        return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "
               "kled-gitops.kustomization.flux-system.apps, namespace: kled-system, labels: "
               "{gitops.kled.io/state: 'true'}}\ndata: {object: '" +
               object + "'}\n";
    };
    world.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: kled-system}\n");
    for (const std::string broken : {"{\"kind\": ", "[]", ""}) {
        SCOPED_TRACE(broken);
        world.apply(state(broken));
        FileStore store{world.client(), {}};
        Counting listener;
        const auto run = [&] {
            world.sync(
                with_timeout(std::chrono::milliseconds{700}, "running", store.run(listener)));
        };
        EXPECT_THROW(run(), Error);  // the timeout's
        EXPECT_EQ(listener.told, 0);
    }
    commit = world.repository.commit(files);
    start();
    world.remove("v1", "ConfigMap", "kled-system", "kled-gitops.kustomization.flux-system.apps");
    ASSERT_TRUE(applied("ks/apps"));
    EXPECT_EQ(value("a"), "1");
}

}  // namespace
}  // namespace kled::gitops
