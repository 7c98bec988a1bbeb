#include "crypto/x509.h"

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/run.h"
#include "crypto/sign.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <set>

namespace kled::crypto {
namespace {

using std::chrono::hours;
using Texts = std::vector<std::string>;

template <typename Work>
Error failure_of(const Work& work) {
    try {
        work();
    } catch (const Error& error) {
        return error;
    }
    ADD_FAILURE() << "nothing was thrown";
    return {ErrorKind::internal, ""};
}

class Authority : public testing::Test {
protected:
    /// The `openssl` program as the second opinion.
    Completed openssl(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), "openssl");
        return run_to_end(run(Command{.argv = std::move(arguments)}, {}, std::chrono::seconds{30}));
    }
    std::string file(const std::string& name, std::string_view content) {
        write_file_atomic(folder.path() / name, content);
        return folder.path() / name;
    }
    TemporaryDirectory folder;
    CertificateAuthority ca = CertificateAuthority::open(folder.path() / "ca", "kled test CA");
};

TEST_F(Authority, IssuesWhatItWasAskedFor) {
    const auto credential =
        ca.issue({.subject = {.common_name = "hub", .organizations = {"a", "b"}},
                  .names = {"localhost", "*.example.org", "127.0.0.1", "::1"},
                  .server = true,
                  .client = false,
                  .lifetime = hours{48}});
    const auto info = read_certificate(credential.certificate_pem);
    const auto now = std::chrono::system_clock::now();
    EXPECT_EQ(info.common_name, "hub");
    EXPECT_EQ(info.organizations, (Texts{"a", "b"}));
    EXPECT_EQ(info.dns_names, (Texts{"localhost", "*.example.org"}));
    EXPECT_EQ(info.ip_addresses, (Texts{"127.0.0.1", "::1"}));
    EXPECT_EQ(info.serial_hex.size(), 32U);
    EXPECT_FALSE(info.is_ca);
    EXPECT_LT(info.not_before, now);
    EXPECT_GT(info.not_after, now + hours{47});
    EXPECT_LT(info.not_after, now + hours{49});
    EXPECT_EQ(PrivateKey::from_pem(credential.key_pem.reveal()).pem().reveal(),
              credential.key_pem.reveal());
}

TEST_F(Authority, SatisfiesStrictVerification) {
    const auto root = file("ca.pem", ca.certificate_pem());
    const auto server = file(
        "server.pem",
        ca.issue({.subject = {"s", {}}, .names = {"localhost"}, .server = true, .client = false})
            .certificate_pem);
    const auto client =
        file("client.pem", ca.issue({.subject = {"c", {}}, .names = {}}).certificate_pem);
    const auto verify = [&](const std::string& purpose, const std::string& leaf) {
        return openssl({"verify", "-x509_strict", "-CAfile", root, "-purpose", purpose, leaf});
    };
    EXPECT_EQ(verify("sslserver", server).status, 0) << verify("sslserver", server).err;
    EXPECT_EQ(verify("sslclient", client).status, 0) << verify("sslclient", client).err;
    EXPECT_NE(verify("sslclient", server).status, 0);
    EXPECT_NE(verify("sslserver", client).status, 0);
}

TEST_F(Authority, SignsTheKeyOfARequestButNotItsWishes) {
    const auto key = PrivateKey::generate();
    const auto request =
        key.request({.common_name = "i-want-to-be-admin", .organizations = {"system:masters"}});
    const auto info = read_certificate(
        ca.sign(request, {.subject = {"device-1", {"kled:devices"}}, .names = {}}));
    EXPECT_EQ(info.common_name, "device-1");
    EXPECT_EQ(info.organizations, Texts{"kled:devices"});
}

TEST_F(Authority, RefusesBadRequests) {
    const Issue issue{.subject = {"d", {}}, .names = {}};
    const auto request = PrivateKey::generate().request({.common_name = "d", .organizations = {}});
    EXPECT_EQ(failure_of([&] { static_cast<void>(ca.sign("nonsense", issue)); }).kind(),
              ErrorKind::invalid);
    // The last character of the signature is in the last line but one.
    auto forged = request;
    auto& c = forged[forged.find("\n-----END") - 12];
    c = c == 'A' ? 'B' : 'A';
    EXPECT_THROW(static_cast<void>(ca.sign(forged, issue)), Error);
    for (const auto* name : {"", "a b", "-a", "a..b", "x/y", "DNS:a", "a,b"}) {
        const Issue bad{.subject = {"d", {}}, .names = {name}};
        EXPECT_EQ(failure_of([&] { static_cast<void>(ca.sign(request, bad)); }).kind(),
                  ErrorKind::invalid)
            << name;
    }
    for (const auto& name : {std::string{}, std::string(65, 'x')}) {
        const Issue bad{.subject = {name, {}}, .names = {}};
        EXPECT_EQ(failure_of([&] { static_cast<void>(ca.sign(request, bad)); }).kind(),
                  ErrorKind::invalid)
            << name;
    }
}

