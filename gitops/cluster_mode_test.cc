// The same with what to deploy as objects of the cluster, under the definitions that we ship.
#include "base/encoding.h"
#include "gitops/cluster_store.h"
#include "gitops/objects.h"
#include "gitops/world.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>

namespace kled::gitops {
namespace {

using git::testing::Files;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string source_api = "source.toolkit.fluxcd.io/v1";
const std::string kustomize_api = "kustomize.toolkit.fluxcd.io/v1";

std::string config(const std::string& name, const std::string& value) {
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name +
           ", namespace: web}\ndata: {k: '" + value + "'}\n";
}

std::string kustomization(const std::string& more = "") {
    return "apiVersion: " + kustomize_api +
           "\nkind: Kustomization\nmetadata: {name: apps, namespace: default}\nspec:\n  interval: "
           "10m\n"
           "  retryInterval: 1s\n  path: apps\n  prune: true\n  sourceRef: {kind: GitRepository, "
           "name: fleet}\n" +
           more;
}

/// Remembers what it was given; while it is held, a delivery has begun and does not end.
class Fleet : public kube::Target {
public:
    boost::asio::awaitable<void> deliver(kube::Rendered rendered) override {
        const std::string name{rendered.owner.name()};
        note(begun_, name);
        boost::asio::steady_timer pause{co_await boost::asio::this_coro::executor};
        while (held_) {
            pause.expires_after(std::chrono::milliseconds{5});
            co_await pause.async_wait(boost::asio::use_awaitable);
        }
        note(delivered_, name + " " + std::to_string(rendered.objects.size()));
        const std::scoped_lock lock{mutex_};
        const auto* placement = kube::find(rendered.owner.fields(), {"spec", "placement"});
        placements_[name] = placement == nullptr ? "" : kube::to_json(*placement);
    }
    void hold(bool held) { held_ = held; }
    bool has_begun(const std::string& name) {
        const std::scoped_lock lock{mutex_};
        return std::ranges::find(begun_, name) != begun_.end();
    }
    /// Of the last version of `name` that was delivered.
    std::string placement(const std::string& name) {
        const std::scoped_lock lock{mutex_};
        return placements_[name];
    }
    boost::asio::awaitable<void> withdraw(kube::ObjectId owner) override {
        const std::scoped_lock lock{mutex_};
        delivered_.push_back(owner.name + " withdrawn");
        co_return;
    }
    std::vector<std::string> delivered() {
        const std::scoped_lock lock{mutex_};
        return delivered_;
    }

private:
    void note(std::vector<std::string>& list, std::string text) {
        const std::scoped_lock lock{mutex_};
        list.push_back(std::move(text));
    }

    std::mutex mutex_;
    std::atomic<bool> held_ = false;
    std::vector<std::string> begun_;
    std::vector<std::string> delivered_;
    std::map<std::string, std::string> placements_;
};

class ClusterMode : public ::testing::Test {
protected:
    ClusterMode() {
        world.repository.commit(files);
        world.apply_definitions({{"edge.kled.io", "EdgeDeployment"}});
    }
    /// Of the events with this reason.
    std::vector<std::string> messages_of(const std::string& reason) {
        std::vector<std::string> result;
        for (auto& event : world.events())
            if (event.reason == reason) result.push_back(std::move(event.message));
        return result;
    }
    void start(Reconciler::Options options = {}) {
        options.targets.emplace("EdgeDeployment", fleet);
        world.start(
            [](kube::Client& client) {
                ClusterStore::Options kinds;
                kinds.target_kinds.insert("EdgeDeployment");
                return std::make_unique<ClusterStore>(client, std::move(kinds));
            },
            std::move(options));
    }
    void apply_repository(const std::string& more = "") {
        world.apply(
            "apiVersion: " + source_api +
            "\nkind: GitRepository\nmetadata: {name: fleet, namespace: default}\nspec:\n  url: " +
            world.repository.url() + "\n  interval: 10m\n  ref: {branch: main}\n" + more);
    }
    kube::Object apps() { return *world.get(kustomize_api, "Kustomization", "default", "apps"); }
    bool ready_at(const std::string& commit) {
        return world.eventually([&] {
            const auto s = summarise(apps());
            return s.ready == "True" && s.revision == "main@sha1:" + commit;
        });
    }
    std::string value(const std::string& name) {
        const auto object = world.get("v1", "ConfigMap", "web", name);
        return object ? std::string{kube::find_string(object->fields(), {"data", "k"})} : "absent";
    }
    void request(const std::string& token) {
        const auto found = world.sync(find_objects(world.client(), "default"));
        world.sync(request_reconcile(world.client(), gitops::select(found, "ks/apps"), token));
    }
    bool handled(const std::string& token) {
        return world.eventually([&] {
            return kube::find_string(apps().fields(), {"status", "lastHandledReconcileAt"}) ==
                   token;
        });
    }

