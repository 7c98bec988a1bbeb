#include "base/encoding.h"

#include <array>
#include <cstdint>

namespace kled {

namespace {

constexpr std::string_view standard_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view url_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::uint8_t not_a_digit = 0xff;
using Digits = std::array<std::uint8_t, 256>;

constexpr Digits digits_of(std::string_view alphabet) {
    Digits digits{};
    digits.fill(not_a_digit);
    for (std::size_t i = 0; i < alphabet.size(); ++i)
        digits[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
    return digits;
}

constexpr Digits standard_digits = digits_of(standard_alphabet);
constexpr Digits url_digits = digits_of(url_alphabet);

std::string encode64(std::string_view bytes, std::string_view alphabet, bool padded) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    std::uint32_t bits = 0;
    int held = 0;
    for (const char c : bytes) {
        bits = bits << 8U | static_cast<unsigned char>(c);
        for (held += 8; held >= 6; held -= 6) text += alphabet[bits >> (held - 6) & 0x3fU];
    }
    if (held > 0) text += alphabet[bits << (6 - held) & 0x3fU];
    while (padded && text.size() % 4 != 0) text += '=';
    return text;
}

/// Go's `encoding/base64` in its default, non-strict mode: unused low bits of the last digit are
/// dropped.
std::optional<std::string> decode64(std::string_view text, const Digits& digits, bool padded) {
    std::string bytes;
    bytes.reserve(text.size() / 4 * 3 + 3);
    std::uint32_t bits = 0;
    int held = 0;
    std::size_t count = 0;
    std::size_t padding = 0;
    for (const char c : text) {
        if (padded && (c == '\n' || c == '\r')) continue;
        if (padded && c == '=') {
            ++padding;
            continue;
        }
        const auto digit = digits[static_cast<unsigned char>(c)];
        if (digit == not_a_digit || padding > 0) return std::nullopt;
        bits = bits << 6U | digit;
        held += 6;
        ++count;
        if (held >= 8) {
            held -= 8;
            bytes += static_cast<char>(bits >> held & 0xffU);
        }
    }
    if (count % 4 == 1) return std::nullopt;
    if (padded && padding != (4 - count % 4) % 4) return std::nullopt;
    return bytes;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

std::string to_hex(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const char c : bytes) {
        text += digits[static_cast<unsigned char>(c) >> 4U];
        text += digits[static_cast<unsigned char>(c) & 0xfU];
    }
    return text;
}

std::optional<std::string> from_hex(std::string_view text) {
    if (text.size() % 2 != 0) return std::nullopt;
    std::string bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = hex_digit(text[i]);
        const int low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        bytes += static_cast<char>(high * 16 + low);
    }
    return bytes;
}

std::string to_base64(std::string_view bytes) { return encode64(bytes, standard_alphabet, true); }
std::string to_base64url(std::string_view bytes) { return encode64(bytes, url_alphabet, false); }

std::optional<std::string> from_base64(std::string_view text) {
    return decode64(text, standard_digits, true);
}

std::optional<std::string> from_base64url(std::string_view text) {
    return decode64(text, url_digits, false);
}

bool is_utf8(std::string_view text) noexcept {
    // Unicode 15.0, table 3-7: the second byte's range depends on the first, the rest is 80..BF.
    for (std::size_t i = 0; i < text.size();) {
        const auto first = static_cast<unsigned char>(text[i++]);
        if (first < 0x80) continue;
        std::size_t more = 0;
        unsigned low = 0x80;
        unsigned high = 0xbf;
        if (first >= 0xc2 && first <= 0xdf) {
            more = 1;
        } else if (first >= 0xe0 && first <= 0xef) {
            more = 2;
            if (first == 0xe0) low = 0xa0;
            if (first == 0xed) high = 0x9f;
        } else if (first >= 0xf0 && first <= 0xf4) {
            more = 3;
            if (first == 0xf0) low = 0x90;
            if (first == 0xf4) high = 0x8f;
        } else {
            return false;
        }
        for (; more > 0; --more, low = 0x80, high = 0xbf) {
            if (i == text.size()) return false;
            const auto next = static_cast<unsigned char>(text[i++]);
            if (next < low || next > high) return false;
        }
    }
    return true;
}

}  // namespace kled
