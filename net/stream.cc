#include "net/stream.h"

#include "base/error.h"
#include "net/tls.h"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace kled::net {

namespace asio = boost::asio;
using boost::system::error_code;
using Tls = asio::ssl::stream<Stream::Socket&>;

namespace {

/// The peer ended the handshake, or its first answer, because of our certificate or its absence.
bool refuses_our_certificate(const error_code& error) noexcept {
    if (error.category() != asio::error::get_ssl_category()) return false;
    switch (ERR_GET_REASON(static_cast<unsigned long>(error.value()))) {
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_NO_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        case SSL_R_TLSV1_ALERT_ACCESS_DENIED: return true;
        default: return false;
    }
}

void set_option(int socket, int level, int name, int value) noexcept {
    ::setsockopt(socket, level, name, &value, sizeof value);  // best effort: a tuning, not a need
}

/// Small answers go out at once, and a peer that vanished is noticed within a minute also while we
/// only listen (a watch).
void tune(int socket) noexcept {
    set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, 30);
    set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

}  // namespace

struct Stream::Impl : std::enable_shared_from_this<Stream::Impl> {
    explicit Impl(Socket s) : socket{std::move(s)}, timer{socket.get_executor()} {}

    /// Holds a deadline while an operation waits. One timer serves all: it is not touched when a
    /// deadline moves back, and looks again when it fires.
    class Waiting {
    public:
        Waiting(Impl& stream, SteadyTime Impl::* slot, SteadyTime deadline)
            : stream_{stream}, slot_{slot} {
            stream_.*slot_ = deadline;
            stream_.arm();
        }
        ~Waiting() { stream_.*slot_ = SteadyTime::max(); }
        Waiting(const Waiting&) = delete;
        Waiting& operator=(const Waiting&) = delete;

    private:
        Impl& stream_;
        SteadyTime Impl::* slot_;
    };

    void arm() {
        const auto next = std::min(read_deadline, write_deadline);
        if (next >= armed) return;
        armed = next;
        timer.expires_at(next);
        timer.async_wait([weak = weak_from_this()](const error_code& error) {
            const auto self = weak.lock();
            if (!self || error) return;
            self->armed = SteadyTime::max();
            if (std::min(self->read_deadline, self->write_deadline) > SteadyTime::clock::now()) {
                self->arm();
            } else {
                self->timed_out = true;
                self->close();
            }
        });
    }

    void close() noexcept {
        error_code ignored;
        socket.close(ignored);
    }

    /// Turns what Asio says into what kled says; cancellation stays what it is.
    [[noreturn]] void fail(const error_code& error) {
        if (timed_out) throw Error{ErrorKind::unavailable, "timed out"};
        if (error == asio::error::operation_aborted && socket.is_open())
            throw boost::system::system_error{error};
        if (tls && SSL_get_verify_mode(tls->native_handle()) != SSL_VERIFY_NONE) {
            if (const auto why = verification_failure(tls->native_handle()))
                throw Error{ErrorKind::denied, "the peer's certificate is not accepted: " + *why};
        }
        if (refuses_our_certificate(error)) {
            throw Error{ErrorKind::denied,
                        "the peer does not accept our certificate: " + error.message()};
        }
        throw Error{ErrorKind::unavailable, error == asio::error::operation_aborted
                                                ? "connection closed"
                                                : error.message()};
    }

    asio::awaitable<void> handshake(std::shared_ptr<const TlsContext> context,
                                    asio::ssl::stream_base::handshake_type side, std::string name,
                                    SteadyTime deadline) {
        const auto self = shared_from_this();
        SSL* const ssl = SSL_new(context->handle());
        if (ssl == nullptr) throw Error{ErrorKind::internal, "TLS: out of memory"};
        tls = std::make_unique<Tls>(socket, ssl);
        if (!name.empty()) expect_peer_name(ssl, name);
        error_code error;
        const Waiting waiting{*this, &Impl::read_deadline, deadline};
        co_await tls->async_handshake(side, asio::redirect_error(asio::use_awaitable, error));
        if (error) fail(error);
    }

    Socket socket;
    std::unique_ptr<Tls> tls;
    asio::steady_timer timer;
    SteadyTime read_deadline = SteadyTime::max();
    SteadyTime write_deadline = SteadyTime::max();
    SteadyTime armed = SteadyTime::max();
    bool timed_out = false;
    bool truncated = false;
};

Stream::Stream(const asio::any_io_executor& executor)
    : impl_{std::make_shared<Impl>(Socket{executor})} {}
Stream::Stream(Socket socket) : impl_{std::make_shared<Impl>(std::move(socket))} {
    tune(impl_->socket.native_handle());
}
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() {
    if (impl_) impl_->close();
}

