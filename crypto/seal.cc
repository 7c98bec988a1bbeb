#include "crypto/seal.h"

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/openssl.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

// The format: C2SP age.md (age-encryption.org/v1); section names below are its own.

namespace kled::crypto {

namespace {

constexpr std::size_t point_size = 32;
constexpr std::size_t file_key_size = 16;
constexpr std::size_t tag_size = 16;
constexpr std::size_t payload_nonce_size = 16;
constexpr std::size_t chunk_size = 65'536;
constexpr std::size_t line_size = 64;
/// A thousand recipients; each costs the reader one key agreement.
constexpr std::size_t header_limit = 131'072;

constexpr std::string_view version_line = "age-encryption.org/v1\n";
constexpr std::string_view armor_begin = "-----BEGIN AGE ENCRYPTED FILE-----";
constexpr std::string_view armor_end = "-----END AGE ENCRYPTED FILE-----";
constexpr std::string_view x25519_info = "age-encryption.org/v1/X25519";

Error malformed(const std::string& what) {
    return {ErrorKind::invalid, "not a well-formed age file: " + what};
}

Error altered() { return {ErrorKind::denied, "age file: it was altered, or is cut off"}; }

// ---- Bech32 (BIP 173), without its length limit, as age uses it

constexpr std::string_view bech32_alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
using Digits = std::vector<std::uint8_t>;  // of five bits

std::uint32_t bech32_polymod(const Digits& values) {
    constexpr std::array<std::uint32_t, 5> generator{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd,
                                                     0x2a1462b3};
    std::uint32_t checksum = 1;
    for (const auto value : values) {
        const auto top = checksum >> 25U;
        checksum = (checksum & 0x1ffffffU) << 5U ^ value;
        for (unsigned i = 0; i < generator.size(); ++i)
            if ((top >> i & 1U) != 0) checksum ^= generator[i];
    }
    return checksum;
}

Digits bech32_expand(std::string_view prefix) {
    Digits values;
    for (const char c : prefix) values.push_back(static_cast<std::uint8_t>(c) >> 5U);
    values.push_back(0);
    for (const char c : prefix) values.push_back(static_cast<std::uint8_t>(c) & 31U);
    return values;
}

std::string bech32_encode(std::string_view prefix, std::string_view bytes) {
    Digits digits;
    std::uint32_t bits = 0;
    unsigned held = 0;
    for (const char c : bytes) {
        bits = (bits << 8U | static_cast<unsigned char>(c)) & 0xfffU;
        for (held += 8; held >= 5; held -= 5)
            digits.push_back(static_cast<std::uint8_t>(bits >> (held - 5) & 31U));
    }
    if (held > 0) digits.push_back(static_cast<std::uint8_t>(bits << (5 - held) & 31U));
    auto values = bech32_expand(prefix);
    values.insert(values.end(), digits.begin(), digits.end());
    values.resize(values.size() + 6);
    const auto checksum = bech32_polymod(values) ^ 1U;
    for (unsigned i = 0; i < 6; ++i)
        digits.push_back(static_cast<std::uint8_t>(checksum >> (25 - 5 * i) & 31U));
    std::string text{prefix};
    text += '1';
    for (const auto digit : digits) text += bech32_alphabet[digit];
    return text;
}

/// `text` in lower case; nullopt for another prefix, a wrong checksum or stray bits.
std::optional<std::string> bech32_decode(std::string_view prefix, std::string_view text) {
    if (!text.starts_with(prefix)) return std::nullopt;
    text.remove_prefix(prefix.size());
    if (!text.starts_with('1') || text.size() < 7) return std::nullopt;
    text.remove_prefix(1);
    auto values = bech32_expand(prefix);
    std::string bytes;
    std::uint32_t bits = 0;
    unsigned held = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto digit = bech32_alphabet.find(text[i]);
        if (digit == std::string_view::npos) return std::nullopt;
        values.push_back(static_cast<std::uint8_t>(digit));
        if (i + 6 >= text.size()) continue;  // the checksum
        bits = (bits << 5U | static_cast<std::uint32_t>(digit)) & 0xfffU;
        held += 5;
        if (held >= 8) {
            held -= 8;
            bytes += static_cast<char>(bits >> held & 0xffU);
        }
    }
    const bool stray = held >= 5 || (bits & ((1U << held) - 1)) != 0;
    if (stray || bech32_polymod(values) != 1) return std::nullopt;
    return bytes;
}

std::string change_case(std::string_view text, char first, int shift) {
    std::string changed{text};
    for (char& c : changed)
        if (c >= first && c <= first + 25) c = static_cast<char>(c + shift);
    return changed;
}
std::string lower(std::string_view text) { return change_case(text, 'A', 'a' - 'A'); }
std::string upper(std::string_view text) { return change_case(text, 'a', 'A' - 'a'); }

// ---- Primitives

/// HKDF-SHA-256 (RFC 5869), 32 bytes.
Secret hkdf(std::string_view key, std::string_view salt, std::string_view info) {
    const Owned<EVP_KDF, EVP_KDF_free> kdf{EVP_KDF_fetch(nullptr, "HKDF", nullptr)};
    check(kdf != nullptr, "HKDF");
    const Owned<EVP_KDF_CTX, EVP_KDF_CTX_free> context{EVP_KDF_CTX_new(kdf.get())};
    check(context != nullptr, "HKDF");
    std::array<char, 7> digest{"SHA256"};
    const auto octets = [](const char* name, std::string_view bytes) {
        // Null would be refused, where empty is meant.
        const char* data = bytes.empty() ? "" : bytes.data();
        return OSSL_PARAM_construct_octet_string(name, const_cast<char*>(data), bytes.size());
    };
    const std::array<OSSL_PARAM, 5> parameters{
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
        octets(OSSL_KDF_PARAM_KEY, key), octets(OSSL_KDF_PARAM_SALT, salt),
        octets(OSSL_KDF_PARAM_INFO, info), OSSL_PARAM_construct_end()};
    std::string derived(32, '\0');
    check(EVP_KDF_derive(context.get(), bytes_of(derived), derived.size(), parameters.data()) == 1,
          "HKDF");
    return Secret{std::move(derived)};
}

using Nonce = std::array<unsigned char, 12>;
using CipherContext = Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>;

/// ChaCha20-Poly1305 (RFC 8439) without associated data: ciphertext and tag, appended to `out`.
void encrypt(const Secret& key, const Nonce& nonce, std::string_view plain, std::string& out) {
    const CipherContext context{EVP_CIPHER_CTX_new()};
    const auto start = out.size();
    out.resize(start + plain.size() + tag_size);
    auto* const to = bytes_of(out) + start;
    int size = 0;
    int rest = 0;
    check(context &&
              EVP_EncryptInit_ex2(context.get(), EVP_chacha20_poly1305(), bytes_of(key.reveal()),
                                  nonce.data(), nullptr) == 1 &&
              EVP_EncryptUpdate(context.get(), to, &size, bytes_of(plain),
                                static_cast<int>(plain.size())) == 1 &&
              EVP_EncryptFinal_ex(context.get(), to + size, &rest) == 1 &&
              EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, tag_size,
                                  to + plain.size()) == 1,
          "ChaCha20-Poly1305");
}

