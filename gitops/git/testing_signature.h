/// For tests: signatures as `ssh-keygen -Y sign -n git` makes them.
#pragma once

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

#include <string>

namespace kled::gitops::git::testing {

class Signer {
public:
    /// "ssh-ed25519 AAAA…": a line of an authorized_keys file.
    [[nodiscard]] std::string public_key() const { return "ssh-ed25519 " + to_base64(blob()); }

    [[nodiscard]] std::string sign(const std::string& payload,
                                   const std::string& name_space = "git") const {
        const auto digest = *from_hex(crypto::sha512_hex(payload));
        const auto fields = text(name_space) + text("") + text("sha512");
        const auto signature =
            text("ssh-ed25519") + text(key_.sign("SSHSIG" + fields + text(digest)));
        const std::string version{"\0\0\0\1", 4};
        auto body = to_base64("SSHSIG" + version + text(blob()) + fields + text(signature));
        for (std::size_t at = 70; at < body.size(); at += 71) body.insert(at, "\n");
        return "-----BEGIN SSH SIGNATURE-----\n" + body + "\n-----END SSH SIGNATURE-----\n";
    }

private:
    static std::string text(const std::string& bytes) {
        std::string result(3, '\0');
        result[1] = static_cast<char>(bytes.size() >> 16U);
        result[2] = static_cast<char>(bytes.size() >> 8U & 0xffU);
        result += static_cast<char>(bytes.size() & 0xffU);
        return result + bytes;
    }
    [[nodiscard]] std::string blob() const {
        return text("ssh-ed25519") + text(key_.verifying_key().raw());
    }

    crypto::SigningKey key_ = crypto::SigningKey::generate();
};

}  // namespace kled::gitops::git::testing
