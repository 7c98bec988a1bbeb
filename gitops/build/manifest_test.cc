#include "gitops/build/manifest.h"

#include "base/error.h"
#include "kube/yaml.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

Manifest manifest(const std::string& yaml) {
    return *manifests_of(kube::load_manifest(yaml)).at(0);
}

TEST(Manifest, KeepsTheObjectWithItsKeysInOrder) {
    const auto yaml =
        "kind: Thing\napiVersion: x.io/v1\nmetadata: {namespace: web, name: a}\n"
        "spec: {z: 1, a: [1.5, 9007199254740993, -3, null, true, 'é']}\n";
    const auto object = kube::Object::from(kube::parse_yaml(yaml));
    const auto one = manifest(yaml);
    EXPECT_EQ(one.decode(), object);
    EXPECT_TRUE(one.text.starts_with(R"({"kind":"Thing","apiVersion")")) << one.text;
    EXPECT_EQ(one.id, object.id());
    EXPECT_EQ(one.gvk(), object.gvk());
}

TEST(Manifest, HasOneDigestWhateverTheOrderOfItsKeys) {
    const std::string head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    const auto digest = manifest(head + "data: {a: '1', b: '2'}\n").digest;
    EXPECT_EQ(manifest(head + "data: {b: '2', a: '1'}\n").digest, digest);
    EXPECT_NE(manifest(head + "data: {b: '2', a: '2'}\n").digest, digest);
}

TEST(Manifest, KnowsASecretThatIsEncrypted) {
    const std::string head = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n";
    const std::string off = "  annotations: {kustomize.toolkit.fluxcd.io/decrypt: disabled}\n";
    EXPECT_TRUE(manifest(head + "sops: {mac: x}\n").encrypted);
    EXPECT_FALSE(manifest(head + off + "sops: {mac: x}\n").encrypted);
    EXPECT_FALSE(manifest(head + "data: {}\n").encrypted);
}

TEST(Manifest, KnowsWhatADefinitionDefines) {
    const std::string head =
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        "metadata: {name: things.x.io}\n";
    EXPECT_EQ(
        manifest(head + "spec: {group: x.io, scope: Cluster, names: {kind: Thing}}\n").defines,
        (Manifest::Definition{.group = "x.io", .kind = "Thing", .scope = kube::Scope::cluster}));
    EXPECT_EQ(manifest(head).defines, std::nullopt);
}

TEST(Manifest, RefusesWhatJsonHasNoNumberFor) {
    EXPECT_THROW(manifest("apiVersion: x.io/v1\nkind: Thing\nmetadata: {name: a}\nspec: .nan\n"),
                 Error);
}

}  // namespace
}  // namespace kled::gitops
