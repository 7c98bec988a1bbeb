#include "crypto/pgp.h"

#include "base/error.h"
#include "base/file.h"

#include <gtest/gtest.h>

#include <string>

namespace kled::crypto {
namespace {

// testdata/pgp/make.sh made them with gpg.
std::string file(const std::string& name) {
    return read_file(KLED_SOURCE_DIR "/crypto/testdata/pgp/" + name);
}

template <typename Work>
std::string failure_of(const Work& work) {
    try {
        work();
    } catch (const Error& error) {
        return std::string{to_string(error.kind())} + ": " + error.what();
    }
    return "worked";
}

PgpKeys keys(std::initializer_list<const char*> names) {
    PgpKeys result;
    for (const auto* name : names) result.add(file(name));
    return result;
}

TEST(Pgp, OpensWhatGpgEncrypted) {
    const auto both = keys({"curve.asc", "rsa.asc"});
    EXPECT_FALSE(both.empty());
    EXPECT_EQ(both.decrypt(file("for-curve.asc")).reveal(), "for curve");
    EXPECT_EQ(both.decrypt(file("for-rsa.asc")).reveal(), "for rsa");
}

TEST(Pgp, SaysWhyItDoesNotOpen) {
    const auto curve = keys({"curve.asc"});
    const auto message = file("for-rsa.asc");
    EXPECT_EQ(failure_of([&] { (void)curve.decrypt(message); }),
              "denied: none of the PGP keys opens it");
    EXPECT_TRUE(failure_of([&] { (void)curve.decrypt("hello"); }).starts_with("invalid: "));
    auto cut = file("for-curve.asc");
    cut.erase(cut.size() / 2, 40);
    EXPECT_NE(failure_of([&] { (void)curve.decrypt(cut); }), "worked");
}

TEST(Pgp, RefusesKeysThatCannotBeUsed) {
    PgpKeys some;
    EXPECT_TRUE(failure_of([&] { some.add("no key"); }).starts_with("invalid: no PGP keys"));
    EXPECT_TRUE(some.empty());
    const auto why = failure_of([&] { some.add(file("locked.asc")); });
    EXPECT_TRUE(why.starts_with("invalid: the PGP key ")) << why;
    EXPECT_TRUE(why.ends_with(" has a passphrase; export it without one")) << why;
    EXPECT_TRUE(some.empty());
}

TEST(Pgp, KnowsWhoSigned) {
    const auto known = keys({"public.asc"});
    auto fingerprint = file("curve.fingerprint");
    fingerprint.pop_back();
    EXPECT_EQ(known.signer("the data", file("by-curve.sig")), fingerprint);
    EXPECT_NE(known.signer("the data", file("by-rsa.sig")), fingerprint);
    EXPECT_TRUE(known.has(fingerprint));
    EXPECT_FALSE(known.has(std::string(40, 'A')));
    EXPECT_FALSE(known.has("no fingerprint"));
}

TEST(Pgp, TrustsNoOtherSignature) {
    const auto known = keys({"public.asc"});
    const auto why = [&](const std::string& data, const std::string& signature) {
        return failure_of([&] { (void)known.signer(data, signature); });
    };
    EXPECT_EQ(why("the data", file("by-other.sig")),
              "denied: the PGP signature does not hold: it is by another key");
    EXPECT_EQ(why("other data", file("by-curve.sig")),
              "denied: the PGP signature does not hold: it is of other data");
    EXPECT_TRUE(why("the data", "none").starts_with("invalid: ")) << why("the data", "none");
    EXPECT_TRUE(why("the data", file("for-curve.asc")).starts_with("invalid: "))
        << why("the data", file("for-curve.asc"));
}

TEST(Pgp, SignsSoThatItHolds) {
    auto fingerprint = file("curve.fingerprint");
    fingerprint.pop_back();
    const auto known = keys({"public.asc"});
    const auto signature = keys({"curve.asc"}).sign("the data");
    EXPECT_TRUE(signature.starts_with("-----BEGIN PGP SIGNATURE-----\n")) << signature;
    EXPECT_EQ(known.signer("the data", signature), fingerprint);
    const auto by_rsa = known.signer("the data", keys({"rsa.asc"}).sign("the data"));
    EXPECT_TRUE(known.has(by_rsa));
    EXPECT_NE(by_rsa, fingerprint);
}

TEST(Pgp, SignsWithASubKeyWhosePrimaryKeyIsElsewhere) {
    PgpKeys own;
    own.add(file("subkey.asc"), Secret{"secret"});
    const auto known = keys({"subkey-public.asc"});
    EXPECT_TRUE(known.has(known.signer("the data", own.sign("the data"))));
    PgpKeys other;
    other.add(file("locked.asc"), Secret{"secret"});
    EXPECT_TRUE(failure_of([&] {
                    (void)known.signer("the data", other.sign("the data"));
                }).ends_with("it is by another key"));
}

TEST(Pgp, SaysWhyItCannotSign) {
    const auto why = [](const PgpKeys& some) { return failure_of([&] { (void)some.sign("x"); }); };
    EXPECT_EQ(why(keys({"public.asc"})),
              "invalid: no secret PGP key that may sign: none is there, or it has expired");
    EXPECT_EQ(why(keys({"curve.asc", "rsa.asc"})),
              "invalid: there are several PGP keys, and nothing says which one signs");
    for (const auto* passphrase : {"other", ""}) {
        PgpKeys some;
        const auto refusal =
            failure_of([&] { some.add(file("locked.asc"), Secret{std::string{passphrase}}); });
        EXPECT_TRUE(refusal.starts_with("invalid: the passphrase does not open the PGP key "))
            << refusal;
        EXPECT_TRUE(some.empty());
    }
}

}  // namespace
}  // namespace kled::crypto
