// OCIRepositories that take only what is signed with a key of cosign's.
#include "base/encoding.h"
#include "crypto/testing_signer.h"
#include "gitops/oci/cosign.h"
#include "gitops/oci/testing_bundle.h"
#include "tests/support/oci_mode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace kled::gitops {
namespace {

using ::testing::AllOf;
using testing::artifact_of;
using testing::files;
using ::testing::HasSubstr;
using testing::OciArtifact;

class OciVerificationMode : public testing::OciMode {
protected:
    /// An image of signatures as cosign pushes it, one by each of them.
    static OciArtifact signatures(const std::string& digest,
                                  const std::vector<const crypto::testing::Signer*>& by) {
        const auto payload =
            R"({"critical":{"identity":{"docker-reference":"registry.example.org/team/app"},)"
            R"("image":{"docker-manifest-digest":")" +
            digest + R"("},"type":"cosign container image signature"},"optional":null})";
        OciArtifact result;
        for (const auto* one : by) {
            result.layers.push_back(
                {.bytes = payload,
                 .media_type = "application/vnd.dev.cosign.simplesigning.v1+json",
                 .annotations = {
                     {"dev.cosignproject.cosign/signature", to_base64(one->sign(payload))}}});
        }
        return result;
    }
    void sign(const OciArtifact& artifact, const std::vector<const crypto::testing::Signer*>& by) {
        push(oci::signature_tag(artifact.digest()), signatures(artifact.digest(), by));
    }
    void apply_keys(const std::map<std::string, std::string>& keys) {
        std::string data;
        for (const auto& [name, value] : keys)
            data += (data.empty() ? "" : ", ") + name + ": " + to_base64(value);
        world.apply(
            "apiVersion: v1\nkind: Secret\nmetadata: {name: trusted, namespace: default}\n"
            "data: {" +
            data + "}\n");
    }
};

TEST_F(OciVerificationMode, OnlyWhatIsSignedIsDeployed) {
    const auto signer = crypto::testing::Signer::ecdsa();
    const auto other = crypto::testing::Signer::rsa();
    const auto first = artifact_of(files({{"a", "1"}}));
    push("latest", first);
    sign(first, {&other});
    world.start_cluster();
    const std::string verify = "  verify: {provider: cosign, secretRef: {name: trusted}}\n";
    apply_source(verify);
    apply_kustomization();
    EXPECT_THAT(says("SourceVerified", "VerificationError"),
                HasSubstr("Secret default/trusted does not exist"));
    apply_keys({{"who.pub", "none"}});
    EXPECT_TRUE(reconciled());
    EXPECT_THAT(says("Ready", "VerificationError"), HasSubstr("data.who.pub: not the PEM"));
    apply_keys({{"who.pem", signer.public_pem()}});
    EXPECT_TRUE(reconciled());
    EXPECT_THAT(says("Ready", "VerificationError"), HasSubstr("a name that ends in .pub"));
    apply_keys({{"who.pub", signer.public_pem()}});
    EXPECT_TRUE(reconciled());
    EXPECT_THAT(says("Ready", "VerificationError"),
                AllOf(HasSubstr(first.digest()), HasSubstr("none of 1 says so with a key of")));
    EXPECT_EQ(Conditions::from_status(source()->status()).find("FetchFailed"), nullptr);
    EXPECT_EQ(world.value("a"), "absent");

    sign(first, {&other, &signer});
    EXPECT_TRUE(reconciled());
    EXPECT_EQ(says("SourceVerified", "Succeeded"),
              "verified signature of revision latest@" + first.digest());
    EXPECT_TRUE(has("a", "1"));
    EXPECT_THAT(says("Ready", "Succeeded"), HasSubstr(first.digest()));

    // One that nobody signed, and then one with the signature of the first.
    const auto second = artifact_of(files({{"a", "2"}}));
    push("latest", second);
    EXPECT_TRUE(reconciled());
    EXPECT_THAT(says("SourceVerified", "VerificationError"),
                AllOf(HasSubstr(second.digest()), HasSubstr("there are none")));
    push(oci::signature_tag(second.digest()), signatures(first.digest(), {&signer}));
    EXPECT_TRUE(reconciled());
    EXPECT_THAT(says("SourceVerified", "VerificationError"), HasSubstr("none of 1"));
    EXPECT_EQ(world.value("a"), "1");
    EXPECT_EQ(revision(), "latest@" + first.digest());
    sign(second, {&signer});
    EXPECT_TRUE(reconciled());
    EXPECT_TRUE(has("a", "2"));

    // What was verified is not asked for again, also after a restart; what a key that counts no
    // more has signed is.
    push(oci::signature_tag(second.digest()), signatures(first.digest(), {&signer}));
    EXPECT_TRUE(reconciled());
    EXPECT_EQ(says("Ready", "Succeeded"),
              "stored artifact for digest 'latest@" + second.digest() + "'");
    world.stop_reconciler();
    world.start_cluster();
    EXPECT_TRUE(reconciled());
    EXPECT_EQ(says("Ready", "Succeeded"),
              "stored artifact for digest 'latest@" + second.digest() + "'");
    apply_keys({{"who.pub", other.public_pem()}});
    EXPECT_TRUE(reconciled());
    EXPECT_THAT(says("Ready", "VerificationError"), HasSubstr(second.digest()));
    world.annotate_object("ks/apps", {{"gitops.kled.io/revision", first.digest()}});
    EXPECT_THAT(world.says("apps", "Ready", "VerificationError"),
                HasSubstr("not verified by the keys of Secret default/trusted"));
    world.annotate_object("ks/apps", {{"gitops.kled.io/revision", ""}});
    EXPECT_EQ(world.value("a"), "2");

    apply_source();
    EXPECT_TRUE(has("a", "2"));
    EXPECT_TRUE(world.eventually([&] {
        return Conditions::from_status(source()->status()).find("SourceVerified") == nullptr;
    }));
    EXPECT_THAT(says("Ready", "Succeeded"), HasSubstr(second.digest()));
}

