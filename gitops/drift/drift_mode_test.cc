// What others change in the cluster, seen and repaired in between two looks at everything.
#include "base/metrics.h"
#include "base/signal.h"
#include "gitops/destination/destinations.h"
#include "gitops/drift/watches.h"
#include "gitops/objects/annotations.h"
#include "gitops/testing/cluster_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace kled::gitops {
namespace {

namespace asio = boost::asio;
using git::testing::Files;
using ::testing::HasSubstr;

struct DriftMode : ::testing::Test {
    /// `count` ConfigMaps c0, c1, … with the interval of ten minutes.
    void begin(const std::string& annotations, int count = 2, Reconciler::Options options = {}) {
        Files files{{"apps/ns.yaml", world.web()}};
        for (int i = 0; i < count; ++i) {
            const auto name = "c" + std::to_string(i);
            files.insert_or_assign("apps/" + name + ".yaml", world.config(name, "1"));
        }
        const auto commit = world.repository.commit(files);
        world.start_cluster(std::move(options));
        world.apply_repository();
        world.apply_kustomization("apps", annotations);
        ASSERT_TRUE(world.applied("apps", commit));
    }
    bool becomes(const std::string& name, const std::string& value) {
        return world.eventually([&] { return world.value(name) == value; });
    }
    void expect_repaired(const std::string& name) {
        world.apply(world.config(name, "by hand"));
        EXPECT_TRUE(becomes(name, "1")) << "changed";
        EXPECT_TRUE(told("DriftCorrected", "web/" + name + " configured: tester had changed it"));
        world.remove("v1", "ConfigMap", "web", name);
        EXPECT_TRUE(becomes(name, "1")) << "deleted";
        EXPECT_TRUE(told("DriftCorrected", "web/" + name + " created: somebody had deleted it"));
    }
    bool told(const std::string& reason, const std::string& text) {
        return world.eventually([&] {
            return std::ranges::any_of(world.events(), [&](const Event& event) {
                return event.reason == reason && event.message.find(text) != std::string::npos;
            });
        });
    }
    testing::ClusterWorld world;
};

/// Writes as one that kled takes fields over from.
void edit(testing::ClusterWorld& world, const std::string& yaml) {
    const auto object = kube::Object::from(kube::parse_yaml(yaml));
    const kube::ApplyOptions options{.field_manager = "kubectl"};
    world.sync(world.client().apply(object, options));
}

TEST_F(DriftMode, IsRepairedAtOnce) {
    begin("{}");
    expect_repaired("c1");
    // What is no more Git's is nobody's business, and another start changes nothing.
    world.stop_reconciler();
    world.start_cluster();
    ASSERT_TRUE(world.reconciled("ks/apps"));
    expect_repaired("c0");
}

TEST_F(DriftMode, OfOneOfManyIsRepairedAlone) {
    begin("{}", 300);  // enough for the plan to be kept
    expect_repaired("c123");
    // Somebody takes the labels away by which the object is known.
    auto object = *world.get("v1", "ConfigMap", "web", "c7");
    object.metadata().erase("labels");
    object.metadata().erase("managedFields");
    world.sync(world.client().update(object));
    EXPECT_TRUE(world.eventually([&] {
        return world.get("v1", "ConfigMap", "web", "c7")->label(owner_name_label) == "apps";
    }));
    // Or says that it is somebody else's, also while nobody looks.
    for (const bool looking : {true, false}) {
        if (!looking) world.stop_reconciler();
        object = *world.get("v1", "ConfigMap", "web", "c8");
        object.set_label(owner_name_label, "theirs");
        world.sync(world.client().update(object));
        if (!looking) world.start_cluster();
        EXPECT_TRUE(world.eventually([&] {
            return world.get("v1", "ConfigMap", "web", "c8")->label(owner_name_label) == "apps";
        })) << looking;
    }
}

TEST_F(DriftMode, IsNotWhatOthersWriteBesideIt) {
    begin("{}");
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c1, namespace: web, annotations: "
        "{theirs: x}}\ndata: {more: y}\n");
    const auto theirs = *world.get("v1", "ConfigMap", "web", "c1");
    expect_repaired("c0");  // what comes after it in the same watch
    EXPECT_EQ(*world.get("v1", "ConfigMap", "web", "c1"), theirs);
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(*world.get("v1", "ConfigMap", "web", "c1"), theirs);
}

