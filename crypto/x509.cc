#include "crypto/x509.h"

#include "base/encoding.h"
#include "base/file.h"
#include "crypto/hash.h"
#include "crypto/openssl.h"

#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <tuple>

namespace kled::crypto {

namespace {

using Certificate = Owned<X509, X509_free>;
using Request = Owned<X509_REQ, X509_REQ_free>;
using Crl = Owned<X509_CRL, X509_CRL_free>;
using Name = Owned<X509_NAME, X509_NAME_free>;
using Integer = Owned<ASN1_INTEGER, ASN1_INTEGER_free>;
using Time = Owned<ASN1_TIME, ASN1_TIME_free>;
using Number = Owned<BIGNUM, BN_free>;
using Names = Owned<GENERAL_NAMES, GENERAL_NAMES_free>;

constexpr std::chrono::hours root_lifetime{24 * 3650};
/// A device whose clock is a little behind accepts a fresh certificate at once.
constexpr std::chrono::minutes backdating{5};

/// Of one that lives for minutes or seconds only a small part lies in the past.
WallTime begin_of(WallTime today, std::chrono::seconds lifetime) {
    return today - std::min<std::chrono::seconds>(backdating, lifetime / 10);
}

// ---- Reading

std::string text_of(const ASN1_STRING* string) {
    unsigned char* utf8 = nullptr;
    const int size = ASN1_STRING_to_UTF8(&utf8, string);
    if (size < 0) throw openssl_error(ErrorKind::invalid, "certificate: a name is not text");
    std::string text{reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size)};
    OPENSSL_free(utf8);
    return text;
}

std::vector<std::string> entries(const X509_NAME* name, int nid) {
    std::vector<std::string> texts;
    for (int at = -1; (at = X509_NAME_get_index_by_NID(name, nid, at)) >= 0;)
        texts.push_back(text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at))));
    return texts;
}

std::string serial_hex(const ASN1_INTEGER* serial) {
    const Number number{ASN1_INTEGER_to_BN(serial, nullptr)};
    check(number != nullptr, "certificate serial");
    std::string bytes(static_cast<std::size_t>(BN_num_bytes(number.get())), '\0');
    BN_bn2bin(number.get(), bytes_of(bytes));
    return to_hex(bytes);
}

WallTime wall_time(const ASN1_TIME* time) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1)
        throw openssl_error(ErrorKind::invalid, "certificate: not a time");
    const std::chrono::seconds since_epoch{::timegm(&parts)};
    // "No end" is written 9999, beyond what WallTime counts.
    const auto limit =
        std::chrono::duration_cast<std::chrono::seconds>(WallTime::max().time_since_epoch());
    return WallTime{std::clamp(since_epoch, -limit, limit)};
}

std::string key_id(X509_PUBKEY* key) {
    unsigned char* der = nullptr;
    const int size = key == nullptr ? -1 : i2d_X509_PUBKEY(key, &der);
    if (size < 0) throw openssl_error(ErrorKind::invalid, "certificate: its key cannot be read");
    const auto id =
        sha256_hex({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
    OPENSSL_free(der);
    return id;
}

Request parse_request(std::string_view pem) {
    const auto bio = reading(pem);
    Request request{PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr)};
    if (!request) throw openssl_error(ErrorKind::invalid, "not a PEM certificate request");
    return request;
}

Certificate parse_certificate(std::string_view pem) {
    const auto bio = reading(pem);
    Certificate certificate{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)};
    if (!certificate) throw openssl_error(ErrorKind::invalid, "not a PEM certificate");
    return certificate;
}

std::string ip_text(const ASN1_OCTET_STRING* address) {
    const int size = ASN1_STRING_length(address);
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int family = size == 4 ? AF_INET : AF_INET6;
    if ((size != 4 && size != 16) ||
        ::inet_ntop(family, ASN1_STRING_get0_data(address), text.data(), text.size()) == nullptr)
        throw Error{ErrorKind::invalid,
                    "certificate: an IP address of " + std::to_string(size) + " bytes"};
    return text.data();
}

// ---- Writing

