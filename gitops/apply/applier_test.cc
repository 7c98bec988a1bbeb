// Against an embedded API, with the refusals that it does not make itself put in front of it.
#include "gitops/apply/applier.h"

#include "gitops/apply/apply_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::gitops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

/// Passes everything on, but refuses to change the ConfigMap `fixed` as a stock API server refuses
/// what is immutable.
class Immutable : public testing::Passing {
public:
    using Passing::Passing;
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
        co_return co_await Passing::send(std::move(request));
    }

private:
    bool there_ = false;
};

class ApplierTest : public testing::ApplyWorld {
protected:
    ApplierTest() : ApplyWorld{[](auto& way) { return std::make_shared<Immutable>(way); }} {}
};

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
}

/// What kubectl applied after kled, or alone, while somebody says that it is not to be touched.
class TakingOverTest : public testing::ApplyWorld {
protected:
    void apply_by_kubectl() {
        const auto object = kube::Object::from(kube::parse_yaml(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\ndata: {k: "
            "theirs, more: x}\n"));
        const kube::ApplyOptions kubectl{.field_manager = "kubectl"};
        world.sync(world.client().apply(object, kubectl));
    }
    std::vector<Change> apply_while(const std::string& yaml) {
        kube::Client raced{std::make_shared<testing::Faster>(
            world.client(),
            testing::Faster::Patch{.gvk = {.group = "", .version = "v1", .kind = "ConfigMap"},
                                   .name = "a",
                                   .yaml = yaml})};
        return apply_by(raced, config("a", "1"));
    }
    void expect_untouched() {
        const auto now = *world.get("v1", "ConfigMap", "default", "a");
        EXPECT_EQ(kube::find_string(now.fields(), {"data", "k"}), "theirs");
        EXPECT_EQ(kube::find_string(now.fields(), {"data", "more"}), "x");
        EXPECT_TRUE(now.annotation(adopted_annotation).empty());
    }
    const std::string disabled =
        "metadata: {annotations: {kustomize.toolkit.fluxcd.io/reconcile: disabled}}";
};

TEST_F(TakingOverTest, LeavesAloneWhatSaysSoOnlyWhenItsFieldsAreTakenOver) {
    apply(config("a", "1"));
    apply_by_kubectl();
    EXPECT_THAT(actions(apply_while(disabled)), ElementsAre("kept"));
    expect_untouched();
}

TEST_F(TakingOverTest, LeavesAloneWhatSaysSoOnlyWhenItIsAdopted) {
    apply_by_kubectl();
    EXPECT_THAT(actions(apply_while(disabled)), ElementsAre("kept"));
    expect_untouched();
}

TEST_F(TakingOverTest, GoesOnWhereSomebodyOnlyWroteBesideIt) {
    apply(config("a", "1"));
    apply_by_kubectl();
    EXPECT_THAT(actions(apply_while("metadata: {annotations: {theirs: y}}")),
                ElementsAre("configured"));
    const auto now = *world.get("v1", "ConfigMap", "default", "a");
    EXPECT_EQ(kube::find_string(now.fields(), {"data", "k"}), "1");
    EXPECT_EQ(kube::find(now.fields(), {"data", "more"}), nullptr) << "kubectl's went with it";
    EXPECT_EQ(now.annotation("theirs"), "y");
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

/// Notes what is asked about objects of the namespace `default`.
class Noting : public testing::Passing {
public:
    Noting(kube::Transport& way, std::vector<std::string>& asked) : Passing{way}, asked_{asked} {}
    boost::asio::awaitable<net::Response> send(net::Request request) override {
        constexpr std::string_view there = "/namespaces/default/configmaps/";
        const auto path = request.target.substr(0, request.target.find('?'));
        if (const auto at = path.find(there); at != std::string::npos)
            asked_.push_back(request.method + " " + path.substr(at + there.size()));
        return Passing::send(std::move(request));
    }

private:
    std::vector<std::string>& asked_;
};

/// What Git changed and nobody compares.
class ChangedTest : public testing::ApplyWorld {
protected:
    ChangedTest() : ApplyWorld{[this](auto& way) { return std::make_shared<Noting>(way, asked); }} {
        apply(config("a", "1") + "---\n" + config("b", "1"));
        compare = false;
        asked.clear();
    }
    std::string value(const std::string& name) {
        const auto object = world.get("v1", "ConfigMap", "default", name);
        return std::string{kube::find_string(object->fields(), {"data", "k"})};
    }
    std::vector<std::string> asked;
};

TEST_F(ChangedTest, CostsOneRequest) {
    EXPECT_THAT(actions(apply(config("a", "2") + "---\n" + config("b", "1"))),
                ElementsAre("configured"));
    EXPECT_THAT(asked, ElementsAre("PATCH a"));
    EXPECT_THAT(actions(apply(config("a", "3") + "---\n" + config("b", "3"))),
                ElementsAre("configured", "configured"));
    EXPECT_THAT(asked, UnorderedElementsAre("PATCH a", "PATCH a", "PATCH b"));
    EXPECT_EQ(value("a"), "3");
    EXPECT_EQ(value("b"), "3");
}

TEST_F(ChangedTest, IsReadWhereOthersWroteSince) {
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\ndata: {more: "
        "x}\n");
    EXPECT_THAT(actions(apply(config("a", "2"))), ElementsAre("configured"));
    EXPECT_THAT(asked, ElementsAre("PATCH a", "GET a", "PATCH a"));
    EXPECT_EQ(value("a"), "2");
}

TEST_F(ChangedTest, IsMadeAgainWhereItWasDeletedSince) {
    world.remove("v1", "ConfigMap", "default", "a");
    EXPECT_THAT(actions(apply(config("a", "2"))), ElementsAre("configured"));
    EXPECT_EQ(value("a"), "2");
}

TEST_F(ChangedTest, IsNotWrittenOntoWhatIsBeingDeleted) {
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default, finalizers: "
        "[example.org/held]}\n");
    world.remove("v1", "ConfigMap", "default", "a");
    const auto going = *world.get("v1", "ConfigMap", "default", "a");
    ASSERT_TRUE(going.deleting());
    EXPECT_TRUE(looks_first(going));
    const auto changes = apply(config("a", "2"));
    EXPECT_THAT(actions(changes), ElementsAre("failed"));
    EXPECT_THAT(changes[0].message, HasSubstr("it is being deleted"));
    EXPECT_EQ(value("a"), "1");
    auto released = going;
    released.metadata()["finalizers"].emplace_array();
    world.sync(world.client().update(released));
    EXPECT_THAT(actions(apply(config("a", "2"))), ElementsAre("configured"));
    EXPECT_EQ(value("a"), "2");
}

TEST_F(ChangedTest, IsMarkedWhereOthersMadeItAgain) {
    const auto made = [&](const std::string& name) {
        world.remove("v1", "ConfigMap", "default", name);
        world.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name +
                    ", namespace: default}\ndata: {k: theirs}\n");
    };
    const auto marked = [&](const std::string& name) {
        return world.get("v1", "ConfigMap", "default", name)->annotation(adopted_annotation) ==
               "true";
    };
    made("a");
    made("b");
    // It was seen once, and left so.
    drift = Drift::report;
    compare = true;
    EXPECT_THAT(actions(apply(config("a", "1"))), ElementsAre("drifted"));
    EXPECT_FALSE(marked("a"));
    compare = false;
    for (const auto* name : {"a", "b"}) {
        EXPECT_THAT(actions(apply(config(name, "2"))), ElementsAre("configured")) << name;
        EXPECT_TRUE(marked(name)) << name;
        EXPECT_EQ(value(name), "2");
    }
    asked.clear();
    EXPECT_THAT(actions(apply(config("b", "3"))), ElementsAre("configured"));
    EXPECT_THAT(asked, ElementsAre("PATCH b")) << "of what is marked that is known";
}

TEST_F(ChangedTest, IsReadWhereAWatchSawThatItSaysHandsOff) {
    const auto said = world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default, annotations: "
        "{kustomize.toolkit.fluxcd.io/reconcile: disabled}}\n");
    auto& known = memory.at(said.id());
    known.resource_version = said.resource_version();
    known.read_first = true;
    EXPECT_THAT(actions(apply(config("a", "2"))), ElementsAre("kept"));
    EXPECT_THAT(asked, ElementsAre("GET a"));
    EXPECT_EQ(value("a"), "1");
}

}  // namespace
}  // namespace kled::gitops
