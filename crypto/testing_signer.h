/// For tests: keys that sign, of every kind that PublicKey knows.
#pragma once

#include "crypto/openssl.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <string>
#include <string_view>

namespace kled::crypto::testing {

class Signer {
public:
    static Signer ecdsa(const char* curve = "P-256") { return Signer{EVP_EC_gen(curve)}; }
    static Signer rsa(unsigned bits = 2048) { return Signer{EVP_RSA_gen(bits)}; }
    static Signer ed25519() { return Signer{EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")}; }

    [[nodiscard]] std::string public_pem() const {
        const auto bio = writing();
        check(PEM_write_bio_PUBKEY(bio.get(), key_.get()) == 1, "PEM_write_bio_PUBKEY");
        return text_of(bio);
    }
    [[nodiscard]] std::string sign(std::string_view message) const {
        const bool hashed = EVP_PKEY_is_a(key_.get(), "ED25519") != 1;
        const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context{EVP_MD_CTX_new()};
        std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(key_.get())), '\0');
        auto size = signature.size();
        check(EVP_DigestSignInit(context.get(), nullptr, hashed ? EVP_sha256() : nullptr, nullptr,
                                 key_.get()) == 1 &&
                  EVP_DigestSign(context.get(), bytes_of(signature), &size, bytes_of(message),
                                 message.size()) == 1,
              "signature");
        signature.resize(size);
        return signature;
    }

private:
    explicit Signer(EVP_PKEY* key) : key_{key} { check(key != nullptr, "key"); }
    Key key_;
};

}  // namespace kled::crypto::testing
