// Signatures and keys by OpenSSH's ssh-keygen: -Y sign -n git over `message`.
#include "crypto/ssh_keys.h"

#include "base/error.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

namespace kled::crypto {
namespace {

const std::string message = "tree 1\n\nmessage\n";

const std::string ed25519_key =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPhenYiQRuIeg+jxSteG5XZ+cVn4sVjmdGbYb8R1C4jU";
const std::string ed25519_signature =
    "-----BEGIN SSH SIGNATURE-----\n"
    "U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAg+F6diJBG4h6D6PFK14bldn5xWf\n"
    "ixWOZ0ZthvxHULiNQAAAADZ2l0AAAAAAAAAAZzaGE1MTIAAABTAAAAC3NzaC1lZDI1NTE5\n"
    "AAAAQI4+VRt+PKHL90b9Dt4P8r4uE13ya49MGZi4wdGt7h6x0Uu21vSMJ+OlTRXF9OELNY\n"
    "vXqyaCb/6AalzznXYbRgo=\n"
    "-----END SSH SIGNATURE-----\n";

const std::string rsa_key =
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDIG+XwOyF5CebTgnnVgXOlYWWH+goW2qCTntuRYMH4gi5j"
    "G2FuXtuAbXYnMRkbLkE5YS/2QX+mj294CBYBmA+TnDo9R7D8L1BQ6/+rcY49zsqfvbMkSY0c1U13cKQ2sMk0"
    "cbzSECTg4Yazmv1JbAwzKLYzy0y9tAasjDgqp/M6KWQwNohzm0q+24E7bJE8motLrhWu0MZmS/GnCmfjPiil"
    "BAEPJIpoWylXW20HHvB6vaa0J2DRYTe4S99ufJtk7Gpmpol52yFhqkfWxjAqUib8ir2nVL4L+/fnAcX1QXhL"
    "49xhIQGAK6obVmgmLGlP2kLtSo38kkdqrlxYUXMuCWmJ";
const std::string rsa_signature =
    "-----BEGIN SSH SIGNATURE-----\n"
    "U1NIU0lHAAAAAQAAARcAAAAHc3NoLXJzYQAAAAMBAAEAAAEBAMgb5fA7IXkJ5tOCedWBc6\n"
    "VhZYf6ChbaoJOe25FgwfiCLmMbYW5e24BtdicxGRsuQTlhL/ZBf6aPb3gIFgGYD5OcOj1H\n"
    "sPwvUFDr/6txjj3Oyp+9syRJjRzVTXdwpDawyTRxvNIQJODhhrOa/UlsDDMotjPLTL20Bq\n"
    "yMOCqn8zopZDA2iHObSr7bgTtskTyai0uuFa7QxmZL8acKZ+M+KKUEAQ8kimhbKVdbbQce\n"
    "8Hq9prQnYNFhN7hL3258m2TsamamiXnbIWGqR9bGMCpSJvyKvadUvgv79+cBxfVBeEvj3G\n"
    "EhAYArqhtWaCYsaU/aQu1KjfySR2quXFhRcy4JaYkAAAADZ2l0AAAAAAAAAAZzaGE1MTIA\n"
    "AAEUAAAADHJzYS1zaGEyLTUxMgAAAQC+XNRW2ZsisccRnxz1zoQYOktfdkBCtumH7UOCHU\n"
    "g2nPs0MH/FrvNZMBXGQGEpmDaNZeebpTkY39niuH1rQ3RlW1q9+OoklqMth/wvcs2e9a2M\n"
    "JoRcjHwAK3Nd6DamcXXe5xi9ztjNaobuKFzXq2aMHee5sOONOBCnPFoEiQbi7rEQufh8p4\n"
    "Xtu8U6msV9uwSPkR8aPl1QOiEnf0c3YtSVdSZvj6XcYDxWlh7r642d11Ju6Gw6SgxqaLi8\n"
    "v5Sx4pN0COHhda5MUTrUJAann7q+E7TvFTkEZGQdehTJEXGnWLdA30gxQ6WcbiJH1Y8Th8\n"
    "AnRiZ0uuBk5AXmRF8KFEPu\n"
    "-----END SSH SIGNATURE-----\n";

const std::string p256_key =
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMrTSnklci7o"
    "LAFlmvKpHo743pGAB14XycVeU+/sPrBbNRV1XAg0Uo0BHrGdqqGzb0xIfyjidsR0UHBkztZD7wU=";
const std::string p256_signature =
    "-----BEGIN SSH SIGNATURE-----\n"
    "U1NIU0lHAAAAAQAAAGgAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAAhuaXN0cDI1NgAAAE\n"
    "EEytNKeSVyLugsAWWa8qkejvjekYAHXhfJxV5T7+w+sFs1FXVcCDRSjQEesZ2qobNvTEh/\n"
    "KOJ2xHRQcGTO1kPvBQAAAANnaXQAAAAAAAAABnNoYTUxMgAAAGQAAAATZWNkc2Etc2hhMi\n"
    "1uaXN0cDI1NgAAAEkAAAAgZJRki6OkI1XIVROwshIN3RDibi73QHyw0jbKwTSpW7UAAAAh\n"
    "ANyMgUk+TA2ieZdOYt/6QNLqTpn3VZYil0olF72kGmgl\n"
    "-----END SSH SIGNATURE-----\n";

const std::string p521_key =
    "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAFWcgmr1ghR"
    "T9DccqPK6DyIyvv35otswXuFVHFWktBebC36xHmxAEYmA9MUO4duS0QoTqCqjaTRxSxPi3o0G6sEOQEb1Md3"
    "lIeco4HVSCRE6xneCV19VrEaTgNOUw71fm+hDJTYFUaBdae/DooxA8RhgnV+0VKe0TxljCTsglVxNk6oYw==";
const std::string p521_signature =
    "-----BEGIN SSH SIGNATURE-----\n"
    "U1NIU0lHAAAAAQAAAKwAAAATZWNkc2Etc2hhMi1uaXN0cDUyMQAAAAhuaXN0cDUyMQAAAI\n"
    "UEAVZyCavWCFFP0Nxyo8roPIjK+/fmi2zBe4VUcVaS0F5sLfrEebEARiYD0xQ7h25LRChO\n"
    "oKqNpNHFLE+LejQbqwQ5ARvUx3eUh5yjgdVIJETrGd4JXX1WsRpOA05TDvV+b6EMlNgVRo\n"
    "F1p78OijEDxGGCdX7RUp7RPGWMJOyCVXE2TqhjAAAAA2dpdAAAAAAAAAAGc2hhNTEyAAAA\n"
    "pgAAABNlY2RzYS1zaGEyLW5pc3RwNTIxAAAAiwAAAEF83I401NIynWQWGeu+7oBcj2ZNH3\n"
    "UmaGMS/wd10AhYKRRAoE16MmeSbGebdO7mTrsCP1DLZvQpVRekA66uElzWVAAAAEIB3WU5\n"
    "n5B+mdiu0KIAAuEs5MtZiCfqLuDZ6fTzKKpVt+/qO6VZMGonN1GHhP3ctws8cE37SKuelU\n"
    "tE+/diShnzrKA=\n"
    "-----END SSH SIGNATURE-----\n";

const std::string weak_key =
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCjdHVUVrrahDR2aWLCHZ2a1YPNmZN8b9z6B2DjiEi+iweO"
    "xVJdS9cfVbk+sVagSZ/cBiTi9GqxV5QuNqxvdleNgsAykCqPpi358iu1ZYpN/n32v4RBfcjxS2EXslunFeT0"
    "ymiiHDAqrL+gw05FmCIuwXW7MmJiW/Z9ni6CUcQRCQ==";
const std::string sha256_signature =
    "-----BEGIN SSH SIGNATURE-----\n"
    "U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAg+F6diJBG4h6D6PFK14bldn5xWf\n"
    "ixWOZ0ZthvxHULiNQAAAADZ2l0AAAAAAAAAAZzaGEyNTYAAABTAAAAC3NzaC1lZDI1NTE5\n"
    "AAAAQBljlf4Nh4vG5HlrGUwneohr25sfKZy6fFqaQCi50z/4OM63SlGX++tS8zMlxnFtzO\n"
    "K6ZPThstITw9wOj4iqgw4=\n"
    "-----END SSH SIGNATURE-----\n";
const std::string signature_of_a_file =
    "-----BEGIN SSH SIGNATURE-----\n"
    "U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAg+F6diJBG4h6D6PFK14bldn5xWf\n"
    "ixWOZ0ZthvxHULiNQAAAAEZmlsZQAAAAAAAAAGc2hhNTEyAAAAUwAAAAtzc2gtZWQyNTUx\n"
    "OQAAAED8dFghCQfjzM0MRBBEiB+8gqyWXt/Mj+xCvh0Pn/4X/LU2jkyMKbrYT19oEXuRFO\n"
    "YtzaIQM6zTZZzl+f4mK+cI\n"
    "-----END SSH SIGNATURE-----\n";

SshKeys keys_of(const std::string& lines) {
    SshKeys keys;
    keys.add(lines);
    return keys;
}
std::optional<ErrorKind> refused(const SshKeys& keys, const std::string& signature,
                                 const std::string& text = message,
                                 const std::string& name_space = "git") {
    try {
        static_cast<void>(keys.verify(signature, text, name_space));
    } catch (const Error& error) {
        return error.kind();
    }
    return std::nullopt;
}

TEST(SshKeys, VerifyWhatSshKeygenSigned) {
    const auto all =
        keys_of(ed25519_key + " me@example\n" + rsa_key + "\n" + p256_key + "\n" + p521_key + "\n");
    EXPECT_EQ(all.verify(ed25519_signature, message, "git"),
              "SHA256:F/9oKSpWXoE8gt7IMP+K8Pl5uEceqH0rqIjSXphbKgw");
    EXPECT_EQ(all.verify(rsa_signature, message, "git"),
              "SHA256:cEuLWV2cfrO9jpMoSW7ZGrOIrYdWfsi/5vyMPgp0QWc");
    EXPECT_EQ(all.verify(p256_signature, message, "git"),
              "SHA256:Ng7CJ1iVrStYxzM5SfNsT8qHB8RlSB/QyZMN3PywhVc");
    EXPECT_EQ(all.verify(p521_signature, message, "git"),
              "SHA256:92NLBVmyXzY6pOA/JFxKJm63rJzLQ5WHGCX6xtDRBnc");
    EXPECT_EQ(refused(all, sha256_signature), std::nullopt);
    EXPECT_EQ(refused(all, "\n" + ed25519_signature + "trailing text"), std::nullopt);
}

TEST(SshKeys, RefuseWhatDoesNotFit) {
    for (const auto& [key, signature] :
         {std::pair{ed25519_key, ed25519_signature}, std::pair{rsa_key, rsa_signature},
          std::pair{p256_key, p256_signature}, std::pair{p521_key, p521_signature}}) {
        const auto keys = keys_of(key);
        EXPECT_EQ(refused(keys, signature, message + " "), ErrorKind::denied);
        EXPECT_EQ(refused(keys, signature, ""), ErrorKind::denied);
        EXPECT_EQ(refused(keys, signature, message, "file"), ErrorKind::denied);
        EXPECT_EQ(refused(SshKeys{}, signature), ErrorKind::denied);
    }
    EXPECT_EQ(refused(keys_of(ed25519_key), rsa_signature), ErrorKind::denied);
    EXPECT_EQ(refused(keys_of(ed25519_key), signature_of_a_file), ErrorKind::denied);
    EXPECT_EQ(refused(keys_of(ed25519_key), signature_of_a_file, message, "file"), std::nullopt);
}

TEST(SshKeys, RefuseASignatureThatIsNone) {
    const auto keys = keys_of(ed25519_key + "\n" + p256_key + "\n" + rsa_key);
    EXPECT_EQ(refused(keys, ""), ErrorKind::invalid);
    EXPECT_EQ(refused(keys, "-----BEGIN PGP SIGNATURE-----"), ErrorKind::invalid);
    EXPECT_EQ(refused(keys, std::string(100'000, 'a')), ErrorKind::invalid);
    // Each byte of it wrong in turn, and each end of it missing: never taken, never a crash.
    for (const auto& whole : {ed25519_signature, p256_signature, rsa_signature}) {
        const auto body = whole.find('\n') + 1;
        const auto end = whole.find("\n-----END");
        for (auto at = body; at < end; ++at) {
            auto changed = whole;
            if (changed[at] == '\n') continue;
            changed[at] = changed[at] == 'A' ? 'B' : 'A';
            if (changed.substr(end - 4, 4) != whole.substr(end - 4, 4)) continue;  // spare bits
            EXPECT_NE(refused(keys, changed), std::nullopt) << at;
            EXPECT_EQ(refused(keys, whole.substr(0, at) + whole.substr(end)), ErrorKind::invalid);
        }
    }
}

TEST(SshKeys, AreReadFromTheFilesOfOpenSsh) {
    EXPECT_TRUE(keys_of("").empty());
    EXPECT_TRUE(keys_of("# a comment\n\n  \nsk-ssh-ed25519@openssh.com AAAA me\n").empty());
    EXPECT_EQ(refused(keys_of("*@example.org namespaces=\"git,file\" " + ed25519_key + " me\r\n"),
                      ed25519_signature),
              std::nullopt);
    EXPECT_EQ(refused(keys_of("command=\"a b\",no-pty " + ed25519_key), ed25519_signature),
              std::nullopt);
    EXPECT_THROW(keys_of(weak_key), Error);
    EXPECT_THROW(keys_of("ssh-ed25519 !!!!"), Error);
    EXPECT_THROW(keys_of("ssh-rsa " + ed25519_key.substr(ed25519_key.find(' ') + 1)), Error);
    for (const auto& key : {ed25519_key, rsa_key, p256_key}) {
        const auto start = key.find(' ') + 1;
        for (auto size = start + 4; size < key.size(); size += 4)
            EXPECT_THROW(keys_of(key.substr(0, size)), Error) << size;
    }
}

}  // namespace
}  // namespace kled::crypto