    testing::World world;
    std::shared_ptr<Fleet> fleet = std::make_shared<Fleet>();
    Files files{{"apps/ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n"},
                {"apps/a.yaml", config("a", "1")}};
};

TEST_F(ClusterMode, FollowsObjectsOfTheCluster) {
    start();
    apply_repository();
    world.apply(kustomization());
    const auto commit = world.repository.commit(files);
    world.nudge();
    ASSERT_TRUE(ready_at(commit)) << summarise(apps()).message;
    EXPECT_EQ(value("a"), "1");
    const auto status = DeploymentStatus::from_object(apps());
    EXPECT_EQ(status.observed_generation, apps().generation());
    EXPECT_EQ(status.inventory.size(), 2U);
    const auto source = *world.get(source_api, "GitRepository", "default", "fleet");
    EXPECT_EQ(summarise(source).revision, "main@sha1:" + commit);
}

TEST_F(ClusterMode, ASourceTellsWhereItsArchiveIs) {
    auto artifacts = std::make_shared<Artifacts>(world.directory.path() / "artifacts");
    artifacts->advertise("http://kled:9790");
    Reconciler::Options options;
    options.artifacts = artifacts;
    const auto artifact = [this] {
        return SourceStatus::from_object(
            *world.get(source_api, "GitRepository", "default", "fleet"));
    };
    const auto stored = [&](const std::string& commit) {
        return world.eventually(
            [&] { return artifact().artifact_revision == "main@sha1:" + commit; });
    };
    start(options);
    apply_repository();
    auto commit = world.repository.commit(files);
    world.nudge();
    ASSERT_TRUE(stored(commit));
    const auto first = artifact();
    EXPECT_EQ(first.artifact.url,
              "http://kled:9790/gitrepository/default/fleet/" + commit + ".tar.gz");
    EXPECT_TRUE(artifacts->has(first.artifact));

    // Another start finds it as it was, and makes it anew when the disk was lost.
    world.stop_reconciler();
    artifacts->remove({"default", "fleet"});
    start(options);
    ASSERT_TRUE(world.eventually([&] { return artifacts->has(first.artifact); }));
    EXPECT_EQ(artifact(), first);

    apply_repository("  ignore: apps/ns.yaml\n");
    ASSERT_TRUE(
        world.eventually([&] { return artifact().artifact.digest != first.artifact.digest; }));
    EXPECT_EQ(artifact().artifact.path, first.artifact.path);

    world.remove(source_api, "GitRepository", "default", "fleet");
    EXPECT_TRUE(world.eventually([&] {
        return !artifacts->has(first.artifact) &&
               !artifacts->locate("/gitrepository/default/fleet/latest.tar.gz");
    }));
}

TEST_F(ClusterMode, AnArchiveThatCannotBeIsACondition) {
    Reconciler::Options options;
    options.artifacts = std::make_shared<Artifacts>(world.directory.path() / "artifacts");
    write_file_atomic(world.directory.path() / "artifacts", "in its place");
    start(options);
    apply_repository();
    world.repository.commit(files);
    world.nudge();
    ASSERT_TRUE(world.eventually([&] {
        const auto source = *world.get(source_api, "GitRepository", "default", "fleet");
        return summarise(source).ready == "False" &&
               Conditions::from_status(source.status()).find("Ready")->reason ==
                   "ArchiveOperationFailed";
    }));
}

TEST_F(ClusterMode, OnlySourcesLeavesTheRestToAnother) {
    Reconciler::Options options;
    options.only_sources = true;
    start(options);
    world.apply(kustomization());
    apply_repository();
    const auto commit = world.repository.commit(files);
    world.nudge();
    ASSERT_TRUE(world.eventually([&] {
        const auto source = *world.get(source_api, "GitRepository", "default", "fleet");
        return summarise(source).revision == "main@sha1:" + commit;
    }));
    const auto given = apps();
    EXPECT_EQ(kube::find(given.fields(), {"metadata", "finalizers"}), nullptr);
    EXPECT_EQ(given.status(), nullptr);
    EXPECT_EQ(value("a"), "absent");
    // A source that another held goes all the same.
    world.apply("apiVersion: " + source_api +
                "\nkind: GitRepository\nmetadata: {name: fleet, namespace: default, finalizers: "
                "[finalizers.fluxcd.io]}\nspec:\n  url: " +
                world.repository.url() + "\n  interval: 10m\n  ref: {branch: main}\n");
    world.remove(source_api, "GitRepository", "default", "fleet");
    EXPECT_TRUE(world.eventually(
        [&] { return !world.get(source_api, "GitRepository", "default", "fleet"); }));
}

TEST_F(ClusterMode, TakesAwayWhatADeletedKustomizationBrought) {
    start();
    apply_repository();
    world.apply(kustomization());
    ASSERT_TRUE(world.eventually([&] { return value("a") == "1"; }));
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "True"; }));
    world.remove(kustomize_api, "Kustomization", "default", "apps");
    EXPECT_TRUE(world.eventually(
        [&] { return !world.get(kustomize_api, "Kustomization", "default", "apps"); }));
    EXPECT_EQ(value("a"), "absent");
}

TEST_F(ClusterMode, RepairsDriftWhenAsked) {
    start();
    apply_repository();
    world.apply(kustomization());
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "True"; }));
    world.apply(config("a", "by hand"));
    request("one");
    ASSERT_TRUE(handled("one"));
    EXPECT_EQ(value("a"), "1");
    world.remove("v1", "ConfigMap", "web", "a");
    request("two");
    ASSERT_TRUE(handled("two"));
    EXPECT_EQ(value("a"), "1");
}

TEST_F(ClusterMode, DoesNothingWhileSuspended) {
    start();
    apply_repository();
    world.apply(kustomization());
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "True"; }));
    world.apply(kustomization("  suspend: true\n"));
    files.insert_or_assign("apps/a.yaml", config("a", "2"));
    const auto commit = world.repository.commit(files);
    world.nudge();
    ASSERT_TRUE(world.eventually([&] {
        const auto source = *world.get(source_api, "GitRepository", "default", "fleet");
        return summarise(source).revision == "main@sha1:" + commit;
    }));
    EXPECT_EQ(value("a"), "1");
    world.apply(kustomization("  suspend: false\n"));
    ASSERT_TRUE(ready_at(commit));
    EXPECT_EQ(value("a"), "2");
}

