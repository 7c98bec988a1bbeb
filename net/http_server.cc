#include "net/http_server.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/signal.h"
#include "base/task_group.h"
#include "net/connection.h"
#include "net/tls.h"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <list>

namespace kled::net {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;
using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;

namespace {

constexpr milliseconds linger_time{2'000};

/// The one table from a handler's failure to HTTP.
unsigned status_of(ErrorKind kind) noexcept {
    switch (kind) {
        case ErrorKind::invalid: return 400;
        case ErrorKind::not_found: return 404;
        case ErrorKind::conflict: return 409;
        case ErrorKind::denied: return 403;
        case ErrorKind::exhausted: return 429;
        case ErrorKind::unavailable: return 503;
        case ErrorKind::internal: return 500;
    }
    return 500;
}

Response plain_text(unsigned status, std::string text) {
    text += '\n';
    Response response;
    response.status = status;
    response.headers.set("Content-Type", "text/plain; charset=utf-8");
    response.headers.set("X-Content-Type-Options", "nosniff");
    response.body = std::move(text);
    return response;
}

std::string http_date() {
    const auto now = std::time(nullptr);
    std::tm utc{};
    ::gmtime_r(&now, &utc);
    std::array<char, 32> text{};
    const auto size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    return {text.data(), size};
}

bool has_no_body(unsigned status) noexcept {
    return status < 200 || status == 204 || status == 304;
}

class Writer final : public ResponseWriter {
public:
    Writer(Connection& connection, const ServerOptions& options, const Head& head)
        : connection_{connection},
          options_{options},
          keep_alive_{head.keep_alive},
          http_1_1_{head.http_1_1},
          is_head_{head.method == "HEAD"} {}

    asio::awaitable<void> respond(Response response) override {
        const bool bodiless = has_no_body(response.status);
        std::string length;
        if (!bodiless) {
            const bool told = is_head_ && response.body.empty();
            length = told ? std::string{response.headers.get("Content-Length")}
                          : std::to_string(response.body.size());
        }
        const auto head = start(response.status, response.headers, "Content-Length", length);
        const auto body =
            bodiless || is_head_ ? std::string_view{} : std::string_view{response.body};
        state_ = State::complete;
        co_await send(head, body);
    }

    asio::awaitable<void> begin(unsigned status, Headers headers) override {
        without_body_ = is_head_ || has_no_body(status);
        chunked_ = http_1_1_ && !without_body_;
        if (!http_1_1_) keep_alive_ = false;
        const auto head = start(status, headers, "Transfer-Encoding", chunked_ ? "chunked" : "");
        state_ = State::streaming;
        co_await send(head, {});
    }

    asio::awaitable<void> write(std::string_view bytes) override {
        if (state_ != State::streaming)
            throw Error{ErrorKind::internal, "HTTP: write before begin"};
        if (bytes.empty() || without_body_) co_return;
        if (!chunked_) co_return co_await send(bytes, {});
        std::string chunk;
        append_chunk_size(chunk, bytes.size());
        if (bytes.size() <= 16U << 10U) {
            chunk.append(bytes).append("\r\n");
            co_return co_await send(chunk, {});
        }
        co_await send(chunk, bytes);
        co_await send("\r\n", {});
    }

    asio::awaitable<void> closed() override {
        try {
            co_await connection_.wait_for_close(options_.header_limit);
        } catch (const Error&) {  // reset, or not TLS any more: gone as well
        }
    }

    asio::awaitable<void> finish() {
        if (state_ == State::streaming && chunked_) co_await send("0\r\n\r\n", {});
        state_ = State::complete;
    }

    void close_after() noexcept { keep_alive_ = false; }
    [[nodiscard]] bool started() const noexcept { return state_ != State::nothing; }
    [[nodiscard]] bool complete() const noexcept { return state_ == State::complete; }
    [[nodiscard]] bool keeps_alive() const noexcept { return keep_alive_; }

private:
    enum class State { nothing, streaming, complete };

    /// The head. Framing is ours: what a handler says about it is left out.
    std::string start(unsigned status, const Headers& given, std::string_view framing,
                      const std::string& value) {
        if (started()) throw Error{ErrorKind::internal, "HTTP: a second answer to one request"};
        Headers headers = given;
        if (headers.get("Connection") == "close") keep_alive_ = false;
        for (const auto* name : {"Connection", "Content-Length", "Transfer-Encoding", "Keep-Alive"})
            headers.remove(name);
        if (!headers.has("Date")) headers.add("Date", http_date());
        if (!value.empty()) headers.add(framing, value);
        if (keep_alive_ != http_1_1_)
            headers.add("Connection", keep_alive_ ? "keep-alive" : "close");
        std::string head;
        append_status_line(head, status);
        append_fields(head, headers);
        return head.append("\r\n");
    }

    asio::awaitable<void> send(std::string_view first, std::string_view second) {
        co_await connection_.stream.write(first, second, options_.write_timeout);
    }

    Connection& connection_;
    const ServerOptions& options_;
    State state_ = State::nothing;
    bool keep_alive_;
    bool http_1_1_;
    bool is_head_;
    bool chunked_ = false;
    bool without_body_ = false;
};

Stream::Endpoint tcp_endpoint(const ServerOptions& options, asio::any_io_executor executor) {
    error_code error;
    const auto address = asio::ip::make_address(options.host, error);
    if (!error) return asio::ip::tcp::endpoint{address, options.port};
    asio::ip::tcp::resolver resolver{std::move(executor)};
    const auto found = resolver.resolve(options.host, std::to_string(options.port), error);
    if (error) throw boost::system::system_error{error};
    return found.begin()->endpoint();
}

ErrorKind kind_of_bind(const error_code& code) {
    namespace errc = boost::system::errc;
    if (code == errc::address_in_use) return ErrorKind::conflict;
    if (code == errc::permission_denied) return ErrorKind::denied;
    if (code == errc::filename_too_long || code == errc::address_not_available)
        return ErrorKind::invalid;
    return ErrorKind::unavailable;
}

/// A socket file that nobody listens on is what a crash left; any other file is not ours.
void remove_stale_socket(const std::filesystem::path& path, const Stream::Endpoint& endpoint,
                         asio::any_io_executor executor) {
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0) return;
    if (!S_ISSOCK(status.st_mode)) throw Error{ErrorKind::conflict, "exists and is no socket"};
    Stream::Socket probe{std::move(executor)};
    error_code error;
    probe.connect(endpoint, error);
    if (!error) throw Error{ErrorKind::conflict, "another process listens there"};
    ::unlink(path.c_str());
}

}  // namespace

struct HttpServer::Impl {
    Impl(asio::any_io_executor executor, ServerOptions o, Handler h)
        : options{std::move(o)},
          handler{std::move(h)},
          acceptor{executor},
          connection_ended{executor} {
        if (options.tls) tls = TlsContext::for_server(*options.tls);
        name = options.unix_socket.empty() ? options.host + ":" + std::to_string(options.port)
                                           : "unix:" + options.unix_socket.string();
        try {
            listen(executor);
        } catch (const Error& error) {
            throw error.within("listen on " + name);
        } catch (const boost::system::system_error& error) {
            throw Error{kind_of_bind(error.code()),
                        "listen on " + name + ": " + error.code().message()};
        }
    }
    ~Impl() {
        if (bound) ::unlink(options.unix_socket.c_str());
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    void listen(const asio::any_io_executor& executor) {
        if (options.unix_socket.empty()) {
            const auto endpoint = tcp_endpoint(options, executor);
            acceptor.open(endpoint.protocol());
            acceptor.set_option(asio::socket_base::reuse_address{true});
            acceptor.bind(endpoint);
            acceptor.listen();
            asio::ip::tcp::endpoint local;
            const auto bound_to = acceptor.local_endpoint();
            local.resize(bound_to.size());
            std::copy_n(reinterpret_cast<const char*>(bound_to.data()), bound_to.size(),
                        reinterpret_cast<char*>(local.data()));
            port = local.port();
            return;
        }
        const Stream::Endpoint endpoint =
            asio::local::stream_protocol::endpoint{options.unix_socket.string()};
        remove_stale_socket(options.unix_socket, endpoint, executor);
        acceptor.open(endpoint.protocol());
        acceptor.bind(endpoint);
        bound = true;
        // Nobody can connect before listen(), so nobody gets in under the mode the umask gave.
        if (::chmod(options.unix_socket.c_str(), options.unix_mode) != 0)
            throw boost::system::system_error{errno, boost::system::system_category()};
        acceptor.listen();
    }

    asio::awaitable<void> accept(TaskGroup& connections) {
        for (;;) {
            while (open >= options.connection_limit) {
                if (!idle.empty()) idle.front()->stream.close();
                co_await connection_ended.wait();
            }
            Stream::Socket socket{acceptor.get_executor()};
            error_code error;
            co_await acceptor.async_accept(socket,
                                           asio::redirect_error(asio::use_awaitable, error));
            if (error == asio::error::operation_aborted) throw boost::system::system_error{error};
            if (error) {
                // Out of descriptors, or a peer that is gone already: the next one may do.
                log::warn("net", "accept failed", {{"address", name}, {"error", error.message()}});
                asio::steady_timer pause{acceptor.get_executor(), milliseconds{100}};
                co_await pause.async_wait(asio::use_awaitable);
                continue;
            }
            ++open;
            connections.spawn(serve(Stream{std::move(socket)}));
        }
    }

    /// One connection from its first byte to its end.
    asio::awaitable<void> serve(Stream stream) {
        struct Leaving {
            Impl& server;
            ~Leaving() {
                --server.open;
                server.connection_ended.notify();
            }
        } const leaving{*this};
        try {
            if (tls)
                co_await stream.accept_tls(tls, SteadyTime::clock::now() + options.header_timeout);
            const auto peer = stream.peer();
            Connection connection{std::move(stream)};
            auto patience = options.header_timeout;
            for (bool alive = true; alive; patience = options.idle_timeout)
                alive = co_await exchange(connection, peer, patience);
        } catch (const Error& error) {
            log::debug("net", "connection ended", {{"address", name}, {"error", error.what()}});
        } catch (const boost::system::system_error& error) {
            // The server stops.
            log::debug("net", "connection ended", {{"address", name}, {"error", error.what()}});
        }
    }

    asio::awaitable<bool> wait_idle(Connection& connection, milliseconds patience) {
        struct Idle {
            std::list<Connection*>& all;
            std::list<Connection*>::iterator self;
            ~Idle() { all.erase(self); }
        } const waiting{idle, idle.insert(idle.end(), &connection)};
        co_return co_await connection.wait_for_bytes(SteadyTime::clock::now() + patience);
    }

    asio::awaitable<void> read(Connection& connection, MessageParser& parser) {
        const auto started = SteadyTime::clock::now();
        co_await connection.read_head(parser, started + options.header_timeout);
        if (parser.head().expects_continue && !parser.done() && connection.is_empty()) {
            co_await connection.stream.write("HTTP/1.1 100 Continue\r\n\r\n", {},
                                             options.write_timeout);
        }
        co_await connection.read_body(parser, SIZE_MAX, started + options.body_timeout);
    }

    /// One request and its answer; false: the connection is over.
    asio::awaitable<bool> exchange(Connection& connection, const Peer& peer,
                                   milliseconds patience) {
        const bool came = co_await wait_idle(connection, patience);
        if (!came) co_return false;
        MessageParser::Limits limits;
        limits.header_bytes = options.header_limit;
        limits.body_bytes = options.body_limit;
        MessageParser parser{MessageParser::Role::request, limits};
        std::optional<Response> refusal;
        try {
            co_await read(connection, parser);
        } catch (const ProtocolError& error) {
            refusal = plain_text(error.status(), error.what());
        }
        auto& head = parser.head();
        Writer out{connection, options, head};
        if (refusal) {
            out.close_after();
            co_await out.respond(*std::move(refusal));
        } else {
            Request request;
            request.method = std::move(head.method);
            request.target = std::move(head.target);
            request.headers = std::move(head.headers);
            request.body = std::move(parser.body());
            co_await answer(std::move(request), peer, out);
        }
        if (out.keeps_alive()) co_return true;
        co_await connection.stream.linger(SteadyTime::clock::now() + linger_time);
        co_return false;
    }

    asio::awaitable<void> answer(Request request, const Peer& peer, Writer& out) {
        std::optional<Response> failure;
        std::string bug;
        const auto what = request.method + " " + request.target.substr(0, request.target.find('?'));
        try {
            co_await handler(std::move(request), peer, out);
            if (!out.started()) bug = "no answer";
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::internal) bug = error.what();
            failure = plain_text(status_of(error.kind()), error.what());
        } catch (const std::exception& error) {
            bug = error.what();
        }
        // A handler that was cancelled may put it in any words.
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none) throw_cancelled();
        if (!bug.empty()) {
            log::error("net", "handler failed", {{"request", what}, {"error", bug}});
            failure = plain_text(500, "internal error");
        }
        if (!failure) co_return co_await out.finish();
        // An answer that broke off must not look complete: the connection goes without its end.
        if (out.started()) throw Error{ErrorKind::unavailable, "answer to " + what + " broke off"};
        co_await out.respond(*std::move(failure));
    }

    ServerOptions options;
    Handler handler;
    Acceptor acceptor;
    std::shared_ptr<const TlsContext> tls;
    std::string name;
    std::uint16_t port = 0;
    bool bound = false;
    std::size_t open = 0;
    std::list<Connection*> idle;  // oldest first
    Signal connection_ended;
};

HttpServer::HttpServer(asio::any_io_executor executor, ServerOptions options, Handler handler)
    : impl_{std::make_unique<Impl>(std::move(executor), std::move(options), std::move(handler))} {}
HttpServer::~HttpServer() = default;

std::uint16_t HttpServer::port() const noexcept { return impl_->port; }

asio::awaitable<void> HttpServer::run() {
    TaskGroup tasks{impl_->acceptor.get_executor()};
    tasks.spawn(impl_->accept(tasks));
    co_await even_if_cancelled;
    co_await tasks.join();
}

void HttpServer::reload_tls(ServerTls tls) { impl_->tls = TlsContext::for_server(tls); }

}  // namespace kled::net
