#include "gitops/image/api.h"

#include "base/error.h"
#include "kube/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

kube::Object object_of(const std::string& kind, const std::string& spec) {
    return kube::Object::from(
        kube::parse_yaml("apiVersion: image.toolkit.fluxcd.io/v1\nkind: " + kind +
                         "\nmetadata: {name: app, namespace: apps}\nspec:\n" + spec));
}

const std::string git = "  interval: 10m\n  sourceRef: {kind: GitRepository, name: fleet}\n";

template <typename Spec>
std::string failure(const std::string& kind, const std::string& spec) {
    try {
        static_cast<void>(Spec::from_object(object_of(kind, spec)));
    } catch (const Error& error) {
        return error.what();
    }
    return "nothing was thrown";
}

TEST(ImageApi, ReadsAnAutomation) {
    const auto read = ImageUpdateAutomation::from_object(
        object_of("ImageUpdateAutomation",
                  git + "  git:\n"
                        "    checkout: {ref: {branch: main}}\n"
                        "    commit: {author: {email: bot@example.org}, messageTemplate: x, "
                        "messageTemplateValues: {a: b}}\n"
                        "    push: {branch: images, refspec: 'HEAD:refs/for/main', options: "
                        "{ci.skip: '', a: b}}\n"
                        "  update: {strategy: Setters, path: ./clusters}\n"
                        "  policySelector: {matchLabels: {team: a}}\n"));
    EXPECT_EQ(read.source, (Key{"GitRepository", "apps", "fleet"}));
    EXPECT_EQ(read.checkout->branch, "main");
    EXPECT_EQ(read.author.email, "bot@example.org");
    EXPECT_EQ(read.push_branch, "images");
    EXPECT_THAT(read.push_options, ElementsAre("a=b", "ci.skip"));
    EXPECT_EQ(read.path, "./clusters");
    EXPECT_EQ(read.policies.to_string(), "team=a");
    EXPECT_TRUE(read.unsupported.empty());
}

TEST(ImageApi, NamesTheFieldThatIsWrong) {
    const auto automation = [](const std::string& spec) {
        return failure<ImageUpdateAutomation>("ImageUpdateAutomation", spec);
    };
    EXPECT_THAT(automation(git), StartsWith("spec.git: "));
    EXPECT_THAT(automation(git + "  git: {commit: {author: {name: x}}}"),
                StartsWith("spec.git.commit.author.email: "));
    EXPECT_THAT(automation("  interval: 1m\n  sourceRef: {kind: Bucket, name: x}"),
                StartsWith("spec.sourceRef.kind: "));
    const auto policy = [](const std::string& spec) {
        return failure<ImagePolicy>("ImagePolicy", "  policy: {alphabetical: {}}\n" + spec);
    };
    EXPECT_THAT(policy("  imageRepositoryRef: {}"), StartsWith("spec.imageRepositoryRef.name: "));
    EXPECT_THAT(policy("  imageRepositoryRef: {name: x}\n  digestReflectionPolicy: Always"),
                StartsWith("spec.interval: "));
    EXPECT_THAT(policy("  imageRepositoryRef: {name: x}\n  interval: 1m"),
                StartsWith("spec.interval: "));
    const auto repository = [](const std::string& spec) {
        return failure<ImageRepository>("ImageRepository", spec);
    };
    EXPECT_THAT(repository("  image: https://x/y\n  interval: 1m"), StartsWith("spec.image: "));
    EXPECT_THAT(repository("  image: x/y"), StartsWith("spec.interval: "));
    EXPECT_THAT(repository("  image: x/y\n  interval: 1m\n  exclusionList: ['(']"),
                StartsWith("spec.exclusionList: "));
    EXPECT_THAT(repository("  image: x/y\n  interval: 1m\n  exclusionList: ['[a-f]{600}', "
                           "'[0-8]{600}', '[g-x]{600}', '[A-F]{600}']"),
                StartsWith("spec.exclusionList: its patterns are too large together"));
    EXPECT_THAT(automation(git + "  git: {commit: {author: {email: x}, signingKey: {}}}"),
                StartsWith("spec.git.commit.signingKey.secretRef.name: is required"));
}

TEST(ImageApi, StopsAtWhatIsNotSupported) {
    const auto signed_commits = ImageUpdateAutomation::from_object(object_of(
        "ImageUpdateAutomation",
        git + "  git: {commit: {author: {email: x}, signingKey: {type: ssh, secretRef: {name: "
              "k}}}}"));
    ASSERT_EQ(signed_commits.unsupported.size(), 1U);
    EXPECT_EQ(signed_commits.unsupported[0].field, "spec.git.commit.signingKey.type: ssh");
    const auto cloud = ImageRepository::from_object(
        object_of("ImageRepository", "  image: x/y\n  interval: 1m\n  provider: other\n"));
    ASSERT_EQ(cloud.unsupported.size(), 1U);
    EXPECT_EQ(cloud.unsupported[0].field, "spec.provider: other");
}

TEST(ImageApi, ShowsAnIdentityToRegistriesOfItsCloudOnly) {
    const auto read = [](const std::string& spec) {
        return ImageRepository::from_object(
            object_of("ImageRepository", "  interval: 1m\n" + spec));
    };
    const auto own = read("  image: shop.azurecr.io/app\n  provider: azure\n");
    EXPECT_EQ(own.secrets.cloud, "azure");
    EXPECT_TRUE(own.unsupported.empty());
    EXPECT_THROW((void)read("  image: registry.example.org/app\n  provider: azure\n"), Error);
    EXPECT_EQ(read("  image: '?'\n  provider: azure\n").secrets.cloud, "azure")
        << "what is no image is said by the scan";
}

TEST(ImageApi, WritesAStatusThatReplacesTheOneBefore) {
    auto object = object_of("ImageUpdateAutomation", git);
    ImageUpdateAutomationStatus status;
    status.observed_policies = {{"a", {.name = "x", .tag = "1", .digest = "sha256:1"}},
                                {"b", {.name = "y", .tag = "2", .digest = {}}}};
    status.last_push_commit = "abc";
    status.write_to(object);
    EXPECT_EQ(ImageUpdateAutomationStatus::from_object(object), status);
    status.observed_policies = {{"a", {.name = "x", .tag = "2", .digest = {}}}};
    status.write_to(object);
    const auto* policies = kube::find(*object.status(), {"observedPolicies"});
    ASSERT_NE(policies, nullptr);
    // Merged into what is stored, null takes away.
    EXPECT_EQ(kube::to_canonical_json(*policies),
              R"({"a":{"digest":null,"name":"x","tag":"2"},"b":null})");
    EXPECT_EQ(ImageUpdateAutomationStatus::from_object(object), status);
}

TEST(ImageApi, TakesNothingForAnImageThatIsNone) {
    auto policy = object_of("ImagePolicy", "  x: y");
    EXPECT_TRUE(latest_ref(policy).empty());
    ImagePolicyStatus status;
    status.latest = {.name = "example.org/app", .tag = "1.0.0", .digest = {}};
    status.write_to(policy);
    EXPECT_EQ(latest_ref(policy).to_string(), "example.org/app:1.0.0");
    status.latest.tag = "1\n- evil";
    status.write_to(policy);
    EXPECT_TRUE(latest_ref(policy).empty());
}

}  // namespace
}  // namespace kled::gitops
