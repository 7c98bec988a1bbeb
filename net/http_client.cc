#include "net/http_client.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/error.h"
#include "net/connection.h"
#include "net/tls.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <vector>

namespace kled::net {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

SteadyTime from_now(Duration duration) { return SteadyTime::clock::now() + duration; }

std::string authority(const Url& url, bool with_default_port) {
    const auto host = url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]";
    const bool is_default = url.port == (url.scheme == "https" ? "443" : "80");
    return is_default && !with_default_port ? host : host + ":" + url.port;
}

bool is_idempotent(std::string_view method) noexcept {
    constexpr std::string_view all[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
    return std::ranges::find(all, method) != std::end(all);
}

/// getaddrinfo on Asio's own thread. It cannot be interrupted, so it is left behind when we stop
/// waiting: its end finds only what it shares with us.
asio::awaitable<std::vector<Stream::Endpoint>> resolve(asio::any_io_executor executor,
                                                       const Url& url, SteadyTime deadline) {
    error_code error;
    const auto port = static_cast<std::uint16_t>(std::stoi(url.port));
    const auto address = asio::ip::make_address(url.host, error);
    if (!error) {
        const Stream::Endpoint endpoint = asio::ip::tcp::endpoint{address, port};
        co_return std::vector<Stream::Endpoint>(1, endpoint);
    }
    struct Shared {
        explicit Shared(const asio::any_io_executor& e) : resolver{e}, done{e} {}
        asio::ip::tcp::resolver resolver;
        asio::steady_timer done;
        bool answered = false;
        error_code error;
        std::vector<Stream::Endpoint> endpoints;
    };
    const auto shared = std::make_shared<Shared>(executor);
    shared->done.expires_at(deadline);
    shared->resolver.async_resolve(url.host, url.port,
                                   [shared](const error_code& failure, const auto& results) {
                                       shared->answered = true;
                                       shared->error = failure;
                                       for (const auto& result : results)
                                           shared->endpoints.emplace_back(result.endpoint());
                                       shared->done.cancel();
                                   });
    if (!shared->answered) co_await shared->done.async_wait(asio::as_tuple(asio::use_awaitable));
    if (shared->answered && shared->error)
        throw Error{ErrorKind::unavailable, "cannot resolve the name: " + shared->error.message()};
    if (!shared->answered) {
        if (SteadyTime::clock::now() < deadline)
            throw boost::system::system_error{asio::error::operation_aborted};
        throw Error{ErrorKind::unavailable, "cannot resolve the name: timed out"};
    }
    co_return shared->endpoints;
}

/// The first endpoint that answers; one that does not leaves time for those after it.
asio::awaitable<Stream> connect(asio::any_io_executor executor,
                                std::vector<Stream::Endpoint> endpoints, SteadyTime deadline) {
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
        const auto left = deadline - SteadyTime::clock::now();
        const auto share = left / static_cast<int>(endpoints.size() - i);
        Stream stream{executor};
        try {
            co_await stream.connect(endpoints[i], SteadyTime::clock::now() + share);
            co_return stream;
        } catch (const Error&) {
            if (i + 1 == endpoints.size()) throw;
        }
    }
    throw Error{ErrorKind::unavailable, "the name has no address"};
}

}  // namespace

struct HttpClient::Impl : std::enable_shared_from_this<HttpClient::Impl> {
    Impl(asio::any_io_executor e, const Url& o, ClientOptions opts)
        : executor{std::move(e)}, origin{o}, options{std::move(opts)} {
        if (origin.scheme == "https") tls = TlsContext::for_client(options.tls);
        if (!options.proxy.empty() && origin.scheme != "unix") {
            proxy = parse_url(options.proxy);
            if (proxy->scheme != "http") {
                throw Error{ErrorKind::invalid, "proxy " + proxy->scheme + "://" + proxy->host +
                                                    ": only http:// proxies are supported"};
            }
        }
        name = origin.scheme == "unix" ? "unix:" + origin.host
                                       : origin.scheme + "://" + authority(origin, false);
    }

    asio::awaitable<Connection> dial() {
        const auto deadline = from_now(options.connect_timeout);
        const auto& next_hop = proxy ? *proxy : origin;
        std::vector<Stream::Endpoint> endpoints;
        if (origin.scheme == "unix") {
            endpoints.emplace_back(asio::local::stream_protocol::endpoint{origin.host});
        } else {
            endpoints = co_await resolve(executor, next_hop, deadline);
        }
        Connection connection{co_await connect(executor, std::move(endpoints), deadline)};
        if (!tls) co_return connection;
        if (proxy) co_await open_tunnel(connection, deadline);
        co_await connection.stream.start_tls(
            tls, options.tls.server_name.empty() ? origin.host : options.tls.server_name, deadline);
        co_return connection;
    }

