/// HTTP/1.1 client: one origin, kept-alive connections, TLS.
#pragma once

#include "base/secret.h"
#include "net/http.h"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <memory>
#include <string>

namespace kled::net {

struct ClientTls {
    std::string ca_pem;           ///< empty: the system's trust store
    std::string certificate_pem;  ///< with its chain; empty: none
    std::shared_ptr<const Secret> key_pem;
    std::string server_name;  ///< to verify and for SNI; empty: the URL's host
    bool insecure = false;    ///< accept any certificate; only where the user said so
};

struct ClientOptions {
    ClientTls tls;
    std::chrono::milliseconds connect_timeout{10'000};
    std::chrono::milliseconds timeout{30'000};  ///< send(): the whole exchange; open(): the headers
    std::chrono::milliseconds gap_timeout{30'000};  ///< open(): between two pieces of the body
    std::size_t body_limit = 64U << 20U;            ///< of a buffered response: Error(exhausted)
    std::size_t idle_connections = 8;
    std::string user_agent = "kled";
    std::string proxy;  ///< http://[user:password@]host:port (CONNECT for https); empty: none
    bool follow_redirects = false;  ///< send() of GET and HEAD, to the same origin, at most 5
};

/// Used from one loop. Every failure to connect, to verify or to finish in time is
/// Error(unavailable) (a certificate that does not verify, a Unix socket that is not for this user:
/// Error(denied)) and names the host.
class HttpClient {
public:
    HttpClient(boost::asio::any_io_executor executor, const Url& origin, ClientOptions options);
    ~HttpClient();
    HttpClient(HttpClient&&) noexcept;

    /// One exchange. A request on a kept-alive connection that the server closed before it answered
    /// is tried once more when its method is idempotent.
    boost::asio::awaitable<Response> send(Request request);
    /// The headers now, the body as it comes. The stream may outlive the client object.
    boost::asio::awaitable<StreamResponse> open(Request request);

private:
    struct Impl;
    class Body;
    std::shared_ptr<Impl> impl_;
};

}  // namespace kled::net
