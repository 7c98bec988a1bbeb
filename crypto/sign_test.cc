#include "crypto/sign.h"

#include "base/encoding.h"
#include "base/error.h"
#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace kled::crypto {
namespace {

// RFC 8032 §7.1, test 2; the PKCS#8 prefix is that of RFC 8410 §7.
const std::string seed_hex = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
const std::string public_hex = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
const std::string signature_hex =
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

SigningKey rfc_key() {
    return SigningKey::from_pem(
        "-----BEGIN PRIVATE KEY-----\n" +
        to_base64(*from_hex("302e020100300506032b657004220420" + seed_hex)) +
        "\n-----END PRIVATE KEY-----\n");
}

TEST(Sign, GivesTheSignatureOfRfc8032) {
    const auto key = rfc_key();
    EXPECT_EQ(to_hex(key.verifying_key().raw()), public_hex);
    EXPECT_EQ(to_hex(key.sign("\x72")), signature_hex);
    EXPECT_TRUE(
        VerifyingKey::from_raw(*from_hex(public_hex)).verify("\x72", *from_hex(signature_hex)));
}

TEST(Sign, VerifiesOnlyWhatWasSigned) {
    const auto key = SigningKey::generate();
    const auto good = key.sign("message");
    const auto verifier = key.verifying_key();
    EXPECT_TRUE(verifier.verify("message", good));
    EXPECT_FALSE(verifier.verify("massage", good));
    EXPECT_FALSE(SigningKey::generate().verifying_key().verify("message", good));
    for (const std::size_t at : {0U, 31U, 32U, 63U}) {
        auto bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 1);
        EXPECT_FALSE(verifier.verify("message", bad));
    }
    EXPECT_FALSE(verifier.verify("message", good.substr(1)));
    EXPECT_FALSE(verifier.verify("message", ""));
    EXPECT_TRUE(verifier.verify("", key.sign("")));
}

TEST(Sign, SurvivesPem) {
    const auto key = SigningKey::generate();
    EXPECT_EQ(SigningKey::from_pem(key.pem().reveal()).verifying_key().raw(),
              key.verifying_key().raw());
    EXPECT_EQ(VerifyingKey::from_pem(key.verifying_key().pem()).raw(), key.verifying_key().raw());
    EXPECT_EQ(key.verifying_key().id().size(), 16U);
}

TEST(Sign, RefusesWhatIsNoKey) {
    EXPECT_THROW(VerifyingKey::from_raw("short"), Error);
    EXPECT_THROW(VerifyingKey::from_pem("nonsense"), Error);
    EXPECT_THROW(SigningKey::from_pem(""), Error);
    EXPECT_THROW(SigningKey::from_pem(rfc_key().verifying_key().pem()), Error);
}

TEST(Sign, KeepsItsKeyInAPrivateFile) {
    const TemporaryDirectory folder;
    const auto path = folder.path() / "hub.key";
    const auto first = SigningKey::load_or_create(path).verifying_key().raw();
    EXPECT_EQ(SigningKey::load_or_create(path).verifying_key().raw(), first);
    struct stat info{};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
    ::chmod(path.c_str(), 0644);
    try {
        SigningKey::load_or_create(path);
        FAIL() << "a readable key was used";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::denied);
    }
}

}  // namespace
}  // namespace kled::crypto
