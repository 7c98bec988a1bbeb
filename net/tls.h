/// TLS contexts from PEM. Internal to net.
#pragma once

#include "net/http_client.h"
#include "net/http_server.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

// OpenSSL's own names, so that this header needs none of its own headers.
struct ssl_ctx_st;
struct ssl_st;

namespace kled::net {

/// An SSL_CTX: TLS 1.2 or newer, ALPN http/1.1, no session resumption (each connection is judged
/// anew), buffers released when idle.
class TlsContext {
public:
    /// Error(invalid) for a certificate, key or CA that cannot be read or do not belong together.
    static std::shared_ptr<const TlsContext> for_client(const ClientTls& tls);
    static std::shared_ptr<const TlsContext> for_server(const ServerTls& tls);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    [[nodiscard]] ssl_ctx_st* handle() const noexcept { return context_; }
    [[nodiscard]] bool verifies_peer() const noexcept;

private:
    explicit TlsContext(bool server);
    void use_credential(std::string_view certificate_pem, std::string_view key_pem) const;
    void trust(std::string_view ca_pem, bool announce) const;

    ssl_ctx_st* context_;
};

/// Sets the name to send (SNI; DNS names only) and to find in the peer's certificate.
void expect_peer_name(ssl_st* ssl, const std::string& name);

/// Why the peer's certificate was not accepted; nullopt when that is not what went wrong.
[[nodiscard]] std::optional<std::string> verification_failure(ssl_st* ssl);

/// The verified certificate of the peer.
[[nodiscard]] std::optional<Peer::Certificate> peer_certificate(ssl_st* ssl);

}  // namespace kled::net