TEST_F(ClusterMode, WritesVariablesOfTheClusterIntoWhatItApplies) {
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: "
        "default}\ndata: {color: green, size: '1'}\n");
    world.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: more, namespace: "
        "default}\nstringData: {word: hunter2}\n");
    files.insert_or_assign("apps/a.yaml", config("a", "${color} ${size} ${word} ${own}"));
    world.repository.commit(files);
    start();
    apply_repository();
    const std::string from =
        "  postBuild:\n    substitute: {own: '3'}\n    substituteFrom: [{kind: ConfigMap, name: "
        "vars}, {kind: Secret, name: more}, {kind: Secret, name: none, optional: true}]\n";
    world.apply(kustomization(from));
    ASSERT_TRUE(world.eventually([&] { return value("a") == "green 1 hunter2 3"; }))
        << summarise(apps()).message;
    // Another value, and nothing new in Git.
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: "
        "default}\ndata: {color: blue, size: '1'}\n");
    request("colour");
    ASSERT_TRUE(handled("colour"));
    EXPECT_EQ(value("a"), "blue 1 hunter2 3");
    // Nobody has to ask where the label says that somebody looks.
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: default, labels: "
        "{reconcile.fluxcd.io/watch: Enabled}}\ndata: {color: red, size: '1'}\n");
    EXPECT_TRUE(world.eventually([&] { return value("a") == "red 1 hunter2 3"; })) << value("a");
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: default, labels: "
        "{reconcile.fluxcd.io/watch: Enabled}}\ndata: {color: blue, size: '1'}\n");
    EXPECT_TRUE(world.eventually([&] { return value("a") == "blue 1 hunter2 3"; })) << value("a");
    world.remove("v1", "Secret", "default", "more");
    request("without");
    ASSERT_TRUE(handled("without"));
    EXPECT_EQ(summarise(apps()).message,
              "spec.postBuild.substituteFrom: Secret default/more does not exist");
    EXPECT_EQ(value("a"), "blue 1 hunter2 3") << "what was applied stays";
}

TEST_F(ClusterMode, APathThatIsNotThereIsTheArtifactsFault) {
    start();
    apply_repository();
    world.apply(kustomization());
    ASSERT_TRUE(world.eventually([&] { return value("a") == "1"; }));
    const auto ready_reason = [&] {
        const auto conditions = Conditions::from_status(apps().status());
        return conditions.find("Ready")->reason;
    };
    auto spec = kustomization();
    spec.replace(spec.find("path: apps"), 10, "path: ./none/such");
    world.apply(spec);
    EXPECT_TRUE(world.eventually([&] { return ready_reason() == "ArtifactFailed"; }));
    EXPECT_EQ(summarise(apps()).message,
              "kustomization path not found: stat none/such: no such file or directory");
    EXPECT_EQ(value("a"), "1") << "nothing is pruned";
    auto files_next = files;
    files_next.emplace("none/such/ns.yaml", files.at("apps/ns.yaml"));
    files_next.emplace("none/such/b.yaml", config("b", "1"));
    const auto next = world.repository.commit(files_next);
    world.nudge();
    EXPECT_TRUE(ready_at(next));
    EXPECT_EQ(value("b"), "1");
}

/// Whether a file below `directory` has `text` in it.
bool on_disk(const std::filesystem::path& directory, const std::string& text) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator{directory}) {
        if (entry.is_regular_file() && read_file(entry.path()).find(text) != std::string::npos)
            return true;
    }
    return false;
}

TEST_F(ClusterMode, AppliesWhatSopsHasEncryptedAndKeepsItsPlainTextNowhereElse) {
    const auto fixture = [](const std::string& name) {
        return read_file(KLED_SOURCE_DIR "/gitops/transform/testdata/sops/" + name);
    };
    files.erase("apps/a.yaml");
    files.insert_or_assign("apps/s.yaml", fixture("regex.yaml"));
    files.insert_or_assign("apps/some.env", fixture("some.env"));
    files.insert_or_assign("apps/pgp.env", fixture("pgp.env"));
    files.insert_or_assign("apps/kustomization.yaml",
                           "namespace: web\nresources: [ns.yaml, s.yaml]\nsecretGenerator:\n- "
                           "{name: env, envs: [some.env]}\n- {name: pgp, envs: [pgp.env]}\n"
                           "generatorOptions: {disableNameSuffixHash: true}\npatches:\n- patch: "
                           "'{$patch: delete, apiVersion: v1, kind: "
                           "ConfigMap, metadata: {name: mixed}}'\n");
    world.repository.commit(files);
    start();
    apply_repository();
    world.apply(kustomization());
    ASSERT_TRUE(world.eventually([&] {
        return summarise(apps()).message.find("is encrypted with SOPS; spec.decryption says how") !=
               std::string::npos;
    })) << summarise(apps()).message;
    const std::string decryption = "  decryption: {provider: sops, secretRef: {name: sops-age}}\n";
    world.apply(kustomization(decryption));
    ASSERT_TRUE(world.eventually([&] {
        return summarise(apps()).message ==
               "spec.decryption.secretRef: Secret default/sops-age does not exist";
    }));
    kube::Object secret = kube::Object::from(kube::parse_yaml(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: sops-age, namespace: default}\n"));
    auto& keys = secret.fields()["stringData"].emplace_object();
    keys["age.agekey"] = fixture("key.agekey");
    keys["pgp.asc"] = fixture("key.asc");
    const kube::ApplyOptions options{.field_manager = "tester"};
    world.sync(world.client().apply(secret, options));
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "True"; }))
        << summarise(apps()).message;
    const auto text = [&](const std::string& name, const std::string& key) {
        const auto found = world.get("v1", "Secret", "web", name);
        return found ? std::string{kube::find_string(found->fields(), {"data", key})} : "absent";
    };
    EXPECT_EQ(text("login", "password"), "aHVudGVyMg==");
    EXPECT_EQ(text("env", "PASSWORD"), "YT1iXG5j");
    EXPECT_EQ(text("pgp", "PASSWORD"), "YT1iXG5j");
    EXPECT_FALSE(on_disk(world.directory.path() / "cache", "hunter2"));
    for (const auto& event : world.events())
        EXPECT_EQ(event.message.find("hunter2"), std::string::npos);
}

