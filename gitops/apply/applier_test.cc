// Against an embedded API, with the refusals that it does not make itself put in front of it.
#include "gitops/apply/applier.h"

#include "gitops/fields.h"
#include "gitops/health_wait.h"
#include "gitops/world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

namespace kled::gitops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Passes everything on, but refuses to change the ConfigMap `fixed` as a stock API server refuses
/// what is immutable.
class Immutable : public kube::Transport {
public:
    explicit Immutable(kube::Client& client) : inner_{client.transport()} {}
    boost::asio::awaitable<net::Response> send(net::Request request) override {
        const bool fixed = request.target.find("/configmaps/fixed") != std::string::npos;
        if (fixed && request.method == "DELETE") there_ = false;
        if (fixed && request.method == "PATCH" && std::exchange(there_, true)) {
            net::Response response;
            response.status = 422;
            response.headers.set("Content-Type", "application/json");
            response.body =
                R"({"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422,)"
                R"("message":"ConfigMap \"fixed\" is invalid: data: Forbidden: field is immutable when `immutable` is set"})";
            co_return response;
        }
        co_return co_await inner_.send(std::move(request));
    }
    boost::asio::awaitable<net::StreamResponse> open(net::Request request) override {
        return inner_.open(std::move(request));
    }

private:
    kube::Transport& inner_;
    bool there_ = false;
};

class ApplierTest : public ::testing::Test {
protected:
    std::vector<Change> apply(const std::string& yaml, bool force = false) {
        const auto manifests = manifests_of(kube::load_manifest(yaml));
        auto next = world.sync(applier.plan(manifests, plan));
        plan = std::move(next);
        Applier::Order order;
        order.owner = owner;
        order.force = force;
        order.compare = compare;
        order.ignore = &ignore;
        return world.sync(applier.apply(order, plan, memory));
    }
    static std::vector<std::string> actions(const std::vector<Change>& changes) {
        std::vector<std::string> result;
        for (const auto& change : changes) result.emplace_back(to_string(change.action));
        return result;
    }
    static std::string config(const std::string& name, const std::string& value) {
        return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {k: '" +
               value + "'}\n";
    }

    testing::World world;
    const Key owner{.kind = "Kustomization", .ns = "default", .name = "apps"};
    kube::Client client{std::make_shared<Immutable>(world.client())};
    Applier applier{client, {}};
    Memory memory;
    Plan plan;
    IgnoreRules ignore;
    bool compare = true;
};

/// A Deployment of which others say how many replicas it has.
class IgnoringTest : public ApplierTest {
protected:
    IgnoringTest() {
        const auto spec = kube::parse_yaml(
            "ignore: [{paths: [/spec/replicas], target: {kind: Deployment, name: web}}]");
        ignore = IgnoreRules::read(Reader{&spec.get_object()});
    }
    static std::string deployment(int replicas, const std::string& image,
                                  const std::string& name = "web") {
        return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name +
               "}\nspec:\n  replicas: " + std::to_string(replicas) +
               "\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: "
               "b}}\n    spec: {containers: [{name: c, image: '" +
               image + "'}]}\n";
    }
    /// As an autoscaler does it: through the scale subresource.
    void scale(int replicas) {
        const auto patch = kube::parse_yaml("spec: {replicas: " + std::to_string(replicas) + "}");
        const kube::GroupVersionKind gvk{.group = "apps", .version = "v1", .kind = "Deployment"};
        world.sync(
            world.client().patch(gvk, "default", "web", kube::PatchType::merge, patch, "scale"));
    }
    kube::Object live(const std::string& name = "web") {
        return *world.get("apps/v1", "Deployment", "default", name);
    }
    static std::int64_t replicas(const kube::Object& object) {
        return kube::find(object.fields(), {"spec", "replicas"})->as_int64();
    }
    static bool holds_replicas(const kube::Object& object) {
        for (const auto& item :
             kube::find(object.fields(), {"metadata", "managedFields"})->as_array())
            if (kube::find_string(item.get_object(), {"manager"}) == "kustomize-controller" &&
                kube::find(item.get_object(), {"fieldsV1", "f:spec", "f:replicas"}) != nullptr)
                return true;
        return false;
    }
};

TEST_F(IgnoringTest, KeepsWhatAnAutoscalerSetThroughChangesOfOtherFields) {
    EXPECT_THAT(actions(apply(deployment(2, "x:1"))), ElementsAre("created"));
    EXPECT_EQ(replicas(live()), 2) << "Git makes it";
    EXPECT_TRUE(holds_replicas(live()));
    scale(5);
    EXPECT_FALSE(holds_replicas(live())) << "given up with the other's first write";
    EXPECT_THAT(actions(apply(deployment(2, "x:1"))), ElementsAre("unchanged"));
    EXPECT_THAT(actions(apply(deployment(3, "x:2"))), ElementsAre("configured"));
    EXPECT_EQ(replicas(live()), 5);
    EXPECT_EQ(
        kube::find(live().fields(), {"spec", "template", "spec", "containers"})->at(0).at("image"),
        "x:2");
    EXPECT_FALSE(holds_replicas(live()));
    memory.clear();
    const auto before = live();
    EXPECT_THAT(actions(apply(deployment(3, "x:2"))), ElementsAre("unchanged"));
    EXPECT_EQ(live().resource_version(), before.resource_version());
}

TEST_F(IgnoringTest, HoldsWhatNobodyElseDoesWithoutChangingIt) {
    apply(deployment(2, "x:1"));
    EXPECT_THAT(actions(apply(deployment(7, "x:2"))), ElementsAre("configured"));
    EXPECT_EQ(replicas(live()), 2);
    EXPECT_TRUE(holds_replicas(live())) << "else it would be deleted, and the default is 1";
    EXPECT_THAT(actions(apply(deployment(8, "x:2"))), ElementsAre("unchanged"));
}

TEST_F(IgnoringTest, GivesUpWhatAnotherHoldsToo) {
    apply(deployment(2, "x:1"));
    auto object = kube::Object::from(kube::parse_yaml(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: default}, spec: "
        "{replicas: 2}}"));
    const kube::ApplyOptions other{.field_manager = "scaler"};
    world.sync(world.client().apply(object, other));
    EXPECT_TRUE(holds_replicas(live()));
    EXPECT_THAT(actions(apply(deployment(2, "x:1"))), ElementsAre("configured"));
    EXPECT_FALSE(holds_replicas(live()));
    EXPECT_EQ(replicas(live()), 2);
}

