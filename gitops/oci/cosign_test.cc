#include "gitops/oci/cosign.h"

#include "base/encoding.h"
#include "crypto/testing_signer.h"
#include "gitops/oci/reference.h"
#include "gitops/oci/testing_bundle.h"

#include <gtest/gtest.h>

namespace kled::gitops::oci {
namespace {

using crypto::testing::Signer;

const std::string digest = "sha256:" + std::string(64, 'a');
const std::string other_digest = "sha256:" + std::string(64, 'b');

std::string payload(const std::string& of,
                    const std::string& type = "cosign container image signature") {
    return R"({"critical":{"identity":{"docker-reference":"host/app"},"image":)"
           R"({"docker-manifest-digest":")" +
           of + R"("},"type":")" + type + R"("},"optional":null})";
}

class Cosign : public ::testing::Test {
protected:
    [[nodiscard]] bool good(const std::string& signed_bytes, const std::string& bytes) const {
        const CosignSignature signature{.payload = {}, .signature = signer.sign(signed_bytes)};
        return signature.is_good(bytes, digest, keys);
    }

    Signer signer = Signer::ecdsa();
    std::vector<crypto::PublicKey> keys{crypto::PublicKey::from_pem(Signer::rsa().public_pem()),
                                        crypto::PublicKey::from_pem(signer.public_pem())};
};

TEST_F(Cosign, HasItsSignaturesAtATagOfTheDigest) {
    EXPECT_EQ(signature_tag(digest), "sha256-" + std::string(64, 'a') + ".sig");
    EXPECT_TRUE(is_tag(signature_tag(digest)));
}

TEST_F(Cosign, ASignatureIsOfOneDigestByOneOfTheKeys) {
    const auto right = payload(digest);
    EXPECT_TRUE(good(right, right));
    EXPECT_FALSE(good(payload(other_digest), payload(other_digest))) << "of another artifact";
    EXPECT_FALSE(good(payload(other_digest), right)) << "of another payload";
    const auto atomic = payload(digest, "atomic container signature");
    EXPECT_FALSE(good(atomic, atomic));
    for (const std::string bad :
         {"", "{}", "[]", "x", R"({"critical":[]})",
          R"({"critical":{"image":{"docker-manifest-digest":1},"type":2}})"})
        EXPECT_FALSE(good(bad, bad)) << bad;
    keys.pop_back();
    EXPECT_FALSE(good(right, right)) << "by a stranger";
    keys.clear();
    EXPECT_FALSE(good(right, right)) << "by nobody";
}

TEST_F(Cosign, ABundleSaysSoOfOneDigestByOneOfTheKeys) {
    const auto bundle = testing::sigstore_bundle(signer, digest);
    EXPECT_TRUE(SigstoreBundle::is_good(bundle, digest, keys));
    EXPECT_FALSE(SigstoreBundle::is_good(bundle, other_digest, keys));
    EXPECT_FALSE(SigstoreBundle::is_good(bundle, digest, {keys[0]})) << "by a stranger";
    EXPECT_FALSE(SigstoreBundle::is_good(
        testing::sigstore_bundle(signer, digest, "https://spdx.dev/Document"), digest, keys))
        << "who describes something does not approve it";
    auto forged = bundle;
    const auto theirs = testing::sigstore_bundle(Signer::ecdsa(), other_digest);
    const auto part = [](const std::string& text, const std::string& name) {
        const auto at = text.find("\"" + name + "\":\"") + name.size() + 4;
        return text.substr(at, text.find('"', at) - at);
    };
    const auto payload_at = forged.find(part(forged, "payload"));
    forged.replace(payload_at, part(bundle, "payload").size(), part(theirs, "payload"));
    EXPECT_FALSE(SigstoreBundle::is_good(forged, other_digest, keys)) << "of another payload";
    for (const std::string bad :
         {"", "[]", "{}", R"({"dsseEnvelope":[]})",
          R"({"dsseEnvelope":{"payload":"*","payloadType":"application/vnd.in-toto+json",)"
          R"("signatures":[{}]}})"})
        EXPECT_FALSE(SigstoreBundle::is_good(bad, digest, keys)) << bad;
}

TEST_F(Cosign, SignaturesAreLayersWithAnAnnotation) {
    const auto layer = [](const std::string& type, std::uint64_t size,
                          const std::map<std::string, std::string>& annotations) {
        return Descriptor{.media_type = type,
                          .digest = digest,
                          .size = size,
                          .artifact_type = {},
                          .annotations = annotations};
    };
    const std::string type = "application/vnd.dev.cosign.simplesigning.v1+json";
    const std::string key = "dev.cosignproject.cosign/signature";
    Manifest manifest;
    manifest.layers = {layer(type, 1, {{key, to_base64("one")}}),
                       layer(type, 1, {}),
                       layer(type, 1, {{key, "*"}}),
                       layer(type, CosignSignature::payload_limit + 1, {{key, to_base64("x")}}),
                       layer("text/plain", 1, {{key, to_base64("x")}}),
                       layer(type, 2, {{key, to_base64("two")}})};
    const auto found = CosignSignature::all_in(manifest);
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].signature, "one");
    EXPECT_EQ(found[1].payload.size, 2U);
    manifest.index = true;
    EXPECT_TRUE(CosignSignature::all_in(manifest).empty());
}

}  // namespace
}  // namespace kled::gitops::oci