/// The reverse; false when `sealed` is not what `encrypt` made, and `out` is then as before.
bool decrypt(const Secret& key, const Nonce& nonce, std::string_view sealed, std::string& out) {
    if (sealed.size() < tag_size) return false;
    const auto plain_size = sealed.size() - tag_size;
    std::string tag{sealed.substr(plain_size)};
    const CipherContext context{EVP_CIPHER_CTX_new()};
    const auto start = out.size();
    out.resize(start + plain_size);
    auto* const to = bytes_of(out) + start;
    int size = 0;
    int rest = 0;
    check(context && EVP_DecryptInit_ex2(context.get(), EVP_chacha20_poly1305(),
                                         bytes_of(key.reveal()), nonce.data(), nullptr) == 1,
          "ChaCha20-Poly1305");
    const bool good =
        EVP_DecryptUpdate(context.get(), to, &size, bytes_of(sealed),
                          static_cast<int>(plain_size)) == 1 &&
        EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, tag_size, tag.data()) == 1 &&
        EVP_DecryptFinal_ex(context.get(), to + size, &rest) == 1;
    if (!good) {
        ERR_clear_error();
        std::fill_n(to, plain_size, '\0');
        out.resize(start);
    }
    return good;
}

Key x25519_key(const Secret& raw) {
    Key key{EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, bytes_of(raw.reveal()),
                                         raw.reveal().size())};
    check(key != nullptr, "X25519 key");
    return key;
}

