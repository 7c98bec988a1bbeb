#include "crypto/sign.h"

#include "base/encoding.h"
#include "base/file.h"
#include "crypto/hash.h"
#include "crypto/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>

namespace kled::crypto {

namespace {

using DigestContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;
constexpr std::size_t key_size = 32;
constexpr std::size_t signature_size = 64;

std::string raw_public_key(const Key& key) {
    std::string raw(key_size, '\0');
    std::size_t size = raw.size();
    check(EVP_PKEY_get_raw_public_key(key.get(), bytes_of(raw), &size) == 1 && size == key_size,
          "Ed25519 public key");
    return raw;
}

Key public_key(std::string_view raw) {
    return Key{EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(raw), raw.size())};
}

}  // namespace

VerifyingKey VerifyingKey::from_raw(std::string_view raw) {
    if (raw.size() != key_size) {
        throw Error{ErrorKind::invalid,
                    "an Ed25519 public key has 32 bytes, not " + std::to_string(raw.size())};
    }
    return VerifyingKey{std::string{raw}};
}

VerifyingKey VerifyingKey::from_pem(std::string_view pem) {
    const auto bio = reading(pem);
    const Key key{PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr)};
    if (!key || EVP_PKEY_is_a(key.get(), "ED25519") != 1)
        throw openssl_error(ErrorKind::invalid, "not the PEM of an Ed25519 public key");
    return VerifyingKey{raw_public_key(key)};
}

std::string VerifyingKey::pem() const {
    const auto key = public_key(raw_);
    const auto bio = writing();
    check(key && PEM_write_bio_PUBKEY(bio.get(), key.get()) == 1, "PEM_write_bio_PUBKEY");
    return text_of(bio);
}

std::string VerifyingKey::id() const { return sha256_hex(raw_).substr(0, 16); }

bool VerifyingKey::verify(std::string_view message, std::string_view signature) const noexcept {
    if (signature.size() != signature_size) return false;
    const auto key = public_key(raw_);
    const DigestContext context{EVP_MD_CTX_new()};
    const bool good =
        key && context &&
        EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
        EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message),
                         message.size()) == 1;
    ERR_clear_error();
    return good;
}

struct SigningKey::Impl {
    Key key;
};

SigningKey::SigningKey(std::unique_ptr<Impl> impl) noexcept : impl_{std::move(impl)} {}
SigningKey::SigningKey(SigningKey&&) noexcept = default;
SigningKey& SigningKey::operator=(SigningKey&&) noexcept = default;
SigningKey::~SigningKey() = default;

SigningKey SigningKey::generate() {
    Key key{EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")};
    check(key != nullptr, "Ed25519 key");
    return SigningKey{std::make_unique<Impl>(std::move(key))};
}

SigningKey SigningKey::from_pem(std::string_view pem) {
    auto key = private_key_from_pem(pem, "signing key");
    if (EVP_PKEY_is_a(key.get(), "ED25519") != 1)
        throw Error{ErrorKind::invalid, "signing key: not an Ed25519 key"};
    return SigningKey{std::make_unique<Impl>(std::move(key))};
}

SigningKey SigningKey::load_or_create(const std::filesystem::path& path) {
    if (std::filesystem::exists(path)) {
        try {
            return from_pem(read_private_file(path).reveal());
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::invalid) throw error.within(path.string());
            throw;
        }
    }
    auto key = generate();
    write_file_atomic(path, key.pem().reveal(), 0600);
    return key;
}

Secret SigningKey::pem() const { return private_key_pem(impl_->key); }

VerifyingKey SigningKey::verifying_key() const {
    return VerifyingKey::from_raw(raw_public_key(impl_->key));
}

std::string SigningKey::sign(std::string_view message) const {
    const DigestContext context{EVP_MD_CTX_new()};
    std::string signature(signature_size, '\0');
    std::size_t size = signature.size();
    check(context &&
              EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, impl_->key.get()) == 1 &&
              EVP_DigestSign(context.get(), bytes_of(signature), &size, bytes_of(message),
                             message.size()) == 1,
          "Ed25519 signature");
    return signature;
}

}  // namespace kled::crypto
