// Image automation in a cluster: from what a registry has to a commit, and from that to the source.
#include "base/encoding.h"
#include "base/error.h"
#include "gitops/git/tree.h"
#include "gitops/image/image_objects.h"
#include "gitops/image/oci_registry.h"
#include "gitops/source/verification.h"
#include "gitops/store/cluster_store.h"
#include "gitops/testing/world.h"
#include "tests/support/push.h"
#include "tests/support/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

namespace kled::gitops {
namespace {

namespace asio = boost::asio;
using ::testing::HasSubstr;

const std::string source_api = "source.toolkit.fluxcd.io/v1";
const std::string image_api = "image.toolkit.fluxcd.io/v1";
const std::string marker = " # {\"$imagepolicy\": \"default:app\"}\n";

std::string deployment(const std::string& image) {
    return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nimage: " + image + marker;
}

/// Says what a test wants a registry to say.
class FakeRegistry : public ImageRegistry {
public:
    [[nodiscard]] std::string canonical_name(const std::string& image) const override {
        return image;
    }
    asio::awaitable<std::vector<std::string>> tags(std::string, RegistryAccess access) override {
        const std::lock_guard lock{mutex_};
        if (access.docker_config) shown_ = std::string{access.docker_config->reveal()};
        if (!failure_.empty()) throw Error{ErrorKind::unavailable, failure_};
        co_return tags_;
    }
    asio::awaitable<std::string> digest(std::string, std::string tag, RegistryAccess) override {
        co_return "sha256:" + std::string(60, '0') + "00" + tag.substr(tag.size() - 1) + "f";
    }
    void has(std::vector<std::string> tags, std::string failure = {}) {
        const std::lock_guard lock{mutex_};
        tags_ = std::move(tags);
        failure_ = std::move(failure);
    }
    std::string shown() {
        const std::lock_guard lock{mutex_};
        return shown_;
    }

private:
    std::mutex mutex_;
    std::vector<std::string> tags_;
    std::string failure_;
    std::string shown_;
};

class ImageMode : public ::testing::Test {
protected:
    ImageMode() { world.apply_definitions({{image_group, "ImageUpdateAutomation"}}); }
    ~ImageMode() override { world.stop_reconciler(); }

    void start(bool with_registry = true, bool own_namespace_only = false) {
        world.start([](kube::Client& client) {
            return std::make_unique<ClusterStore>(client, ClusterStore::Options{});
        });
        ImageObjects::Options options;
        options.cache = world.directory.path() / "images";
        options.local_repositories = true;
        options.no_cross_namespace_refs = own_namespace_only;
        if (with_registry) options.registry = asked;
        images = std::make_unique<ImageObjects>(world.executor(), pool, world.client(),
                                                world.recorded(), std::move(options));
        world.beside(images->run());
    }
    void apply(const std::string& kind, const std::string& name, const std::string& spec,
               const std::string& ns = "default") {
        world.apply("apiVersion: " + image_api + "\nkind: " + kind + "\nmetadata: {name: " + name +
                    ", namespace: " + ns + "}\nspec:\n" + spec);
    }
    void apply_source() {
        world.apply("apiVersion: " + source_api +
                    "\nkind: GitRepository\nmetadata: {name: fleet, namespace: default}\nspec:\n"
                    "  url: " +
                    world.repository.url() + "\n  interval: 10m\n  ref: {branch: main}\n");
    }
    void apply_images(const std::string& ns = "") {
        apply("ImageRepository", "app", "  image: example.org/app\n  interval: 10m\n");
        apply("ImagePolicy", "app",
              std::string{"  imageRepositoryRef: {name: app"} +
                  (ns.empty() ? "" : ", namespace: default") +
                  "}\n  policy: {semver: {range: '>=1.0.0'}}\n",
              ns.empty() ? "default" : ns);
    }
    void apply_automation(const std::string& more = "") {
        apply("ImageUpdateAutomation", "update",
              "  interval: 10m\n  sourceRef: {kind: GitRepository, name: fleet}\n"
              "  git:\n    commit: {author: {name: Bot, email: bot@example.org}}\n" +
                  more);
    }
    template <typename Status>
    Status status(const std::string& kind, const std::string& name,
                  const std::string& ns = "default") {
        const auto object = world.get(image_api, kind, ns, name);
        return object ? Status::from_object(*object) : Status{};
    }
    ImageUpdateAutomationStatus automation() {
        return status<ImageUpdateAutomationStatus>("ImageUpdateAutomation", "update");
    }
    ImagePolicyStatus policy(const std::string& ns = "default") {
        return status<ImagePolicyStatus>("ImagePolicy", "app", ns);
    }
    template <typename Status>
    static std::string ready(const Status& status) {
        const auto* condition = status.conditions.find("Ready");
        return condition == nullptr ? "" : condition->reason + ": " + condition->message;
    }
    std::string content(const std::string& branch, const std::string& path) {
        git::Access access;
        access.local_repositories = true;
        try {
            git::Mirror mirror{world.directory.path() / "look", world.repository.url()};
            const auto revision = mirror.fetch({.branch = branch}, access, {});
            return git::Tree{mirror, revision}.read(path);
        } catch (const Error& error) {
            return error.what();
        }
    }
    std::string source_revision() {
        const auto object = world.get(source_api, "GitRepository", "default", "fleet");
        return object ? SourceStatus::from_object(*object).artifact_revision : "";
    }

