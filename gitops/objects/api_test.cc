#include "gitops/objects/api.h"

#include "base/error.h"
#include "kube/yaml.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

kube::Object object(std::string_view yaml) { return kube::Object::from(kube::parse_yaml(yaml)); }

const std::string repository =
    "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: fleet, "
    "namespace: flux-system}\n";
const std::string kustomization =
    "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps, "
    "namespace: flux-system}\n";

std::string refused(const auto& read) {
    try {
        read();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return error.what();
    }
    return "accepted";
}

TEST(GitRepositoryObject, IsReadAsFluxWritesIt) {
    const auto r = GitRepository::from_object(
        object(repository + "spec: {url: 'https://host/x', interval: 1m0s, ref: {branch: main}, "
                            "secretRef: {name: login}, timeout: 20s, ignore: '*.md', "
                            "sparseCheckout: [apps]}"));
    EXPECT_EQ(r.ignore, "*.md");
    EXPECT_EQ(r.sparse, std::vector<std::string>{"apps"});
    EXPECT_EQ(r.url, "https://host/x");
    EXPECT_EQ(r.reference.branch, "main");
    EXPECT_EQ(r.secret_name, "login");
    EXPECT_EQ(r.interval, std::chrono::minutes{1});
    EXPECT_EQ(r.timeout, std::chrono::seconds{20});
    EXPECT_TRUE(r.unsupported.empty());
}

TEST(GitRepositoryObject, NamesWhatItCannotDo) {
    const auto r =
        GitRepository::from_object(object(
            repository + "spec: {url: 'https://host/x', interval: 1m, serviceAccountName: me, ref: "
                         "{semver: '1.x'}}"));
    ASSERT_EQ(r.unsupported.size(), 1U);
    EXPECT_EQ(r.unsupported[0].field, "spec.serviceAccountName");
    EXPECT_EQ(r.reference.semver, "1.x");
}

TEST(GitRepositoryObject, IsKnownToItsServerByACloudsIdentity) {
    const auto read = [](const std::string& spec) {
        return GitRepository::from_object(
            object(repository + "spec: {interval: 1m, " + spec + "}"));
    };
    const std::string codecommit = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/shop";
    const auto own = read("provider: aws, url: '" + codecommit + "'");
    EXPECT_TRUE(own.unsupported.empty());
    EXPECT_EQ(own.cloud, "aws");
    EXPECT_EQ(own.service_account, "");
    const auto devops =
        read("provider: azure, serviceAccountName: me, url: 'https://dev.azure.com/o/p/_git/r'");
    EXPECT_TRUE(devops.unsupported.empty());
    EXPECT_EQ(devops.cloud, "azure");
    EXPECT_EQ(devops.service_account, "me");
    const auto other = read("provider: gcp, serviceAccountName: me, url: 'https://host/x'");
    EXPECT_EQ(other.unsupported.size(), 2U);
    EXPECT_EQ(other.cloud, "");
    // Elsewhere the identity would be shown to somebody else.
    EXPECT_TRUE(refused([&] {
                    read("provider: aws, url: 'https://host/v1/repos/shop'");
                }).starts_with("spec.url: is no repository of CodeCommit"));
    EXPECT_TRUE(refused([&] {
                    read("provider: azure, url: '" + codecommit + "'");
                }).starts_with("spec.url: is no repository of Azure DevOps"));
    EXPECT_EQ(
        refused([&] { read("provider: aws, serviceAccountName: a/b, url: '" + codecommit + "'"); }),
        "spec.serviceAccountName: not a name");
}

TEST(GitRepositoryObject, SaysWhatIsToBeVerified) {
    const auto read = [](const std::string& verify) {
        return GitRepository::from_object(
            object(repository + "spec: {url: x, interval: 1m, verify: " + verify + "}"));
    };
    const auto head = read("{secretRef: {name: keys}}");
    EXPECT_TRUE(head.unsupported.empty());
    EXPECT_TRUE(head.verify->head());
    EXPECT_FALSE(head.verify->tag());
    EXPECT_TRUE(read("{mode: head, secretRef: {name: keys}}").verify->head());
    EXPECT_FALSE(read("{mode: Tag, secretRef: {name: keys}}").verify->head());
    const auto both = read("{mode: TagAndHEAD, secretRef: {name: keys}}");
    EXPECT_TRUE(both.verify->head() && both.verify->tag());
    EXPECT_EQ(refused([&] { read("{mode: HEAD}"); }), "spec.verify.secretRef.name: is required");
    EXPECT_TRUE(refused([&] {
                    read("{mode: tag, secretRef: {name: keys}}");
                }).starts_with("spec.verify.mode: 'tag'"));
}