Integer random_serial() {
    const Number number{BN_new()};
    Integer serial;
    // 127 bits with the highest set: sixteen bytes, positive, 126 of them from the generator.
    if (number && BN_rand(number.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1)
        serial.reset(BN_to_ASN1_INTEGER(number.get(), nullptr));
    check(serial != nullptr, "certificate serial");
    return serial;
}

void add_entry(const Name& name, const char* field, const std::string& text) {
    if (X509_NAME_add_entry_by_txt(name.get(), field, MBSTRING_UTF8,
                                   bytes_of(std::string_view{text}), static_cast<int>(text.size()),
                                   -1, 0) != 1) {
        throw openssl_error(ErrorKind::invalid, "certificate subject " + std::string{field} +
                                                    "=\"" + text + "\" (1 to 64 characters)");
    }
}

Name make_name(const Subject& subject) {
    Name name{X509_NAME_new()};
    check(name != nullptr, "X509_NAME_new");
    for (const auto& organization : subject.organizations) add_entry(name, "O", organization);
    add_entry(name, "CN", subject.common_name);
    return name;
}

Time time_at(WallTime time) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
    Time result{ASN1_TIME_set(nullptr, seconds)};
    check(result != nullptr, "ASN1_TIME_set");
    return result;
}

/// Of the key's own kind: Ed25519 has none.
const EVP_MD* digest_for(const Key& key) {
    return EVP_PKEY_is_a(key.get(), "ED25519") == 1 ? nullptr : EVP_sha256();
}

/// Adds `value` as extension `nid`, and frees it.
template <auto free, typename T>
void add_extension(X509* certificate, int nid, Owned<T, free> value, bool critical) {
    check(value && X509_add1_ext_i2d(certificate, nid, value.get(), critical ? 1 : 0,
                                     X509V3_ADD_REPLACE) == 1,
          "certificate extension");
}

void add_basic_constraints(X509* certificate, bool ca) {
    Owned<BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free> constraints{BASIC_CONSTRAINTS_new()};
    check(constraints != nullptr, "basic constraints");
    constraints->ca = ca ? 0xff : 0;
    if (ca) {
        constraints->pathlen = ASN1_INTEGER_new();
        check(constraints->pathlen && ASN1_INTEGER_set(constraints->pathlen, 0) == 1,
              "basic constraints");
    }
    add_extension(certificate, NID_basic_constraints, std::move(constraints), true);
}

void add_key_usage(X509* certificate, std::initializer_list<int> bits) {
    Owned<ASN1_BIT_STRING, ASN1_BIT_STRING_free> usage{ASN1_BIT_STRING_new()};
    for (const int bit : bits)
        check(usage && ASN1_BIT_STRING_set_bit(usage.get(), bit, 1) == 1, "key usage");
    add_extension(certificate, NID_key_usage, std::move(usage), true);
}
// Bits of KeyUsage (RFC 5280 §4.2.1.3).
constexpr int digital_signature = 0;
constexpr int key_cert_sign = 5;
constexpr int crl_sign = 6;

void add_extended_key_usage(X509* certificate, bool server, bool client) {
    Owned<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free> usage{EXTENDED_KEY_USAGE_new()};
    check(usage != nullptr, "extended key usage");
    for (const auto& [wanted, nid] :
         {std::pair{server, NID_server_auth}, {client, NID_client_auth}})
        if (wanted)
            check(sk_ASN1_OBJECT_push(usage.get(), OBJ_nid2obj(nid)) > 0, "extended key usage");
    if (server || client) add_extension(certificate, NID_ext_key_usage, std::move(usage), false);
}

bool is_dns_name(std::string_view name) {
    if (name.starts_with("*.")) name.remove_prefix(2);
    const auto letter_or_digit = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_';
    };
    if (name.empty() || name.size() > 253) return false;
    for (;;) {
        const auto end = name.find('.');
        const auto label = name.substr(0, end);
        if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-' ||
            !std::ranges::all_of(label, [&](char c) { return letter_or_digit(c) || c == '-'; }))
            return false;
        if (end == std::string_view::npos) return true;
        name.remove_prefix(end + 1);
    }
}

void add_names(X509* certificate, const std::vector<std::string>& texts) {
    if (texts.empty()) return;
    Names names{GENERAL_NAMES_new()};
    check(names != nullptr, "subject alternative names");
    for (const auto& text : texts) {
        Owned<GENERAL_NAME, GENERAL_NAME_free> name{GENERAL_NAME_new()};
        check(name != nullptr, "subject alternative names");
        Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> address{a2i_IPADDRESS(text.c_str())};
        if (address) {
            GENERAL_NAME_set0_value(name.get(), GEN_IPADD, address.release());
        } else if (is_dns_name(text)) {
            Owned<ASN1_IA5STRING, ASN1_IA5STRING_free> dns{ASN1_IA5STRING_new()};
            check(
                dns && ASN1_STRING_set(dns.get(), text.data(), static_cast<int>(text.size())) == 1,
                "subject alternative names");
            GENERAL_NAME_set0_value(name.get(), GEN_DNS, dns.release());
        } else {
            throw openssl_error(ErrorKind::invalid, "certificate name \"" + text +
                                                        "\": neither a DNS name nor an IP address");
        }
        check(sk_GENERAL_NAME_push(names.get(), name.get()) > 0, "subject alternative names");
        std::ignore = name.release();  // the stack's now
    }
    add_extension(certificate, NID_subject_alt_name, std::move(names), false);
}