asio::awaitable<void> Stream::connect(Endpoint endpoint, SteadyTime deadline) {
    const auto self = impl_;
    error_code error;
    self->socket.open(endpoint.protocol(), error);
    if (error) self->fail(error);
    tune(self->socket.native_handle());
    const Impl::Waiting waiting{*self, &Impl::write_deadline, deadline};
    co_await self->socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
    // Of a Unix socket: its file, or a folder above it, is not this user's.
    if (error == asio::error::access_denied && endpoint.protocol().family() == AF_UNIX)
        throw Error{ErrorKind::denied, error.message()};
    if (error) self->fail(error);
}

asio::awaitable<void> Stream::start_tls(std::shared_ptr<const TlsContext> context, std::string name,
                                        SteadyTime deadline) {
    return impl_->handshake(std::move(context), asio::ssl::stream_base::client, std::move(name),
                            deadline);
}

asio::awaitable<void> Stream::accept_tls(std::shared_ptr<const TlsContext> context,
                                         SteadyTime deadline) {
    return impl_->handshake(std::move(context), asio::ssl::stream_base::server, {}, deadline);
}

asio::awaitable<std::size_t> Stream::read_some(std::span<char> into, SteadyTime deadline) {
    const auto self = impl_;
    const auto buffer = asio::buffer(into.data(), into.size());
    const Impl::Waiting waiting{*self, &Impl::read_deadline, deadline};
    error_code error;
    std::size_t count = 0;
    if (self->tls) {
        count = co_await self->tls->async_read_some(
            buffer, asio::redirect_error(asio::use_awaitable, error));
    } else {
        count = co_await self->socket.async_read_some(
            buffer, asio::redirect_error(asio::use_awaitable, error));
    }
    if (count > 0) co_return count;
    self->truncated = error == asio::ssl::error::stream_truncated;
    if (error && error != asio::error::eof && !self->truncated) self->fail(error);
    co_return 0;
}

asio::awaitable<void> Stream::write(std::string_view first, std::string_view second,
                                    Duration timeout) {
    const auto self = impl_;
    while (!first.empty() || !second.empty()) {
        const std::array<asio::const_buffer, 2> buffers{asio::buffer(first), asio::buffer(second)};
        const Impl::Waiting waiting{*self, &Impl::write_deadline,
                                    SteadyTime::clock::now() + timeout};
        error_code error;
        std::size_t count = 0;
        if (self->tls) {
            count = co_await self->tls->async_write_some(
                buffers, asio::redirect_error(asio::use_awaitable, error));
        } else {
            count = co_await self->socket.async_write_some(
                buffers, asio::redirect_error(asio::use_awaitable, error));
        }
        if (error) self->fail(error);
        const auto of_first = std::min(count, first.size());
        first.remove_prefix(of_first);
        second.remove_prefix(count - of_first);
    }
}

asio::awaitable<void> Stream::linger(SteadyTime deadline) {
    const auto self = impl_;
    const Impl::Waiting waiting{*self, &Impl::read_deadline, deadline};
    error_code error;
    if (self->tls)
        co_await self->tls->async_shutdown(asio::redirect_error(asio::use_awaitable, error));
    self->socket.shutdown(Socket::shutdown_send, error);
    std::array<char, 4096> discarded;
    for (error.clear(); !error;) {
        co_await self->socket.async_read_some(asio::buffer(discarded),
                                              asio::redirect_error(asio::use_awaitable, error));
    }
    self->close();
}

void Stream::close() noexcept { impl_->close(); }

void Stream::rest() noexcept {
    impl_->timer.cancel();
    impl_->armed = SteadyTime::max();
}

bool Stream::truncated() const noexcept { return impl_->truncated; }

bool Stream::is_quiet() const noexcept {
    char byte = 0;
    return impl_->socket.is_open() &&
           ::recv(impl_->socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

Peer Stream::peer() const {
    Peer peer;
    error_code error;
    const auto remote = impl_->socket.remote_endpoint(error);
    const auto family = error ? AF_UNSPEC : remote.data()->sa_family;
    if (family == AF_UNIX) {
        peer.address = "unix";
        ucred credentials{};
        socklen_t size = sizeof credentials;
        if (::getsockopt(impl_->socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials,
                         &size) == 0) {
            peer.credentials = Peer::Credentials{
                .uid = credentials.uid, .gid = credentials.gid, .pid = credentials.pid};
        }
    } else if (family == AF_INET || family == AF_INET6) {
        asio::ip::tcp::endpoint endpoint;
        endpoint.resize(remote.size());
        std::memcpy(endpoint.data(), remote.data(), remote.size());
        const auto host = endpoint.address().to_string();
        const auto port = std::to_string(endpoint.port());
        peer.address = family == AF_INET6 ? "[" + host + "]:" + port : host + ":" + port;
    }
    if (impl_->tls) peer.certificate = peer_certificate(impl_->tls->native_handle());
    return peer;
}

}  // namespace kled::net