TEST(GitRepositoryObject, IncludesOthersInsideTheTree) {
    const auto r = GitRepository::from_object(
        object(repository +
               "spec: {url: x, interval: 1m, recurseSubmodules: true, include: [{repository: "
               "{name: lib}}, {repository: {name: b}, fromPath: ./k/, toPath: a//b}]}"));
    EXPECT_TRUE(r.submodules);
    EXPECT_TRUE(r.unsupported.empty());
    ASSERT_EQ(r.include.size(), 2U);
    EXPECT_EQ(r.include[0].to, "lib");
    EXPECT_EQ(r.include[0].from, "");
    EXPECT_EQ(r.include[1].from, "k");
    EXPECT_EQ(r.include[1].to, "a/b");
    const auto read = [](const std::string& include) {
        return refused([&] {
            GitRepository::from_object(
                object(repository + "spec: {url: x, interval: 1m, include: [" + include + "]}"));
        });
    };
    EXPECT_EQ(read("{}"), "spec.include[0].repository.name: is required");
    EXPECT_TRUE(
        read("{repository: {name: a}, toPath: ../x}").starts_with("spec.include[0].toPath"));
    EXPECT_TRUE(
        read("{repository: {name: a}, fromPath: a/../..}").starts_with("spec.include[0].fromPath"));
    EXPECT_TRUE(read("{repository: {name: a}, toPath: ./}").starts_with("spec.include[0].toPath"));
}

TEST(GitRepositoryObject, SaysWhatItsArtifactWasMadeWith) {
    auto seen = object(repository +
                       "spec: {url: x, interval: 1m, ignore: '*.md', sparseCheckout: [a]}\nstatus: "
                       "{observedRecurseSubmodules: true}\n");
    auto status = SourceStatus::from_object(seen);
    status.conditions.failed("GitOperationFailed", "no", 1, WallTime{});
    status.write_to(seen);
    EXPECT_FALSE(seen.status()->contains("observedIgnore"));
    status.conditions.ready("Succeeded", "yes", 1, WallTime{});
    status.write_to(seen);
    EXPECT_EQ(kube::find_string(*seen.status(), {"observedIgnore"}), "*.md");
    EXPECT_EQ(kube::to_json(seen.status()->at("observedSparseCheckout")), "[\"a\"]");
    EXPECT_FALSE(seen.status()->contains("observedRecurseSubmodules"));
    EXPECT_FALSE(seen.status()->contains("observedInclude"));
}

TEST(GitRepositoryObject, SaysWhichFieldIsWrong) {
    const auto read = [](const std::string& spec) {
        return refused([&] { GitRepository::from_object(object(repository + "spec: " + spec)); });
    };
    EXPECT_EQ(read("{interval: 1m}"), "spec.url: is required");
    EXPECT_EQ(read("{url: [x], interval: 1m}"), "spec.url: not a text");
    EXPECT_EQ(read("{url: x}"), "spec.interval: is required, and more than 0");
    EXPECT_TRUE(read("{url: x, interval: soon}").starts_with("spec.interval: "));
    EXPECT_EQ(read("7"), "spec.url: is required");
}

TEST(DeploymentObject, KubeConfigIsReadBesideWhatIsUnsupported) {
    const auto read = [](const std::string& from) {
        return Deployment::from_object(
            object(kustomization +
                   "spec: {interval: 10m, prune: true, sourceRef: {kind: HelmChart, "
                   "name: a}, kubeConfig: " +
                   from + "}"));
    };
    const auto by_secret = read("{secretRef: {name: far}}");
    ASSERT_TRUE(by_secret.kube_config);
    EXPECT_EQ(by_secret.kube_config->secret_name, "far");
    EXPECT_EQ(by_secret.unsupported.size(), 1U);
    const auto by_map = read("{configMapRef: {name: far}}");
    ASSERT_TRUE(by_map.kube_config);
    EXPECT_EQ(by_map.kube_config->config_map_name, "far");
    EXPECT_EQ(by_map.kube_config->secret_name, "");
    EXPECT_EQ(by_map.unsupported.size(), 1U);
    EXPECT_EQ(refused([&] { read("{secretRef: {name: a}, configMapRef: {name: b}}"); }),
              "spec.kubeConfig.configMapRef: and secretRef exclude each other");
    EXPECT_EQ(refused([&] { read("{}"); }), "spec.kubeConfig.secretRef.name: is required");
    EXPECT_EQ(refused([&] { read("{configMapRef: {}}"); }),
              "spec.kubeConfig.configMapRef.name: is required");
}