    testing::World world;
    std::shared_ptr<FakeRegistry> registry = std::make_shared<FakeRegistry>();
    std::shared_ptr<ImageRegistry> asked = registry;
    ThreadPool pool{2};
    std::unique_ptr<ImageObjects> images;
};

TEST_F(ImageMode, BringsANewTagToGitAndTheCommitToTheSource) {
    world.repository.commit({{"app.yaml", deployment("example.org/app:1.0.0")}});
    // What no image can be called, as a broken registry may say, does not count.
    registry->has({"1.0.0", "1.1.0", "latest", "1.9.0\n- x", std::string(1 << 20, '9'), ""});
    start();
    apply_source();
    apply_images();
    apply_automation();
    ASSERT_TRUE(world.eventually([&] {
        return content("main", "app.yaml") == deployment("example.org/app:1.1.0");
    })) << ready(automation())
        << " / " << ready(policy());
    ASSERT_TRUE(world.eventually([&] {
        const auto now = automation();
        return !now.last_push_commit.empty() &&
               source_revision() == "main@sha1:" + now.last_push_commit &&
               now.observed_source_revision == source_revision();
    })) << "the source's own interval is ten minutes";
    EXPECT_EQ(ready(automation()), "Succeeded: repository up-to-date");
    EXPECT_EQ(automation().observed_policies.at("app").tag, "1.1.0");
    EXPECT_EQ(ready(policy()), "Succeeded: Latest image tag for example.org/app resolved to 1.1.0");
    bool told = false;
    for (const auto& event : world.events())
        told |= event.about.kind() == "ImageUpdateAutomation" &&
                event.message.starts_with("pushed commit '");
    EXPECT_TRUE(told);

    // The next tag, which a webhook's request has it find at once.
    registry->has({"1.0.0", "1.1.0", "1.2.0"});
    world.apply("apiVersion: " + image_api +
                "\nkind: ImageRepository\nmetadata:\n  name: app\n  namespace: default\n"
                "  annotations: {reconcile.fluxcd.io/requestedAt: now}\nspec:\n"
                "  image: example.org/app\n  interval: 10m\n");
    EXPECT_TRUE(world.eventually([&] {
        return content("main", "app.yaml") == deployment("example.org/app:1.2.0");
    })) << ready(automation());
    const auto scanned = status<ImageRepositoryStatus>("ImageRepository", "app");
    EXPECT_EQ(scanned.tag_count, 3);
    EXPECT_EQ(scanned.canonical_name, "example.org/app");
    EXPECT_THAT(scanned.latest_tags, ::testing::ElementsAre("1.2.0", "1.1.0", "1.0.0"));
    EXPECT_TRUE(world.eventually([&] { return policy().previous.tag == "1.1.0"; }));
}

TEST_F(ImageMode, ActsOnPoliciesThatAnotherControllerElects) {
    world.repository.commit({{"app.yaml", deployment("example.org/app:1.0.0")}});
    start(false);
    apply_source();
    apply_images();
    apply_automation();
    ASSERT_TRUE(world.eventually([&] {
        return ready(automation()) == "Succeeded: repository up-to-date";
    })) << ready(automation());
    const auto object = world.get(image_api, "ImagePolicy", "default", "app");
    ASSERT_TRUE(object);
    EXPECT_EQ(ready(policy()), "") << "not ours to say";
    auto written = *object;
    ImagePolicyStatus elected;
    elected.latest = {.name = "example.org/app", .tag = "3.0.0", .digest = {}};
    elected.write_to(written);
    world.sync(world.client().update_status(written));
    EXPECT_TRUE(world.eventually([&] {
        return content("main", "app.yaml") == deployment("example.org/app:3.0.0");
    })) << ready(automation());
}

TEST_F(ImageMode, PushesToABranchOfItsOwnWithADigest) {
    world.repository.commit({{"app.yaml", deployment("example.org/app:1.0.0")}});
    registry->has({"1.1.0"});
    start();
    apply_source();
    apply("ImageRepository", "app", "  image: example.org/app\n  interval: 10m\n");
    apply("ImagePolicy", "app",
          "  imageRepositoryRef: {name: app}\n  digestReflectionPolicy: IfNotPresent\n"
          "  policy: {alphabetical: {}}\n");
    apply_automation("    push: {branch: images}\n");
    const auto digest = "sha256:" + std::string(60, '0') + "000f";
    EXPECT_TRUE(world.eventually([&] {
        return content("images", "app.yaml") == deployment("example.org/app:1.1.0@" + digest);
    })) << ready(automation());
    EXPECT_EQ(content("main", "app.yaml"), deployment("example.org/app:1.0.0"));
}

TEST_F(ImageMode, SaysWhatIsMissingAndGoesOnWhenItComes) {
    world.repository.commit({{"app.yaml", deployment("example.org/app:1.0.0")}});
    registry->has({}, "the registry sleeps");
    start();
    apply_images();
    apply_automation();
    EXPECT_TRUE(world.eventually([&] {
        return ready(automation()) ==
               "SourceManagerFailed: there is no GitRepository default/fleet";
    })) << ready(automation());
    EXPECT_TRUE(world.eventually([&] {
        return ready(policy()) ==
               "DependencyNotReady: ImageRepository/default/app has no tags: the registry sleeps";
    })) << ready(policy());
    EXPECT_EQ(ready(status<ImageRepositoryStatus>("ImageRepository", "app")),
              "ReadOperationFailed: the registry sleeps");
    registry->has({"1.1.0"});
    apply_source();
    EXPECT_TRUE(world.eventually([&] {
        return content("main", "app.yaml") == deployment("example.org/app:1.1.0");
    })) << ready(automation());
}

TEST_F(ImageMode, ShowsCredentialsToTheRegistryAndToNobodyElse) {
    world.repository.commit({{"app.yaml", deployment("example.org/app:1.0.0")}});
    registry->has({}, "refused");
    start();
    const std::string config = R"({"auths":{"example.org":{"auth":"c2VjcmV0"}}})";
    world.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: pull, namespace: default}\n"
        "type: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: '" +
        config + "'}\n");
    apply("ImageRepository", "app",
          "  image: example.org/app\n  interval: 10m\n  secretRef: {name: pull}\n");
    EXPECT_TRUE(world.eventually([&] { return registry->shown() == config; }));
    EXPECT_TRUE(world.eventually([&] {
        return ready(status<ImageRepositoryStatus>("ImageRepository", "app")) ==
               "ReadOperationFailed: refused";
    }));
    for (const auto& event : world.events())
        EXPECT_THAT(event.message, ::testing::Not(HasSubstr("c2VjcmV0")));
}