TEST_F(ClusterMode, TakesTheHighestTagAndLeavesOutWhatIsIgnored) {
    files.insert_or_assign("apps/b.yaml", config("b", "1"));
    const auto first = world.repository.commit(files);
    world.repository.tag("v1.2.0", first);
    start();
    const auto source = [&](const std::string& spec) {
        world.apply("apiVersion: " + source_api +
                    "\nkind: GitRepository\nmetadata: {name: fleet, namespace: default}\nspec:\n  "
                    "url: " +
                    world.repository.url() + "\n  interval: 10m\n" + spec);
    };
    source("  ref: {semver: '1.x'}\n  ignore: b.yaml\n");
    world.apply(kustomization());
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "True"; }));
    EXPECT_EQ(summarise(apps()).revision, "v1.2.0@sha1:" + first);
    EXPECT_EQ(value("a"), "1");
    EXPECT_EQ(value("b"), "absent");
    files.insert_or_assign("apps/a.yaml", config("a", "2"));
    const auto second = world.repository.commit(files);
    world.repository.tag("v1.10.0", second);
    world.nudge();
    ASSERT_TRUE(world.eventually([&] { return value("a") == "2"; }));
    // The same revision with other rules is another one to build.
    source("  ref: {semver: '1.x'}\n  ignore: ''\n");
    EXPECT_TRUE(world.eventually([&] { return value("b") == "1"; }));
}

TEST_F(ClusterMode, EndsAtAppliedWhereNoControllersRun) {
    files.insert_or_assign("apps/d.yaml",
                           "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: "
                           "web}\nspec:\n  selector: "
                           "{matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n   "
                           " spec: {containers: [{name: "
                           "c, image: x}]}\n");
    const auto commit = world.repository.commit(files);
    start();
    apply_repository();
    world.apply(kustomization("  wait: true\n  timeout: 1m\n"));
    ASSERT_TRUE(ready_at(commit)) << summarise(apps()).message;
    EXPECT_EQ(summarise(apps()).state, "Applied");
    EXPECT_EQ(DeploymentStatus::from_object(apps()).conditions.find("Healthy")->status, "Unknown");
}

TEST_F(ClusterMode, KeepsWhatThereWasUntilAnotherUrlHasSomething) {
    start();
    apply_repository();
    world.apply(kustomization());
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "True"; }));
    const auto point_to = [&](const std::string& url) {
        world.apply("apiVersion: " + source_api +
                    "\nkind: GitRepository\nmetadata: {name: fleet, namespace: default}\nspec:\n"
                    "  url: " +
                    url + "\n  interval: 10m\n  ref: {branch: main}\n");
    };
    const auto is = [&](const std::string& type, const std::string& reason) {
        return world.eventually([&] {
            const auto source = world.get(source_api, "GitRepository", "default", "fleet");
            const auto conditions = Conditions::from_status(source->status());
            const auto* condition = conditions.find(type);
            return condition != nullptr && condition->reason == reason &&
                   condition->observed_generation == source->generation();
        });
    };
    EXPECT_TRUE(is("ArtifactInStorage", "Succeeded"));
    point_to(world.repository.url() + "-absent");
    EXPECT_TRUE(is("FetchFailed", "GitOperationFailed"));
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: web}\n"
        "data: {k: 'drift'}\n");
    EXPECT_TRUE(world.eventually([&] { return value("a") == "1"; }));
    world.apply(kustomization("  commonMetadata: {labels: {x: y}}\n"));
    EXPECT_TRUE(world.eventually([&] {
        const auto a = world.get("v1", "ConfigMap", "web", "a");
        return kube::find_string(a->fields(), {"metadata", "labels", "x"}) == "y";
    })) << "it is built from what there was";

    git::testing::Repository other;
    auto files_there = files;
    files_there.insert_or_assign("apps/a.yaml", config("a", "other"));
    other.commit(files_there);
    point_to(other.url());
    EXPECT_TRUE(world.eventually([&] { return value("a") == "other"; }));
    const auto cache = world.directory.path() / "cache" / "default_fleet";
    EXPECT_TRUE(world.eventually([&] {
        return std::distance(std::filesystem::directory_iterator{cache}, {}) == 1;
    })) << "the mirror of the first is gone";
    world.remove(source_api, "GitRepository", "default", "fleet");
    EXPECT_TRUE(world.eventually([&] { return !std::filesystem::exists(cache); }));
}

