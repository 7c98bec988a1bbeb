#include "crypto/rsa.h"

#include "base/encoding.h"
#include "base/error.h"
#include "crypto/sign.h"
#include "crypto/testing_rsa_key.h"
#include "crypto/x509.h"

#include <gtest/gtest.h>

namespace kled::crypto {
namespace {

const std::string message = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxIn0";
// openssl dgst -sha256 -sign
const std::string signature_hex =
    "395ac12f05321e12a37c14043bcded7a8c75e05cd4639ef48f85089b4e7ea6233f9c4a0c470b52c0c1eaa4ad"
    "4fc3eda2100638a2036550148a143880f6d1de7a1577f89841a24b4a1aa6623e1d6f1e6e61f916f4ded90e77"
    "cc04db39455560c4301f430f90b98fb9639997b9439265fdaf0e6a36c14407ac8ddb9e4f8df017a1a0ce5f3d"
    "8c4e74e76868bee57c2848b2bc44adbb64d4f432b57f3bb40d1ca887d690adfd66fc99a0b8d4c3b6e42f5021"
    "7ce3818ea049b14bc33d0e210fa281adabf935cffe033d4e8cc6e8a2502ff7af02c1c722170473e921e3142a"
    "576e6237f84d325603274d9c7b4b967a74579939489d7cce40cca483db67225f3041fca4";
const std::string small_key =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBAJ7w5FKxGxN2Ma1s\n"
    "bwR3FYIQO9rcPAj6ckH0svuDMgd49SIB0F1uQn6QKWgE6bOyfya1uewJa1KvDko4\n"
    "n5woOyQudGToI7BESzOXPhveX3LyxG06YULRNat5cALo0vbw5sNA1mbpNKi2GCl5\n"
    "B21QvFjj2mGmeXGY8H+ctjrZ59UVAgMBAAECgYEAlYV+9f/gveVCBKjuo5+3nxzQ\n"
    "gisPW07oL/4YZp3cccUrrqtQLqTsbw4FtfJxPHieP3dUCaYuzaEba11rYcdDImHE\n"
    "zZAi6unCzwyxqPmba+bbaF7OOHsRGoG42ESHrmLw+6G5JnRzDTMErinCD5+YhZOP\n"
    "QN6CZcjfucp5qQlAmR0CQQDQyt6zWjIiUvSg+hoY6RqHExKdcQ+0qmNj4veo81mr\n"
    "msPKWAZ6zg7/GxVJKNfkvYpPrHI5G96X5I7BBQ/9CEPLAkEAwuCQvJKahvqhUJMZ\n"
    "y5bid0fOcaTtE/37RrQ+3nYfQDVz7U/TJ/FkPua31rHBEVvkUM0dbmPY20vVT6iy\n"
    "5l3unwJAAdGyrQddJnVokjp7nbnyNDkTUXHZvC473XPtyngMUPVxPUMVE17WPJzE\n"
    "y7ViZCjOmrEa8apvfw1LvRzJLeAzjwJAZbmXk/frFf6Kamb/FhkjCiS/jO8Mmlz/\n"
    "5756+uEqGvhMFVqP3M/TBkqlODr9jzQqkEshy9fvAToqlTR4fmwV/QJBAMzhElQH\n"
    "WNPl2vZC/1iPkme2tirBpzhZZ+dBXW59wihSRc4KjzDiFoNuWz5yuKd2HOZtzAIo\n"
    "6WqJ7ei3Iu4/um4=\n"
    "-----END PRIVATE KEY-----\n";

std::string refused(std::string_view pem) {
    try {
        static_cast<void>(sign_rs256(pem, message));
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return error.what();
    }
    return "accepted";
}

TEST(Rsa, SignsAsTheProgramOpensslDoes) {
    EXPECT_EQ(to_hex(sign_rs256(testing::rsa_key, message)), signature_hex);
}

TEST(Rsa, RefusesOtherKeys) {
    EXPECT_EQ(refused(small_key), "RSA key: it has 1024 bits, not 2048 to 8192");
    EXPECT_EQ(refused(SigningKey::generate().pem().reveal()), "RSA key: a key of another type");
    EXPECT_EQ(refused(PrivateKey::generate().pem().reveal()), "RSA key: a key of another type");
    EXPECT_NE(refused("nothing"), "accepted");
    EXPECT_NE(refused(""), "accepted");
}

}  // namespace
}  // namespace kled::crypto
