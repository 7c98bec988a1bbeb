// Kustomizations for another cluster, or as a service account.
#include "base/encoding.h"
#include "gitops/testing/cluster_mode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

namespace kled::gitops {
namespace {

using RemoteMode = testing::ClusterMode;

TEST_F(RemoteMode, GoesToTheClusterOfAKubeconfig) {
    world.start_cluster();
    world.apply_repository();
    apply_apps("  kubeConfig: {secretRef: {name: other}}\n");
    const std::string missing = "spec.kubeConfig.secretRef: Secret default/other does not exist";
    ASSERT_TRUE(says(missing));

    const auto kubeconfig = world.start_other_api();
    world.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: other, namespace: default}\ndata: "
        "{value: " +
        to_base64(kubeconfig) + "}\n");
    ASSERT_TRUE(is_ready());
    EXPECT_EQ(world.value("a"), "absent") << "it is for another cluster";
    const auto there = world.get_in_other("ConfigMap", "web", "a");
    ASSERT_TRUE(there);
    EXPECT_EQ(kube::find_string(there->fields(), {"data", "k"}), "1");

    remove_apps();
    EXPECT_TRUE(world.eventually([&] { return !world.get_in_other("ConfigMap", "web", "a"); }));
}

TEST_F(RemoteMode, GoesWhenTheKubeconfigIsGone) {
    world.start_cluster();
    world.apply_repository();
    const auto kubeconfig = world.start_other_api();
    world.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: other, namespace: default}\ndata: {mine: " +
        to_base64(kubeconfig) + "}\n");
    apply_apps("  targetNamespace: default\n  kubeConfig: {secretRef: {name: other, key: mine}}\n");
    ASSERT_TRUE(is_ready());
    world.remove("v1", "Secret", "default", "other");
    remove_apps();
    EXPECT_TRUE(is_gone());
    EXPECT_TRUE(world.get_in_other("ConfigMap", "default", "a")) << "nobody could delete it";
    const auto events = world.events();
    EXPECT_TRUE(std::ranges::any_of(events, [](const auto& e) {
        return e.message.find("is gone; left are:\nConfigMap default/a") != std::string::npos;
    }));
}

TEST_F(RemoteMode, SaysThatItsOwnApiIssuesNoTokensForAnotherCluster) {
    world.start_cluster();
    world.apply_repository();
    apply_apps("  kubeConfig: {configMapRef: {name: far}}\n");
    const std::string where = "spec.kubeConfig.configMapRef: ";
    EXPECT_TRUE(says(where + "ConfigMap default/far does not exist"));
    const auto map = [&](const std::string& account) {
        world.apply(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: far, namespace: default}\ndata: "
            "{provider: generic, address: 'https://127.0.0.1:1'" +
            account + "}\n");
    };
    map("");
    EXPECT_TRUE(says(where + "ConfigMap default/far: data['serviceAccountName'] is required"));
    map(", serviceAccountName: deployer");
    EXPECT_TRUE(says(where +
                     "the embedded API issues no tokens for service accounts; name a kubeconfig by "
                     "secretRef"));
    EXPECT_EQ(world.value("a"), "absent");
}

TEST_F(RemoteMode, NeverMistakesAnAccountForABoundWhereThereAreNoRules) {
    Reconciler::Options options;
    options.default_service_account = "tenant";
    world.start_cluster(std::move(options));
    world.apply_repository();
    apply_apps();
    const std::string refusal =
        "service account 'tenant': the embedded API has no access rules that would bound it";
    EXPECT_TRUE(says(refusal));
    EXPECT_EQ(world.value("a"), "absent");
}

TEST_F(RemoteMode, SaysThatAnotherClusterCannotBeReached) {
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
    world.start_cluster();
    world.apply_repository();
    apply_apps("  kubeConfig: {secretRef: {name: other}}\n");
    EXPECT_TRUE(world.eventually([&] {
        const auto conditions = Conditions::from_status(apps().status());
        const auto* ready = conditions.find("Ready");
        return ready != nullptr && ready->reason == "ReconciliationFailed";
    }));
}

}  // namespace
}  // namespace kled::gitops
