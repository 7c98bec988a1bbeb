#include "gitops/apply/plan.h"

#include "base/error.h"
#include "base/run.h"
#include "kube/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace kled::gitops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Nothing here has a kind about which a server would have to be asked.
class Nobody : public kube::Transport {
public:
    boost::asio::awaitable<net::Response> send(net::Request request) override {
        throw Error{ErrorKind::internal, "it was asked for " + request.target};
    }
    boost::asio::awaitable<net::StreamResponse> open(net::Request request) override {
        throw Error{ErrorKind::internal, "it was asked for " + request.target};
    }
};

boost::asio::awaitable<Plan> make(const Manifests& manifests, const Plan& before) {
    kube::Client client{std::make_shared<Nobody>()};
    co_return co_await make_plan(client, manifests, before);
}

Plan plan_of(const Manifests& manifests, const Plan& before = {}) {
    return run_to_end(make(manifests, before));
}

Plan plan_of(const std::string& yaml) { return plan_of(manifests_of(kube::load_manifest(yaml))); }

std::string config(const std::string& name, const std::string& value) {
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {k: '" + value +
           "'}\n";
}

std::vector<std::string> names_of(const Plan& plan) {
    std::vector<std::string> result;
    for (const auto& one : plan.objects) result.push_back(one->id.to_string());
    return result;
}

TEST(Plan, HasThemInTheOrderOfApplicationEachWithItsPlace) {
    const auto plan =
        plan_of(config("b", "1") + "---\n" + config("a", "1") +
                "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: n, namespace: "
                "no}\n");
    EXPECT_THAT(names_of(plan),
                ElementsAre("Namespace n", "ConfigMap default/a", "ConfigMap default/b"));
    EXPECT_EQ(plan.inventory.size(), 3U);
    const Key owner{.kind = "Kustomization", .ns = "flux", .name = "apps"};
    const auto first = plan.objects[0]->object(owner);
    EXPECT_EQ(first.ns(), "");
    EXPECT_EQ(first.label("kustomize.toolkit.fluxcd.io/name"), "apps");
    EXPECT_EQ(first.label("kustomize.toolkit.fluxcd.io/namespace"), "flux");
    EXPECT_EQ(plan.objects[1]->object({}).label("kustomize.toolkit.fluxcd.io/name"), "");
}

TEST(Plan, TakesWhatStaysFromTheOneBefore) {
    auto manifests =
        manifests_of(kube::load_manifest(config("a", "1") + "---\n" + config("c", "1")));
    const auto before = plan_of(manifests);
    const auto fresh = manifests_of(kube::load_manifest(config("b", "1")));
    const Manifests now{manifests[1], fresh[0]};
    const auto after = plan_of(now, before);
    EXPECT_THAT(names_of(after), ElementsAre("ConfigMap default/b", "ConfigMap default/c"));
    EXPECT_EQ(after.objects[1], before.objects[1]);
    EXPECT_EQ(after.inventory.size(), 2U);
}

TEST(Plan, RefusesOneObjectTwice) {
    try {
        (void)plan_of(config("a", "1") + "---\n" + config("a", "2"));
        FAIL() << "it was taken";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("ConfigMap default/a is there twice"));
    }
}

TEST(Plan, RefusesWhatIsStillEncrypted) {
    EXPECT_THROW(
        (void)plan_of("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nsops: {mac: x}\n"),
        Error);
}

}  // namespace
}  // namespace kled::gitops
