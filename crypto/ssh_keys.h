/// Signatures that `ssh-keygen -Y sign` makes (OpenSSH PROTOCOL.sshsig), checked against public
/// keys that are trusted.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kled::crypto {

/// Keys that may sign: ssh-ed25519, ssh-rsa of 2048 bits and more, ecdsa-sha2-nistp256, 384 and
/// 521. Keys on hardware (sk-…) and certificates are not among them.
class SshKeys {
public:
    static constexpr std::size_t limit = 1000;

    /// Lines of an authorized_keys or allowed_signers file; '#' begins a comment. Lines without a
    /// key of these types are passed over. Error(invalid) for one that is damaged or too weak,
    /// Error(exhausted) past `limit`.
    void add(std::string_view lines);

    [[nodiscard]] bool empty() const noexcept { return keys_.empty(); }

    /// "SHA256:…", the fingerprint of the key that made `armored` over `message` in `name_space`
    /// ("git"). Error(denied) when that is none of these or the signature does not fit, says
    /// another namespace or leans on SHA-1; Error(invalid) when it is no signature at all.
    [[nodiscard]] std::string verify(std::string_view armored, std::string_view message,
                                     std::string_view name_space) const;

private:
    std::vector<std::string> keys_;  // as on the wire (RFC 4253 §6.6)
};

inline constexpr std::string_view ssh_signature_begin = "-----BEGIN SSH SIGNATURE-----";
inline constexpr std::string_view ssh_signature_end = "-----END SSH SIGNATURE-----";

}  // namespace kled::crypto
