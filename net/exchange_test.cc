// Client and server against each other, and each against a peer that sends raw bytes.
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/run.h"
#include "base/signal.h"
#include "base/task_group.h"
#include "net/connection.h"
#include "net/http_client.h"
#include "net/http_server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace kled::net {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

SteadyTime soon() { return SteadyTime::clock::now() + 5s; }

Request request_for(std::string method, std::string target, std::string body = {}) {
    Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    return request;
}

/// What the handler below saw; one per test.
struct Seen {
    int requests = 0;
    bool peer_left = false;
    bool cancelled = false;
};

/// Behaves as the path says.
asio::awaitable<void> behave(Seen& seen, Request request, const Peer& peer, ResponseWriter& out) {
    ++seen.requests;
    Response response;
    const auto path = request.target.substr(0, request.target.find('?'));
    if (path == "/echo") {
        response.body = request.method + " " + request.body;
        co_await out.respond(response);
    } else if (path == "/peer") {
        response.body = peer.address;
        if (peer.credentials) response.body += " " + std::to_string(peer.credentials->uid);
        co_await out.respond(response);
    } else if (path == "/stream") {
        Headers headers;
        headers.set("Content-Type", "text/plain");
        co_await out.begin(200, headers);
        co_await out.write("one");
        co_await out.write("");
        co_await out.write(std::string(40'000, 'x'));
    } else if (path == "/broken") {
        co_await out.begin(200, {});
        co_await out.write("half");
        throw Error{ErrorKind::unavailable, "the source went"};
    } else if (path == "/watch") {
        co_await out.begin(200, {});
        co_await out.closed();
        seen.peer_left = true;
    } else if (path == "/hang") {
        asio::steady_timer never{co_await asio::this_coro::executor, SteadyTime::max()};
        try {
            co_await never.async_wait(asio::use_awaitable);
        } catch (...) {
            seen.cancelled = true;
            throw;
        }
    } else if (path == "/inject") {
        response.headers.set("X-Bad", "a\r\nSet-Cookie: b");
        co_await out.respond(response);
    } else if (path == "/moved") {
        response.status = 302;
        response.headers.set("Location", "/echo");
        co_await out.respond(response);
    } else if (path == "/last") {
        response.headers.set("Connection", "close");
        response.body = "bye";
        co_await out.respond(response);
    } else if (path == "/twice") {
        co_await out.respond(response);
        co_await out.respond(response);
    } else if (path == "/none") {
        co_return;
    } else if (path == "/gone") {
        throw Error{ErrorKind::not_found, "no such thing"};
    } else {
        throw std::runtime_error{"secret detail"};
    }
}

struct Fixture {
    explicit Fixture(const asio::any_io_executor& loop, ServerOptions options = {})
        : server{loop, std::move(options),
                 [this](Request request, const Peer& peer, ResponseWriter& out) {
                     return behave(seen, std::move(request), peer, out);
                 }},
          tasks{loop} {
        tasks.spawn(server.run());
    }
    [[nodiscard]] HttpClient client(ClientOptions options = {}) {
        return HttpClient{server_executor(), url(), std::move(options)};
    }
    [[nodiscard]] Url url() const {
        return parse_url("http://127.0.0.1:" + std::to_string(server.port()));
    }
    asio::any_io_executor server_executor() { return executor; }
    asio::awaitable<void> stop() {
        tasks.cancel();
        co_await even_if_cancelled;
        co_await tasks.join();
    }

    Seen seen;
    HttpServer server;
    TaskGroup tasks;
    asio::any_io_executor executor;
};

using Body = asio::awaitable<void> (*)(Fixture&);

asio::awaitable<void> with_server(Body body, ServerOptions options) {
    const auto loop = co_await asio::this_coro::executor;
    Fixture fixture{loop, std::move(options)};
    fixture.executor = loop;
    std::exception_ptr failure;
    try {
        co_await body(fixture);
    } catch (...) {
        failure = std::current_exception();
    }
    co_await fixture.stop();
    if (failure) std::rethrow_exception(failure);
}

void run(Body body, ServerOptions options = {}) {
    run_to_end(with_server(body, std::move(options)));
}

asio::awaitable<void> pause(Duration time) {
    asio::steady_timer timer{co_await asio::this_coro::executor, time};
    co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<void> until(const bool& condition) {
    for (const auto limit = soon(); !condition && SteadyTime::clock::now() < limit;)
        co_await pause(1ms);
    EXPECT_TRUE(condition);
}

asio::awaitable<Stream> dial(std::uint16_t port) {
    Stream stream{co_await asio::this_coro::executor};
    const asio::ip::tcp::endpoint endpoint{asio::ip::address_v4::loopback(), port};
    co_await stream.connect(endpoint, soon());
    co_return stream;
}

asio::awaitable<std::string> read_all(Stream& stream) {
    std::string all;
    std::vector<char> piece(4096);
    std::size_t count = 1;
    while (count > 0) {
        count = co_await stream.read_some(piece, soon());
        all.append(piece.data(), count);
    }
    co_return all;
}

/// Sends `bytes`, and what the server said until it closed.
asio::awaitable<std::string> say(Fixture& fixture, std::string bytes) {
    auto stream = co_await dial(fixture.server.port());
    co_await stream.write(bytes, {}, 5s);
    co_return co_await read_all(stream);
}

/// The error of an exchange: "<kind>: <what>", port left out.
asio::awaitable<std::string> failure_of(HttpClient& client, Request request) {
    try {
        const auto response = co_await client.send(std::move(request));
        co_return "answered " + std::to_string(response.status);
    } catch (const Error& error) {
        co_return std::string{to_string(error.kind())} + ": " + error.what();
    }
}

std::size_t count(const std::string& text, std::string_view what) {
    std::size_t found = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
    return found;
}

// ---- the regular case

asio::awaitable<void> connections_are_kept(Fixture& f) {
    auto client = f.client();
    const auto first = co_await client.send(request_for("GET", "/peer"));
    const auto second = co_await client.send(request_for("GET", "/peer"));
    EXPECT_EQ(first.body, second.body);
    const auto echo = co_await client.send(request_for("POST", "/echo", std::string(100'000, 'a')));
    EXPECT_EQ(echo.body.size(), 100'005U);
    EXPECT_FALSE(echo.headers.get("Date").empty());
}
TEST(Exchange, ConnectionsAreKept) { run(connections_are_kept); }

asio::awaitable<void> streams_arrive_piece_by_piece(Fixture& f) {
    auto client = f.client();
    const auto peer = co_await client.send(request_for("GET", "/peer"));
    auto response = co_await client.open(request_for("GET", "/stream"));
    EXPECT_EQ(response.status, 200U);
    std::string all;
    auto piece = co_await response.body->next();
    while (piece) {
        EXPECT_FALSE(piece->empty());
        all += *piece;
        piece = co_await response.body->next();
    }
    EXPECT_EQ(all, "one" + std::string(40'000, 'x'));
    const auto again = co_await client.send(request_for("GET", "/peer"));
    EXPECT_EQ(again.body, peer.body) << "a stream read to its end returns its connection";
    const auto whole = co_await client.send(request_for("GET", "/stream"));
    EXPECT_EQ(whole.body, all);
}
TEST(Exchange, StreamsArrivePieceByPiece) { run(streams_arrive_piece_by_piece); }

asio::awaitable<void> a_handler_sees_its_peer_leave(Fixture& f) {
    {
        auto client = f.client();
        const auto response = co_await client.open(request_for("GET", "/watch"));
        EXPECT_EQ(response.status, 200U);
        EXPECT_FALSE(f.seen.peer_left);
    }
    co_await until(f.seen.peer_left);
}
TEST(Exchange, AHandlerSeesItsPeerLeave) { run(a_handler_sees_its_peer_leave); }

asio::awaitable<void> failures_have_a_status(Fixture& f) {
    auto client = f.client();
    const auto gone = co_await client.send(request_for("GET", "/gone"));
    EXPECT_EQ(gone.status, 404U);
    EXPECT_EQ(gone.body, "no such thing\n");
    const auto bug = co_await client.send(request_for("GET", "/bug"));
    EXPECT_EQ(bug.status, 500U);
    EXPECT_EQ(bug.body, "internal error\n");
    const auto none = co_await client.send(request_for("GET", "/none"));
    EXPECT_EQ(none.status, 500U);
    const auto injected = co_await client.send(request_for("GET", "/inject"));
    EXPECT_EQ(injected.status, 400U);
    EXPECT_FALSE(injected.headers.has("Set-Cookie"));
}
TEST(Exchange, FailuresOfAHandlerHaveAStatus) { run(failures_have_a_status); }

asio::awaitable<void> redirects_only_on_request(Fixture& f) {
    auto client = f.client();
    const auto moved = co_await client.send(request_for("GET", "/moved"));
    EXPECT_EQ(moved.status, 302U);
    ClientOptions options;
    options.follow_redirects = true;
    auto following = f.client(options);
    const auto echo = co_await following.send(request_for("GET", "/moved"));
    EXPECT_EQ(echo.body, "GET ");
    const auto posted = co_await following.send(request_for("POST", "/moved"));
    EXPECT_EQ(posted.status, 302U);
}
TEST(Exchange, RedirectsAreFollowedOnRequestOnly) { run(redirects_only_on_request); }

asio::awaitable<void> head_has_no_body(Fixture& f) {
    const auto answer = co_await say(f,
                                     "HEAD /echo HTTP/1.1\r\nHost: h\r\n\r\n"
                                     "GET /last HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_NE(answer.find("Content-Length: 5\r\n"), std::string::npos);
    EXPECT_EQ(answer.find("HEAD "), std::string::npos);
    EXPECT_TRUE(answer.ends_with("\r\n\r\nbye"));
}
TEST(Exchange, HeadHasNoBody) { run(head_has_no_body); }

asio::awaitable<void> old_clients_are_served(Fixture& f) {
    const auto answer = co_await say(f, "GET /stream HTTP/1.0\r\n\r\n");
    EXPECT_EQ(answer.find("chunked"), std::string::npos);
    EXPECT_TRUE(answer.ends_with("one" + std::string(40'000, 'x')));
}
TEST(Exchange, Http10IsServedAndClosed) { run(old_clients_are_served); }

// ---- bad, slow and vanishing peers of the server

asio::awaitable<void> pipelined(Fixture& f) {
    const std::string one = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n";
    const auto answer =
        co_await say(f, one + "ab" + one + "cd" + "GET /last HTTP/1.1\r\nHost: h\r\n\r\n" + one);
    EXPECT_LT(answer.find("POST ab"), answer.find("POST cd"));
    EXPECT_LT(answer.find("POST cd"), answer.find("bye"));
    EXPECT_EQ(count(answer, "HTTP/1.1 200 OK"), 3U) << "nothing is answered after a close";
}
TEST(Exchange, PipelinedRequestsAreAnsweredInOrder) { run(pipelined); }

asio::awaitable<void> half_closed(Fixture& f) {
    asio::ip::tcp::socket socket{co_await asio::this_coro::executor};
    const asio::ip::tcp::endpoint endpoint{asio::ip::address_v4::loopback(), f.server.port()};
    co_await socket.async_connect(endpoint, asio::use_awaitable);
    const std::string bytes = "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n";
    co_await socket.async_send(asio::buffer(bytes), asio::use_awaitable);
    socket.shutdown(asio::ip::tcp::socket::shutdown_send);
    Stream stream{Stream::Socket{std::move(socket)}};
    const auto answer = co_await read_all(stream);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
}
TEST(Exchange, AHalfClosedPeerGetsItsAnswer) { run(half_closed); }

asio::awaitable<void> smuggling(Fixture& f) {
    const auto answer = co_await say(
        f,
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 35\r\nTransfer-Encoding: chunked\r\n\r\n"
        "0\r\n\r\nGET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 Bad Request\r\n")) << answer;
    EXPECT_EQ(count(answer, "HTTP/1.1"), 1U);
    EXPECT_EQ(f.seen.requests, 0);
}
TEST(Exchange, ASmuggledRequestIsNotSeen) { run(smuggling); }

asio::awaitable<void> too_large(Fixture& f) {
    const auto told = co_await say(
        f,
        "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9999\r\n\r\n");
    EXPECT_TRUE(told.starts_with("HTTP/1.1 413 ")) << told;
    auto client = f.client();
    const auto response =
        co_await client.send(request_for("POST", "/echo", std::string(5'000'000, 'a')));
    EXPECT_EQ(response.status, 413U) << "also to a client that sends first and reads later";
    const auto header =
        co_await say(f, "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(3000, 'a') + "\r\n\r\n");
    EXPECT_TRUE(header.starts_with("HTTP/1.1 431 ")) << header;
    EXPECT_EQ(f.seen.requests, 0);
}
TEST(Exchange, WhatIsTooLargeIsRefusedBeforeItIsRead) {
    ServerOptions options;
    options.body_limit = 1000;
    options.header_limit = 2000;
    run(too_large, options);
}

asio::awaitable<void> slow(Fixture& f) {
    auto nothing = co_await dial(f.server.port());
    EXPECT_EQ(co_await read_all(nothing), "");
    EXPECT_EQ(co_await say(f, "GET / HTTP/1.1\r\nHost:"), "");
    EXPECT_EQ(co_await say(f, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab"), "");
    const auto idle = co_await say(f, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(idle.ends_with("GET "));
    EXPECT_EQ(f.seen.requests, 1);
}
TEST(Exchange, SlowAndSilentPeersAreLetGo) {
    ServerOptions options;
    options.header_timeout = 20ms;
    options.body_timeout = 20ms;
    options.idle_timeout = 20ms;
    run(slow, options);
}

asio::awaitable<void> not_reading(Fixture& f) {
    auto stream = co_await dial(f.server.port());
    std::string many;
    for (int i = 0; i < 500; ++i) many += "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n";
    try {
        co_await stream.write(many, {}, 100ms);
    } catch (const Error&) {
    }
    co_await pause(100ms);
    EXPECT_LT(f.seen.requests, 500) << "nobody reads, so no more is made";
    try {
        (void)co_await read_all(stream);
    } catch (const Error&) {  // reset, as the server does not read what was sent either
    }
}
TEST(Exchange, APeerThatDoesNotReadIsLetGo) {
    ServerOptions options;
    options.write_timeout = 30ms;
    run(not_reading, options);
}

asio::awaitable<void> many_connections(Fixture& f) {
    auto one = f.client();
    auto two = f.client();
    auto three = f.client();
    for (int i = 0; i < 6; ++i) {
        auto* const client = i % 3 == 0 ? &one : i % 3 == 1 ? &two : &three;
        const auto response = co_await client->send(request_for("GET", "/echo"));
        EXPECT_EQ(response.status, 200U);
    }
}
TEST(Exchange, AtTheLimitOfConnectionsTheLongestIdleGoes) {
    ServerOptions options;
    options.connection_limit = 2;
    run(many_connections, options);
}

asio::awaitable<void> continues(Fixture& f) {
    auto stream = co_await dial(f.server.port());
    co_await stream.write(
        "POST /last HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
        "Content-Length: 2\r\n\r\n",
        {}, 5s);
    std::vector<char> piece(100);
    const auto size = co_await stream.read_some(piece, soon());
    EXPECT_EQ(std::string(piece.data(), size), "HTTP/1.1 100 Continue\r\n\r\n");
    co_await stream.write("ab", {}, 5s);
    EXPECT_TRUE((co_await read_all(stream)).ends_with("bye"));
}
TEST(Exchange, ABodyIsAskedForWhereTheClientWaits) { run(continues); }

asio::awaitable<void> stopping(Fixture& f) {
    auto stream = co_await dial(f.server.port());
    co_await stream.write("GET /hang HTTP/1.1\r\nHost: h\r\n\r\n", {}, 5s);
    while (f.seen.requests == 0) co_await pause(1ms);
    co_await f.stop();
    EXPECT_TRUE(f.seen.cancelled);
    EXPECT_EQ(co_await read_all(stream), "");
}
TEST(Exchange, StoppingTheServerCancelsItsHandlers) { run(stopping); }

// ---- bad, slow and vanishing servers

asio::awaitable<void> torn(Fixture& f) {
    auto client = f.client();
    const auto name = "http://127.0.0.1:" + std::to_string(f.server.port());
    auto response = co_await client.open(request_for("GET", "/broken"));
    const auto first = co_await response.body->next();
    EXPECT_EQ(first, "half");
    std::string what;
    try {
        (void)co_await response.body->next();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unavailable);
        what = error.what();
    }
    EXPECT_EQ(what, name + ": malformed answer: the connection ended inside a message");
    const auto whole = co_await failure_of(client, request_for("GET", "/broken"));
    EXPECT_EQ(whole, "unavailable: " + what);
}
TEST(Exchange, ATornStreamIsNotAnEnd) { run(torn); }

asio::awaitable<void> timeouts(Fixture& f) {
    ClientOptions options;
    options.timeout = 20ms;
    options.gap_timeout = 20ms;
    auto client = f.client(options);
    const auto name = "http://127.0.0.1:" + std::to_string(f.server.port());
    EXPECT_EQ(co_await failure_of(client, request_for("GET", "/hang")),
              "unavailable: " + name + ": timed out");
    auto response = co_await client.open(request_for("GET", "/watch"));
    EXPECT_THROW((void)co_await response.body->next(), Error);
}
TEST(Exchange, AServerThatSaysNothingTimesOut) { run(timeouts); }

asio::awaitable<void> refused(Fixture& f) {
    const auto port = f.server.port();
    co_await f.stop();
    ClientOptions options;
    HttpClient client{f.executor, parse_url("http://127.0.0.1:1"), options};
    EXPECT_EQ(co_await failure_of(client, request_for("GET", "/")),
              "unavailable: http://127.0.0.1:1: Connection refused");
    HttpClient unknown{f.executor, parse_url("http://no-such-host.invalid"), options};
    const auto what = co_await failure_of(unknown, request_for("GET", "/"));
    EXPECT_TRUE(what.starts_with("unavailable: http://no-such-host.invalid: cannot resolve"))
        << what << port;
}
TEST(Exchange, AServerThatIsNotThereIsNamed) { run(refused); }

asio::awaitable<void> too_long(Fixture& f) {
    ClientOptions options;
    options.body_limit = 1000;
    auto client = f.client(options);
    const std::string body(1000, 'a');
    const auto told = co_await failure_of(client, request_for("POST", "/echo", body));
    EXPECT_TRUE(told.starts_with("exhausted: ")) << told;
    const auto untold = co_await failure_of(client, request_for("POST", "/stream", body));
    EXPECT_TRUE(untold.starts_with("exhausted: ")) << untold;
    const auto fits = co_await client.send(request_for("POST", "/echo", std::string(995, 'a')));
    EXPECT_EQ(fits.body.size(), 1000U);
}
TEST(Exchange, AnAnswerThatIsTooLongIsRefused) { run(too_long); }

asio::awaitable<void> bad_requests(Fixture& f) {
    auto client = f.client();
    auto request = request_for("GET", "/echo");
    request.headers.set("X", "a\r\nY: b");
    EXPECT_TRUE((co_await failure_of(client, request)).starts_with("invalid: "));
    EXPECT_TRUE((co_await failure_of(client, request_for("GET", "/a b"))).starts_with("invalid: "));
    EXPECT_EQ(f.seen.requests, 0);
}
TEST(Exchange, AClientInjectsNothing) { run(bad_requests); }

/// A server that answers each connection with fixed bytes, after it read something, and closes.
asio::awaitable<void> canned(asio::ip::tcp::acceptor& acceptor, std::vector<std::string> answers) {
    for (const auto& answer : answers) {
        Stream stream{Stream::Socket{co_await acceptor.async_accept(asio::use_awaitable)}};
        std::vector<char> piece(4096);
        co_await stream.read_some(piece, soon());
        co_await stream.write(answer, {}, 5s);
        if (answer.ends_with("!")) co_await pause(1ms);
    }
}

asio::awaitable<void> stale_connections(Fixture& f) {
    const auto loop = co_await asio::this_coro::executor;
    const asio::ip::tcp::endpoint any{asio::ip::address_v4::loopback(), 0};
    asio::ip::tcp::acceptor acceptor{loop, any};
    const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
    std::vector<std::string> answers;
    answers.push_back(ok + "1");
    answers.push_back(ok + "2 HTTP/1.1 200 smuggled");
    answers.push_back(ok + "3");
    f.tasks.spawn(canned(acceptor, answers));
    const auto port = acceptor.local_endpoint().port();
    HttpClient client{loop, parse_url("http://127.0.0.1:" + std::to_string(port)), {}};
    for (int i = 1; i <= 3; ++i) {
        const auto response = co_await client.send(request_for("POST", "/"));
        EXPECT_EQ(response.body, std::to_string(i));
        co_await pause(2ms);
    }
}
TEST(Exchange, AConnectionTheServerClosedOrSoiledIsNotUsedAgain) { run(stale_connections); }

asio::awaitable<void> malformed(Fixture& f) {
    const auto loop = co_await asio::this_coro::executor;
    const asio::ip::tcp::endpoint any{asio::ip::address_v4::loopback(), 0};
    asio::ip::tcp::acceptor acceptor{loop, any};
    std::vector<std::string> answers;
    answers.emplace_back("SSH-2.0-OpenSSH\r\n");
    answers.emplace_back("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
    answers.emplace_back("HTTP/1.1 101 Switching Protocols\r\n\r\n");
    answers.emplace_back("");
    answers.emplace_back("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 201 Created\r\n\r\nto the end");
    f.tasks.spawn(canned(acceptor, answers));
    const auto name = "http://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
    HttpClient client{loop, parse_url(name), {}};
    for (int i = 0; i < 4; ++i) {
        const auto what = co_await failure_of(client, request_for("GET", "/"));
        EXPECT_TRUE(what.starts_with("unavailable: " + name)) << what;
    }
    const auto response = co_await client.send(request_for("GET", "/"));
    EXPECT_EQ(response.status, 201U);
    EXPECT_EQ(response.body, "to the end");
}
TEST(Exchange, AMalformedAnswerIsAnUnavailableServer) { run(malformed); }

asio::awaitable<void> send_one(HttpClient& client, Request request) {
    (void)co_await client.send(std::move(request));
}

asio::awaitable<void> cancelled(Fixture& f) {
    auto client = f.client();
    TaskGroup tasks{f.executor};
    tasks.spawn(send_one(client, request_for("GET", "/watch")));
    while (f.seen.requests == 0) co_await pause(1ms);
    tasks.cancel();
    co_await even_if_cancelled;
    co_await tasks.join();
    co_await until(f.seen.peer_left);
    const auto after = co_await client.send(request_for("GET", "/echo"));
    EXPECT_EQ(after.status, 200U);
}
TEST(Exchange, ACancelledRequestClosesItsConnection) { run(cancelled); }

// ---- Unix sockets

asio::awaitable<void> over_a_unix_socket() {
    const auto loop = co_await asio::this_coro::executor;
    const TemporaryDirectory directory;
    ServerOptions options;
    options.unix_socket = directory.path() / "s";
    options.unix_mode = 0600;
    {
        Fixture f{loop, options};
        f.executor = loop;
        HttpClient client{loop, parse_url("unix:" + options.unix_socket.string()), {}};
        const auto response = co_await client.send(request_for("GET", "/peer"));
        EXPECT_EQ(response.body, "unix " + std::to_string(::getuid()));
        EXPECT_EQ(std::filesystem::status(options.unix_socket).permissions(),
                  std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
        std::string what;
        try {
            const HttpServer second{loop, options, {}};
        } catch (const Error& error) {
            what = error.what();
        }
        EXPECT_EQ(what, "listen on unix:" + options.unix_socket.string() +
                            ": another process listens there");
        EXPECT_TRUE(std::filesystem::exists(options.unix_socket));
        co_await f.stop();
    }
    EXPECT_FALSE(std::filesystem::exists(options.unix_socket));
    write_file_atomic(options.unix_socket, "a file");
    EXPECT_THROW((HttpServer{loop, options, {}}), Error);
    EXPECT_EQ(read_file(options.unix_socket), "a file");
}
TEST(UnixSocket, PeersAreKnownAndFilesAreKept) { run_to_end(over_a_unix_socket()); }

asio::awaitable<void> to_the_socket_of_another_user() {
    const auto loop = co_await asio::this_coro::executor;
    const TemporaryDirectory directory;
    ServerOptions options;
    options.unix_socket = directory.path() / "s";
    options.unix_mode = 0000;
    Fixture f{loop, options};
    f.executor = loop;
    HttpClient client{loop, parse_url("unix:" + options.unix_socket.string()), {}};
    // Root may do everything: as another user for the file system, on this thread only.
    const bool root = ::geteuid() == 0;
    if (root) ::setfsuid(65534);
    std::optional<Error> refusal;
    try {
        co_await client.send(request_for("GET", "/peer"));
    } catch (const Error& error) {
        refusal = error;
    }
    if (root) ::setfsuid(0);
    co_await f.stop();
    EXPECT_TRUE(refusal);
    if (!refusal) co_return;
    EXPECT_EQ(refusal->kind(), ErrorKind::denied);
    EXPECT_EQ(std::string{refusal->what()},
              "unix:" + options.unix_socket.string() + ": Permission denied");
}
TEST(UnixSocket, OneThatIsNotForThisUserIsARefusal) { run_to_end(to_the_socket_of_another_user()); }

// ---- programs of others

asio::awaitable<void> curl(Fixture& f) {
    const auto url = "http://127.0.0.1:" + std::to_string(f.server.port());
    Command command;
    for (const auto* word : {"curl", "-sS", "-d", "@-", "-H", "Expect: 100-continue"})
        command.argv.emplace_back(word);
    command.argv.push_back(url + "/echo");
    for (const auto* word : {"--next", "-sS", "-N", "-D", "-"}) command.argv.emplace_back(word);
    command.argv.push_back(url + "/stream");
    const auto result = co_await kled::run(command, std::string(50'000, 'a'), 10s);
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_TRUE(result.out.starts_with("POST aaa")) << result.out.substr(0, 100);
    EXPECT_NE(result.out.find("Transfer-Encoding: chunked"), std::string::npos);
    EXPECT_TRUE(result.out.ends_with("xxx"));
}
TEST(Exchange, CurlIsServed) { run(curl); }

asio::awaitable<void> ask_once(Fixture& fixture, HttpClient& client) {
    auto request = request_for("GET", "/echo", "");
    const auto response = co_await client.send(std::move(request));
    EXPECT_EQ(response.status, 200U);
    co_await fixture.stop();
}

TEST(Exchange, AConnectionThatIsKeptKeepsNoLoopRunning) {
    asio::io_context loop{1};
    Fixture fixture{loop.get_executor()};
    fixture.executor = loop.get_executor();
    auto client = fixture.client();
    asio::co_spawn(loop, ask_once(fixture, client), asio::detached);
    loop.run_for(5s);
    EXPECT_TRUE(loop.stopped()) << "something still waits for its deadline";
}

}  // namespace
}  // namespace kled::net