std::string x25519_public(const Key& key) {
    std::string raw(point_size, '\0');
    std::size_t size = raw.size();
    check(EVP_PKEY_get_raw_public_key(key.get(), bytes_of(raw), &size) == 1, "X25519 public key");
    return raw;
}

/// nullopt for a point of low order, whose shared secret would be zero.
std::optional<Secret> x25519(const Key& key, std::string_view peer) {
    const Key other{
        EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, bytes_of(peer), peer.size())};
    const KeyContext context{EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr)};
    std::string shared(point_size, '\0');
    std::size_t size = shared.size();
    check(context && EVP_PKEY_derive_init(context.get()) == 1, "X25519");
    if (!other || EVP_PKEY_derive_set_peer(context.get(), other.get()) != 1 ||
        EVP_PKEY_derive(context.get(), bytes_of(shared), &size) != 1) {
        ERR_clear_error();
        return std::nullopt;
    }
    return Secret{std::move(shared)};
}

// ---- Header

/// Base64 without padding in its one canonical spelling.
std::string base64(std::string_view bytes) {
    auto text = to_base64(bytes);
    text.erase(text.find_last_not_of('=') + 1);
    return text;
}

std::optional<std::string> unbase64(std::string_view text) {
    std::string padded{text};
    while (padded.size() % 4 != 0) padded += '=';
    auto bytes = from_base64(padded);
    if (!bytes || base64(*bytes) != text) return std::nullopt;
    return bytes;
}

std::string header_mac(const Secret& file_key, std::string_view header) {
    return hmac_sha256(hkdf(file_key.reveal(), {}, "header").reveal(), header);
}

/// "X25519 recipient stanza".
std::string wrap(const Secret& file_key, const Recipient& recipient) {
    const Secret ephemeral{random_bytes(point_size)};
    const auto key = x25519_key(ephemeral);
    const auto share = x25519_public(key);
    const auto shared = x25519(key, recipient.raw());
    if (!shared)
        throw Error{ErrorKind::invalid, recipient.text() + ": not a usable X25519 public key"};
    std::string body;
    encrypt(hkdf(shared->reveal(), share + recipient.raw(), x25519_info), Nonce{},
            file_key.reveal(), body);
    return "-> X25519 " + base64(share) + '\n' + base64(body) + '\n';
}

struct Stanza {
    std::vector<std::string_view> arguments;
    std::string body;
};

struct Header {
    std::vector<Stanza> stanzas;
    std::string_view covered;  ///< by the MAC: from the version line to "---"
    std::string mac;
    std::string_view payload;
};

class HeaderReader {
public:
    explicit HeaderReader(std::string_view file) : file_{file} {}

    Header read() {
        if (!file_.starts_with(version_line))
            throw malformed("it does not begin with age-encryption.org/v1");
        at_ = version_line.size();
        Header header;
        for (;;) {
            const auto begin = at_;
            const auto text = line();
            if (text.starts_with("-> ")) {
                header.stanzas.push_back(stanza(text.substr(3)));
            } else if (text.starts_with("--- ") && !header.stanzas.empty()) {
                auto mac = unbase64(text.substr(4));
                if (!mac || mac->size() != 32) throw malformed("its header has no valid MAC");
                header.covered = file_.substr(0, begin + 3);
                header.mac = std::move(*mac);
                header.payload = file_.substr(at_);
                return header;
            } else {
                throw malformed("a line of its header is neither a recipient nor the MAC");
            }
        }
    }

private:
    std::string_view line() {
        const auto end = file_.substr(0, header_limit).find('\n', at_);
        if (end == std::string_view::npos) throw malformed("its header does not end");
        const auto text = file_.substr(at_, end - at_);
        at_ = end + 1;
        return text;
    }