TEST_F(IgnoringTest, IsOnlyForItsTarget) {
    apply(deployment(2, "x:1") + "---\n" + deployment(2, "x:1", "other"));
    EXPECT_THAT(actions(apply(deployment(4, "x:1") + "---\n" + deployment(4, "x:1", "other"))),
                ElementsAre("configured", "unchanged"));
    EXPECT_EQ(replicas(live()), 2);
    EXPECT_EQ(replicas(live("other")), 4);
}

/// An autoscaler that comes for the first time between what is read and what is written.
class FasterScaler : public kube::Transport {
public:
    explicit FasterScaler(kube::Client& client) : client_{client} {}
    boost::asio::awaitable<net::Response> send(net::Request request) override {
        const bool writes = request.method == "PATCH" &&
                            request.target.find("/deployments/web") != std::string::npos &&
                            request.target.find("dryRun") == std::string::npos;
        if (writes && !std::exchange(scaled_, true)) {
            const auto patch = kube::parse_yaml("spec: {replicas: 9}");
            const kube::GroupVersionKind gvk{
                .group = "apps", .version = "v1", .kind = "Deployment"};
            co_await client_.patch(gvk, "default", "web", kube::PatchType::merge, patch, "scale");
        }
        co_return co_await client_.transport().send(std::move(request));
    }
    boost::asio::awaitable<net::StreamResponse> open(net::Request request) override {
        return client_.transport().open(std::move(request));
    }

private:
    kube::Client& client_;
    bool scaled_ = false;
};

