// An OCIRepository in a cluster: from artifacts in a real registry to the objects of the API.
#include "tests/support/oci_mode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace kled::gitops {
namespace {

using ::testing::AllOf;
using testing::artifact_of;
using testing::files;
using ::testing::HasSubstr;
using testing::OciArtifact;
using testing::OciMode;
using testing::packed;
using ::testing::StartsWith;
using testing::TarEntry;

std::string login(const std::string& host, const std::string& password) {
    return R"({"auths":{")" + host + R"(":{"username":"reader","password":")" + password +
           R"("}}})";
}

TEST_F(OciMode, AnArtifactIsDeployedAndATagThatMovesIsFollowed) {
    auto first = artifact_of(files({{"a", "1"}, {"b", "1"}}));
    first.annotations = {{"org.opencontainers.image.source", "https://example.org/fleet"},
                         {"org.opencontainers.image.revision", "main@sha1:1f0c"},
                         {"only", "here"}};
    push("latest", first);
    world.start_cluster();
    apply_source();
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    EXPECT_TRUE(has("b", "1"));
    const auto name = "latest@" + first.digest();
    EXPECT_EQ(says("Ready", "Succeeded"), "stored artifact for digest '" + name + "'");
    EXPECT_EQ(says("ArtifactInStorage", "Succeeded"), says("Ready", "Succeeded"));
    EXPECT_EQ(revision(), name);
    EXPECT_EQ(of_source({"status", "artifact", "metadata", "only"}), "here");
    bool told = false;
    for (const auto& event : world.events()) {
        told |= event.message == "stored artifact with revision '" + name + "' from 'oci://" +
                                     host +
                                     "/team/app', origin source 'https://example.org/fleet', "
                                     "origin revision 'main@sha1:1f0c'";
    }
    EXPECT_TRUE(told);
    EXPECT_TRUE(world.eventually([&] { return origin() == "main@sha1:1f0c"; })) << origin();

    auto second = artifact_of(files({{"a", "2"}}));
    second.annotations = {{"other", "one"}};
    push("latest", second);
    EXPECT_TRUE(reconciled());
    EXPECT_TRUE(has("a", "2"));
    EXPECT_TRUE(has("b", "absent"));
    EXPECT_EQ(revision(), "latest@" + second.digest());
    EXPECT_TRUE(world.eventually([&] { return origin().empty(); })) << origin();
    EXPECT_EQ(of_source({"status", "artifact", "metadata", "other"}), "one");
    EXPECT_EQ(of_source({"status", "artifact", "metadata", "only"}), "") << "of the one before";

    // What was pulled once is not pulled again: the registry has no layer any more.
    std::filesystem::remove(stored(first.layers[0].bytes));
    std::filesystem::remove(stored(second.layers[0].bytes));
    EXPECT_TRUE(reconciled());
    EXPECT_EQ(says("Ready", "Succeeded"),
              "stored artifact for digest 'latest@" + second.digest() + "'");
    world.sync(kled::testing::push(host, "team/app", "other", artifact_of({{.name = "x"}})));
    apply_source("  ref: {digest: '" + first.digest() + "'}\n");
    EXPECT_TRUE(has("a", "1"));
    EXPECT_TRUE(world.eventually([&] { return revision() == first.digest(); }));
    EXPECT_EQ(of_source({"status", "artifact", "metadata", "only"}), "here");
    EXPECT_EQ(of_source({"status", "artifact", "metadata", "other"}), "");
}

TEST_F(OciMode, ADigestNeedsNoRegistryOnceItIsThere) {
    const auto first = artifact_of(files({{"a", "1"}}));
    push("1.0.0", first);
    push("2.0.0", artifact_of(files({{"a", "2"}})));
    world.start_cluster();
    apply_source("  timeout: 5s\n  ref: {digest: '" + first.digest() +
                 "', semver: '>=1.0.0', tag: 2.0.0}\n");
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    EXPECT_TRUE(world.eventually([&] { return revision() == first.digest(); }));
    registry.reset();
    EXPECT_TRUE(reconciled());
    EXPECT_EQ(says("Ready", "Succeeded"), "stored artifact for digest '" + first.digest() + "'");
}

