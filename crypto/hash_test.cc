#include "crypto/hash.h"

#include "base/encoding.h"
#include "base/error.h"

#include <gtest/gtest.h>

#include <set>

namespace kled::crypto {
namespace {

TEST(Hash, GivesTheDigestsOfFips180) {
    EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(sha256_hex("abc"),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(
        sha512_hex("abc"),
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23"
        "a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    Sha256Stream stream;
    stream.update("a");
    stream.update("");
    stream.update("bc");
    EXPECT_EQ(stream.finish(), sha256("abc"));
}

TEST(Hash, GivesTheCodesOfRfc4231AndRfc2202) {
    EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    EXPECT_EQ(hmac_hex("sha1", "Jefe", "what do ya want for nothing?"),
              "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    EXPECT_EQ(hmac_hex("sha512", "Jefe", "what do ya want for nothing?").substr(0, 16),
              "164b7a7bfcf819e2");
    EXPECT_EQ(hmac_hex("sha256", {}, ""),
              "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    EXPECT_THROW(static_cast<void>(hmac_hex("md5", "k", "m")), Error);
}

TEST(Hash, GivesXxh3) {
    EXPECT_EQ(xxh3(""), 0x2d06800538d394c2U);
    EXPECT_NE(xxh3("a"), xxh3("b"));
}

TEST(Random, DiffersEachTime) {
    EXPECT_EQ(random_bytes(0), "");
    EXPECT_EQ(random_hex(8).size(), 16U);
    std::set<std::string> seen;
    for (int i = 0; i < 1000; ++i) {
        const auto id = uuid4();
        EXPECT_EQ(id.size(), 36U);
        EXPECT_EQ(id[14], '4');
        EXPECT_NE(std::string_view{"89ab"}.find(id[19]), std::string_view::npos) << id;
        EXPECT_TRUE(seen.insert(id).second);
    }
}

}  // namespace
}  // namespace kled::crypto