TEST_F(IgnoringTest, ReadsAgainWhenSomebodyWasFaster) {
    apply(deployment(2, "x:1"));
    kube::Client raced{std::make_shared<FasterScaler>(world.client())};
    Applier late{raced, {}};
    const auto manifests = manifests_of(kube::load_manifest(deployment(2, "x:2")));
    const auto next = world.sync(late.plan(manifests, plan));
    Applier::Order order;
    order.owner = owner;
    order.ignore = &ignore;
    EXPECT_THAT(actions(world.sync(late.apply(order, next, memory))), ElementsAre("configured"));
    EXPECT_EQ(replicas(live()), 9);
    EXPECT_FALSE(holds_replicas(live()));
}

TEST_F(ApplierTest, DoesNothingTwice) {
    EXPECT_THAT(actions(apply(config("a", "1"))), ElementsAre("created"));
    EXPECT_THAT(actions(apply(config("a", "1"))), ElementsAre("unchanged"));
    memory.clear();
    EXPECT_THAT(actions(apply(config("a", "1"))), ElementsAre("unchanged"));
    EXPECT_THAT(actions(apply(config("a", "2"))), ElementsAre("configured"));
}

/// As kubectl, then Flux's kustomize-controller, would have left it.
TEST_F(ApplierTest, GoesOnWhereFluxStoppedWithoutAWrite) {
    auto object = kube::Object::from(kube::parse_yaml(config("a", "1")));
    object.set_namespace("default");
    object.set_label("kustomize.toolkit.fluxcd.io/name", "apps");
    object.set_label("kustomize.toolkit.fluxcd.io/namespace", "default");
    const kube::ApplyOptions flux{.field_manager = "kustomize-controller"};
    const auto before = world.sync(world.client().apply(object, flux));
    EXPECT_THAT(actions(apply(config("a", "1"))), ElementsAre("unchanged"));
    EXPECT_EQ(world.get("v1", "ConfigMap", "default", "a")->resource_version(),
              before.resource_version());
    // And back again.
    const auto back = world.sync(world.client().apply(object, flux));
    EXPECT_EQ(back.resource_version(), before.resource_version());
}

TEST_F(ApplierTest, TakesOverWhatKubectlAppliedSoThatItCanGo) {
    auto object = kube::Object::from(kube::parse_yaml(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\ndata: {k: '1', "
        "gone: x}\n"));
    const kube::ApplyOptions kubectl{.field_manager = "kubectl"};
    world.sync(world.client().apply(object, kubectl));
    EXPECT_THAT(actions(apply(config("a", "1"))), ElementsAre("configured"));
    const auto now = *world.get("v1", "ConfigMap", "default", "a");
    EXPECT_EQ(kube::find(now.fields(), {"data", "gone"}), nullptr);
    EXPECT_EQ(now.annotation(adopted_annotation), "true") << "it was there before";
    EXPECT_THAT(actions(apply(config("a", "1"))), ElementsAre("unchanged"));
}

TEST_F(ApplierTest, RecreatesWhatCannotBeChangedOnlyWhenItMay) {
    EXPECT_THAT(actions(apply(config("fixed", "1"))), ElementsAre("created"));
    const auto refused = apply(config("fixed", "2") + "---\n" + config("other", "1"));
    EXPECT_THAT(actions(refused), ElementsAre("failed", "created"));
    EXPECT_THAT(refused[0].message, HasSubstr("(spec.force recreates it)"));
    EXPECT_THAT(actions(apply(config("fixed", "2"), true)), ElementsAre("recreated"));
    EXPECT_EQ(kube::find_string(world.get("v1", "ConfigMap", "default", "fixed")->fields(),
                                {"data", "k"}),
              "2");
}

TEST_F(ApplierTest, RefusesOneObjectTwice) {
    try {
        apply(config("a", "1") + "---\n" + config("a", "2"));
        FAIL() << "it was applied";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("ConfigMap default/a is there twice"));
    }
}

TEST_F(ApplierTest, RefusesWhatIsStillEncrypted) {
    EXPECT_THROW(apply("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nsops: {mac: x}\n"),
                 Error);
}

