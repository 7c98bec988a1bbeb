#include "gitops/build/input_watch.h"

#include "kube/yaml.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

TEST(InputWatch, KnowsWhatADeploymentIsMadeOf) {
    const auto work = kube::Object::from(
        kube::parse_yaml("spec:\n"
                         "  decryption: {provider: sops, secretRef: {name: keys}}\n"
                         "  kubeConfig: {secretRef: {name: far}}\n"
                         "  postBuild: {substituteFrom: [{kind: ConfigMap, name: vars}, {kind: "
                         "Secret, name: more}, 7]}\n"));
    for (const auto* name : {"keys", "far", "more"}) EXPECT_TRUE(is_made_of(work, "Secret", name));
    EXPECT_TRUE(is_made_of(work, "ConfigMap", "vars"));
    EXPECT_FALSE(is_made_of(work, "Secret", "vars"));
    EXPECT_FALSE(is_made_of(work, "ConfigMap", "keys"));
    EXPECT_FALSE(is_made_of(work, "ConfigMap", ""));
    const auto plain = kube::Object::from(kube::parse_yaml("spec: {path: ./}"));
    EXPECT_FALSE(is_made_of(plain, "Secret", "keys"));
    const auto by_map =
        kube::Object::from(kube::parse_yaml("spec: {kubeConfig: {configMapRef: {name: far}}}"));
    EXPECT_TRUE(is_made_of(by_map, "ConfigMap", "far"));
    EXPECT_FALSE(is_made_of(by_map, "Secret", "far"));
}

}  // namespace
}  // namespace kled::gitops