TEST_F(OciMode, TheHighestTagInARangeIsTaken) {
    push("1.0.0", artifact_of(files({{"a", "1"}})));
    push("1.1.0", artifact_of(files({{"a", "2"}})));
    push("2.0.0", artifact_of(files({{"a", "3"}})));
    push("1.9.0-dev", artifact_of(files({{"a", "4"}})));
    world.start_cluster();
    apply_source("  ref: {semver: '1.x', tag: 2.0.0}\n");
    apply_kustomization();
    EXPECT_TRUE(has("a", "2"));
    const auto next = artifact_of(files({{"a", "5"}}));
    push("1.2.0", next);
    EXPECT_TRUE(reconciled());
    EXPECT_TRUE(has("a", "5"));
    EXPECT_EQ(revision(), "1.2.0@" + next.digest());
    apply_source("  ref: {semver: '>=1.0.0-0', semverFilter: '-dev$'}\n");
    EXPECT_TRUE(has("a", "4"));
    apply_source("  ref: {semver: '>=3.0.0'}\n");
    EXPECT_THAT(says("FetchFailed", "ReadOperationFailed"),
                HasSubstr("none of 5 tags fits spec.ref.semver '>=3.0.0'"));
    apply_source("  ref: {tag: absent}\n");
    EXPECT_THAT(says("Ready", "OCIArtifactPullFailed"),
                AllOf(StartsWith(host + "/team/app: "), HasSubstr("404")));
    EXPECT_EQ(world.value("a"), "4");
}

TEST_F(OciMode, WhatIsNotItsDigestIsNotUsed) {
    push("latest", artifact_of(files({{"a", "1"}})));
    world.start_cluster();
    apply_source();
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    const auto good = revision();
    const auto next = artifact_of(files({{"a", "2"}}));
    push("latest", next);
    const auto layer = next.layers[0].bytes;
    auto evil = packed(files({{"a", "6"}}));
    evil.resize(layer.size());
    write_file_atomic(stored(layer), evil);
    EXPECT_TRUE(reconciled());
    EXPECT_THAT(says("Ready", "OCIArtifactPullFailed"),
                HasSubstr("is not what its digest says: " + kled::testing::digest_of(evil)));
    EXPECT_EQ(says("FetchFailed", "OCIArtifactPullFailed"), says("Ready", "OCIArtifactPullFailed"));
    EXPECT_EQ(revision(), good);
    EXPECT_EQ(world.value("a"), "1");
    write_file_atomic(stored(layer), layer);
    EXPECT_TRUE(reconciled());
    EXPECT_TRUE(has("a", "2"));
    EXPECT_EQ(Conditions::from_status(source()->status()).find("FetchFailed"), nullptr);
}

