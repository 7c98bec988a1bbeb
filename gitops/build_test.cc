#include "gitops/build.h"

#include "base/error.h"
#include "base/file.h"
#include "gitops/git/testing.h"
#include "kube/yaml.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using git::testing::File;
using git::testing::Files;

const std::string config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n";

class BuildTest : public ::testing::Test {
protected:
    Built built(const Files& files, const std::string& spec = "path: app") {
        remote.commit(files);
        git::Access access;
        access.local_repositories = true;
        const auto revision = mirror.fetch({.branch = "main"}, access, {});
        const auto deployment = Deployment::from_object(kube::Object::from(kube::parse_yaml(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a, "
            "namespace: b}\nspec:\n  interval: 1m\n  sourceRef: {kind: GitRepository, name: x}\n "
            " " +
            spec + "\n")));
        return build(mirror, revision, deployment);
    }
    std::pair<ErrorKind, std::string> failure(const Files& files) {
        try {
            static_cast<void>(built(files));
        } catch (const Error& error) {
            return {error.kind(), error.what()};
        }
        return {ErrorKind::internal, "it was built"};
    }

    git::testing::Repository remote;
    TemporaryDirectory directory;
    git::Mirror mirror{directory.path() / "mirror", remote.url()};
};

TEST_F(BuildTest, BuildsAFolderOfManifestsAsFluxDoes) {
    const auto result =
        built({{"app/a.yaml", config}, {"app/README.md", "text"}, {"other/b.yaml", "x: ["}});
    ASSERT_EQ(result.objects.size(), 1U);
    EXPECT_EQ(result.objects[0].object.name(), "a");
    EXPECT_TRUE(result.digest.starts_with("sha256:"));
    EXPECT_FALSE(result.read_set.contains("other/b.yaml"));
}

TEST_F(BuildTest, BringsInWhatTheKustomizationItselfSays) {
    const auto result = built(
        {{"app/kustomization.yaml", "resources: [a.yaml]\nnamePrefix: x-\n"},
         {"app/a.yaml", config}},
        "path: app\n  targetNamespace: web\n  namePrefix: y-\n  commonMetadata: {labels: {team: "
        "blue}}\n  patches: [{patch: '[{\"op\": \"add\", \"path\": \"/data/q\", \"value\": "
        "\"w\"}]', "
        "target: {kind: ConfigMap}}]");
    ASSERT_EQ(result.objects.size(), 1U);
    const auto& object = result.objects[0].object;
    EXPECT_EQ(object.name(), "y-a");
    EXPECT_EQ(object.ns(), "web");
    EXPECT_EQ(object.label("team"), "blue");
    EXPECT_EQ(kube::find_string(object.fields(), {"data", "q"}), "w");
}

TEST_F(BuildTest, LeavesOutComponentsThatAreNotThereWhereThatIsAllowed) {
    const Files files{{"app/kustomization.yaml", "resources: [a.yaml]\n"},
                      {"app/a.yaml", config},
                      {"c/kustomization.yaml",
                       "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
                       "namePrefix: c-\n"}};
    const std::string both = "path: app\n  components: [../c, ../none]\n";
    const auto result = built(files, both + "  ignoreMissingComponents: true");
    ASSERT_EQ(result.objects.size(), 1U);
    EXPECT_EQ(result.objects[0].object.name(), "c-a");
    EXPECT_THROW(static_cast<void>(built(files, both)), Error);
}

TEST_F(BuildTest, SaysWhereAnObjectComesFromWhenAsked) {
    const auto result =
        built({{"app/kustomization.yaml", "resources: [a.yaml]\n"}, {"app/a.yaml", config}},
              "path: app\n  buildMetadata: [originAnnotations]");
    ASSERT_EQ(result.objects.size(), 1U);
    EXPECT_EQ(result.objects[0].object.annotation("config.kubernetes.io/origin"), "path: a.yaml\n");
}

TEST_F(BuildTest, SaysWhereTheYamlIsBroken) {
    const auto [kind, text] = failure(
        {{"app/kustomization.yaml", "resources: [a.yaml]\n"}, {"app/a.yaml", "a: b\n c: [\n"}});
    EXPECT_EQ(kind, ErrorKind::invalid);
    EXPECT_NE(text.find("app/a.yaml:2"), std::string::npos) << text;
}

TEST_F(BuildTest, DefusesAYamlBomb) {
    std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n";
    for (int i = 1; i < 12; ++i) {
        const auto before = "*a" + std::to_string(i - 1);
        bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
        for (int k = 0; k < 8; ++k) bomb += "," + before;
        bomb += "]\n";
    }
    const auto [kind, text] =
        failure({{"app/kustomization.yaml", "resources: [a.yaml]\n"}, {"app/a.yaml", bomb}});
    EXPECT_TRUE(kind == ErrorKind::exhausted || kind == ErrorKind::invalid) << text;
    EXPECT_NE(text.find("app/a.yaml"), std::string::npos) << text;
}

TEST_F(BuildTest, EndsACircleOfKustomizations) {
    const auto [kind, text] = failure({{"app/kustomization.yaml", "resources: [../b]\n"},
                                       {"b/kustomization.yaml", "resources: [../app]\n"}});
    EXPECT_EQ(kind, ErrorKind::invalid);
    EXPECT_NE(text.find("cycle"), std::string::npos) << text;
}

TEST_F(BuildTest, NamesALinkOutOfTheRepository) {
    const auto [kind, text] = failure({{"app/kustomization.yaml", "resources: [a.yaml]\n"},
                                       {"app/a.yaml", File::link("../../../etc/passwd")}});
    EXPECT_EQ(kind, ErrorKind::invalid);
    EXPECT_NE(text.find("app/a.yaml leads out of the repository by a symbolic link"),
              std::string::npos)
        << text;
}

TEST_F(BuildTest, RefusesAFileOfAHundredMegabytes) {
    const auto [kind, text] = failure({{"app/kustomization.yaml", "resources: [a.yaml]\n"},
                                       {"app/a.yaml", "a: " + std::string(100U << 20U, 'x')}});
    EXPECT_TRUE(kind == ErrorKind::exhausted || kind == ErrorKind::invalid);
    EXPECT_NE(text.find("app/a.yaml: 104857603 bytes; a file kled reads has at most"),
              std::string::npos)
        << text;
}

TEST_F(BuildTest, SaysThatThereIsNoSuchFolder) {
    const auto [kind, text] = failure({{"other/a.yaml", config}});
    EXPECT_EQ(kind, ErrorKind::not_found) << text;
}

}  // namespace
}  // namespace kled::gitops