    Stanza stanza(std::string_view arguments) {
        Stanza stanza;
        for (;;) {
            const auto end = arguments.find(' ');
            const auto argument = arguments.substr(0, end);
            const bool visible =
                std::ranges::all_of(argument, [](char c) { return c > ' ' && c < 127; });
            if (argument.empty() || !visible) throw malformed("a recipient has an empty argument");
            stanza.arguments.push_back(argument);
            if (end == std::string_view::npos) break;
            arguments.remove_prefix(end + 1);
        }
        for (;;) {  // full lines, then one that is shorter
            const auto text = line();
            const auto bytes = unbase64(text);
            if (!bytes || text.size() > line_size)
                throw malformed("a recipient's body is not base64");
            stanza.body += *bytes;
            if (text.size() < line_size) return stanza;
        }
    }

    std::string_view file_;
    std::size_t at_ = 0;
};

std::optional<Secret> unwrap(const Stanza& stanza, const Key& key, std::string_view recipient) {
    if (stanza.arguments[0] != "X25519") return std::nullopt;
    if (stanza.arguments.size() != 2) throw malformed("an X25519 recipient without its one share");
    const auto share = unbase64(stanza.arguments[1]);
    if (!share || share->size() != point_size || stanza.body.size() != file_key_size + tag_size)
        throw malformed("an X25519 recipient of another length");
    const auto shared = x25519(key, *share);
    if (!shared) throw malformed("an X25519 share of low order");
    std::string file_key;
    const auto salt = *share + std::string{recipient};
    if (!decrypt(hkdf(shared->reveal(), salt, x25519_info), Nonce{}, stanza.body, file_key))
        return std::nullopt;
    return Secret{std::move(file_key)};
}

// ---- Payload: STREAM

Nonce chunk_nonce(std::uint64_t index, bool last) {
    Nonce nonce{};
    for (std::size_t i = 0; i < 8; ++i)
        nonce[10 - i] = static_cast<unsigned char>(index >> 8 * i & 0xffU);
    nonce[11] = last ? 1 : 0;
    return nonce;
}

/// The text between armor's two lines (the strict PEM of RFC 7468 in 64 columns).
std::string unarmor(std::string_view text) {
    std::string base64_text;
    bool short_line = false;
    bool first = true;
    for (;;) {
        const auto end = text.find('\n');
        if (end == std::string_view::npos && text != armor_end &&
            text != std::string{armor_end} + '\r')
            throw malformed("its armor does not end");
        auto line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (first) {
            if (line != armor_begin) throw malformed("its armor has another first line");
            first = false;
            continue;
        }
        if (line == armor_end) break;
        if (line.empty() || line.size() > line_size || short_line)
            throw malformed("its armor is not in lines of 64 characters");
        short_line = line.size() < line_size;
        base64_text += line;
    }
    if (text.find_first_not_of(" \t\r\n") != std::string_view::npos)
        throw malformed("something follows its armor");
    auto bytes = from_base64(base64_text);
    if (!bytes || to_base64(*bytes) != base64_text) throw malformed("its armor is not base64");
    return *bytes;
}

}  // namespace

Recipient Recipient::parse(std::string_view text) {
    auto raw = bech32_decode("age", text);
    if (!raw || raw->size() != point_size) {
        throw Error{ErrorKind::invalid,
                    "\"" + std::string{text} + "\" is not an age recipient (age1…, 62 characters)"};
    }
    return Recipient{std::move(*raw)};
}

std::string Recipient::text() const { return bech32_encode("age", raw_); }