TEST_F(ClusterMode, KeepsWhatThereWasAlsoWhenTheUrlChangedWhileItWasDown) {
    start();
    apply_repository();
    world.apply(kustomization());
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "True"; }));
    const auto point_to = [&](const std::string& url) {
        world.apply("apiVersion: " + source_api +
                    "\nkind: GitRepository\nmetadata: {name: fleet, namespace: default}\nspec:\n"
                    "  url: " +
                    url + "\n  interval: 10m\n  ref: {branch: main}\n");
    };
    const auto drifts_back = [&] {
        world.apply(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: web}\n"
            "data: {k: 'drift'}\n");
        return world.eventually([&] { return value("a") == "1"; });
    };
    const auto cache = world.directory.path() / "cache" / "default_fleet";
    const auto mirrors = [&] {
        return std::distance(std::filesystem::directory_iterator{cache}, {});
    };
    for (int i = 0; i < 2; ++i) {
        world.stop_reconciler();
        point_to(world.repository.url() + "-absent");
        start();
        EXPECT_TRUE(drifts_back()) << i;
    }
    // Back there, it is fetched again.
    auto files_next = files;
    files_next.insert_or_assign("apps/a.yaml", config("a", "2"));
    const auto next = world.repository.commit(files_next);
    point_to(world.repository.url());
    EXPECT_TRUE(world.eventually([&] { return value("a") == "2"; }));
    EXPECT_TRUE(ready_at(next));
    world.stop_reconciler();
    git::testing::Repository other;
    auto files_there = files;
    files_there.insert_or_assign("apps/a.yaml", config("a", "other"));
    other.commit(files_there);
    point_to(other.url() + "-absent");
    start();
    EXPECT_TRUE(world.eventually([&] {
        const auto source = world.get(source_api, "GitRepository", "default", "fleet");
        return summarise(*source).ready == "False";
    }));
    point_to(other.url());
    EXPECT_TRUE(world.eventually([&] { return value("a") == "other"; }));
    EXPECT_TRUE(world.eventually([&] { return mirrors() == 1; }));
}

TEST_F(ClusterMode, CachesOfWhatWentWhileItWasDownGo) {
    start();
    apply_repository();
    world.apply(kustomization());
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "True"; }));
    world.stop_reconciler();
    const auto cache = world.directory.path() / "cache";
    const std::vector<std::string> gone{
        "default_gone",           "default_gone+modules", "default_gone+OCIRepository",
        "default_gone+Bucket",    "default_fleet+Bucket", "default_gone+ExternalArtifact",
        "default_x+Kustomization"};
    const std::vector<std::string> left{"default_fleet", "default_apps+Kustomization", "lost+found",
                                        "notes"};
    for (const auto& list : {gone, left})
        for (const auto& name : list) std::filesystem::create_directories(cache / name / "objects");
    start();
    for (const auto& name : gone) {
        EXPECT_TRUE(world.eventually([&] { return !std::filesystem::exists(cache / name); }))
            << name;
    }
    for (const auto& name : left) EXPECT_TRUE(std::filesystem::exists(cache / name)) << name;
}

TEST_F(ClusterMode, KeepsWhatItBroughtWhenTheRepositoryGoes) {
    start();
    apply_repository();
    world.apply(kustomization());
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "True"; }));
    world.remove(source_api, "GitRepository", "default", "fleet");
    EXPECT_TRUE(world.eventually(
        [&] { return summarise(apps()).message == "GitRepository default/fleet does not exist"; }));
    EXPECT_EQ(value("a"), "1");
}

/// Kustomization `name` of its own folder, which waits for `dependencies` ("{name: b}").
std::string link(const std::string& name, const std::string& dependencies) {
    return "apiVersion: " + kustomize_api + "\nkind: Kustomization\nmetadata: {name: " + name +
           ", namespace: default}\nspec:\n  interval: 10m\n  path: " + name +
           "\n  prune: true\n  sourceRef: {kind: GitRepository, name: fleet}\n  dependsOn: [" +
           dependencies + "]\n";
}

class Dependants : public ClusterMode {
protected:
    Dependants() {
        for (const auto* name : {"one", "two", "three"})
            files.insert_or_assign(std::string{name} + "/a.yaml",
                                   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " +
                                       std::string{name} + ", namespace: default}\n");
        world.repository.commit(files);
        start();
        apply_repository();
        world.eventually([this] {
            return summarise(*world.get(source_api, "GitRepository", "default", "fleet")).ready ==
                   "True";
        });
    }
    auto state(const std::string& name) {
        return summarise(*world.get(kustomize_api, "Kustomization", "default", name));
    }
    bool says(const std::string& name, const std::string& text) {
        return world.eventually(
            [&] { return state(name).message.find(text) != std::string::npos; });
    }
    bool ready_within(const std::string& name, std::chrono::milliseconds limit) {
        return world.eventually([&] { return state(name).ready == "True"; }, limit);
    }
};

TEST_F(Dependants, MayHaveASourceOfTheSameNameInAnotherNamespace) {
    world.repository.commit(files, "other");
    world.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n");
    world.apply("apiVersion: " + source_api +
                "\nkind: GitRepository\nmetadata: {name: fleet, namespace: other}\nspec:\n  url: " +
                world.repository.url() + "\n  interval: 10m\n  ref: {branch: other}\n");
    auto one = link("one", "{name: two}");
    const std::string own = "{kind: GitRepository, name: fleet}";
    one.replace(one.find(own), own.size(), "{kind: GitRepository, name: fleet, namespace: other}");
    world.apply(one);
    world.apply(link("two", ""));
    EXPECT_TRUE(world.eventually([&] {
        const auto now = state("one");
        return now.ready == "True" && now.revision.starts_with("other@sha1:");
    })) << state("one").message;
}