TEST_F(ApplierTest, PrunesOnlyWhatStillIsTheOwners) {
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
    std::vector<std::pair<kube::ObjectId, std::string>> gone;
    for (const auto* name : {"mine", "given", "protected", "never"})
        gone.push_back({{.group = "", .kind = "ConfigMap", .ns = "default", .name = name}, "v1"});
    const auto changes = world.sync(applier.prune(owner, gone, memory));
    std::map<std::string, std::string> by_name;
    for (const auto& change : changes) by_name[change.id.name] = to_string(change.action);
    EXPECT_EQ(by_name["mine"], "pruned");
    EXPECT_EQ(by_name["given"], "kept");
    EXPECT_EQ(by_name["protected"], "kept");
    EXPECT_EQ(by_name["never"], "pruned");
    EXPECT_TRUE(world.get("v1", "ConfigMap", "default", "given"));
    EXPECT_FALSE(world.get("v1", "ConfigMap", "default", "mine"));
}

TEST_F(ApplierTest, LeavesAloneWhatSaysSoInTheCluster) {
    apply(config("a", "1") + "---\n" + config("b", "1"));
    const auto say = [&](const std::string& name, const std::string& metadata) {
        world.apply("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name +
                    "\n  namespace: default\n  " + metadata + "\ndata: {k: by hand}\n");
    };
    say("a", "labels: {kustomize.toolkit.fluxcd.io/reconcile: disabled}");
    say("b", "annotations: {kustomize.toolkit.fluxcd.io/ssa: ignore}");
    const auto text = config("a", "1") + "---\n" + config("b", "1");
    EXPECT_THAT(actions(apply(text)), ElementsAre("kept", "kept"));
    // Nor is what Git changes written over it.
    compare = false;
    EXPECT_THAT(actions(apply(config("a", "2") + "---\n" + config("b", "2"))),
                ElementsAre("kept", "kept"));
    for (const auto* name : {"a", "b"}) {
        const auto now = world.get("v1", "ConfigMap", "default", name);
        EXPECT_EQ(kube::find_string(now->fields(), {"data", "k"}), "by hand") << name;
    }
    std::vector<std::pair<kube::ObjectId, std::string>> gone;
    for (const auto* name : {"a", "b"})
        gone.push_back({{.group = "", .kind = "ConfigMap", .ns = "default", .name = name}, "v1"});
    EXPECT_THAT(actions(world.sync(applier.prune(owner, gone, memory))),
                ElementsAre("kept", "kept"));
}

TEST_F(ApplierTest, WritesNothingOverWhatOnlyHasToBeThere) {
    const auto once = [](const std::string& value) {
        return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations: "
               "{kustomize.toolkit.fluxcd.io/ssa: IfNotPresent}\ndata: {k: '" +
               value + "'}\n";
    };
    EXPECT_THAT(actions(apply(once("1"))), ElementsAre("created"));
    compare = false;
    EXPECT_THAT(actions(apply(once("2"))), ElementsAre("kept"));
    const auto now = world.get("v1", "ConfigMap", "default", "a");
    EXPECT_EQ(kube::find_string(now->fields(), {"data", "k"}), "1");
}

TEST_F(ApplierTest, RecreatesWhereTheObjectInTheClusterSaysSo) {
    apply(config("fixed", "1"));
    EXPECT_THAT(actions(apply(config("fixed", "2"))), ElementsAre("failed"));
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fixed, namespace: default, annotations: "
        "{kustomize.toolkit.fluxcd.io/force: Enabled}}\n");
    EXPECT_THAT(actions(apply(config("fixed", "2"))), ElementsAre("recreated"));
}

/// Behind which an extension API server is away.
class Away : public kube::Transport {
public:
    explicit Away(kube::Transport& way) : way_{way} {}
    boost::asio::awaitable<net::Response> send(net::Request request) override {
        if (request.target != "/apis/ext.example.org/v1") return way_.send(std::move(request));
        return unavailable();
    }
    boost::asio::awaitable<net::StreamResponse> open(net::Request request) override {
        return way_.open(std::move(request));
    }

private:
    static boost::asio::awaitable<net::Response> unavailable() {
        net::Response response;
        response.status = 503;
        co_return response;
    }
    kube::Transport& way_;
};

