/// Bytes as text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kled {

[[nodiscard]] std::string to_hex(std::string_view bytes);
[[nodiscard]] std::optional<std::string> from_hex(std::string_view text);

/// RFC 4648 §4 with padding. Decoding accepts line breaks, and nothing else outside the alphabet.
[[nodiscard]] std::string to_base64(std::string_view bytes);
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);
/// RFC 4648 §5 without padding (JWT, tokens).
[[nodiscard]] std::string to_base64url(std::string_view bytes);
[[nodiscard]] std::optional<std::string> from_base64url(std::string_view text);

/// UTF-8 without surrogates, overlong forms or values past U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

}  // namespace kled