/// Subject and authority key identifiers: SHA-1 over the public key (RFC 5280 §4.2.1.2 method 1).
void add_key_identifiers(X509* certificate, X509* issuer) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    check(X509_pubkey_digest(certificate, EVP_sha1(), digest.data(), &size) == 1, "key identifier");
    Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> own{ASN1_OCTET_STRING_new()};
    check(own && ASN1_OCTET_STRING_set(own.get(), digest.data(), static_cast<int>(size)) == 1,
          "key identifier");
    add_extension(certificate, NID_subject_key_identifier, std::move(own), false);

    const auto* authority = X509_get0_subject_key_id(issuer);
    if (authority == nullptr) return;  // a CA from elsewhere may have none
    Owned<AUTHORITY_KEYID, AUTHORITY_KEYID_free> identifier{AUTHORITY_KEYID_new()};
    check(identifier != nullptr, "key identifier");
    identifier->keyid = ASN1_OCTET_STRING_dup(authority);
    check(identifier->keyid != nullptr, "key identifier");
    add_extension(certificate, NID_authority_key_identifier, std::move(identifier), false);
}

Key generate_p256() {
    Key key{EVP_EC_gen("P-256")};
    check(key != nullptr, "P-256 key");
    return key;
}

std::string pem_of(const Certificate& certificate) {
    const auto bio = writing();
    check(PEM_write_bio_X509(bio.get(), certificate.get()) == 1, "PEM_write_bio_X509");
    return crypto::text_of(bio);
}

/// What all certificates share; unsigned.
Certificate blank(const Name& subject, const Name& issuer, EVP_PKEY* key, WallTime not_before,
                  WallTime not_after) {
    Certificate certificate{X509_new()};
    const auto serial = random_serial();
    check(certificate && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
              X509_set_serialNumber(certificate.get(), serial.get()) == 1 &&
              X509_set_subject_name(certificate.get(), subject.get()) == 1 &&
              X509_set_issuer_name(certificate.get(), issuer.get()) == 1 &&
              X509_set_pubkey(certificate.get(), key) == 1 &&
              X509_set1_notBefore(certificate.get(), time_at(not_before).get()) == 1 &&
              X509_set1_notAfter(certificate.get(), time_at(not_after).get()) == 1,
          "certificate");
    return certificate;
}

WallTime now() { return std::chrono::system_clock::now(); }

Certificate self_signed(const Key& key, const std::string& common_name) {
    const auto name = make_name({.common_name = common_name, .organizations = {}});
    auto root = blank(name, name, key.get(), now() - backdating, now() + root_lifetime);
    add_basic_constraints(root.get(), true);
    add_key_usage(root.get(), {digital_signature, key_cert_sign, crl_sign});
    add_key_identifiers(root.get(), root.get());
    check(X509_sign(root.get(), key.get(), digest_for(key)) > 0, "certificate signature");
    return root;
}

}  // namespace

namespace {

CertificateInfo read(const Certificate& certificate) {
    CertificateInfo info;
    const auto* subject = X509_get_subject_name(certificate.get());
    if (auto names = entries(subject, NID_commonName); !names.empty())
        info.common_name = std::move(names.back());
    info.organizations = entries(subject, NID_organizationName);
    const Names names{static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr))};
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const auto* name = sk_GENERAL_NAME_value(names.get(), i);
        if (name->type == GEN_DNS) info.dns_names.push_back(text_of(name->d.dNSName));
        if (name->type == GEN_IPADD) info.ip_addresses.push_back(ip_text(name->d.iPAddress));
    }
    info.serial_hex = serial_hex(X509_get0_serialNumber(certificate.get()));
    info.not_before = wall_time(X509_get0_notBefore(certificate.get()));
    info.not_after = wall_time(X509_get0_notAfter(certificate.get()));
    info.is_ca = X509_check_ca(certificate.get()) == 1;
    info.key_id = key_id(X509_get_X509_PUBKEY(certificate.get()));
    return info;
}

}  // namespace

CertificateInfo read_certificate(std::string_view pem) { return read(parse_certificate(pem)); }

std::string request_key_id(std::string_view request_pem) {
    return key_id(X509_REQ_get_X509_PUBKEY(parse_request(request_pem).get()));
}

// ---- PrivateKey

struct PrivateKey::Impl {
    Key key;
};