TEST_F(ImageMode, AsksTheOwnerOfAnImageInAnotherNamespace) {
    world.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: team, labels: {tenant: a}}\n");
    registry->has({"1.1.0"});
    start();
    apply_images("team");
    EXPECT_TRUE(world.eventually([&] {
        return ready(policy("team")) ==
               "AccessDenied: spec.accessFrom of ImageRepository/default/app does not let "
               "namespace team in";
    })) << ready(policy("team"));
    apply("ImageRepository", "app",
          "  image: example.org/app\n  interval: 10m\n"
          "  accessFrom: {namespaceSelectors: [{matchLabels: {tenant: a}}]}\n");
    EXPECT_TRUE(world.eventually([&] { return policy("team").latest.tag == "1.1.0"; }))
        << ready(policy("team"));
}

TEST_F(ImageMode, SignsItsCommits) {
    const std::filesystem::path keys = KLED_SOURCE_DIR "/crypto/testdata/pgp";
    world.repository.commit({{"app.yaml", deployment("example.org/app:1.0.0")}});
    registry->has({"1.1.0"});
    start();
    apply_source();
    apply_images();
    apply("ImageUpdateAutomation", "update",
          "  interval: 10m\n  sourceRef: {kind: GitRepository, name: fleet}\n"
          "  git: {commit: {author: {email: b@x}, signingKey: {secretRef: {name: key}}}}\n");
    EXPECT_TRUE(world.eventually([&] {
        return ready(automation()) ==
               "SourceManagerFailed: spec.git.commit.signingKey: Secret default/key does not exist";
    })) << ready(automation());
    const auto secret = [&](const std::string& passphrase) {
        world.apply(
            "apiVersion: v1\nkind: Secret\nmetadata: {name: key, namespace: default}\n"
            "data: {git.asc: " +
            to_base64(read_file(keys / "subkey.asc")) + ", passphrase: " + to_base64(passphrase) +
            "}\n");
    };
    secret("not it");
    EXPECT_TRUE(world.eventually([&] {
        return ready(automation())
            .starts_with(
                "SourceManagerFailed: spec.git.commit.signingKey: Secret default/key: git.asc: the "
                "passphrase does not open the PGP key ");
    })) << ready(automation());
    EXPECT_EQ(content("main", "app.yaml"), deployment("example.org/app:1.0.0"));
    secret("secret");
    ASSERT_TRUE(world.eventually([&] { return !automation().last_push_commit.empty(); }))
        << ready(automation());
    // What was pushed says who signed it.
    git::Access access;
    access.local_repositories = true;
    git::Mirror mirror{world.directory.path() / "signed", world.repository.url()};
    const git::Reference reference{.branch = "main"};
    const auto revision = mirror.fetch(reference, access, {});
    EXPECT_EQ(revision.commit.hex(), automation().last_push_commit);
    Verification wanted;
    wanted.head = true;
    wanted.pgp.emplace();
    wanted.pgp->add(read_file(keys / "subkey-public.asc"));
    const auto verdict = verify(mirror, reference, revision, wanted);
    EXPECT_TRUE(verdict.good) << verdict.message;
}

