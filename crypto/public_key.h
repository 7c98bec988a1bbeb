/// Public keys of the kinds that sign artifacts and messages.
#pragma once

#include <memory>
#include <string_view>

namespace kled::crypto {

class PublicKey {
public:
    /// SubjectPublicKeyInfo PEM: ECDSA over P-256, P-384 or P-521, RSA of 2048 to 8192 bits, or
    /// Ed25519. Error(invalid) for anything else.
    static PublicKey from_pem(std::string_view pem);

    /// ECDSA (FIPS 186-5, DER) and RSASSA-PKCS1-v1_5 (RFC 8017) over the SHA-256 of `message`;
    /// Ed25519 (RFC 8032) over `message` itself.
    [[nodiscard]] bool verify(std::string_view message, std::string_view signature) const noexcept;

private:
    struct Impl;
    explicit PublicKey(std::shared_ptr<const Impl> impl) noexcept;
    std::shared_ptr<const Impl> impl_;
};

}  // namespace kled::crypto