TEST_F(DriftMode, OfOneThatHasNoRevisionIsNotLookedAtOverAndOver) {
    begin("{}");
    world.annotate_object("ks/apps", {{std::string{pin_annotation}, std::string(40, 'a')}});
    ASSERT_FALSE(world.says("apps", "Ready", "RevisionNotFound").empty());
    const auto looks = [] {
        return metrics::registry()
            .counter("kled_gitops_reconciles_total", "Reconciliations",
                     {{"kind", "Kustomization"}, {"outcome", "success"}})
            .value();
    };
    world.apply(world.config("c1", "by hand"));
    const auto before = looks();
    world.remove("v1", "ConfigMap", "web", "c0");
    world.apply(world.config("c0", "by hand"));
    // Another one of which something can be said meanwhile.
    world.apply_kustomization(
        "other", "{" + std::string{pin_annotation} + ": " + std::string(40, 'b') + "}");
    ASSERT_FALSE(world.says("other", "Ready", "RevisionNotFound").empty());
    EXPECT_LT(looks() - before, 20);
    // With a revision again, it is put right.
    world.annotate_object("ks/apps", {{std::string{pin_annotation}, ""}});
    EXPECT_TRUE(becomes("c0", "1"));
    EXPECT_TRUE(becomes("c1", "1"));
}

TEST_F(DriftMode, OfReportsStaysOverARestartAndUntilGitChangesIt) {
    const auto report = "{" + std::string{drift_annotation} + ": report}";
    begin(report);
    world.apply(world.config("c1", "by hand"));
    EXPECT_TRUE(told("Drifted", "ConfigMap web/c1: tester had changed it"));
    world.stop_reconciler();
    world.apply(world.config("c0", "while nobody looked"));
    world.start_cluster();
    EXPECT_TRUE(told("Drifted", "ConfigMap web/c0"));
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(world.value("c1"), "by hand");
    EXPECT_EQ(world.value("c0"), "while nobody looked");
    world.repository.commit({{"apps/ns.yaml", world.web()},
                             {"apps/c0.yaml", world.config("c0", "2")},
                             {"apps/c1.yaml", world.config("c1", "1")}});
    world.nudge();
    EXPECT_TRUE(becomes("c0", "2"));
    EXPECT_EQ(world.value("c1"), "by hand");
}