TEST_F(Authority, SignsEd25519RequestsToo) {
    const auto key = PrivateKey::from_pem(SigningKey::generate().pem().reveal());
    EXPECT_EQ(read_certificate(ca.sign(key.request({"d", {}}), {.subject = {"d", {}}, .names = {}}))
                  .common_name,
              "d");
}

TEST_F(Authority, GivesEachCertificateItsOwnSerial) {
    std::set<std::string> serials;
    for (int i = 0; i < 50; ++i)
        serials.insert(
            read_certificate(ca.issue({.subject = {"x", {}}, .names = {}}).certificate_pem)
                .serial_hex);
    EXPECT_EQ(serials.size(), 50U);
}

TEST_F(Authority, RevokesBySerial) {
    const auto root = file("ca.pem", ca.certificate_pem());
    const auto bad = ca.issue({.subject = {"bad", {}}, .names = {}}).certificate_pem;
    const auto good =
        file("good.pem", ca.issue({.subject = {"good", {}}, .names = {}}).certificate_pem);
    const auto crl = file("crl.pem", ca.crl({read_certificate(bad).serial_hex, "00ff"}, hours{1}));
    const auto verify = [&](const std::string& leaf) {
        return openssl(
            {"verify", "-x509_strict", "-crl_check", "-CAfile", root, "-CRLfile", crl, leaf});
    };
    EXPECT_EQ(verify(good).status, 0) << verify(good).err;
    const auto revoked = verify(file("bad.pem", bad));
    EXPECT_NE(revoked.status, 0);
    EXPECT_NE(revoked.err.find("revoked"), std::string::npos) << revoked.err;
    EXPECT_EQ(failure_of([&] { static_cast<void>(ca.crl({"xyz"}, hours{1})); }).kind(),
              ErrorKind::invalid);
}

TEST_F(Authority, IsTheSameWhenOpenedAgain) {
    EXPECT_EQ(CertificateAuthority::open(folder.path() / "ca", "another name").certificate_pem(),
              ca.certificate_pem());
    const auto info = read_certificate(ca.certificate_pem());
    EXPECT_TRUE(info.is_ca);
    EXPECT_EQ(info.common_name, "kled test CA");
    struct stat key{};
    ASSERT_EQ(::stat((folder.path() / "ca/ca.key").c_str(), &key), 0);
    EXPECT_EQ(key.st_mode & 0777U, 0600U);
}

TEST_F(Authority, FinishesWhatACrashLeft) {
    std::filesystem::remove(folder.path() / "ca/ca.crt");  // the key is written first
    const auto again = CertificateAuthority::open(folder.path() / "ca", "kled test CA");
    EXPECT_TRUE(read_certificate(again.certificate_pem()).is_ca);
}

TEST_F(Authority, RefusesAForeignOrReadableKey) {
    const auto directory = folder.path() / "ca";
    const auto open = [&] { CertificateAuthority::open(directory, "x"); };
    ::chmod((directory / "ca.key").c_str(), 0644);
    EXPECT_EQ(failure_of(open).kind(), ErrorKind::denied);
    write_file_atomic(directory / "ca.key", PrivateKey::generate().pem().reveal(), 0600);
    EXPECT_EQ(failure_of(open).kind(), ErrorKind::invalid);
    std::filesystem::remove(directory / "ca.key");
    EXPECT_EQ(failure_of(open).kind(), ErrorKind::invalid);
}

TEST(Certificate, IsReadOrRefused) {
    EXPECT_EQ(failure_of([] { static_cast<void>(read_certificate("")); }).kind(),
              ErrorKind::invalid);
    EXPECT_EQ(failure_of([] {
                  static_cast<void>(read_certificate(
                      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
              }).kind(),
              ErrorKind::invalid);
    EXPECT_EQ(failure_of([] {
                  PrivateKey::from_pem(
                      "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE "
                      "KEY-----\n");
              }).kind(),
              ErrorKind::invalid);
}

}  // namespace
}  // namespace kled::crypto