TEST_F(Dependants, BeginWhenADependencyThatCameLaterIsReady) {
    world.apply(link("one", "{name: two}"));
    ASSERT_TRUE(says("one", "dependency 'default/two' does not exist"));
    world.apply(link("two", "{name: three}"));
    ASSERT_TRUE(says("two", "dependency 'default/three' does not exist"));
    world.apply(link("three", ""));
    EXPECT_TRUE(ready_within("three", std::chrono::seconds{1})) << state("three").message;
    EXPECT_TRUE(ready_within("two", std::chrono::milliseconds{500})) << state("two").message;
    EXPECT_TRUE(ready_within("one", std::chrono::milliseconds{500})) << state("one").message;
}

TEST_F(Dependants, BeginWhenADependencyIsMadeAgain) {
    world.apply(link("two", ""));
    ASSERT_TRUE(ready_within("two", std::chrono::seconds{2}));
    world.remove(kustomize_api, "Kustomization", "default", "two");
    world.apply(link("one", "{name: two}"));
    ASSERT_TRUE(world.eventually([&] { return state("one").ready == "False"; }));
    ASSERT_TRUE(world.eventually(
        [&] { return !world.get(kustomize_api, "Kustomization", "default", "two"); }));
    world.apply(link("two", ""));
    EXPECT_TRUE(ready_within("one", std::chrono::seconds{1})) << state("one").message;
}

TEST_F(Dependants, ThatWaitForEachOtherSaySoAndGoOnWhenTheyNoLongerDo) {
    world.apply(link("one", "{name: two}"));
    world.apply(link("two", "{name: three}"));
    world.apply(link("three", "{name: one}"));
    EXPECT_TRUE(says("three", "three -> one -> two -> three")) << state("three").message;
    EXPECT_TRUE(says("one", "one -> two -> three -> one")) << state("one").message;
    EXPECT_TRUE(says("two", "two -> three -> one -> two")) << state("two").message;
    world.apply(link("three", ""));
    EXPECT_TRUE(ready_within("one", std::chrono::seconds{2})) << state("one").message;
}

TEST_F(Dependants, ThatWaitForThemselvesSaySo) {
    world.apply(link("one", "{name: one}"));
    EXPECT_TRUE(says("one", "one -> one"));
    world.apply(link("one", ""));
    EXPECT_TRUE(ready_within("one", std::chrono::seconds{1})) << state("one").message;
}

TEST_F(ClusterMode, HandsAnEdgeDeploymentToTheFleet) {
    start();
    apply_repository();
    const std::string edge =
        "apiVersion: edge.kled.io/v1\nkind: EdgeDeployment\nmetadata: {name: e, namespace: "
        "default}\nspec:\n"
        "  sourceRef: {kind: GitRepository, name: fleet}\n  path: ";
    world.apply(edge + "apps\n  placement: {selector: {matchLabels: {a: b}}}\n");
    ASSERT_TRUE(world.eventually([&] { return !fleet->delivered().empty(); }));
    EXPECT_THAT(fleet->delivered(), ElementsAre("e 2"));
    EXPECT_EQ(value("a"), "absent");
    world.apply(edge + "nowhere\n  placement: {selector: {matchLabels: {a: b}}}\n");
    EXPECT_TRUE(world.eventually([&] {
        const auto object = *world.get("edge.kled.io/v1", "EdgeDeployment", "default", "e");
        const auto conditions = Conditions::from_status(object.status());
        const auto* rendered = conditions.find("Rendered");
        return rendered != nullptr && rendered->status == "False";
    }));
    world.remove("edge.kled.io/v1", "EdgeDeployment", "default", "e");
    EXPECT_TRUE(world.eventually([&] { return fleet->delivered().back() == "e withdrawn"; }));
}

TEST_F(ClusterMode, DeliversAVersionThatComesWhileTheOneBeforeIsOnItsWay) {
    start();
    apply_repository();
    const auto edge = [this](const std::string& name, const std::string& label) {
        world.apply(
            "apiVersion: edge.kled.io/v1\nkind: EdgeDeployment\nmetadata: {name: " + name +
            ", namespace: default}\nspec:\n  sourceRef: {kind: GitRepository, name: fleet}\n"
            "  path: apps\n  placement: {selector: {matchLabels: {zone: " +
            label + "}}}\n");
    };
    fleet->hold(true);
    edge("e", "north");
    ASSERT_TRUE(world.eventually([&] { return fleet->has_begun("e"); }));
    edge("e", "south");
    // Its watch tells of what is behind it too: the new version of "e" is known.
    edge("f", "north");
    ASSERT_TRUE(world.eventually([&] { return fleet->has_begun("f"); }));
    fleet->hold(false);
    EXPECT_TRUE(world.eventually([&] {
        return fleet->placement("e") == R"({"selector":{"matchLabels":{"zone":"south"}}})";
    })) << fleet->placement("e");
}