TEST_F(ImageMode, GoesFromAPushToARealRegistryToACommit) {
    using kled::testing::Registry;
    if (Registry::program().empty()) GTEST_SKIP() << "docker-registry is not installed";
    const auto storage = world.directory.path() / "registry";
    const auto image = [](const std::string& content) {
        kled::testing::OciArtifact result;
        result.layers = {{.bytes = content}};
        return result;
    };
    {  // pushed to one that asks nobody, then kept by another
        const Registry open{storage};
        for (const auto* tag : {"1.0.0", "1.1.0", "2.0.0"})
            world.sync(kled::testing::push(open.host(), "team/app", tag, image(tag)));
    }
    const auto passwords = world.directory.path() / "htpasswd";
    write_file_atomic(passwords,
                      "reader:$2b$04$Bv0aaUqMqspVBLTha3X.1.zElMxAcX17I.huMTD/WRSxfc5qG9elq\n");
    const Registry real{storage,
                        "auth:\n  htpasswd: {realm: test, path: " + passwords.string() + "}\n"};
    const auto name = real.host() + "/team/app";
    world.repository.commit({{"app.yaml", deployment(name + ":1.0.0")}});
    asked = make_oci_registry(world.executor());
    start();
    apply_source();
    apply_automation();
    apply("ImageRepository", "app",
          "  image: " + name +
              "\n  interval: 10m\n  insecure: true\n"
              "  serviceAccountName: puller\n");
    apply("ImagePolicy", "app",
          "  imageRepositoryRef: {name: app}\n  digestReflectionPolicy: IfNotPresent\n"
          "  policy: {semver: {range: 1.x}}\n");
    const auto scanned = [&] { return status<ImageRepositoryStatus>("ImageRepository", "app"); };
    EXPECT_TRUE(world.eventually([&] {
        return ready(scanned()) ==
               "AuthenticationFailed: ServiceAccount default/puller does not exist";
    })) << ready(scanned());
    world.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: pull, namespace: default}\n"
        "type: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: '{\"auths\":{\"" +
        real.host() + "\":{\"username\":\"reader\",\"password\":\"open sesame\"}}}'}\n");
    world.apply(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: puller, namespace: default}\n"
        "imagePullSecrets: [{name: pull}]\n");
    const auto wanted = name + ":1.1.0@" + image("1.1.0").digest();
    ASSERT_TRUE(world.eventually([&] { return content("main", "app.yaml") == deployment(wanted); }))
        << ready(scanned()) << " / " << ready(policy()) << " / " << ready(automation());
    EXPECT_EQ(scanned().tag_count, 3);
    EXPECT_EQ(scanned().canonical_name, name);
    EXPECT_EQ(ready(policy()), "Succeeded: Latest image tag for " + name +
                                   " resolved to 1.1.0 with digest " + image("1.1.0").digest());
}

