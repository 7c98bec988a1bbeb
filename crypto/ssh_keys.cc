#include "crypto/ssh_keys.h"

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/openssl.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

namespace kled::crypto {

namespace {

using Number = Owned<BIGNUM, BN_free>;
using Params = Owned<OSSL_PARAM, OSSL_PARAM_free>;
using ParamBuilder = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using Digest = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;
using EcdsaSignature = Owned<ECDSA_SIG, ECDSA_SIG_free>;

constexpr std::size_t armored_limit = 64U << 10U;
constexpr int rsa_bits = 2048;
constexpr std::string_view magic = "SSHSIG";

struct Curve {
    std::string_view type;
    std::string_view name;   ///< SSH's
    std::string_view group;  ///< OpenSSL's
    std::string_view digest;
};
constexpr std::array curves{
    Curve{"ecdsa-sha2-nistp256", "nistp256", "P-256", "SHA256"},
    Curve{"ecdsa-sha2-nistp384", "nistp384", "P-384", "SHA384"},
    Curve{"ecdsa-sha2-nistp521", "nistp521", "P-521", "SHA512"},
};

const Curve* curve_of(std::string_view type) {
    const auto found = std::ranges::find(curves, type, &Curve::type);
    return found == curves.end() ? nullptr : &*found;
}

bool is_type(std::string_view word) {
    return word == "ssh-ed25519" || word == "ssh-rsa" || curve_of(word) != nullptr;
}

Error malformed(std::string_view what) {
    return {ErrorKind::invalid, "SSH signature: " + std::string{what}};
}

/// RFC 4251 §5.
class Wire {
public:
    explicit Wire(std::string_view bytes) : rest_{bytes} {}

    std::uint32_t number() {
        if (rest_.size() < 4) throw malformed("it ends too early");
        std::uint32_t value = 0;
        for (std::size_t i = 0; i < 4; ++i)
            value = value << 8U | static_cast<unsigned char>(rest_[i]);
        rest_.remove_prefix(4);
        return value;
    }
    std::string_view text() {
        const auto size = number();
        if (size > rest_.size()) throw malformed("it ends too early");
        const auto value = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return value;
    }
    std::string_view take(std::size_t size) {
        if (size > rest_.size()) throw malformed("it ends too early");
        const auto value = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return value;
    }
    void end() const {
        if (!rest_.empty()) throw malformed("something follows");
    }

private:
    std::string_view rest_;
};

std::string on_wire(std::string_view text) {
    std::string result;
    for (unsigned shift = 32; shift > 0; shift -= 8)
        result += static_cast<char>(text.size() >> (shift - 8U) & 0xffU);
    return result += text;
}

/// A positive number (RFC 4251 §5, mpint).
Number big_number(std::string_view bytes) {
    constexpr std::size_t most = 2049;  // 16'384 bits
    if (bytes.empty() || bytes.size() > most || (static_cast<unsigned char>(bytes[0]) & 0x80U) != 0)
        throw malformed("a number is none");
    Number number{BN_bin2bn(bytes_of(bytes), static_cast<int>(bytes.size()), nullptr)};
    check(number != nullptr, "number");
    return number;
}

Key from_params(const char* type, const ParamBuilder& builder) {
    const Params params{OSSL_PARAM_BLD_to_param(builder.get())};
    check(params != nullptr, "SSH key");
    const KeyContext context{EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr)};
    EVP_PKEY* raw = nullptr;
    if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &raw, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
        throw openssl_error(ErrorKind::invalid, "SSH key");
    }
    return Key{raw};
}

Key rsa_key(Wire& wire) {
    const auto exponent = big_number(wire.text());
    const auto modulus = big_number(wire.text());
    if (BN_num_bits(modulus.get()) < rsa_bits)
        throw Error{ErrorKind::invalid, "SSH key: an RSA key needs 2048 bits at least"};
    if (BN_num_bits(exponent.get()) < 2 || BN_is_odd(exponent.get()) == 0 ||
        BN_num_bits(exponent.get()) > 64) {
        throw Error{ErrorKind::invalid, "SSH key: an RSA key's exponent is none"};
    }
    const ParamBuilder builder{OSSL_PARAM_BLD_new()};
    check(builder != nullptr &&
              OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) == 1 &&
              OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) == 1,
          "SSH key");
    return from_params("RSA", builder);
}

Key ecdsa_key(const Curve& curve, Wire& wire) {
    if (wire.text() != curve.name) throw malformed("the key's curve is not its type's");
    const auto point = wire.text();
    const ParamBuilder builder{OSSL_PARAM_BLD_new()};
    check(builder != nullptr &&
              OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME,
                                              curve.group.data(), curve.group.size()) == 1 &&
              OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                               point.size()) == 1,
          "SSH key");
    return from_params("EC", builder);
}

/// Error(invalid) when `blob` is no key of ours.
Key key_of(std::string_view blob) {
    Wire wire{blob};
    const auto type = wire.text();
    Key key;
    if (type == "ssh-ed25519") {
        const auto raw = wire.text();
        key.reset(
            EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(raw), raw.size()));
        if (!key) throw openssl_error(ErrorKind::invalid, "SSH key");
    } else if (type == "ssh-rsa") {
        key = rsa_key(wire);
    } else if (const auto* curve = curve_of(type)) {
        key = ecdsa_key(*curve, wire);
    } else {
        throw malformed("a key of another type");
    }
    wire.end();
    return key;
}