TEST_F(DriftMode, OfReportsStaysOverARestartAfterWhichGitHasChanged) {
    for (const std::string policy : {"report", "ignore"}) {
        SCOPED_TRACE(policy);
        world.stop_reconciler();
        begin("{" + std::string{drift_annotation} + ": " + policy + "}", 3);
        edit(world, world.config("c1", "by hand"));
        ASSERT_TRUE(world.reconciled("ks/apps"));
        world.stop_reconciler();
        // Nobody knows any more what was applied before, and the attempt after it fails.
        Files files{{"apps/ns.yaml", world.web()},
                    {"apps/c0.yaml", world.config("c0", "of " + policy)},
                    {"apps/c1.yaml", world.config("c1", "1")},
                    {"apps/c2.yaml", world.config("c2", "1")},
                    {"apps/bad.yaml",
                     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Bad, namespace: web}\n"}};
        world.repository.commit(files);
        world.start_cluster();
        EXPECT_THAT(world.says("apps", "Ready", "ReconciliationFailed"), HasSubstr("Bad"));
        EXPECT_TRUE(becomes("c0", "of " + policy));
        EXPECT_EQ(world.value("c1"), "by hand");
        world.stop_reconciler();
        edit(world, world.config("c2", "by hand"));
        files.erase("apps/bad.yaml");
        files.insert_or_assign("apps/c0.yaml", world.config("c0", "1"));
        const auto commit = world.repository.commit(files);
        world.start_cluster();
        ASSERT_TRUE(world.applied("apps", commit));
        EXPECT_EQ(world.value("c1"), "by hand");
        EXPECT_EQ(world.value("c2"), "by hand");
        // What Git changes of them is applied, to all of the object.
        files.insert_or_assign("apps/c1.yaml", world.config("c1", "2"));
        files.insert_or_assign("apps/c2.yaml", world.config("c2", "2"));
        world.repository.commit(files);
        world.nudge();
        EXPECT_TRUE(becomes("c1", "2"));
        EXPECT_TRUE(becomes("c2", "2"));
    }
}

TEST_F(DriftMode, ThatIsOnlyReportedOrIgnoredIsNotWrittenToAtAll) {
    // As kubectl edit does it: by a manager that updates, whose fields would be taken over.
    const auto edit = [&](const std::string& name) {
        auto object = *world.get("v1", "ConfigMap", "web", name);
        object.fields()["data"] = kube::json::object{{"k", "by hand"}};
        world.sync(world.client().update(object));
        return *world.get("v1", "ConfigMap", "web", name);
    };
    begin("{" + std::string{drift_annotation} + ": report}");
    const auto first = edit("c1");
    EXPECT_TRUE(told("Drifted", "ConfigMap web/c1"));
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(*world.get("v1", "ConfigMap", "web", "c1"), first);

    world.annotate_object("ks/apps", {{std::string{drift_annotation}, "ignore"}});
    ASSERT_TRUE(world.reconciled("ks/apps"));
    world.stop_reconciler();
    const auto second = edit("c0");
    world.start_cluster();
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(*world.get("v1", "ConfigMap", "web", "c0"), second);
    EXPECT_EQ(*world.get("v1", "ConfigMap", "web", "c1"), first);
    EXPECT_TRUE(std::ranges::none_of(world.events(), [](const Event& event) {
        return event.reason == "Drifted";
    })) << "since this start";
}

TEST_F(DriftMode, IsReportedOnlyWhereThatIsAsked) {
    begin("{" + std::string{drift_annotation} + ": report}");
    world.apply(world.config("c1", "by hand"));
    EXPECT_TRUE(told("Drifted", "ConfigMap web/c1"));
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(world.value("c1"), "by hand");
    world.annotate_object("ks/apps", {{std::string{drift_annotation}, "repair"}});
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_TRUE(becomes("c1", "1"));
    world.annotate_object("ks/apps", {{std::string{drift_annotation}, "sometimes"}});
    EXPECT_THAT(world.says("apps", "Stalled", "InvalidSpec"),
                HasSubstr("metadata.annotations[gitops.kled.io/drift]: 'sometimes' is neither"));
}

TEST_F(DriftMode, IsLeftAloneWhereThatIsTheDefault) {
    Reconciler::Options options;
    options.drift = Drift::ignore;
    begin("{}", 2, std::move(options));
    world.apply(world.config("c1", "by hand"));
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(world.value("c1"), "by hand");
}

TEST_F(DriftMode, NamesAKubectlWhoseFieldsItTakesOver) {
    begin("{}");
    edit(world, world.config("c1", "by hand"));
    EXPECT_TRUE(becomes("c1", "1"));
    EXPECT_TRUE(told("DriftCorrected", "web/c1 configured: kubectl had changed it"));
}

TEST_F(DriftMode, OfReportsIsNotWrittenToInAnyWay) {
    begin("{" + std::string{drift_annotation} + ": report}");
    edit(world, world.config("c1", "by hand"));
    EXPECT_TRUE(told("Drifted", "ConfigMap web/c1: kubectl had changed it"));
    const auto before = *world.get("v1", "ConfigMap", "web", "c1");
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(*world.get("v1", "ConfigMap", "web", "c1"), before);
}

TEST_F(DriftMode, ThatIsIgnoredIsNotToldOverARestart) {
    const auto ignore = "{" + std::string{drift_annotation} + ": ignore}";
    begin(ignore);
    world.stop_reconciler();
    world.apply(world.config("c1", "by hand"));
    world.remove("v1", "ConfigMap", "web", "c0");
    world.start_cluster();
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(world.value("c1"), "by hand");
    EXPECT_EQ(world.value("c0"), "absent");
    for (const auto& event : world.events()) EXPECT_NE(event.reason, "Drifted") << event.message;
}

TEST_F(DriftMode, IsNotWhatIsMissingWhereItNeverWas) {
    const auto report = "{" + std::string{drift_annotation} + ": report}";
    begin(report);
    const auto kubeconfig = world.start_other_api();
    auto secret = kube::Object::from(kube::parse_yaml(
        "{apiVersion: v1, kind: Secret, metadata: {name: other, namespace: default}}"));
    secret.fields()["stringData"].emplace_object()["value"] = kubeconfig;
    const kube::ApplyOptions options{.field_manager = "tester"};
    world.sync(world.client().apply(secret, options));
    world.apply_kustomization("apps", report, "  kubeConfig: {secretRef: {name: other}}\n");
    EXPECT_TRUE(world.eventually([&] {
        return world.get_in_other("ConfigMap", "web", "c1").has_value();
    })) << "another cluster gets all of it";
}

TEST_F(DriftMode, IsNotWhatAnIgnoreRuleLeavesToOthers) {
    const std::string rule = "  ignore: [{paths: [/data/k], target: {name: c1}}]\n";
    begin("{}");
    world.apply_kustomization("apps", "{}", rule);
    ASSERT_TRUE(world.reconciled("ks/apps"));
    world.apply(world.config("c1", "scaled"));
    expect_repaired("c0");  // what comes after it in the same watch
    EXPECT_EQ(world.value("c1"), "scaled");
    const auto commit =
        world.repository.commit({{"apps/ns.yaml", world.web()},
                                 {"apps/c0.yaml", world.config("c0", "1")},
                                 {"apps/c1.yaml", world.config("c1", "2", "{a: b}")}});
    world.nudge();
    ASSERT_TRUE(world.applied("apps", commit));
    EXPECT_EQ(world.value("c1"), "scaled");
    EXPECT_EQ(world.get("v1", "ConfigMap", "web", "c1")->annotation("a"), "b");
    // Without the rule Git says it again, though nobody touched the object since.
    world.apply_kustomization("apps");
    EXPECT_TRUE(becomes("c1", "2"));
    world.apply_kustomization("apps", "{}", "  ignore: [{paths: [data/k]}]\n");
    EXPECT_THAT(world.says("apps", "Stalled", "InvalidSpec"),
                HasSubstr("spec.ignore[0].paths[0]: not a JSON pointer"));
}

/// The first watch ends with 410 Gone when the test says so.
class Expiring : public kube::Transport {
public:
    Expiring(kube::Transport& way, Signal& expired) : way_{way}, expired_{expired} {}
    asio::awaitable<net::Response> send(net::Request request) override {
        return way_.send(std::move(request));
    }
    asio::awaitable<net::StreamResponse> open(net::Request request) override {
        if (std::exchange(opened_, true)) return way_.open(std::move(request));
        return gone();
    }

private:
    class Gone : public net::BodyStream {
    public:
        explicit Gone(Signal& expired) : expired_{expired} {}
        asio::awaitable<std::optional<std::string>> next() override {
            if (std::exchange(said_, true)) co_return std::nullopt;
            co_await expired_.wait();
            co_return R"({"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure",)"
                      R"("reason":"Expired","message":"too old resource version","code":410}})"
                      "\n";
        }

    private:
        Signal& expired_;
        bool said_ = false;
    };
    asio::awaitable<net::StreamResponse> gone() {
        net::StreamResponse response;
        response.body = std::make_unique<Gone>(expired_);
        co_return response;
    }

    kube::Transport& way_;
    Signal& expired_;
    bool opened_ = false;
};

/// Watches without a reconciler, and what they told.
class Watching {
public:
    explicit Watching(testing::World& world) : world_{world} {}

    void note(const std::string& what) {
        const std::scoped_lock lock{mutex_};
        seen_.push_back(what);
    }
    bool saw(const std::string& what) {
        return world_.eventually([&] {
            const std::scoped_lock lock{mutex_};
            return std::ranges::find(seen_, what) != seen_.end();
        });
    }
    void follow(const Key& owner, std::shared_ptr<kube::Transport> way,
                const kube::GroupVersionKind& kind, DriftWatches::Listener listener) {
        const auto begin = [&]() -> asio::awaitable<void> {
            std::vector<std::shared_ptr<kube::Transport>> ways;
            ways.push_back(std::move(way));
            tasks_.emplace(co_await asio::this_coro::executor);
            watches_.emplace(world_.executor(), *tasks_, std::move(listener));
            watches_->follow(owner, std::make_shared<Destination>(std::move(ways)), {kind});
        };
        world_.sync(begin());
    }
    /// On the loop.
    void with_watches(const std::function<void(DriftWatches&)>& work) {
        const auto run = [&]() -> asio::awaitable<void> {
            work(*watches_);
            co_return;
        };
        world_.sync(run());
    }
    void end() {
        const auto stop = [this]() -> asio::awaitable<void> {
            watches_.reset();
            tasks_->cancel();
            co_await even_if_cancelled;
            co_await tasks_->join();
            tasks_.reset();
        };
        world_.sync(stop());
    }

private:
    testing::World& world_;
    std::mutex mutex_;
    std::vector<std::string> seen_;
    std::optional<TaskGroup> tasks_;
    std::optional<DriftWatches> watches_;
};

TEST_F(DriftMode, IsSeenWhereTheServerHasForgottenWhatCameMeanwhile) {
    begin("{}");
    world.stop_reconciler();
    const Key owner{.kind = "Kustomization", .ns = "default", .name = "apps"};
    const kube::GroupVersionKind kind{.group = "", .version = "v1", .kind = "ConfigMap"};
    Watching watching{world};
    DriftWatches::Listener listener;
    listener.saw = [](const Key&, const kube::ObjectId&, const Sighting&) {};
    listener.listed = [&](const Key&, const kube::GroupVersionKind&, const std::string&,
                          const std::set<std::string>& there) {
        std::string names;
        for (const auto& name : there) names += name + " ";
        watching.note(names);
    };
    listener.namespaces = [](const Key&, const kube::GroupVersionKind&) {
        return std::set<std::string>{};
    };
    Signal expired{world.executor()};
    watching.follow(owner, std::make_shared<Expiring>(world.client().transport(), expired), kind,
                    std::move(listener));
    EXPECT_TRUE(watching.saw("web/c0 web/c1 "));
    world.remove("v1", "ConfigMap", "web", "c1");
    const auto expire = [&]() -> asio::awaitable<void> {
        expired.notify();
        co_return;
    };
    world.sync(expire());
    EXPECT_TRUE(watching.saw("web/c0 ")) << "it is listed again, and what is not in it went";
    watching.end();
}

/// As a service account with rights in namespaces only.
class OfNamespaces : public kube::Transport {
public:
    explicit OfNamespaces(kube::Transport& way) : way_{way} {}
    asio::awaitable<net::Response> send(net::Request request) override {
        if (!request.target.starts_with("/api/v1/configmaps")) return way_.send(std::move(request));
        return refuse();
    }
    asio::awaitable<net::StreamResponse> open(net::Request request) override {
        return way_.open(std::move(request));
    }

private:
    static asio::awaitable<net::Response> refuse() {
        net::Response response;
        response.status = 403;
        response.body =
            R"({"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403})";
        co_return response;
    }
    kube::Transport& way_;
};

