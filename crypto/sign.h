/// Ed25519 signatures (RFC 8032).
#pragma once

#include "base/secret.h"

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace kled::crypto {

class VerifyingKey {
public:
    /// Raw 32 bytes. Error(invalid) for another length.
    static VerifyingKey from_raw(std::string_view raw);
    /// SubjectPublicKeyInfo PEM of an Ed25519 key.
    static VerifyingKey from_pem(std::string_view pem);
    [[nodiscard]] const std::string& raw() const noexcept { return raw_; }
    [[nodiscard]] std::string pem() const;
    /// First 16 hex digits of SHA-256 over the raw key: names a key in messages and logs.
    [[nodiscard]] std::string id() const;
    [[nodiscard]] bool verify(std::string_view message, std::string_view signature) const noexcept;

private:
    explicit VerifyingKey(std::string raw) : raw_{std::move(raw)} {}
    std::string raw_;
};

class SigningKey {
public:
    static SigningKey generate();
    /// PKCS#8 PEM. Error(invalid) when it is not an Ed25519 key.
    static SigningKey from_pem(std::string_view pem);
    /// Reads `path` (refused with Error(denied) when others can read it), or makes it, mode 0600.
    static SigningKey load_or_create(const std::filesystem::path& path);
    [[nodiscard]] Secret pem() const;
    [[nodiscard]] VerifyingKey verifying_key() const;
    [[nodiscard]] std::string sign(std::string_view message) const;  ///< 64 raw bytes

    SigningKey(SigningKey&&) noexcept;
    SigningKey& operator=(SigningKey&&) noexcept;
    ~SigningKey();

private:
    struct Impl;
    explicit SigningKey(std::unique_ptr<Impl> impl) noexcept;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::crypto