    [[nodiscard]] Headers proxy_headers() const {
        Headers headers;
        if (proxy && !proxy->user.empty()) {
            headers.add("Proxy-Authorization",
                        "Basic " + to_base64(proxy->user + ":" + proxy->password));
        }
        return headers;
    }

    asio::awaitable<void> open_tunnel(Connection& connection, SteadyTime deadline) {
        auto headers = proxy_headers();
        headers.add("Host", authority(origin, true));
        std::string head;
        append_request_line(head, "CONNECT", authority(origin, true));
        append_fields(head, headers);
        head += "\r\n";
        co_await connection.stream.write(head, {}, options.connect_timeout);
        // A tunnel begins right after the head of a 2xx, whatever that says about a body.
        MessageParser parser{MessageParser::Role::response_to_head, {}};
        const bool answered = co_await connection.read_head(parser, deadline);
        if (!answered || parser.head().status / 100 != 2) {
            throw Error{ErrorKind::unavailable,
                        "proxy " + proxy->host + ": " +
                            (answered ? "CONNECT answered " + std::to_string(parser.head().status)
                                      : "closed the connection")};
        }
        if (!connection.is_empty())
            throw Error{ErrorKind::unavailable, "proxy " + proxy->host + ": sent bytes of its own"};
    }

    std::optional<Connection> take_idle() {
        while (!idle.empty()) {
            Connection connection = std::move(idle.back());
            idle.pop_back();
            if (connection.stream.is_quiet()) return connection;
        }
        return std::nullopt;
    }

    void give_back(Connection connection, MessageParser& parser) {
        if (!parser.done() || !parser.head().keep_alive || !connection.is_empty()) return;
        if (idle.size() >= options.idle_connections) return;
        connection.stream.rest();
        idle.push_back(std::move(connection));
    }

    [[nodiscard]] std::string head_of(const Request& request) const {
        auto headers = request.headers;
        for (const auto* ours : {"Connection", "Content-Length", "Transfer-Encoding"})
            headers.remove(ours);
        if (!headers.has("Host"))
            headers.add("Host", origin.scheme == "unix" ? "localhost" : authority(origin, false));
        if (!headers.has("User-Agent")) headers.add("User-Agent", options.user_agent);
        if (!headers.has("Authorization") && !origin.user.empty()) {
            headers.add("Authorization", "Basic " + to_base64(origin.user + ":" + origin.password));
        }
        const bool has_body = !request.body.empty() || request.method == "POST" ||
                              request.method == "PUT" || request.method == "PATCH";
        if (has_body) headers.add("Content-Length", std::to_string(request.body.size()));
        std::string head;
        const bool absolute = proxy && !tls;
        append_request_line(head, request.method,
                            absolute ? name + request.target : request.target);
        if (absolute) append_fields(head, proxy_headers());
        append_fields(head, headers);
        return head.append("\r\n");
    }

    struct Exchange {
        Exchange(Connection c, std::unique_ptr<MessageParser> p)
            : connection{std::move(c)}, parser{std::move(p)} {}
        Connection connection;
        std::unique_ptr<MessageParser> parser;
    };

    /// Sends the request and reads the head of its answer.
    asio::awaitable<Exchange> start(const Request& request, SteadyTime deadline) {
        const auto head = head_of(request);
        if (auto kept = take_idle()) {
            bool stale = false;
            try {
                auto answer = co_await try_on(*kept, head, request, deadline);
                if (answer) co_return Exchange(std::move(*kept), std::move(answer));
                stale = true;
            } catch (const Error& error) {
                // Closed between our look and our request: it cannot have been answered.
                stale =
                    error.kind() == ErrorKind::unavailable && SteadyTime::clock::now() < deadline;
                if (!stale || !is_idempotent(request.method)) throw;
            }
            if (!is_idempotent(request.method))
                throw Error{ErrorKind::unavailable, "the connection was closed before an answer"};
        }
        auto fresh = co_await dial();
        auto answer = co_await try_on(fresh, head, request, deadline);
        if (!answer)
            throw Error{ErrorKind::unavailable, "the connection was closed before an answer"};
        co_return Exchange(std::move(fresh), std::move(answer));
    }

