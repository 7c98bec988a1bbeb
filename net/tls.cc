#include "net/tls.h"

#include "base/error.h"
#include "crypto/openssl.h"
#include "crypto/x509.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>

namespace kled::net {

namespace {

using Certificate = crypto::Owned<X509, X509_free>;

/// The next certificate; null at the end. An encrypted PEM is an error, never a question.
Certificate next_certificate(BIO* bio) {
    Certificate certificate{
        PEM_read_bio_X509(bio, nullptr, [](char*, int, int, void*) { return 0; }, nullptr)};
    if (!certificate && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
        ERR_clear_error();
    else if (!certificate)
        throw crypto::openssl_error(ErrorKind::invalid, "TLS: cannot read a certificate");
    return certificate;
}

constexpr std::array<unsigned char, 9> http_1_1{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

int select_protocol(SSL*, const unsigned char** out, unsigned char* out_length,
                    const unsigned char* offered, unsigned offered_length, void*) {
    unsigned char* selected = nullptr;
    if (SSL_select_next_proto(&selected, out_length, http_1_1.data(), http_1_1.size(), offered,
                              offered_length) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = selected;
    return SSL_TLSEXT_ERR_OK;
}

}  // namespace

TlsContext::TlsContext(bool server)
    : context_{SSL_CTX_new(server ? TLS_server_method() : TLS_client_method())} {
    if (context_ == nullptr) throw crypto::openssl_error(ErrorKind::internal, "TLS: no context");
    SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION);
    SSL_CTX_set_mode(context_, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                   SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(context_, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                      SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context_, 0);
    if (server) {
        SSL_CTX_set_alpn_select_cb(context_, select_protocol, nullptr);
    } else {
        SSL_CTX_set_alpn_protos(context_, http_1_1.data(), http_1_1.size());
    }
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

void TlsContext::use_credential(std::string_view certificate_pem, std::string_view key_pem) const {
    const auto certificates = crypto::reading(certificate_pem);
    const auto leaf = next_certificate(certificates.get());
    if (!leaf) throw Error{ErrorKind::invalid, "TLS: no certificate in the PEM text"};
    if (SSL_CTX_use_certificate(context_, leaf.get()) != 1)
        throw crypto::openssl_error(ErrorKind::invalid, "TLS: certificate not usable");
    while (const auto next = next_certificate(certificates.get())) {
        if (SSL_CTX_add1_chain_cert(context_, next.get()) != 1)
            throw crypto::openssl_error(ErrorKind::invalid, "TLS: certificate chain not usable");
    }
    const auto key = crypto::private_key_from_pem(key_pem, "TLS");
    if (SSL_CTX_use_PrivateKey(context_, key.get()) != 1 ||
        SSL_CTX_check_private_key(context_) != 1)
        throw crypto::openssl_error(ErrorKind::invalid,
                                    "TLS: certificate and key do not belong together");
}

void TlsContext::trust(std::string_view ca_pem, bool announce) const {
    const auto certificates = crypto::reading(ca_pem);
    auto* const store = SSL_CTX_get_cert_store(context_);
    int count = 0;
    while (const auto ca = next_certificate(certificates.get())) {
        if (X509_STORE_add_cert(store, ca.get()) != 1 ||
            (announce && SSL_CTX_add_client_CA(context_, ca.get()) != 1))
            throw crypto::openssl_error(ErrorKind::invalid, "TLS: CA certificate not usable");
        ++count;
    }
    if (count == 0) throw Error{ErrorKind::invalid, "TLS: no CA certificate in the PEM text"};
    // A CA that the user names is trusted as it is, also when it is an intermediate one.
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context_), X509_V_FLAG_PARTIAL_CHAIN);
}

bool TlsContext::verifies_peer() const noexcept {
    return SSL_CTX_get_verify_mode(context_) != SSL_VERIFY_NONE;
}

std::shared_ptr<const TlsContext> TlsContext::for_client(const ClientTls& tls) {
    const std::shared_ptr<const TlsContext> context{new TlsContext{false}};
    if (!tls.certificate_pem.empty())
        context->use_credential(tls.certificate_pem, tls.key_pem ? tls.key_pem->reveal() : "");
    if (tls.insecure) {
        SSL_CTX_set_verify(context->context_, SSL_VERIFY_NONE, nullptr);
        return context;
    }
    SSL_CTX_set_verify(context->context_, SSL_VERIFY_PEER, nullptr);
    if (tls.ca_pem.empty()) {
        SSL_CTX_set_default_verify_paths(context->context_);
    } else {
        context->trust(tls.ca_pem, false);
    }
    return context;
}

std::shared_ptr<const TlsContext> TlsContext::for_server(const ServerTls& tls) {
    const std::shared_ptr<const TlsContext> context{new TlsContext{true}};
    context->use_credential(tls.certificate_pem, tls.key_pem ? tls.key_pem->reveal() : "");
    if (!tls.client_ca_pem.empty()) {
        context->trust(tls.client_ca_pem, true);
        SSL_CTX_set_verify(
            context->context_,
            SSL_VERIFY_PEER |
                (tls.require_client_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
            nullptr);
    } else if (tls.require_client_certificate) {
        throw Error{ErrorKind::invalid,
                    "TLS: client certificates are required, but no CA is given"};
    }
    return context;
}

void expect_peer_name(ssl_st* ssl, const std::string& name) {
    auto* const parameters = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, name.c_str()) == 1) return;
    ERR_clear_error();
    // As browsers and Go do: only subject alternative names count, and `*` is a whole label.
    X509_VERIFY_PARAM_set_hostflags(
        parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (X509_VERIFY_PARAM_set1_host(parameters, name.c_str(), name.size()) != 1 ||
        SSL_set_tlsext_host_name(ssl, name.c_str()) != 1)
        throw crypto::openssl_error(ErrorKind::invalid, "TLS: server name '" + name + "'");
}

std::optional<std::string> verification_failure(ssl_st* ssl) {
    const auto result = SSL_get_verify_result(ssl);
    if (result == X509_V_OK) return std::nullopt;
    return X509_verify_cert_error_string(result);
}

std::optional<Peer::Certificate> peer_certificate(ssl_st* ssl) {
    const auto* const certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == nullptr || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE ||
        SSL_get_verify_result(ssl) != X509_V_OK)
        return std::nullopt;

    const auto pem = crypto::writing();
    crypto::check(PEM_write_bio_X509(pem.get(), certificate) == 1, "PEM_write_bio_X509");
    auto info = crypto::read_certificate(crypto::text_of(pem));
    return Peer::Certificate{.common_name = std::move(info.common_name),
                             .organizations = std::move(info.organizations),
                             .serial_hex = std::move(info.serial_hex)};
}

}  // namespace kled::net