TEST_F(OciVerificationMode, WhatNobodySignedIsNotTakenUpAgainOnceASignatureIsAskedFor) {
    const auto signer = crypto::testing::Signer::ecdsa();
    push("latest", artifact_of(files({{"a", "1"}})));
    world.start_cluster();
    apply_source("  timeout: 5s\n");
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    world.stop_reconciler();
    registry.reset();
    apply_keys({{"who.pub", signer.public_pem()}});
    apply_source("  timeout: 5s\n  verify: {provider: cosign, secretRef: {name: trusted}}\n");
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: web}\n"
        "data: {k: 'drift'}\n");
    world.start_cluster();
    EXPECT_THAT(says("FetchFailed", "OCIArtifactPullFailed"), HasSubstr("127.0.0.1"));
    EXPECT_EQ(world.says("apps", "Ready", "ArtifactFailed"),
              "OCIRepository default/app has no revision yet");
    EXPECT_EQ(world.value("a"), "drift");
    apply_source("  timeout: 5s\n");
    EXPECT_TRUE(has("a", "1")) << "nothing was thrown away";
}

TEST_F(OciVerificationMode, ABundleOfCosign3IsASignatureToo) {
    const auto signer = crypto::testing::Signer::ecdsa();
    const auto artifact = artifact_of(files({{"a", "1"}}));
    push("latest", artifact);
    world.start_cluster();
    apply_keys({{"who.pub", signer.public_pem()}});
    apply_source("  verify: {provider: cosign, secretRef: {name: trusted}}\n");
    apply_kustomization();
    EXPECT_THAT(says("SourceVerified", "VerificationError"), HasSubstr("there are none"));
    const std::string type = "application/vnd.dev.sigstore.bundle.v0.3+json";
    const auto refer = [&](const std::string& bytes) {
        OciArtifact bundle;
        bundle.layers = {{.bytes = bytes, .media_type = type}};
        push("bundle", bundle);
        // The list that a client keeps where the registry keeps none.
        world.sync(kled::testing::push_manifest(
            host, "team/app", oci::referrers_tag(artifact.digest()),
            "application/vnd.oci.image.index.v1+json",
            R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",)"
            R"("manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
            R"("digest":")" +
                bundle.digest() + R"(","size":)" + std::to_string(bundle.manifest().size()) +
                R"(,"artifactType":")" + type + R"("}]})"));
    };
    refer(testing::sigstore_bundle(signer, "sha256:" + std::string(64, 'b')));
    EXPECT_TRUE(reconciled());
    EXPECT_THAT(says("SourceVerified", "VerificationError"), HasSubstr("none of 1"));
    EXPECT_EQ(world.value("a"), "absent");
    refer(testing::sigstore_bundle(signer, artifact.digest()));
    EXPECT_TRUE(reconciled());
    EXPECT_TRUE(has("a", "1"));
}

}  // namespace
}  // namespace kled::gitops