TEST_F(OciMode, HostileLayersStopItAndTheLastGoodOneStays) {
    push("latest", artifact_of(files({{"a", "1"}})));
    world.start_cluster();
    apply_source();
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    const auto good = revision();
    const auto with = [](const TarEntry& entry) {
        auto all = files({{"a", "6"}});
        all.push_back(entry);
        return artifact_of(all);
    };
    OciArtifact plain;
    plain.layers = {{.bytes = "no archive"}};
    auto cut = artifact_of(files({{"a", "6"}}));
    cut.layers[0].bytes.resize(cut.layers[0].bytes.size() / 2);
    for (const auto& [artifact, message] : std::vector<std::pair<OciArtifact, std::string>>{
             {with({.name = "../evil", .content = "x"}), "'../evil' leads out of it"},
             {with({.name = "apps/../../evil", .content = "x"}), "leads out of it"},
             {with({.name = "/etc/evil", .content = "x"}), "'/etc/evil' is no relative path"},
             {with({.name = "a\xff\n/../..", .content = "x"}), "?/../..' leads out of it"},
             {with({.name = "apps", .content = "x"}), "'apps' is both a file and a folder"},
             {with({.name = "dev", .type = '3'}), "'dev' is neither a file nor a folder"},
             {with({.name = "big", .content = std::string((64U << 20U) + 1, '\0')}),
              "big has 67108865 bytes; it may have 67108864"},
             {plain, "gzip: what came is damaged, or is no gzip"},
             {cut, "it ends too early"},
             {OciArtifact{}, "the artifact has no layers"}}) {
        push("latest", artifact);
        EXPECT_TRUE(reconciled());
        EXPECT_THAT(says("Ready", "OCIArtifactLayerOperationFailed"), HasSubstr(message));
        EXPECT_EQ(revision(), good) << message;
        EXPECT_EQ(world.value("a"), "1") << message;
    }
    auto links = files({{"a", "2"}});
    links.push_back({.name = "apps/c.yaml", .type = '2'});
    links.push_back({.name = ".git/config", .content = "x"});
    push("latest", artifact_of(links));
    EXPECT_TRUE(reconciled());
    EXPECT_TRUE(has("a", "2")) << "links are left out";
}

TEST_F(OciMode, CredentialsAreReadFromASecretOrAnAccount) {
    push("latest", artifact_of(files({{"a", "1"}})));
    ask_for_password();
    world.start_cluster();
    apply_source();
    apply_kustomization();
    EXPECT_THAT(says("Ready", "AuthenticationFailed"),
                HasSubstr("secretRef gives none for " + host));
    apply_source("  secretRef: {name: pull}\n");
    EXPECT_THAT(says("FetchFailed", "AuthenticationFailed"),
                HasSubstr("Secret default/pull does not exist"));
    apply_secret("pull", login(host, "open"));
    EXPECT_TRUE(reconciled());
    EXPECT_EQ(says("Ready", "AuthenticationFailed"),
              host + "/team/app: the registry asks for other credentials (401)");
    EXPECT_EQ(world.value("a"), "absent");
    apply_secret("pull", login(host, "open sesame"));
    EXPECT_TRUE(reconciled());
    EXPECT_TRUE(has("a", "1"));
    const auto good = revision();

    // What was good stays when it is refused.
    apply_secret("pull", login(host, "changed"));
    EXPECT_TRUE(reconciled());
    EXPECT_EQ(says("Ready", "AuthenticationFailed"),
              host + "/team/app: the registry asks for other credentials (401)");
    EXPECT_EQ(revision(), good);
    EXPECT_EQ(world.value("a"), "1");
    for (const auto& event : world.events()) {
        EXPECT_EQ(event.message.find("changed"), std::string::npos);
        EXPECT_EQ(event.message.find("sesame"), std::string::npos);
    }

    apply_secret("elsewhere", login("example.org", "x"));
    apply_secret("here", login(host, "open sesame"));
    apply_source("  serviceAccountName: puller\n");
    EXPECT_THAT(says("Ready", "AuthenticationFailed"),
                HasSubstr("ServiceAccount default/puller does not exist"));
    world.apply(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: puller, namespace: default}\n"
        "imagePullSecrets: [{name: elsewhere}, {name: here}]\n");
    EXPECT_TRUE(reconciled());
    EXPECT_THAT(says("Ready", "Succeeded"), HasSubstr(good));
}

