#include "edge/runtime/probe.h"

#include "base/error.h"
#include "base/process.h"
#include "base/timeout.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/system_error.hpp>

#include <array>
#include <charconv>
#include <string_view>

namespace kled::edge {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

asio::awaitable<tcp::socket> connect(const Probe& probe) {
    const auto loop = co_await asio::this_coro::executor;
    boost::system::error_code not_an_address;
    const auto address = asio::ip::make_address(probe.host, not_an_address);
    tcp::socket socket{loop};
    if (!not_an_address) {
        const tcp::endpoint endpoint{address, probe.port};
        co_await socket.async_connect(endpoint, asio::use_awaitable);
    } else {
        tcp::resolver resolver{loop};
        const auto found = co_await resolver.async_resolve(probe.host, std::to_string(probe.port),
                                                           asio::use_awaitable);
        co_await asio::async_connect(socket, found, asio::use_awaitable);
    }
    co_return socket;
}

asio::awaitable<std::string> probe_http(const Probe& probe) {
    auto socket = co_await connect(probe);
    const auto request = "GET " + probe.path + " HTTP/1.1\r\nHost: " + probe.host + ":" +
                         std::to_string(probe.port) +
                         "\r\nUser-Agent: kled-probe\r\nConnection: close\r\n\r\n";
    co_await asio::async_write(socket, asio::buffer(request), asio::use_awaitable);
    std::array<char, 12> line{};  // "HTTP/1.1 200"
    const auto [error, count] =
        co_await asio::async_read(socket, asio::buffer(line), asio::as_tuple(asio::use_awaitable));
    const std::string_view text{line.data(), count};
    unsigned status = 0;
    if (count == line.size() && text.starts_with("HTTP/1."))
        std::from_chars(line.data() + 9, line.data() + line.size(), status);
    if (status >= 200 && status < 400) co_return std::string{};
    if (status == 0) co_return "no HTTP answer at " + probe.path;
    co_return "status " + std::to_string(status) + " at " + probe.path;
}

asio::awaitable<std::string> probe_once(const Probe& probe, const std::vector<std::string>& env) {
    if (probe.kind == Probe::Kind::http) co_return co_await probe_http(probe);
    if (probe.kind == Probe::Kind::tcp) {
        co_await connect(probe);
        co_return std::string{};
    }
    const Command command{.argv = probe.command, .env = env};
    const auto completed = co_await run(command, {}, probe.timeout, 64U << 10U);
    if (completed.status == 0) co_return std::string{};
    co_return probe.command[0] + " ended with status " + std::to_string(completed.status);
}

}  // namespace

asio::awaitable<std::string> run_probe(const Probe& probe, const std::vector<std::string>& env) {
    const auto what = probe.kind == Probe::Kind::exec ? std::string{"probe"}
                                                      : "port " + std::to_string(probe.port);
    std::string why;
    try {
        co_return co_await with_timeout(probe.timeout, what, probe_once(probe, env));
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted) throw;
        why = what + ": " + error.code().message();
    } catch (const Error& error) {
        why = error.what();
    }
    co_return why;
}

}  // namespace kled::edge