TEST_F(ClusterMode, GoesToTheClusterOfAKubeconfig) {
    start();
    apply_repository();
    world.apply(kustomization("  kubeConfig: {secretRef: {name: other}}\n"));
    const std::string missing = "spec.kubeConfig.secretRef: Secret default/other does not exist";
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).message == missing; }))
        << summarise(apps()).message;

    const auto kubeconfig = world.start_other_api();
    world.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: other, namespace: default}\ndata: "
        "{value: " +
        to_base64(kubeconfig) + "}\n");
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "True"; }))
        << summarise(apps()).message;
    EXPECT_EQ(value("a"), "absent") << "it is for another cluster";
    const auto there = world.get_in_other("ConfigMap", "web", "a");
    ASSERT_TRUE(there);
    EXPECT_EQ(kube::find_string(there->fields(), {"data", "k"}), "1");

    world.remove(kustomize_api, "Kustomization", "default", "apps");
    EXPECT_TRUE(world.eventually([&] { return !world.get_in_other("ConfigMap", "web", "a"); }));
}

TEST_F(ClusterMode, GoesWhenTheKubeconfigIsGone) {
    start();
    apply_repository();
    const auto kubeconfig = world.start_other_api();
    world.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: other, namespace: default}\ndata: {mine: " +
        to_base64(kubeconfig) + "}\n");
    world.apply(kustomization(
        "  targetNamespace: default\n  kubeConfig: {secretRef: {name: other, key: mine}}\n"));
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "True"; }))
        << summarise(apps()).message;
    world.remove("v1", "Secret", "default", "other");
    world.remove(kustomize_api, "Kustomization", "default", "apps");
    EXPECT_TRUE(world.eventually(
        [&] { return !world.get(kustomize_api, "Kustomization", "default", "apps"); }));
    EXPECT_TRUE(world.get_in_other("ConfigMap", "default", "a")) << "nobody could delete it";
    const auto events = world.events();
    EXPECT_TRUE(std::ranges::any_of(events, [](const auto& e) {
        return e.message.find("is gone; left are:\nConfigMap default/a") != std::string::npos;
    }));
}

TEST_F(ClusterMode, KnowsACloudsServersByTheIdentityOfAnAccount) {
    start();
    const auto message = [&](const std::string& more) {
        world.apply("apiVersion: " + source_api +
                    "\nkind: GitRepository\nmetadata: {name: cloud, namespace: default}\nspec:\n  "
                    "interval: 10m\n" +
                    more);
        std::string said;
        world.eventually([&] {
            const auto object = *world.get(source_api, "GitRepository", "default", "cloud");
            const auto summary = summarise(object);
            const auto* status = object.status();
            const auto* seen =
                status == nullptr ? nullptr : status->if_contains("observedGeneration");
            said = summary.message;
            return summary.ready == "False" && seen != nullptr && seen->is_int64() &&
                   seen->get_int64() == object.generation();
        });
        return said;
    };
    EXPECT_EQ(message("  provider: aws\n  serviceAccountName: deployer\n"
                      "  url: https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/shop\n"),
              "spec.serviceAccountName: ServiceAccount default/deployer does not exist");
    EXPECT_EQ(message("  provider: azure\n  serviceAccountName: deployer\n"
                      "  url: https://dev.example.org/org/project/_git/shop\n"),
              "spec.url: is no repository of Azure DevOps: "
              "https://dev.azure.com/ORGANISATION/PROJECT/_git/NAME");
}

TEST_F(ClusterMode, SaysThatItsOwnApiIssuesNoTokensForAnotherCluster) {
    start();
    apply_repository();
    world.apply(kustomization("  kubeConfig: {configMapRef: {name: far}}\n"));
    const auto says = [&](const std::string& wanted) {
        return world.eventually([&] { return summarise(apps()).message == wanted; });
    };
    const std::string where = "spec.kubeConfig.configMapRef: ";
    EXPECT_TRUE(says(where + "ConfigMap default/far does not exist")) << summarise(apps()).message;
    const auto map = [&](const std::string& account) {
        world.apply(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: far, namespace: default}\ndata: "
            "{provider: generic, address: 'https://127.0.0.1:1'" +
            account + "}\n");
    };
    map("");
    EXPECT_TRUE(says(where + "ConfigMap default/far: data['serviceAccountName'] is required"))
        << summarise(apps()).message;
    map(", serviceAccountName: deployer");
    EXPECT_TRUE(says(where +
                     "the embedded API issues no tokens for service accounts; name a kubeconfig by "
                     "secretRef"))
        << summarise(apps()).message;
    EXPECT_EQ(value("a"), "absent");
}

TEST_F(ClusterMode, NeverMistakesAnAccountForABoundWhereThereAreNoRules) {
    Reconciler::Options options;
    options.default_service_account = "tenant";
    start(std::move(options));
    apply_repository();
    world.apply(kustomization());
    const std::string refusal =
        "service account 'tenant': the embedded API has no access rules that would bound it";
    EXPECT_TRUE(world.eventually([&] { return summarise(apps()).message == refusal; }))
        << summarise(apps()).message;
    EXPECT_EQ(value("a"), "absent");
}

TEST_F(ClusterMode, StaysInItsNamespaceWhereItMust) {
    Reconciler::Options options;
    options.no_cross_namespace_refs = true;
    start(std::move(options));
    apply_repository();
    world.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: tenant}\n");
    world.apply("apiVersion: " + kustomize_api +
                "\nkind: Kustomization\nmetadata: {name: k, namespace: tenant}\nspec:\n  interval: "
                "10m\n  path: apps\n  prune: true\n  sourceRef: {kind: GitRepository, name: fleet, "
                "namespace: default}\n");
    world.apply(kustomization());
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "True"; }));
    const auto k = *world.get(kustomize_api, "Kustomization", "tenant", "k");
    EXPECT_EQ(summarise(k).state, "Stalled");
    EXPECT_EQ(summarise(k).message,
              "can't access 'GitRepository/default/fleet', cross-namespace references have been "
              "blocked");
}