TEST_F(ImageMode, DoesNothingWhereItIsSuspendedOrAskedForMoreThanItCan) {
    world.repository.commit({{"app.yaml", deployment("example.org/app:1.0.0")}});
    registry->has({"1.1.0"});
    start();
    apply_source();
    apply_images();
    apply_automation("  suspend: true\n");
    EXPECT_TRUE(world.eventually([&] { return policy().latest.tag == "1.1.0"; }));
    EXPECT_EQ(ready(automation()), "");
    EXPECT_EQ(content("main", "app.yaml"), deployment("example.org/app:1.0.0"));
    // Not scanned since the start, and not going to be: said where nothing was elected before.
    apply("ImageRepository", "quiet", "  image: example.org/b\n  interval: 1m\n  suspend: true\n");
    apply("ImagePolicy", "quiet",
          "  imageRepositoryRef: {name: quiet}\n  policy: {alphabetical: {}}\n");
    EXPECT_TRUE(world.eventually([&] {
        return ready(status<ImagePolicyStatus>("ImagePolicy", "quiet")) ==
               "DependencyNotReady: ImageRepository/default/quiet has no tags: it is suspended";
    }));
    apply("ImageUpdateAutomation", "update",
          "  interval: 10m\n  suspend: false\n  sourceRef: {kind: GitRepository, name: fleet}\n"
          "  git: {commit: {author: {email: b@x}, signingKey: {type: ssh, secretRef: {name: "
          "k}}}}\n");
    EXPECT_TRUE(world.eventually([&] {
        return ready(automation()) ==
               "UnsupportedField: spec.git.commit.signingKey.type: ssh is not supported";
    })) << ready(automation());
    EXPECT_EQ(content("main", "app.yaml"), deployment("example.org/app:1.0.0"));
}

}  // namespace
}  // namespace kled::gitops