Identity Identity::generate() { return Identity{Secret{random_bytes(point_size)}}; }

Identity Identity::parse(std::string_view text) {
    std::optional<Secret> raw;
    if (std::ranges::none_of(text, [](char c) { return c >= 'a' && c <= 'z'; })) {
        const Secret lowered{lower(text)};
        if (auto bytes = bech32_decode("age-secret-key-", lowered.reveal()))
            raw.emplace(std::move(*bytes));
    }
    if (!raw || raw->reveal().size() != point_size)  // the text is a secret: it is not repeated
        throw Error{ErrorKind::invalid, "not an age identity (AGE-SECRET-KEY-1…, 74 characters)"};
    return Identity{std::move(*raw)};
}

Secret Identity::text() const {
    const Secret lowered{bech32_encode("age-secret-key-", raw_.reveal())};
    return Secret{upper(lowered.reveal())};
}

Recipient Identity::recipient() const { return Recipient{x25519_public(x25519_key(raw_))}; }

std::string seal(std::string_view plain, const std::vector<Recipient>& recipients) {
    if (recipients.empty()) throw Error{ErrorKind::invalid, "nobody to seal to"};
    const Secret file_key{random_bytes(file_key_size)};
    std::string file{version_line};
    for (const auto& recipient : recipients) file += wrap(file_key, recipient);
    file += "---";
    if (file.size() > header_limit - line_size)
        throw Error{ErrorKind::exhausted, "age file: more than a thousand recipients"};
    file += ' ' + base64(header_mac(file_key, file)) + '\n';

    const auto nonce = random_bytes(payload_nonce_size);
    const auto key = hkdf(file_key.reveal(), nonce, "payload");
    file.reserve(file.size() + nonce.size() + plain.size() +
                 (plain.size() / chunk_size + 1) * tag_size);
    file += nonce;
    for (std::uint64_t index = 0;; ++index) {
        const bool last = plain.size() <= chunk_size;
        const auto chunk = plain.substr(0, chunk_size);
        encrypt(key, chunk_nonce(index, last), chunk, file);
        if (last) return file;
        plain.remove_prefix(chunk_size);
    }
}

Secret unseal(std::string_view sealed, const Identity& identity) {
    std::string unarmored;
    if (const auto start = sealed.find_first_not_of(" \t\r\n");
        start != std::string_view::npos && sealed.substr(start).starts_with(armor_begin)) {
        unarmored = unarmor(sealed.substr(start));
        sealed = unarmored;
    }
    const auto header = HeaderReader{sealed}.read();
    const auto key = x25519_key(identity.raw_);
    const auto recipient = x25519_public(key);
    std::optional<Secret> file_key;
    for (const auto& stanza : header.stanzas) {
        auto unwrapped = unwrap(stanza, key, recipient);
        if (unwrapped && !file_key) file_key = std::move(unwrapped);
    }
    if (!file_key) {
        throw Error{ErrorKind::denied, "age file: not sealed to " + identity.recipient().text()};
    }
    if (!equal_constant_time(header_mac(*file_key, header.covered), header.mac)) throw altered();

    auto payload = header.payload;
    if (payload.size() < payload_nonce_size + tag_size) throw altered();
    const auto payload_key =
        hkdf(file_key->reveal(), payload.substr(0, payload_nonce_size), "payload");
    payload.remove_prefix(payload_nonce_size);
    std::string plain;
    plain.reserve(payload.size());  // never moved, so that no copy stays behind
    for (std::uint64_t index = 0;; ++index) {
        const bool last = payload.size() <= chunk_size + tag_size;
        const auto chunk = payload.substr(0, chunk_size + tag_size);
        // An empty last chunk stands for an empty file only.
        const bool stray = index > 0 && chunk.size() == tag_size;
        if (stray || !decrypt(payload_key, chunk_nonce(index, last), chunk, plain)) {
            wipe(plain);
            throw altered();
        }
        if (last) return Secret{std::move(plain)};
        payload.remove_prefix(chunk.size());
    }
}

}  // namespace kled::crypto
