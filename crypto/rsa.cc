#include "crypto/rsa.h"

#include "crypto/openssl.h"

namespace kled::crypto {

std::string sign_rs256(std::string_view private_key_pem, std::string_view message) {
    constexpr int least_bits = 2048;
    constexpr int most_bits = 8192;  // beyond it a signature takes seconds
    const auto key = private_key_from_pem(private_key_pem, "RSA key");
    if (EVP_PKEY_is_a(key.get(), "RSA") != 1)
        throw Error{ErrorKind::invalid, "RSA key: a key of another type"};
    if (const auto bits = EVP_PKEY_get_bits(key.get()); bits < least_bits || bits > most_bits)
        throw Error{ErrorKind::invalid, "RSA key: it has " + std::to_string(bits) + " bits, not " +
                                            std::to_string(least_bits) + " to " +
                                            std::to_string(most_bits)};
    const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context{EVP_MD_CTX_new()};
    std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(key.get())), '\0');
    auto size = signature.size();
    check(context &&
              EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
              EVP_DigestSign(context.get(), bytes_of(signature), &size, bytes_of(message),
                             message.size()) == 1,
          "RS256 signature");
    signature.resize(size);
    return signature;
}

}  // namespace kled::crypto