TEST_F(DriftMode, IsSeenInTheNamespacesOfAnAccountThatMayNotListAll) {
    begin("{}");
    world.stop_reconciler();
    const Key owner{.kind = "Kustomization", .ns = "default", .name = "apps"};
    const kube::GroupVersionKind kind{.group = "", .version = "v1", .kind = "ConfigMap"};
    Watching watching{world};
    DriftWatches::Listener listener;
    listener.saw = [&](const Key& whose, const kube::ObjectId& id, const Sighting& sighting) {
        watching.note(whose.name + " " + id.ns + "/" + id.name +
                      (sighting.resource_version.empty() ? " went" : ""));
    };
    listener.listed = [&](const Key& whose, const kube::GroupVersionKind&, const std::string& ns,
                          const std::set<std::string>& there) {
        watching.note(whose.name + " listed " + ns + " " + std::to_string(there.size()));
    };
    listener.namespaces = [](const Key&, const kube::GroupVersionKind&) {
        return std::set<std::string>{"other", "web"};
    };
    watching.follow(owner, std::make_shared<OfNamespaces>(world.client().transport()), kind,
                    std::move(listener));
    EXPECT_TRUE(watching.saw("apps listed web 2"));
    EXPECT_TRUE(watching.saw("apps listed other 0"));
    world.remove("v1", "ConfigMap", "web", "c1");
    EXPECT_TRUE(watching.saw("apps web/c1 went"));
    std::size_t left = 2;
    watching.with_watches([&](DriftWatches& watches) {
        EXPECT_EQ(watches.size(), 2U);
        watches.forget(owner);
        left = watches.size();
    });
    watching.end();
    EXPECT_EQ(left, 0U);
}

}  // namespace
}  // namespace kled::gitops
