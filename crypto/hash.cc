#include "crypto/hash.h"

#include "base/encoding.h"
#include "crypto/openssl.h"

#include <openssl/rand.h>
#include <xxhash.h>

#include <climits>

namespace kled::crypto {

namespace {

/// Fetched once: looking an algorithm up by name costs more than hashing a small object.
const EVP_MD* sha256_algorithm() {
    static EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    check(algorithm != nullptr, "SHA256");
    return algorithm;
}

std::string_view view(const Sha256& digest) noexcept {
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string hmac(const char* algorithm, std::string_view key, std::string_view message) {
    std::string code(EVP_MAX_MD_SIZE, '\0');
    std::size_t size = 0;
    // A null key means "none" to OpenSSL, an empty one is allowed.
    const char* bytes = key.data() != nullptr ? key.data() : "";
    check(
        EVP_Q_mac(nullptr, "HMAC", nullptr, algorithm, nullptr, bytes, key.size(),
                  bytes_of(message), message.size(), bytes_of(code), code.size(), &size) != nullptr,
        "HMAC");
    code.resize(size);
    return code;
}

}  // namespace

Sha256 sha256(std::string_view bytes) {
    Sha256 digest{};
    check(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, sha256_algorithm(),
                     nullptr) == 1,
          "SHA256");
    return digest;
}

std::string sha256_hex(std::string_view bytes) { return to_hex(view(sha256(bytes))); }

std::string sha512_hex(std::string_view bytes) {
    std::string digest(64, '\0');
    check(EVP_Q_digest(nullptr, "SHA512", nullptr, bytes.data() != nullptr ? bytes.data() : "",
                       bytes.size(), bytes_of(digest), nullptr) == 1,
          "SHA512");
    return to_hex(digest);
}

std::string hmac_sha256(std::string_view key, std::string_view message) {
    return hmac("SHA256", key, message);
}

std::string hmac_hex(std::string_view algorithm, std::string_view key, std::string_view message) {
    for (const auto* known : {"sha1", "sha256", "sha512"})
        if (algorithm == known) return to_hex(hmac(known, key, message));
    throw Error{ErrorKind::invalid, "HMAC with \"" + std::string{algorithm} +
                                        "\": must be one of sha1, sha256, sha512"};
}

std::uint64_t xxh3(std::string_view bytes) noexcept {
    return XXH3_64bits(bytes.data(), bytes.size());
}

struct Sha256Stream::Impl {
    Owned<EVP_MD_CTX, EVP_MD_CTX_free> context{EVP_MD_CTX_new()};
};

Sha256Stream::Sha256Stream() : impl_{std::make_unique<Impl>()} {
    check(impl_->context != nullptr &&
              EVP_DigestInit_ex2(impl_->context.get(), sha256_algorithm(), nullptr) == 1,
          "SHA256");
}

Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::update(std::string_view bytes) {
    check(EVP_DigestUpdate(impl_->context.get(), bytes.data(), bytes.size()) == 1, "SHA256");
}

Sha256 Sha256Stream::finish() {
    Sha256 digest{};
    check(EVP_DigestFinal_ex(impl_->context.get(), digest.data(), nullptr) == 1, "SHA256");
    return digest;
}

std::string random_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    check(count <= INT_MAX && RAND_bytes(bytes_of(bytes), static_cast<int>(count)) == 1,
          "random numbers");
    return bytes;
}

std::string random_hex(std::size_t bytes) { return to_hex(random_bytes(bytes)); }

std::string uuid4() {
    auto bytes = random_bytes(16);
    bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);  // version 4
    bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);  // variant 10
    auto text = to_hex(bytes);
    for (const std::size_t dash : {8U, 13U, 18U, 23U}) text.insert(dash, 1, '-');
    return text;
}

}  // namespace kled::crypto
