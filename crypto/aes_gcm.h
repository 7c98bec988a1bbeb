/// AES-256-GCM (NIST SP 800-38D), opened: what SOPS seals single values with.
#pragma once

#include "base/secret.h"

#include <optional>
#include <string>
#include <string_view>

namespace kled::crypto {

/// nullopt when `sealed` or `associated` is not what was sealed under `key`, or a size is wrong: a
/// key of 32 bytes, a nonce of 1 to 128, a tag of 16.
[[nodiscard]] std::optional<Secret> aes256_gcm_open(const Secret& key, std::string_view nonce,
                                                    std::string_view sealed, std::string_view tag,
                                                    std::string_view associated);

}  // namespace kled::crypto
