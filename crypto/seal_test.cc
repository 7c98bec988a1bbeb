#include "crypto/seal.h"

#include "base/encoding.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/run.h"
#include "crypto/hash.h"

#include <gtest/gtest.h>

namespace kled::crypto {
namespace {

template <typename Work>
ErrorKind failure_of(const Work& work) {
    try {
        work();
    } catch (const Error& error) {
        return error.kind();
    }
    ADD_FAILURE() << "nothing was thrown";
    return ErrorKind::internal;
}

const std::vector<std::size_t> sizes{0, 1, 65'535, 65'536, 65'537, 131'072, 200'000};

/// The program of the Debian package `age`, or a skip.
Completed age(std::vector<std::string> arguments, std::string input) {
    arguments.insert(arguments.begin(), "age");
    return run_to_end(
        run(Command{.argv = std::move(arguments)}, std::move(input), std::chrono::seconds{30}));
}

bool age_is_installed() {
    try {
        return age({"--version"}, {}).status == 0;
    } catch (const Error&) {
        return false;
    }
}

class AgeProgram : public testing::Test {
protected:
    void SetUp() override {
        if (!age_is_installed()) GTEST_SKIP() << "SKIPPED: no program `age` (Debian package age)";
        write_file_atomic(key_file(), identity.text().reveal(), 0600);
    }
    [[nodiscard]] std::string key_file() const { return folder.path() / "key.txt"; }

    TemporaryDirectory folder;
    Identity identity = Identity::generate();
};

TEST_F(AgeProgram, ReadsWhatWeSeal) {
    for (const auto size : sizes) {
        const auto plain = random_bytes(size);
        const auto sealed = seal(plain, {Identity::generate().recipient(), identity.recipient()});
        const auto result = age({"--decrypt", "-i", key_file()}, sealed);
        EXPECT_EQ(result.status, 0) << size << ": " << result.err;
        EXPECT_TRUE(result.out == plain) << size;
    }
}

TEST_F(AgeProgram, SealsWhatWeRead) {
    for (const auto size : sizes) {
        for (const bool armor : {false, true}) {
            const auto plain = random_bytes(size);
            std::vector<std::string> arguments{"-r", identity.recipient().text(), "-r",
                                               Identity::generate().recipient().text()};
            if (armor) arguments.emplace_back("--armor");
            const auto sealed = age(arguments, plain);
            ASSERT_EQ(sealed.status, 0) << sealed.err;
            EXPECT_TRUE(unseal(sealed.out, identity).reveal() == plain) << size;
        }
    }
}

TEST(Seal, SurvivesTheRoundTripAtEveryChunkBoundary) {
    const auto identity = Identity::generate();
    for (const auto size : sizes) {
        const auto plain = random_bytes(size);
        EXPECT_TRUE(unseal(seal(plain, {identity.recipient()}), identity).reveal() == plain)
            << size;
    }
}

TEST(Seal, IsForTheNamedOnly) {
    const auto a = Identity::generate();
    const auto b = Identity::generate();
    const auto sealed = seal("plain", {a.recipient(), b.recipient()});
    EXPECT_EQ(unseal(sealed, a).reveal(), "plain");
    EXPECT_EQ(unseal(sealed, b).reveal(), "plain");
    EXPECT_EQ(failure_of([&] { static_cast<void>(unseal(sealed, Identity::generate())); }),
              ErrorKind::denied);
    EXPECT_EQ(failure_of([] { static_cast<void>(seal("plain", {})); }), ErrorKind::invalid);
}

TEST(Seal, NoticesEveryChangedBit) {
    const auto identity = Identity::generate();
    const auto sealed = seal("some plain text", {identity.recipient()});
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        auto bad = sealed;
        bad[i] = static_cast<char>(bad[i] ^ 1);
        EXPECT_THROW(static_cast<void>(unseal(bad, identity)), Error) << i;
    }
}

TEST(Seal, NoticesCutsAndTails) {
    const auto identity = Identity::generate();
    const auto sealed = seal(std::string(100, 'x'), {identity.recipient()});
    for (std::size_t size = 0; size < sealed.size(); ++size)
        EXPECT_THROW(static_cast<void>(unseal(std::string_view{sealed}.substr(0, size), identity)),
                     Error)
            << size;
    EXPECT_THROW(static_cast<void>(unseal(sealed + "x", identity)), Error);
    // Two chunks: the first alone, the second alone, and an empty one after them.
    const auto two = seal(std::string(65'537, 'x'), {identity.recipient()});
    EXPECT_THROW(
        static_cast<void>(unseal(std::string_view{two}.substr(0, two.size() - 17), identity)),
        Error);
    EXPECT_THROW(static_cast<void>(unseal(two + std::string(16, '\0'), identity)), Error);
}

std::string join(std::initializer_list<std::string_view> parts) {
    std::string text;
    for (const auto part : parts) text += part;
    return text;
}

TEST(Seal, RefusesMalformedHeaders) {
    const auto identity = Identity::generate();
    const auto mac = "--- " + std::string(43, 'A') + "\n" + std::string(64, 'p');
    const std::string v = "age-encryption.org/v1\n";
    const std::string share(43, 'A');
    const auto x25519 = "-> X25519 " + share;
    const auto body = "\n" + std::string(43, 'A') + "\n";
    const std::string long_line(65, 'A');
    const std::string endless(200'000, 'A');
    for (const auto& bad : {
             std::string{},
             std::string{"age-encryption.org/v2\n"},
             v,
             join({v, mac}),
             join({v, "-> \n\n", mac}),
             join({v, "-> X25519", body, mac}),
             join({v, x25519, " more", body, mac}),
             join({v, "-> X25519  ", share, body, mac}),
             join({v, x25519, "\n!\n", mac}),
             join({v, x25519, "\n\n", mac}),
             join({v, "-> X25519 AB", body, mac}),
             join({v, x25519, body, mac}),  // a share of low order
             join({v, x25519, "\n", long_line, "\n", mac}),
             join({v, "-> other\n", endless}),
             join({v, x25519, body, "--- AA\n"}),
         }) {
        EXPECT_EQ(failure_of([&] { static_cast<void>(unseal(bad, identity)); }), ErrorKind::invalid)
            << bad.substr(0, 200);
    }
    const auto other = join({v, "-> other a b\nQUJD\n", mac});
    EXPECT_EQ(failure_of([&] { static_cast<void>(unseal(other, identity)); }), ErrorKind::denied);
}

TEST(Seal, ReadsArmorStrictly) {
    const auto identity = Identity::generate();
    const auto text = to_base64(seal("plain", {identity.recipient()}));
    std::string lines;
    for (std::size_t at = 0; at < text.size(); at += 64) lines += text.substr(at, 64) + "\n";
    const std::string begin = "-----BEGIN AGE ENCRYPTED FILE-----\n";
    const std::string end = "-----END AGE ENCRYPTED FILE-----";
    EXPECT_EQ(unseal(join({"\n ", begin, lines, end, "\n\n\n"}), identity).reveal(), "plain");
    EXPECT_EQ(unseal(join({begin, lines, end}), identity).reveal(), "plain");
    std::string windows;
    for (const char c : join({begin, lines, end})) {
        if (c == '\n') windows += '\r';
        windows += c;
    }
    EXPECT_EQ(unseal(windows, identity).reveal(), "plain");
    for (const auto& bad :
         {join({begin, lines}), join({begin, "\n", lines, end}), join({begin, text, "\n", end}),
          join({begin, lines, end, "\ntail"}), join({begin, " ", lines, end}), begin})
        EXPECT_EQ(failure_of([&] { static_cast<void>(unseal(bad, identity)); }), ErrorKind::invalid)
            << bad;
}

TEST(Identity, IsWrittenAsAgeWritesIt) {
    // The pair in the test data of filippo.io/age.
    const auto identity = Identity::parse(
        "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX");
    EXPECT_EQ(identity.recipient().text(),
              "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj");
    EXPECT_EQ(identity.text().reveal(),
              "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX");
    EXPECT_EQ(Recipient::parse(identity.recipient().text()).raw(), identity.recipient().raw());
}

TEST(Identity, RefusesTypingErrors) {
    const auto identity = Identity::generate();
    const std::string secret{identity.text().reveal()};
    const auto recipient = identity.recipient().text();
    for (std::size_t i = 0; i < recipient.size(); ++i) {
        auto bad = recipient;
        bad[i] = bad[i] == 'q' ? 'p' : 'q';
        EXPECT_THROW(Recipient::parse(bad), Error) << bad;
    }
    EXPECT_THROW(Recipient::parse("AGE" + recipient.substr(3)), Error);
    EXPECT_THROW(Recipient::parse(""), Error);
    EXPECT_THROW(Recipient::parse("age1"), Error);
    EXPECT_THROW(Identity::parse(recipient), Error);
    EXPECT_THROW(Identity::parse(secret.substr(1)), Error);
    EXPECT_THROW(Identity::parse(secret + "Q"), Error);
    try {
        Identity::parse(secret.substr(0, 70));
        FAIL() << "a cut key was accepted";
    } catch (const Error& error) {
        EXPECT_EQ(std::string{error.what()}.find(secret.substr(20, 10)), std::string::npos);
    }
}

}  // namespace
}  // namespace kled::crypto
