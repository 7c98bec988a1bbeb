#include "gitops/reconcile/dependencies.h"

#include "kube/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace kled::gitops {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Key key(const std::string& name, const std::string& ns = "apps") {
    return {.kind = "Kustomization", .ns = ns, .name = name};
}

using Graph = std::map<Key, std::vector<Key>>;

std::string cycle(const Graph& graph, const Key& start) {
    const auto found = cycle_through(start, [&](const Key& k) {
        const auto edges = graph.find(k);
        return edges == graph.end() ? std::vector<Key>{} : edges->second;
    });
    return found.value_or("none");
}

TEST(Dependencies, AreReadFromTheSpec) {
    const auto object = kube::Object::from(kube::parse_yaml(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"
        "metadata: {name: a, namespace: apps}\n"
        "spec: {dependsOn: [{name: b}, {name: c, namespace: infra}, nonsense, {name: ''}]}\n"));
    EXPECT_THAT(dependencies_of(object), ElementsAre(key("b"), key("c", "infra")));
    EXPECT_THAT(dependencies_of(kube::Object::from(kube::parse_yaml(
                    "apiVersion: v1\nkind: Kustomization\nmetadata: {name: a}\n"))),
                IsEmpty());
}

TEST(Dependencies, ACycleIsNamedFromEachOfItsMembers) {
    const Graph graph{{key("a"), {key("b")}}, {key("b"), {key("a")}}};
    EXPECT_EQ(cycle(graph, key("a")), "a -> b -> a");
    EXPECT_EQ(cycle(graph, key("b")), "b -> a -> b");
}

TEST(Dependencies, OneThatWaitsForItselfIsACycle) {
    EXPECT_EQ(cycle({{key("a"), {key("a")}}}, key("a")), "a -> a");
}

TEST(Dependencies, ALongCycleIsWrittenInItsOrder) {
    const Graph graph{{key("a"), {key("x"), key("b")}},
                      {key("b"), {key("c", "infra")}},
                      {key("c", "infra"), {key("d")}},
                      {key("d"), {key("a")}}};
    EXPECT_EQ(cycle(graph, key("a")), "a -> b -> infra/c -> d -> a");
}

TEST(Dependencies, WhoLeadsToACycleIsNotInIt) {
    const Graph graph{{key("x"), {key("a")}}, {key("a"), {key("b")}}, {key("b"), {key("a")}}};
    EXPECT_EQ(cycle(graph, key("x")), "none");
}

TEST(Dependencies, ADiamondIsNoCycle) {
    const Graph graph{
        {key("a"), {key("b"), key("c")}}, {key("b"), {key("d")}}, {key("c"), {key("d")}}};
    EXPECT_EQ(cycle(graph, key("a")), "none");
}

}  // namespace
}  // namespace kled::gitops