TEST_F(OciMode, WhatWasPulledIsThereAfterARestartAlsoWithoutTheRegistry) {
    push("latest", artifact_of(files({{"a", "1"}})));
    world.start_cluster();
    apply_source("  timeout: 5s\n");
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    const auto good = revision();
    world.stop_reconciler();
    registry.reset();
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: web}\n"
        "data: {k: 'drift'}\n");
    world.start_cluster();
    EXPECT_THAT(says("FetchFailed", "OCIArtifactPullFailed"), HasSubstr("127.0.0.1"));
    EXPECT_TRUE(world.reconciled("ks/apps"));
    EXPECT_TRUE(has("a", "1"));
    EXPECT_EQ(revision(), good);
    world.stop_reconciler();
    apply_source("  suspend: true\n");
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: web}\n"
        "data: {k: 'drift'}\n");
    world.start_cluster();
    EXPECT_TRUE(has("a", "1")) << "a source that is suspended has what it had";
}

TEST_F(OciMode, WhatThereWasGoesOnUntilAnotherUrlHasSomething) {
    push("latest", artifact_of(files({{"a", "1"}})));
    world.start_cluster();
    apply_source();
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    const auto drift = [&] {
        world.apply(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: web}\n"
            "data: {k: 'drift'}\n");
        return world.reconciled("ks/apps") && has("a", "1");
    };
    apply_source("", "team/other");
    EXPECT_THAT(says("FetchFailed", "OCIArtifactPullFailed"), HasSubstr("team/other"));
    EXPECT_TRUE(drift());
    world.stop_reconciler();
    world.start_cluster();
    EXPECT_TRUE(drift()) << "also after a restart";
    world.sync(kled::testing::push(host, "team/other", "latest", artifact_of(files({{"a", "2"}}))));
    EXPECT_TRUE(reconciled());
    EXPECT_TRUE(has("a", "2"));
}

TEST_F(OciMode, PatternsLeaveFilesOutWithoutAnotherPull) {
    auto all = files({{"a", "1"}, {"b", "1"}});
    all.push_back({.name = "apps/broken.yaml", .content = "{{"});
    all.push_back({.name = ".sourceignore", .content = "/apps/b.yaml\n"});
    const auto artifact = artifact_of(all);
    push("latest", artifact);
    world.start_cluster();
    apply_source("  ignore: 'broken.yaml'\n");
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    EXPECT_EQ(world.value("b"), "absent");
    EXPECT_TRUE(
        world.eventually([&] { return of_source({"status", "observedIgnore"}) == "broken.yaml"; }));
    std::filesystem::remove(stored(artifact.layers[0].bytes));
    apply_source("  ignore: \"broken.yaml\\n!/apps/b.yaml\"\n");
    EXPECT_TRUE(has("b", "1"));
}

TEST_F(OciMode, ALayerIsChosenByItsTypeAndMayBePassedOnAsItIs) {
    const auto artifacts = std::make_shared<Artifacts>(world.directory.path() / "artifacts");
    artifacts->advertise("http://kled");
    Reconciler::Options options;
    options.artifacts = artifacts;
    auto other = files({{"a", "2"}});
    other.push_back({.name = "logo.jpg", .content = "x"});
    OciArtifact both;
    both.layers = {{.bytes = packed(files({{"a", "1"}}))},
                   {.bytes = packed(other), .media_type = "application/x"}};
    push("latest", both);
    world.start_cluster(std::move(options));
    apply_source();
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    const auto digest = both.digest().substr(7);
    const auto path = "ocirepository/default/app/" + digest + ".tar.gz";
    EXPECT_TRUE(world.eventually(
        [&] { return of_source({"status", "artifact", "url"}) == "http://kled/" + path; }));
    EXPECT_EQ(of_source({"status", "url"}), "http://kled/ocirepository/default/app/latest.tar.gz");
    EXPECT_NE(of_source({"status", "artifact", "digest"}),
              kled::testing::digest_of(both.layers[0].bytes));

    apply_source("  layerSelector: {mediaType: application/x, operation: copy}\n");
    EXPECT_TRUE(has("a", "2")) << "the digest is the same, the layer is not";
    EXPECT_TRUE(world.eventually([&] {
        return of_source({"status", "artifact", "digest"}) ==
               kled::testing::digest_of(both.layers[1].bytes);
    }));
    const auto file = artifacts->locate("/" + path);
    ASSERT_TRUE(file);
    EXPECT_EQ(read_file(*file), both.layers[1].bytes);
    EXPECT_EQ(of_source({"status", "observedLayerSelector", "mediaType"}), "application/x");
    EXPECT_EQ(of_source({"status", "observedLayerSelector", "operation"}), "copy");

    apply_source("  layerSelector: {operation: extract}\n");
    EXPECT_TRUE(has("a", "1"));
    EXPECT_TRUE(world.eventually(
        [&] { return of_source({"status", "observedLayerSelector", "operation"}) == "extract"; }));
    EXPECT_EQ(of_source({"status", "observedLayerSelector", "mediaType"}), "");
    apply_source("  layerSelector: {mediaType: application/y}\n");
    EXPECT_THAT(says("Ready", "OCIArtifactLayerOperationFailed"),
                HasSubstr("no layer of spec.layerSelector's mediaType 'application/y'"));
    world.remove("source.toolkit.fluxcd.io/v1", "OCIRepository", "default", "app");
    EXPECT_TRUE(world.eventually([&] { return !std::filesystem::exists(*file); }));
}