TEST(DeploymentObject, FillsInWhatFluxFillsIn) {
    const auto k =
        Deployment::from_object(object(
            kustomization + "spec: {interval: 10m, path: ./clusters/dev/, prune: true, sourceRef: "
                            "{kind: GitRepository, name: fleet}, dependsOn: [{name: infra}]}"));
    EXPECT_EQ(k.path, "clusters/dev");
    EXPECT_EQ(k.retry_interval, k.interval);
    EXPECT_EQ(k.timeout, std::chrono::seconds{570});
    const auto often = Deployment::from_object(object(
        kustomization + "spec: {interval: 20s, sourceRef: {kind: GitRepository, name: fleet}}"));
    EXPECT_EQ(often.timeout, std::chrono::seconds{30});
    EXPECT_EQ(k.source.ns, "flux-system");
    ASSERT_EQ(k.depends_on.size(), 1U);
    EXPECT_EQ(k.depends_on[0].to_string(), "Kustomization/flux-system/infra");
    EXPECT_FALSE(k.orphan);
}

TEST(DeploymentObject, LeavesEverythingBehindWithoutPrune) {
    const std::string spec =
        "spec: {interval: 10m, prune: false, sourceRef: {kind: GitRepository, name: fleet}";
    EXPECT_TRUE(Deployment::from_object(object(kustomization + spec + "}")).orphan);
    EXPECT_FALSE(
        Deployment::from_object(object(kustomization + spec + ", deletionPolicy: Delete}")).orphan);
}

TEST(DeploymentObject, ReadsWhatIsSubstituted) {
    const auto with = [](const std::string& post_build) {
        return Deployment::from_object(
            object(kustomization +
                   "spec: {interval: 1m, sourceRef: {kind: GitRepository, name: "
                   "fleet}, postBuild: " +
                   post_build + "}"));
    };
    const auto d = with(
        "{substitute: {a: b}, substituteStrategy: Always, substituteFrom: [{kind: ConfigMap, name: "
        "vars}, {kind: Secret, name: more, optional: true}]}");
    ASSERT_TRUE(d.post_build);
    EXPECT_EQ(d.post_build->substitute.at("a"), "b");
    EXPECT_TRUE(d.post_build->always);
    ASSERT_EQ(d.post_build->substitute_from.size(), 2U);
    EXPECT_TRUE(d.post_build->substitute_from[1].optional);
    EXPECT_TRUE(d.unsupported.empty());
    EXPECT_EQ(refused([&] { with("{substitute: {a: 1}}"); }),
              "spec.postBuild.substitute.a: not a text");
    EXPECT_EQ(refused([&] { with("{substituteFrom: [{kind: Pod, name: x}]}"); }),
              "spec.postBuild.substituteFrom[0].kind: 'Pod' is neither ConfigMap nor Secret");
}

TEST(DeploymentObject, DoesNotClimbOutOfTheRepository) {
    EXPECT_EQ(refused([] {
                  Deployment::from_object(
                      object(kustomization + "spec: {interval: 1m, path: ../x, sourceRef: {kind: "
                                             "GitRepository, name: fleet}}"));
              }),
              "spec.path: '../x' leads out of the repository");
}

TEST(DeploymentObject, OfAnotherKindNeedsNoInterval) {
    const auto d = Deployment::from_object(object(
        "{apiVersion: edge.kled.io/v1, kind: EdgeDeployment, metadata: {name: a, namespace: "
        "b}, spec: {path: x, sourceRef: {kind: GitRepository, name: fleet}, placement: {}}}"));
    EXPECT_GT(d.interval, Duration{});
}

TEST(Status, OfWhatATargetHasIsTheTargetsToSay) {
    const std::string delivered =
        "{apiVersion: edge.kled.io/v1, kind: EdgeDeployment, metadata: {name: a, namespace: b}, "
        "status: {revision: 'main@sha1:00', conditions: []}}";
    auto edge = object(delivered);
    const auto status = DeploymentStatus::from_object(edge);
    EXPECT_EQ(status.last_applied_revision, "main@sha1:00") << "also after another start";
    status.write_to(edge);
    EXPECT_EQ(edge, object(delivered));
}

TEST(Status, KeepsTheFieldsOfOthers) {
    auto o = object(kustomization + "status: {history: [1], observedGeneration: 1}");
    auto status = DeploymentStatus::from_object(o);
    EXPECT_EQ(status.observed_generation, 1);
    status.last_applied_revision = "main@sha1:00";
    status.inventory.add({.group = "apps", .kind = "Deployment", .ns = "web", .name = "x"}, "v1");
    status.write_to(o);
    EXPECT_EQ(DeploymentStatus::from_object(o), status);
    EXPECT_NE(kube::find(o.fields(), {"status", "history"}), nullptr);
}

}  // namespace
}  // namespace kled::gitops
