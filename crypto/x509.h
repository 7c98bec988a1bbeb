/// X.509 as kled needs it: keys, requests, a small CA, and reading a certificate. ECDSA P-256.
#pragma once

#include "base/clock.h"
#include "base/secret.h"

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kled::crypto {

/// What a certificate says. Error(invalid) when `pem` is not one.
struct CertificateInfo {
    std::string common_name;
    std::vector<std::string> organizations;
    std::vector<std::string> dns_names;
    std::vector<std::string> ip_addresses;
    std::string serial_hex;
    std::string key_id;  ///< SHA-256 of the public key (its SubjectPublicKeyInfo), hex
    WallTime not_before;
    WallTime not_after;
    bool is_ca = false;
};
[[nodiscard]] CertificateInfo read_certificate(std::string_view pem);
/// `key_id` of the key that a PKCS#10 request is for. Error(invalid) when it is not one.
[[nodiscard]] std::string request_key_id(std::string_view request_pem);

struct Subject {
    std::string common_name;
    std::vector<std::string> organizations;
};

/// A P-256 key.
class PrivateKey {
public:
    static PrivateKey generate();
    static PrivateKey from_pem(std::string_view pem);  ///< any type OpenSSL reads
    [[nodiscard]] Secret pem() const;
    /// A PKCS#10 request for `subject`, PEM.
    [[nodiscard]] std::string request(const Subject& subject) const;

    PrivateKey(PrivateKey&&) noexcept;
    PrivateKey& operator=(PrivateKey&&) noexcept;
    ~PrivateKey();

private:
    friend class CertificateAuthority;
    struct Impl;
    explicit PrivateKey(std::unique_ptr<Impl> impl) noexcept;
    std::unique_ptr<Impl> impl_;
};

struct Issue {
    Subject subject;                 ///< from the CA's policy, never from the request
    std::vector<std::string> names;  ///< subject alternative names: DNS names and IP addresses
    bool server = false;
    bool client = true;
    std::chrono::seconds lifetime{std::chrono::hours{24 * 30}};
};

struct Credential {
    std::string certificate_pem;  ///< leaf, then the chain without the root
    Secret key_pem;
};

/// One key and its self-signed certificate, kept in `<directory>/{ca.crt,ca.key}`.
class CertificateAuthority {
public:
    /// Opens the CA of `directory` or makes it (ten years). Error(denied) when the key is readable
    /// by others, Error(invalid) when key and certificate do not belong together.
    static CertificateAuthority open(const std::filesystem::path& directory,
                                     const std::string& common_name);
    [[nodiscard]] const std::string& certificate_pem() const noexcept;
    /// A new key and its certificate.
    [[nodiscard]] Credential issue(const Issue& issue) const;
    /// A certificate for the key in `request_pem`, whose own signature is checked (Error(denied)).
    [[nodiscard]] std::string sign(std::string_view request_pem, const Issue& issue) const;
    /// What `pem` says. Error(denied) unless it is a certificate of this CA that is valid at `now`.
    [[nodiscard]] CertificateInfo verify(std::string_view pem, WallTime now) const;
    /// A CRL over `revoked` serials (hex), valid for `lifetime`.
    [[nodiscard]] std::string crl(const std::vector<std::string>& revoked_serials,
                                  std::chrono::hours lifetime) const;

    CertificateAuthority(CertificateAuthority&&) noexcept;
    ~CertificateAuthority();

private:
    struct Impl;
    explicit CertificateAuthority(std::unique_ptr<Impl> impl) noexcept;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::crypto
