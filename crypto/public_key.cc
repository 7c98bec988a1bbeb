#include "crypto/public_key.h"

#include "crypto/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace kled::crypto {

namespace {

constexpr int least_rsa_bits = 2048;
constexpr int most_rsa_bits = 8192;  // beyond it a look takes too long

bool is_good_curve(const EVP_PKEY* key) {
    std::array<char, 32> name{};
    std::size_t size = 0;
    if (EVP_PKEY_get_group_name(key, name.data(), name.size(), &size) != 1) return false;
    constexpr std::array<std::string_view, 3> curves{"prime256v1", "secp384r1", "secp521r1"};
    return std::ranges::find(curves, std::string_view{name.data(), size}) != curves.end();
}

}  // namespace

struct PublicKey::Impl {
    Key key;
    bool hashed = true;  ///< the message's digest is signed, not itself
};

PublicKey::PublicKey(std::shared_ptr<const Impl> impl) noexcept : impl_{std::move(impl)} {}

PublicKey PublicKey::from_pem(std::string_view pem) {
    const auto bio = reading(pem);
    // The empty password stands in for OpenSSL's prompt on the terminal.
    std::array<char, 1> no_password{};
    Impl result{.key = Key{PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, no_password.data())}};
    if (!result.key)
        throw openssl_error(ErrorKind::invalid, "not the PEM of a public key (BEGIN PUBLIC KEY)");
    auto* const key = result.key.get();
    if (EVP_PKEY_is_a(key, "ED25519") == 1) {
        result.hashed = false;
    } else if (EVP_PKEY_is_a(key, "RSA") == 1) {
        const auto bits = EVP_PKEY_get_bits(key);
        if (bits < least_rsa_bits || bits > most_rsa_bits) {
            throw Error{ErrorKind::invalid, "an RSA key of " + std::to_string(bits) +
                                                " bits, not " + std::to_string(least_rsa_bits) +
                                                " to " + std::to_string(most_rsa_bits)};
        }
    } else if (EVP_PKEY_is_a(key, "EC") != 1 || !is_good_curve(key)) {
        throw Error{ErrorKind::invalid,
                    "a public key that is neither ECDSA over P-256, P-384 or P-521 nor RSA nor "
                    "Ed25519"};
    }
    return PublicKey{std::make_shared<const Impl>(std::move(result))};
}

bool PublicKey::verify(std::string_view message, std::string_view signature) const noexcept {
    const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context{EVP_MD_CTX_new()};
    const bool good =
        context &&
        EVP_DigestVerifyInit(context.get(), nullptr, impl_->hashed ? EVP_sha256() : nullptr,
                             nullptr, impl_->key.get()) == 1 &&
        EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message),
                         message.size()) == 1;
    ERR_clear_error();
    return good;
}

}  // namespace kled::crypto