PrivateKey::PrivateKey(std::unique_ptr<Impl> impl) noexcept : impl_{std::move(impl)} {}
PrivateKey::PrivateKey(PrivateKey&&) noexcept = default;
PrivateKey& PrivateKey::operator=(PrivateKey&&) noexcept = default;
PrivateKey::~PrivateKey() = default;

PrivateKey PrivateKey::generate() { return PrivateKey{std::make_unique<Impl>(generate_p256())}; }

PrivateKey PrivateKey::from_pem(std::string_view pem) {
    return PrivateKey{std::make_unique<Impl>(private_key_from_pem(pem, "key"))};
}

Secret PrivateKey::pem() const { return private_key_pem(impl_->key); }

std::string PrivateKey::request(const Subject& subject) const {
    const Request request{X509_REQ_new()};
    const auto name = make_name(subject);
    check(request && X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
              X509_REQ_set_subject_name(request.get(), name.get()) == 1 &&
              X509_REQ_set_pubkey(request.get(), impl_->key.get()) == 1 &&
              X509_REQ_sign(request.get(), impl_->key.get(), digest_for(impl_->key)) > 0,
          "certificate request");
    const auto bio = writing();
    check(PEM_write_bio_X509_REQ(bio.get(), request.get()) == 1, "PEM_write_bio_X509_REQ");
    return crypto::text_of(bio);
}

// ---- CertificateAuthority

struct CertificateAuthority::Impl {
    Key key;
    Certificate root;
    std::string root_pem;

    [[nodiscard]] std::string certify(EVP_PKEY* public_key, const Issue& issue) const {
        const Name issuer{X509_NAME_dup(X509_get_subject_name(root.get()))};
        const auto root_end = wall_time(X509_get0_notAfter(root.get()));
        const auto today = now();
        auto leaf =
            blank(make_name(issue.subject), issuer, public_key, begin_of(today, issue.lifetime),
                  std::min<WallTime>(today + issue.lifetime, root_end));
        add_basic_constraints(leaf.get(), false);
        add_key_usage(leaf.get(), {digital_signature});
        add_extended_key_usage(leaf.get(), issue.server, issue.client);
        add_names(leaf.get(), issue.names);
        add_key_identifiers(leaf.get(), root.get());
        check(X509_sign(leaf.get(), key.get(), digest_for(key)) > 0, "certificate signature");
        return pem_of(leaf);
    }
};

CertificateAuthority::CertificateAuthority(std::unique_ptr<Impl> impl) noexcept
    : impl_{std::move(impl)} {}
CertificateAuthority::CertificateAuthority(CertificateAuthority&&) noexcept = default;
CertificateAuthority::~CertificateAuthority() = default;

CertificateAuthority CertificateAuthority::open(const std::filesystem::path& directory,
                                                const std::string& common_name) {
    const auto key_path = directory / "ca.key";
    const auto root_path = directory / "ca.crt";
    auto root_pem = read_file_if_exists(root_path, 1U << 20U);
    auto impl = std::make_unique<Impl>();
    if (std::filesystem::exists(key_path)) {
        impl->key = private_key_from_pem(read_private_file(key_path).reveal(), key_path.string());
    } else if (root_pem) {
        throw Error{ErrorKind::invalid,
                    root_path.string() +
                        ": its key ca.key is missing; restore it, or remove the "
                        "certificate to make a new CA"};
    } else {
        make_directories(directory, 0700);
        impl->key = generate_p256();
        write_file_atomic(key_path, private_key_pem(impl->key).reveal(), 0600);
    }
    if (!root_pem) {  // new, or stopped between the two files
        root_pem = pem_of(self_signed(impl->key, common_name));
        write_file_atomic(root_path, *root_pem, 0644);
    }
    try {
        impl->root = parse_certificate(*root_pem);
    } catch (const Error& error) {
        throw error.within(root_path.string());
    }
    if (X509_check_private_key(impl->root.get(), impl->key.get()) != 1)
        throw openssl_error(ErrorKind::invalid,
                            directory.string() + ": ca.key is not the key of ca.crt");
    if (X509_check_ca(impl->root.get()) != 1)
        throw Error{ErrorKind::invalid, root_path.string() + ": not a CA certificate"};
    impl->root_pem = pem_of(impl->root);
    return CertificateAuthority{std::move(impl)};
}

const std::string& CertificateAuthority::certificate_pem() const noexcept {
    return impl_->root_pem;
}

Credential CertificateAuthority::issue(const Issue& issue) const {
    const auto key = generate_p256();
    return {.certificate_pem = impl_->certify(key.get(), issue), .key_pem = private_key_pem(key)};
}

