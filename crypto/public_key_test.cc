#include "crypto/public_key.h"

#include "base/error.h"
#include "crypto/testing_signer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace kled::crypto {
namespace {

using ::testing::HasSubstr;
using testing::Signer;

std::string refused(std::string_view pem) {
    try {
        static_cast<void>(PublicKey::from_pem(pem));
    } catch (const Error& error) {
        return error.what();
    }
    return "accepted";
}

TEST(PublicKey, VerifiesWhatItsPrivateKeySigned) {
    std::vector<Signer> signers;
    for (const auto* curve : {"P-256", "P-384", "P-521"}) signers.push_back(Signer::ecdsa(curve));
    signers.push_back(Signer::rsa());
    signers.push_back(Signer::ed25519());
    const auto stranger = PublicKey::from_pem(Signer::ecdsa().public_pem());
    for (const auto& signer : signers) {
        const auto key = PublicKey::from_pem(signer.public_pem());
        const auto signature = signer.sign("message");
        EXPECT_TRUE(key.verify("message", signature));
        EXPECT_FALSE(key.verify("massage", signature));
        EXPECT_FALSE(key.verify("", signature));
        EXPECT_FALSE(key.verify("message", ""));
        EXPECT_FALSE(key.verify("message", signature + "x"));
        EXPECT_FALSE(key.verify("message", signature.substr(1)));
        EXPECT_FALSE(stranger.verify("message", signature));
    }
}

TEST(PublicKey, RefusesOtherKeys) {
    EXPECT_THAT(refused(""), HasSubstr("not the PEM of a public key"));
    EXPECT_THAT(refused(Signer::rsa(1024).public_pem()), HasSubstr("an RSA key of 1024 bits"));
    EXPECT_THAT(refused(Signer::ecdsa("secp256k1").public_pem()), HasSubstr("neither ECDSA"));
}

}  // namespace
}  // namespace kled::crypto