TEST_F(ApplierTest, ForgetsWhatItCannotPruneOnlyWhereItsKindIsGone) {
    kube::Client behind{std::make_shared<Away>(world.client().transport())};
    Applier other{behind, {}};
    const std::vector<std::pair<kube::ObjectId, std::string>> gone{
        {{.group = "ext.example.org", .kind = "Thing", .ns = "default", .name = "a"}, "v1"},
        {{.group = "gone.example.org", .kind = "Thing", .ns = "default", .name = "a"}, "v1"}};
    std::map<std::string, std::string> by_group;
    for (const auto& change : world.sync(other.prune(owner, gone, memory)))
        by_group[change.id.group] = to_string(change.action);
    EXPECT_EQ(by_group["ext.example.org"], "failed");
    EXPECT_EQ(by_group["gone.example.org"], "pruned");
}

TEST(ImmutableError, IsKnownByItsText) {
    const auto error = [](int code, const std::string& message) {
        return kube::StatusError{ErrorKind::invalid, message, code, {}, {}};
    };
    EXPECT_TRUE(is_immutable_error(error(422, "spec.selector: field is immutable")));
    EXPECT_TRUE(is_immutable_error(error(422, "updates to statefulset spec are forbidden")));
    // Of a rule in a definition, and of webhooks, which refuse with codes of their own.
    EXPECT_TRUE(is_immutable_error(error(422, "spec.class: Invalid value: Value is immutable")));
    EXPECT_TRUE(is_immutable_error(
        error(403, "admission webhook \"x\" denied the request: immutable field spec.size")));
    EXPECT_FALSE(is_immutable_error(error(403, "creations are forbidden")));
    EXPECT_FALSE(is_immutable_error(error(422, "spec.replicas: must be a number")));
}

class HealthWaitTest : public ApplierTest {
protected:
    /// A Deployment of one replica whose status a test writes.
    void status(const std::string& fields) {
        auto object = *world.get("apps/v1", "Deployment", "default", "d");
        object.fields()["status"] = kube::parse_yaml("{observedGeneration: 1, " + fields + "}");
        world.sync(world.client().update_status(object));
    }
    boost::asio::awaitable<std::vector<std::string>> wait(Duration limit) {
        boost::asio::steady_timer alarm{co_await boost::asio::this_coro::executor};
        const WatchedObject one{
            .gvk = {.group = "apps", .version = "v1", .kind = "Deployment"},
            .id = {.group = "apps", .kind = "Deployment", .ns = "default", .name = "d"}};
        const Watched objects{one};
        const std::function<bool()> never = [] { return false; };
        co_return co_await wait_until_healthy(
            world.client(), objects, std::chrono::steady_clock::now() + limit, alarm, never);
    }
    void make() {
        world.apply(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: "
            "default}\nspec:\n  replicas: "
            "1\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n   "
            " spec: "
            "{containers: [{name: c, image: x}]}\n");
    }
};

TEST_F(HealthWaitTest, EndsTheMomentAllAreHealthy) {
    make();
    auto waiting = std::async(std::launch::async,
                              [this] { return world.sync(wait(std::chrono::seconds{30})); });
    status("replicas: 1, updatedReplicas: 1");
    status(
        "replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: "
        "[{type: "
        "Available, status: 'True'}]");
    EXPECT_THAT(waiting.get(), IsEmpty());
}

TEST_F(HealthWaitTest, EndsAtOnceWhenOneFailedForGood) {
    make();
    auto waiting = std::async(std::launch::async,
                              [this] { return world.sync(wait(std::chrono::seconds{30})); });
    status(
        "conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, "
        "message: no}]");
    EXPECT_THAT(waiting.get(), ElementsAre("Deployment.apps default/d: no"));
}

TEST_F(HealthWaitTest, EndsWhenTheTimeIsUp) {
    EXPECT_THAT(world.sync(wait(std::chrono::milliseconds{50})),
                ElementsAre("not healthy in time", "Deployment.apps default/d: it is not there"));
}

}  // namespace
}  // namespace kled::gitops