TEST_F(ClusterMode, SaysThatAnotherClusterCannotBeReached) {
    files.insert_or_assign("apps/thing.yaml",
                           "{apiVersion: example.org/v1, kind: Thing, metadata: {name: a, "
                           "namespace: web}}\n");
    world.repository.commit(files);
    auto kubeconfig = world.start_other_api();
    const auto at = kubeconfig.find("127.0.0.1:");
    ASSERT_NE(at, std::string::npos);
    kubeconfig.replace(at, kubeconfig.find_first_of("\"\n", at) - at, "127.0.0.1:1");
    auto secret = kube::Object::from(kube::parse_yaml(
        "{apiVersion: v1, kind: Secret, metadata: {name: other, namespace: default}}"));
    secret.fields()["stringData"].emplace_object()["value"] = kubeconfig;
    const kube::ApplyOptions options{.field_manager = "tester"};
    world.sync(world.client().apply(secret, options));
    start();
    apply_repository();
    world.apply(kustomization("  kubeConfig: {secretRef: {name: other}}\n"));
    EXPECT_TRUE(world.eventually([&] {
        const auto conditions = Conditions::from_status(apps().status());
        const auto* ready = conditions.find("Ready");
        return ready != nullptr && ready->reason == "ReconciliationFailed";
    }));
}

/// Of what it brought, something is held by a finalizer.
struct Held : ClusterMode {
    void bring(const std::string& timeout) {
        files.insert_or_assign("apps/a.yaml",
                               "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: "
                               "web, finalizers: [example.org/held]}\n");
        world.repository.commit(files);  // before anybody looks
        start();
        apply_repository();
        world.apply(
            kustomization("  deletionPolicy: WaitForTermination\n  timeout: " + timeout + "\n"));
        ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "True"; }));
        EXPECT_EQ(kube::find(apps().fields(), {"status", "history"})->get_array().size(), 1U);
        world.remove(kustomize_api, "Kustomization", "default", "apps");
    }
    bool gone() {
        return world.eventually(
            [&] { return !world.get(kustomize_api, "Kustomization", "default", "apps"); });
    }
};

TEST_F(Held, WaitsWithGoingUntilWhatItBroughtIsGone) {
    bring("10m");
    ASSERT_TRUE(
        world.eventually([&] { return world.get("v1", "ConfigMap", "web", "a")->deleting(); }));
    EXPECT_TRUE(world.get(kustomize_api, "Kustomization", "default", "apps"));
    auto held = *world.get("v1", "ConfigMap", "web", "a");
    held.metadata()["finalizers"].emplace_array();
    world.sync(world.client().update(held));
    EXPECT_TRUE(gone());
}

TEST_F(Held, WaitsNoLongerThanItsTimeout) {
    bring("1s");
    EXPECT_TRUE(gone());
    EXPECT_TRUE(world.get("v1", "ConfigMap", "web", "a")->deleting());
    EXPECT_THAT(messages_of("PruneFailed"), Contains(HasSubstr("ConfigMap web/a")));
}

TEST_F(ClusterMode, SaysWhatStaysWhereItGoesAlone) {
    start();
    apply_repository();
    world.apply(kustomization("  deletionPolicy: Orphan\n"));
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "True"; }));
    world.remove(kustomize_api, "Kustomization", "default", "apps");
    ASSERT_TRUE(world.eventually(
        [&] { return !world.get(kustomize_api, "Kustomization", "default", "apps"); }));
    EXPECT_THAT(messages_of("Removed"),
                Contains(AllOf(HasSubstr("what it had brought stays"), HasSubstr("ConfigMap"))));
}

TEST_F(ClusterMode, SaysThatItIsWellAgainAlsoWithoutANewRevision) {
    start();
    apply_repository();
    world.apply(kustomization());
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "True"; }));
    const auto count = [&](const std::string& reason) { return messages_of(reason).size(); };
    EXPECT_EQ(count("ReconciliationSucceeded"), 1U);
    world.apply(kustomization("  serviceAccountName: bounded\n"));  // refused by the embedded API
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "False"; }));
    world.apply(kustomization());
    ASSERT_TRUE(world.eventually([&] { return summarise(apps()).ready == "True"; }));
    EXPECT_TRUE(world.eventually([&] { return count("ReconciliationSucceeded") == 2; }));

    apply_repository("  secretRef: {name: none}\n");
    const auto source = [&] {
        return summarise(*world.get(source_api, "GitRepository", "default", "fleet")).ready;
    };
    ASSERT_TRUE(world.eventually([&] { return source() == "False"; }));
    apply_repository();
    ASSERT_TRUE(world.eventually([&] { return source() == "True"; }));
    EXPECT_TRUE(world.eventually([&] { return count("Succeeded") == 1; }));
    EXPECT_EQ(count("NewArtifact"), 1U);
}

TEST_F(ClusterMode, ReadsItsCredentialsFromASecretAndSaysWhenThereIsNone) {
    start();
    apply_repository("  secretRef: {name: login}\n");
    EXPECT_TRUE(world.eventually([&] {
        const auto source = *world.get(source_api, "GitRepository", "default", "fleet");
        return summarise(source).message == "Secret default/login does not exist";
    }));
}

}  // namespace
}  // namespace kled::gitops
