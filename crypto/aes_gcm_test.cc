#include "crypto/aes_gcm.h"

#include "base/encoding.h"

#include <gtest/gtest.h>

namespace kled::crypto {
namespace {

Secret secret(std::string_view hex) { return Secret{*from_hex(hex)}; }

// The GCM specification's test case 16 (McGrew and Viega, appendix B).
const std::string key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
const std::string nonce = "cafebabefacedbaddecaf888";
const std::string sealed =
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b10568288"
    "38"
    "c5f61e6393ba7a0abcc9f662";
const std::string associated = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
const std::string tag = "76fc6ece0f4e1768cddf8853bb2d551b";

TEST(AesGcm, OpensWhatTheSpecificationSeals) {
    const auto plain = aes256_gcm_open(secret(key), *from_hex(nonce), *from_hex(sealed),
                                       *from_hex(tag), *from_hex(associated));
    ASSERT_TRUE(plain);
    EXPECT_EQ(
        to_hex(plain->reveal()),
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e"
        "2449a6b525b16aedf5aa0de657ba637b39");
}

TEST(AesGcm, OpensNothingThatWasAltered) {
    const auto open = [](std::string k, std::string n, std::string s, std::string t,
                         std::string a) {
        return aes256_gcm_open(secret(k), *from_hex(n), *from_hex(s), *from_hex(t), *from_hex(a))
            .has_value();
    };
    const auto altered = [](std::string hex) {
        hex[0] = hex[0] == '0' ? '1' : '0';
        return hex;
    };
    ASSERT_TRUE(open(key, nonce, sealed, tag, associated));
    EXPECT_FALSE(open(altered(key), nonce, sealed, tag, associated));
    EXPECT_FALSE(open(key, altered(nonce), sealed, tag, associated));
    EXPECT_FALSE(open(key, nonce, altered(sealed), tag, associated));
    EXPECT_FALSE(open(key, nonce, sealed, altered(tag), associated));
    EXPECT_FALSE(open(key, nonce, sealed, tag, altered(associated)));
    EXPECT_FALSE(open(key, "", sealed, tag, associated));
    EXPECT_FALSE(open(key, nonce, sealed, "00", associated));
    EXPECT_FALSE(open("00", nonce, sealed, tag, associated));
}

}  // namespace
}  // namespace kled::crypto