/// What OpenSSL wants of r and s.
std::string der_of(std::string_view signature) {
    Wire wire{signature};
    auto r = big_number(wire.text());
    auto s = big_number(wire.text());
    wire.end();
    const EcdsaSignature both{ECDSA_SIG_new()};
    check(both != nullptr && ECDSA_SIG_set0(both.get(), r.get(), s.get()) == 1, "signature");
    static_cast<void>(r.release());
    static_cast<void>(s.release());
    unsigned char* der = nullptr;
    const int size = i2d_ECDSA_SIG(both.get(), &der);
    check(size > 0, "signature");
    std::string result{reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)};
    OPENSSL_free(der);
    return result;
}

bool fits(const Key& key, const char* digest, std::string_view message,
          std::string_view signature) {
    const Digest context{EVP_MD_CTX_new()};
    check(context != nullptr, "signature");
    const bool good = EVP_DigestVerifyInit_ex(context.get(), nullptr, digest, nullptr, nullptr,
                                              key.get(), nullptr) == 1 &&
                      EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(),
                                       bytes_of(message), message.size()) == 1;
    ERR_clear_error();
    return good;
}

bool verified(std::string_view blob, std::string_view signature, std::string_view message) {
    const auto key = key_of(blob);
    const auto key_type = Wire{blob}.text();
    Wire wire{signature};
    const auto algorithm = wire.text();
    const auto bytes = wire.text();
    wire.end();
    if (key_type == "ssh-rsa") {
        if (algorithm == "rsa-sha2-512") return fits(key, "SHA512", message, bytes);
        if (algorithm == "rsa-sha2-256") return fits(key, "SHA256", message, bytes);
        return false;  // "ssh-rsa" is SHA-1
    }
    if (algorithm != key_type) return false;
    if (const auto* curve = curve_of(key_type))
        return fits(key, curve->digest.data(), message, der_of(bytes));
    return fits(key, nullptr, message, bytes);
}

std::string unarmored(std::string_view armored) {
    if (armored.size() > armored_limit) throw malformed("it is too large");
    const auto begin = armored.find(ssh_signature_begin);
    const auto end = armored.find(ssh_signature_end);
    if (begin == std::string_view::npos || end == std::string_view::npos || end < begin)
        throw malformed("its first or last line is missing");
    auto body = std::string{armored.substr(begin + ssh_signature_begin.size(),
                                           end - begin - ssh_signature_begin.size())};
    std::erase_if(body, [](char c) { return c == '\n' || c == '\r' || c == ' ' || c == '\t'; });
    auto bytes = from_base64(body);
    if (!bytes) throw malformed("it is not base64");
    return std::move(*bytes);
}

std::string fingerprint_of(std::string_view blob) {
    const auto sum = sha256(blob);
    auto text = to_base64({reinterpret_cast<const char*>(sum.data()), sum.size()});
    while (text.ends_with('=')) text.pop_back();
    return "SHA256:" + text;
}

/// The blanks that part words, but for those in quotation marks (options).
std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    std::size_t start = 0;
    bool quoted = false;
    for (std::size_t i = 0; i <= line.size(); ++i) {
        const bool end = i == line.size();
        if (!end && line[i] == '"') quoted = !quoted;
        if (!end && (quoted || (line[i] != ' ' && line[i] != '\t' && line[i] != '\r'))) continue;
        if (i > start) words.push_back(line.substr(start, i - start));
        start = i + 1;
    }
    return words;
}

}  // namespace

void SshKeys::add(std::string_view lines) {
    while (!lines.empty()) {
        const auto line = lines.substr(0, lines.find('\n'));
        lines.remove_prefix(std::min(line.size() + 1, lines.size()));
        const auto words = words_of(line);
        if (words.empty() || words.front().starts_with('#')) continue;
        const auto type = std::ranges::find_if(words, is_type);
        if (type == words.end() || type + 1 == words.end()) continue;
        auto blob = from_base64(*(type + 1));
        if (!blob || Wire{*blob}.text() != *type) {
            throw Error{ErrorKind::invalid, "a key of the type " + std::string{*type} +
                                                " is damaged: what follows is not its base64"};
        }
        static_cast<void>(key_of(*blob));
        if (keys_.size() == limit) throw Error{ErrorKind::exhausted, "more than 1000 SSH keys"};
        if (!std::ranges::count(keys_, *blob)) keys_.push_back(std::move(*blob));
    }
}

std::string SshKeys::verify(std::string_view armored, std::string_view message,
                            std::string_view name_space) const {
    const auto bytes = unarmored(armored);
    Wire wire{bytes};
    if (wire.take(magic.size()) != magic) throw malformed("it is none");
    if (wire.number() != 1) throw malformed("its version is not 1");
    const auto blob = wire.text();
    const auto space = wire.text();
    const auto reserved = wire.text();
    const auto algorithm = wire.text();
    const auto signature = wire.text();
    wire.end();
    const auto known = std::ranges::find(keys_, blob);
    if (known == keys_.end()) {
        throw Error{ErrorKind::denied,
                    "the key " + fingerprint_of(blob) + " is none of those that may sign"};
    }
    if (space != name_space)
        throw Error{ErrorKind::denied, "the signature was made for something else"};
    std::optional<std::string> sum;
    if (algorithm == "sha256") sum = from_hex(sha256_hex(message));
    if (algorithm == "sha512") sum = from_hex(sha512_hex(message));
    if (!sum) throw malformed("its digest is neither sha256 nor sha512");
    const auto text = std::string{magic} + on_wire(space) + on_wire(reserved) + on_wire(algorithm) +
                      on_wire(*sum);
    if (!verified(*known, signature, text))
        throw Error{ErrorKind::denied,
                    "the signature by " + fingerprint_of(blob) + " does not fit"};
    return fingerprint_of(blob);
}

}  // namespace kled::crypto
