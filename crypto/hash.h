/// Digests. XXH3 is for our own caches and change checks only: it stops accidents, not attackers.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace kled::crypto {

using Sha256 = std::array<unsigned char, 32>;

[[nodiscard]] Sha256 sha256(std::string_view bytes);
[[nodiscard]] std::string sha256_hex(std::string_view bytes);
[[nodiscard]] std::string sha512_hex(std::string_view bytes);
/// HMAC-SHA-256 (RFC 2104), raw bytes.
[[nodiscard]] std::string hmac_sha256(std::string_view key, std::string_view message);
[[nodiscard]] std::string hmac_hex(std::string_view algorithm, std::string_view key,
                                   std::string_view message);  ///< "sha1", "sha256", "sha512"
[[nodiscard]] std::uint64_t xxh3(std::string_view bytes) noexcept;

/// A digest of what comes in pieces.
class Sha256Stream {
public:
    Sha256Stream();
    ~Sha256Stream();
    void update(std::string_view bytes);
    [[nodiscard]] Sha256 finish();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// From the system's generator. Error(internal) if it fails.
[[nodiscard]] std::string random_bytes(std::size_t count);
[[nodiscard]] std::string random_hex(std::size_t bytes);
/// RFC 9562 version 4, as metadata.uid.
[[nodiscard]] std::string uuid4();

}  // namespace kled::crypto
