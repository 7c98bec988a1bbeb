/// A connection's bytes: TCP or Unix socket, plain or TLS, with a deadline on every wait. Internal
/// to net. One type, so that what reads and writes messages is compiled once.
#pragma once

#include "base/clock.h"
#include "net/http.h"
#include "net/http_server.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace kled::net {

class TlsContext;

/// Used from one loop. One read and one write may wait at the same time. Failures are
/// Error(unavailable) (also a deadline that passed: the stream is then closed), those of a
/// certificate and of the file of a Unix socket Error(denied); cancellation passes through, and
/// leaves the stream fit to be closed only, except for a read, which loses nothing.
class Stream {
public:
    using Socket = boost::asio::generic::stream_protocol::socket;
    using Endpoint = boost::asio::generic::stream_protocol::endpoint;

    explicit Stream(const boost::asio::any_io_executor& executor);
    explicit Stream(Socket socket);
    Stream(Stream&&) noexcept;
    Stream& operator=(Stream&&) noexcept;
    ~Stream();

    boost::asio::awaitable<void> connect(Endpoint endpoint, SteadyTime deadline);
    /// The client's side; `name`, a DNS name or an IP address, must be one of the certificate's.
    boost::asio::awaitable<void> start_tls(std::shared_ptr<const TlsContext> context,
                                           std::string name, SteadyTime deadline);
    /// The server's side.
    boost::asio::awaitable<void> accept_tls(std::shared_ptr<const TlsContext> context,
                                            SteadyTime deadline);

    /// At least one byte; 0 when the peer has closed its side.
    boost::asio::awaitable<std::size_t> read_some(std::span<char> into, SteadyTime deadline);
    /// All of both; `timeout` is for each piece the peer takes. The bytes outlive the wait.
    boost::asio::awaitable<void> write(std::string_view first, std::string_view second,
                                       Duration timeout);
    /// Says that nothing more comes, then discards what the peer still sends until it closes too:
    /// closing at once could destroy what it has not read yet (RFC 9112 §9.6). Never throws Error.
    boost::asio::awaitable<void> linger(SteadyTime deadline);
    void close() noexcept;
    /// Between two uses: holds no deadline, so that a connection that is kept keeps no loop
    /// running.
    void rest() noexcept;

    /// True when the peer ended TLS without saying so: what came may be cut short.
    [[nodiscard]] bool truncated() const noexcept;
    /// Nothing to read and not closed: an idle connection is fit for the next request.
    [[nodiscard]] bool is_quiet() const noexcept;
    [[nodiscard]] Peer peer() const;

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace kled::net