TEST_F(OciMode, WhatIsCopiedMayBeAnythingButOnlyATarGzIsDeployed) {
    const auto artifacts = std::make_shared<Artifacts>(world.directory.path() / "artifacts");
    artifacts->advertise("http://kled");
    Reconciler::Options options;
    options.artifacts = artifacts;
    push("latest", artifact_of(files({{"a", "1"}})));
    world.start_cluster(options);
    apply_source("  layerSelector: {operation: copy}\n");
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    OciArtifact wasm;
    wasm.layers = {{.bytes = "no archive", .media_type = "application/wasm"}};
    push("latest", wasm);
    EXPECT_TRUE(reconciled());
    EXPECT_EQ(says("Ready", "Succeeded"),
              "stored artifact for digest 'latest@" + wasm.digest() + "'");
    EXPECT_EQ(of_source({"status", "artifact", "digest"}), kled::testing::digest_of("no archive"));
    const auto why = "latest@" + wasm.digest() +
                     " is no tar.gz, as it was copied: gzip: what came is damaged, or is no gzip";
    EXPECT_EQ(world.says("apps", "Ready", "ArtifactFailed"), why);
    world.stop_reconciler();
    world.start_cluster(options);
    EXPECT_TRUE(world.reconciled("ks/apps"));
    EXPECT_EQ(world.says("apps", "Ready", "ArtifactFailed"), why) << "also after a restart";
    EXPECT_EQ(world.value("a"), "1");
    push("latest", artifact_of(files({{"a", "2"}})));
    EXPECT_TRUE(reconciled());
    EXPECT_TRUE(has("a", "2"));
}

TEST_F(OciMode, OfAListOfImagesTheOneForLinuxOnAmd64IsTaken) {
    auto arm = artifact_of(files({{"a", "arm"}}));
    auto amd = artifact_of(files({{"a", "1"}}));
    amd.annotations = {{"of", "amd"}};
    const auto list = [&](const std::string& platform) {
        const auto child = [](const OciArtifact& artifact, const std::string& architecture) {
            return R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":")" +
                   artifact.digest() + R"(","size":)" + std::to_string(artifact.manifest().size()) +
                   R"(,"platform":{"os":"linux","architecture":")" + architecture + R"("}})";
        };
        return R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",)"
               R"("manifests":[)" +
               child(arm, "arm64") + "," + child(amd, platform) + "]}";
    };
    push("arm", arm);
    push("amd", amd);
    const std::string type = "application/vnd.oci.image.index.v1+json";
    world.sync(kled::testing::push_manifest(host, "team/app", "latest", type, list("amd64")));
    world.start_cluster();
    apply_source();
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    const auto name = "latest@" + kled::testing::digest_of(list("amd64"));
    EXPECT_TRUE(world.eventually([&] { return revision() == name; })) << revision();
    EXPECT_EQ(of_source({"status", "artifact", "metadata", "of"}), "amd");
    world.sync(kled::testing::push_manifest(host, "team/app", "latest", type, list("riscv64")));
    EXPECT_TRUE(reconciled());
    EXPECT_THAT(says("Ready", "OCIArtifactPullFailed"),
                HasSubstr("none of them is for linux/amd64: linux/arm64, linux/riscv64"));
    EXPECT_EQ(revision(), name);
}

