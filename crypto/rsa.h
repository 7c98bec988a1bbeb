/// RSA signatures, for tokens that others ask for.
#pragma once

#include <string>
#include <string_view>

namespace kled::crypto {

/// RSASSA-PKCS1-v1_5 with SHA-256 over `message` (RFC 8017; "RS256" of RFC 7518), raw bytes.
/// Error(invalid) unless `private_key_pem` is an unencrypted RSA key of 2048 to 8192 bits.
[[nodiscard]] std::string sign_rs256(std::string_view private_key_pem, std::string_view message);

}  // namespace kled::crypto
