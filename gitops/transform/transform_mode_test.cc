// Variables and encrypted files, with what the cluster has for them.
#include "base/file.h"
#include "gitops/testing/cluster_mode.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace kled::gitops {
namespace {

using TransformMode = testing::ClusterMode;

TEST_F(TransformMode, WritesVariablesOfTheClusterIntoWhatItApplies) {
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: "
        "default}\ndata: {color: green, size: '1'}\n");
    world.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: more, namespace: "
        "default}\nstringData: {word: hunter2}\n");
    files.insert_or_assign("apps/a.yaml", world.config("a", "${color} ${size} ${word} ${own}"));
    world.repository.commit(files);
    world.start_cluster();
    world.apply_repository();
    const std::string from =
        "  postBuild:\n    substitute: {own: '3'}\n    substituteFrom: [{kind: ConfigMap, name: "
        "vars}, {kind: Secret, name: more}, {kind: Secret, name: none, optional: true}]\n";
    apply_apps(from);
    ASSERT_TRUE(world.eventually([&] { return world.value("a") == "green 1 hunter2 3"; }))
        << summarise(apps()).message;
    // Another value, and nothing new in Git.
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: "
        "default}\ndata: {color: blue, size: '1'}\n");
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(world.value("a"), "blue 1 hunter2 3");
    // Nobody has to ask where the label says that somebody looks.
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: default, labels: "
        "{reconcile.fluxcd.io/watch: Enabled}}\ndata: {color: red, size: '1'}\n");
    EXPECT_TRUE(world.eventually([&] { return world.value("a") == "red 1 hunter2 3"; }))
        << world.value("a");
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: default, labels: "
        "{reconcile.fluxcd.io/watch: Enabled}}\ndata: {color: blue, size: '1'}\n");
    EXPECT_TRUE(world.eventually([&] { return world.value("a") == "blue 1 hunter2 3"; }))
        << world.value("a");
    world.remove("v1", "Secret", "default", "more");
    ASSERT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(summarise(apps()).message,
              "spec.postBuild.substituteFrom: Secret default/more does not exist");
    EXPECT_EQ(world.value("a"), "blue 1 hunter2 3") << "what was applied stays";
}

/// Whether a file below `directory` has `text` in it.
bool on_disk(const std::filesystem::path& directory, const std::string& text) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator{directory}) {
        if (entry.is_regular_file() && read_file(entry.path()).find(text) != std::string::npos)
            return true;
    }
    return false;
}

TEST_F(TransformMode, AppliesWhatSopsHasEncryptedAndKeepsItsPlainTextNowhereElse) {
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
    world.start_cluster();
    world.apply_repository();
    apply_apps();
    ASSERT_TRUE(world.eventually([&] {
        return summarise(apps()).message.find("is encrypted with SOPS; spec.decryption says how") !=
               std::string::npos;
    })) << summarise(apps()).message;
    const std::string decryption = "  decryption: {provider: sops, secretRef: {name: sops-age}}\n";
    apply_apps(decryption);
    ASSERT_TRUE(says("spec.decryption.secretRef: Secret default/sops-age does not exist"));
    kube::Object secret = kube::Object::from(kube::parse_yaml(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: sops-age, namespace: default}\n"));
    auto& keys = secret.fields()["stringData"].emplace_object();
    keys["age.agekey"] = fixture("key.agekey");
    keys["pgp.asc"] = fixture("key.asc");
    const kube::ApplyOptions options{.field_manager = "tester"};
    world.sync(world.client().apply(secret, options));
    ASSERT_TRUE(is_ready());
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

}  // namespace
}  // namespace kled::gitops
