#include "crypto/aes_gcm.h"

#include "crypto/openssl.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <limits>

namespace kled::crypto {

namespace {

using CipherContext = Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>;

constexpr std::size_t key_size = 32;
constexpr std::size_t tag_size = 16;
constexpr std::size_t nonce_limit = 128;

}  // namespace

std::optional<Secret> aes256_gcm_open(const Secret& key, std::string_view nonce,
                                      std::string_view sealed, std::string_view tag,
                                      std::string_view associated) {
    constexpr auto limit = static_cast<std::size_t>(std::numeric_limits<int>::max());
    if (key.reveal().size() != key_size || tag.size() != tag_size || nonce.empty() ||
        nonce.size() > nonce_limit || sealed.size() > limit || associated.size() > limit) {
        return std::nullopt;
    }
    const CipherContext context{EVP_CIPHER_CTX_new()};
    std::string plain(sealed.size(), '\0');
    std::string expected{tag};
    int size = 0;
    int rest = 0;
    check(
        context &&
            EVP_DecryptInit_ex2(context.get(), EVP_aes_256_gcm(), nullptr, nullptr, nullptr) == 1 &&
            EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_IVLEN,
                                static_cast<int>(nonce.size()), nullptr) == 1 &&
            EVP_DecryptInit_ex2(context.get(), nullptr, bytes_of(key.reveal()), bytes_of(nonce),
                                nullptr) == 1,
        "AES-256-GCM");
    const bool good =
        EVP_DecryptUpdate(context.get(), nullptr, &size, bytes_of(associated),
                          static_cast<int>(associated.size())) == 1 &&
        EVP_DecryptUpdate(context.get(), bytes_of(plain), &size, bytes_of(sealed),
                          static_cast<int>(sealed.size())) == 1 &&
        EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, tag_size, expected.data()) == 1 &&
        EVP_DecryptFinal_ex(context.get(), bytes_of(plain) + size, &rest) == 1;
    if (!good) {
        ERR_clear_error();
        wipe(plain);
        return std::nullopt;
    }
    return Secret{std::move(plain)};
}

}  // namespace kled::crypto