std::string CertificateAuthority::sign(std::string_view request_pem, const Issue& issue) const {
    const auto request = parse_request(request_pem);
    auto* const key = X509_REQ_get0_pubkey(request.get());
    if (key == nullptr)
        throw openssl_error(ErrorKind::invalid, "certificate request: its key cannot be read");
    if (X509_REQ_verify(request.get(), key) != 1)
        throw openssl_error(ErrorKind::denied,
                            "certificate request: not signed with the key it is for");
    if (EVP_PKEY_get_security_bits(key) < 112)
        throw Error{ErrorKind::denied, "certificate request: its key is too weak"};
    return impl_->certify(key, issue);
}

CertificateInfo CertificateAuthority::verify(std::string_view pem, WallTime now) const {
    const auto certificate = parse_certificate(pem);
    if (X509_check_issued(impl_->root.get(), certificate.get()) != X509_V_OK ||
        X509_verify(certificate.get(), X509_get0_pubkey(impl_->root.get())) != 1)
        throw openssl_error(ErrorKind::denied, "certificate: not one of this CA");
    auto info = read(certificate);
    if (info.is_ca) throw Error{ErrorKind::denied, "certificate: a CA's, not a client's"};
    if (now < info.not_before)
        throw Error{ErrorKind::denied,
                    "certificate: not valid before " + to_rfc3339(info.not_before)};
    if (now > info.not_after)
        throw Error{ErrorKind::denied, "certificate: expired at " + to_rfc3339(info.not_after)};
    return info;
}

std::string CertificateAuthority::crl(const std::vector<std::string>& revoked_serials,
                                      std::chrono::hours lifetime) const {
    const Crl crl{X509_CRL_new()};
    const auto today = time_at(now());
    check(crl && X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2) == 1 &&
              X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(impl_->root.get())) == 1 &&
              X509_CRL_set1_lastUpdate(crl.get(), time_at(now() - backdating).get()) == 1 &&
              X509_CRL_set1_nextUpdate(crl.get(), time_at(now() + lifetime).get()) == 1,
          "CRL");
    for (const auto& hex : revoked_serials) {
        const auto bytes = from_hex(hex);
        if (!bytes || bytes->empty() || bytes->size() > 20)
            throw Error{ErrorKind::invalid, "CRL: \"" + hex + "\" is not a serial number in hex"};
        const Number number{BN_bin2bn(bytes_of(std::string_view{*bytes}),
                                      static_cast<int>(bytes->size()), nullptr)};
        check(number != nullptr, "CRL");
        const Integer serial{BN_to_ASN1_INTEGER(number.get(), nullptr)};
        Owned<X509_REVOKED, X509_REVOKED_free> revoked{X509_REVOKED_new()};
        check(serial && revoked &&
                  X509_REVOKED_set_serialNumber(revoked.get(), serial.get()) == 1 &&
                  X509_REVOKED_set_revocationDate(revoked.get(), today.get()) == 1 &&
                  X509_CRL_add0_revoked(crl.get(), revoked.get()) == 1,
              "CRL");
        std::ignore = revoked.release();  // the CRL's now
    }
    // Both are required by RFC 5280 §5.2; the number rises with time.
    const Integer number{ASN1_INTEGER_new()};
    const auto milliseconds =
        std::chrono::duration_cast<std::chrono::milliseconds>(now().time_since_epoch()).count();
    check(number && ASN1_INTEGER_set_int64(number.get(), milliseconds) == 1 &&
              X509_CRL_add1_ext_i2d(crl.get(), NID_crl_number, number.get(), 0, 0) == 1,
          "CRL number");
    if (const auto* authority = X509_get0_subject_key_id(impl_->root.get()); authority != nullptr) {
        const Owned<AUTHORITY_KEYID, AUTHORITY_KEYID_free> identifier{AUTHORITY_KEYID_new()};
        check(identifier != nullptr, "CRL");
        identifier->keyid = ASN1_OCTET_STRING_dup(authority);
        check(identifier->keyid && X509_CRL_add1_ext_i2d(crl.get(), NID_authority_key_identifier,
                                                         identifier.get(), 0, 0) == 1,
              "CRL");
    }
    check(X509_CRL_sort(crl.get()) == 1 &&
              X509_CRL_sign(crl.get(), impl_->key.get(), digest_for(impl_->key)) > 0,
          "CRL signature");
    const auto bio = writing();
    check(PEM_write_bio_X509_CRL(bio.get(), crl.get()) == 1, "PEM_write_bio_X509_CRL");
    return crypto::text_of(bio);
}

}  // namespace kled::crypto
