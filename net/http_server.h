/// HTTP/1.1 server on TCP (with TLS and client certificates) and Unix sockets.
#pragma once

#include "base/secret.h"
#include "net/http.h"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kled::net {

/// Who is at the other end.
struct Peer {
    std::string address;  ///< "127.0.0.1:4711", or "unix"
    struct Certificate {  ///< verified against ServerTls::client_ca_pem
        std::string common_name;
        std::vector<std::string> organizations;
        std::string serial_hex;
    };
    std::optional<Certificate> certificate;
    struct Credentials {  ///< of a Unix socket's peer (SO_PEERCRED)
        std::uint32_t uid;
        std::uint32_t gid;
        std::int32_t pid;
    };
    std::optional<Credentials> credentials;
};

/// Sends the answer: `respond` once, or `begin` and then any number of `write`. A handler that
/// returns without either is answered with 500. All throw Error(unavailable) when the peer is gone.
class ResponseWriter {
public:
    virtual ~ResponseWriter() = default;
    virtual boost::asio::awaitable<void> respond(Response response) = 0;
    /// Status and headers now; the body is chunked and flushed with each `write`.
    virtual boost::asio::awaitable<void> begin(unsigned status, Headers headers) = 0;
    virtual boost::asio::awaitable<void> write(std::string_view bytes) = 0;
    /// Completes when the peer has closed its side: a watch ends without waiting for an event.
    virtual boost::asio::awaitable<void> closed() = 0;
};

/// Called on the server's loop. What it throws becomes a plain-text answer by the table from kind
/// to status (http_server.cc), if nothing was sent yet.
using Handler = std::function<boost::asio::awaitable<void>(Request request, const Peer& peer,
                                                           ResponseWriter& out)>;

struct ServerTls {
    std::string certificate_pem;
    std::shared_ptr<const Secret> key_pem;
    std::string client_ca_pem;  ///< empty: client certificates are not asked for
    bool require_client_certificate = false;
};

struct ServerOptions {
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;             ///< 0: any free one
    std::filesystem::path unix_socket;  ///< instead of host and port
    unsigned unix_mode = 0660;
    std::optional<ServerTls> tls;
    std::size_t body_limit = 3U << 20U;  ///< 413 before it is read where Content-Length says so
    std::size_t header_limit = 64U << 10U;
    std::size_t connection_limit = 1024;
    std::chrono::milliseconds header_timeout{10'000};
    std::chrono::milliseconds idle_timeout{120'000};
    std::chrono::milliseconds body_timeout{60'000};
    std::chrono::milliseconds write_timeout{60'000};  ///< without the peer taking a byte
};

class HttpServer {
public:
    /// Listens when constructed. Error(unavailable) with address and reason when it cannot.
    HttpServer(boost::asio::any_io_executor executor, ServerOptions options, Handler handler);
    ~HttpServer();
    [[nodiscard]] std::uint16_t port() const noexcept;
    /// Accepts until cancelled; then open handlers are cancelled and waited for.
    boost::asio::awaitable<void> run();
    /// New connections use these from now on; those open keep what they have.
    void reload_tls(ServerTls tls);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::net