    /// Null: the peer closed without a byte of an answer.
    asio::awaitable<std::unique_ptr<MessageParser>> try_on(Connection& connection,
                                                           const std::string& head,
                                                           const Request& request,
                                                           SteadyTime deadline) {
        // A server may answer and close before it has read a large body: its answer counts.
        std::optional<Error> unsent;
        try {
            const auto left = std::chrono::ceil<Duration>(deadline - SteadyTime::clock::now());
            co_await connection.stream.write(head, request.body, left);
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::unavailable) throw;
            unsent = error;
        }
        const auto role = request.method == "HEAD" ? MessageParser::Role::response_to_head
                                                   : MessageParser::Role::response;
        for (;;) {
            auto parser = std::make_unique<MessageParser>(role, MessageParser::Limits{});
            bool answered = false;
            try {
                answered = co_await connection.read_head(*parser, deadline);
            } catch (const Error&) {
                if (!unsent) throw;
            }
            if (!answered && unsent) throw *std::move(unsent);
            if (!answered) co_return nullptr;
            const auto status = parser->head().status;
            if (status == 101)
                throw Error{ErrorKind::unavailable, "the server changed protocol unasked"};
            if (status / 100 != 1) co_return parser;
        }
    }

    asio::awaitable<Response> send_once(const Request& request) {
        const auto deadline = from_now(options.timeout);
        auto exchange = co_await start(request, deadline);
        auto& parser = *exchange.parser;
        const auto length = parser.head().content_length;
        if (!parser.done() && length && *length > options.body_limit) throw too_long();
        co_await exchange.connection.read_body(parser, options.body_limit + 1, deadline);
        if (parser.body().size() > options.body_limit) throw too_long();
        Response response;
        response.status = parser.head().status;
        response.headers = std::move(parser.head().headers);
        response.body = std::move(parser.body());
        give_back(std::move(exchange.connection), parser);
        co_return response;
    }

    [[nodiscard]] Error too_long() const {
        return {ErrorKind::exhausted,
                "the answer is longer than " + std::to_string(options.body_limit) + " bytes"};
    }

    /// Where an answer sends us within this origin; nullopt: it does not.
    [[nodiscard]] std::optional<std::string> redirection(const Response& response) const {
        const auto status = response.status;
        if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308)
            return std::nullopt;
        const std::string location{response.headers.get("Location")};
        if (location.starts_with('/') && !location.starts_with("//")) return location;
        try {
            auto url = parse_url(location);
            if (url.scheme == origin.scheme && url.host == origin.host && url.port == origin.port)
                return std::move(url.target);
        } catch (const Error&) {  // not ours to follow; the caller sees it as it is
        }
        return std::nullopt;
    }

    asio::any_io_executor executor;
    Url origin;
    ClientOptions options;
    std::shared_ptr<const TlsContext> tls;
    std::optional<Url> proxy;
    std::string name;
    std::vector<Connection> idle;
};

namespace {

/// What a peer does wrong is, to a client, a peer that cannot be used.
Error seen_from_outside(const Error& error, const std::string& name) {
    const bool theirs = dynamic_cast<const ProtocolError*>(&error) != nullptr;
    return theirs ? Error{ErrorKind::unavailable, name + ": malformed answer: " + error.what()}
                  : error.within(name);
}

}  // namespace

/// The body of one exchange; returns its connection to the pool at the end, if both still exist.
class HttpClient::Body final : public BodyStream {
public:
    Body(const std::shared_ptr<Impl>& client, Impl::Exchange exchange)
        : client_{client},
          exchange_{std::move(exchange)},
          name_{client->name},
          gap_{client->options.gap_timeout} {}

    asio::awaitable<std::optional<std::string>> next() override {
        if (ended_) co_return std::nullopt;
        auto& parser = *exchange_.parser;
        try {
            co_await exchange_.connection.read_body(parser, 1, from_now(gap_));
        } catch (const Error& error) {
            throw seen_from_outside(error, name_);
        }
        if (!parser.body().empty()) co_return std::exchange(parser.body(), {});
        ended_ = true;
        if (const auto client = client_.lock())
            client->give_back(std::move(exchange_.connection), parser);
        co_return std::nullopt;
    }

private:
    std::weak_ptr<Impl> client_;
    Impl::Exchange exchange_;
    std::string name_;
    Duration gap_;
    bool ended_ = false;
};

HttpClient::HttpClient(asio::any_io_executor executor, const Url& origin, ClientOptions options)
    : impl_{std::make_shared<Impl>(std::move(executor), origin, std::move(options))} {}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;

asio::awaitable<Response> HttpClient::send(Request request) {
    const auto self = impl_;
    try {
        const bool may_follow =
            self->options.follow_redirects && (request.method == "GET" || request.method == "HEAD");
        for (int followed = 0;; ++followed) {
            auto response = co_await self->send_once(request);
            if (!may_follow || followed == 5) co_return response;
            auto target = self->redirection(response);
            if (!target) co_return response;
            request.target = *std::move(target);
        }
    } catch (const Error& error) {
        throw seen_from_outside(error, self->name);
    }
}

asio::awaitable<StreamResponse> HttpClient::open(Request request) {
    const auto self = impl_;
    try {
        auto exchange = co_await self->start(request, from_now(self->options.timeout));
        StreamResponse response;
        response.status = exchange.parser->head().status;
        response.headers = std::move(exchange.parser->head().headers);
        response.body = std::make_unique<Body>(self, std::move(exchange));
        co_return response;
    } catch (const Error& error) {
        throw seen_from_outside(error, self->name);
    }
}

}  // namespace kled::net