TEST_F(OciMode, AKustomizationGoesBackToAnEarlierArtifact) {
    const auto first = artifact_of(files({{"a", "1"}}));
    push("latest", first);
    world.start_cluster();
    apply_source();
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    push("latest", artifact_of(files({{"a", "2"}})));
    EXPECT_TRUE(reconciled());
    EXPECT_TRUE(has("a", "2"));
    world.annotate_object("ks/apps", {{"gitops.kled.io/revision", first.digest()}});
    EXPECT_TRUE(has("a", "1"));
    world.annotate_object("ks/apps",
                          {{"gitops.kled.io/revision", "sha256:" + std::string(64, '0')}});
    EXPECT_THAT(world.says("apps", "Ready", "RevisionNotFound"),
                HasSubstr("OCIRepository default/app"));
    world.annotate_object("ks/apps", {{"gitops.kled.io/revision", ""}});
    EXPECT_TRUE(has("a", "2"));
}

TEST_F(OciMode, KnowsACloudsRegistriesByTheIdentityOfAnAccount) {
    world.start_cluster();
    const auto apply = [&](const std::string& url) {
        world.apply(
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: app, "
            "namespace: default}\nspec: {interval: 10m, provider: aws, serviceAccountName: puller, "
            "url: 'oci://" +
            url + "'}\n");
    };
    apply("123456789012.dkr.ecr.eu-west-1.amazonaws.com/app");
    EXPECT_EQ(says("Ready", "AuthenticationFailed"),
              "spec.serviceAccountName: ServiceAccount default/puller does not exist");
    apply(host + "/app");
    EXPECT_THAT(says("Stalled", "InvalidSpec"), StartsWith("spec.url: is no registry of Amazon"));
}

TEST_F(OciMode, WhatIsNotSupportedStopsIt) {
    world.start_cluster();
    apply_source("  verify: {provider: cosign}\n");
    EXPECT_THAT(says("Stalled", "UnsupportedField"), StartsWith("spec.verify without secretRef"));
    apply_source("  verify: {provider: notation, secretRef: {name: x}}\n");
    EXPECT_THAT(says("Stalled", "UnsupportedField"), StartsWith("spec.verify.provider: notation"));
    apply_source("  ref: {digest: 'sha256:1'}\n");
    EXPECT_THAT(says("Stalled", "InvalidSpec"), HasSubstr("spec.ref.digest"));
}

TEST_F(OciMode, ASourceOfTheSameNameButAnotherKindIsAnotherSource) {
    push("latest", artifact_of(files({{"a", "1"}})));
    world.repository.commit({{"b/b.yaml",
                              "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: "
                              "web}\ndata: {k: '1'}\n"}});
    world.start_cluster();
    apply_source();
    apply_kustomization();
    world.apply(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: app, "
        "namespace: default}\nspec:\n  url: " +
        world.repository.url() + "\n  interval: 10m\n  ref: {branch: main}\n");
    world.apply(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: b, "
        "namespace: default}\nspec:\n  interval: 10m\n  path: b\n  prune: true\n"
        "  sourceRef: {kind: GitRepository, name: app}\n  dependsOn: [{name: apps}]\n");
    EXPECT_TRUE(has("b", "1"));
    EXPECT_EQ(world.value("a"), "1");
}

}  // namespace
}  // namespace kled::gitops
