#include "base/error.h"
#include "base/task_group.h"
#include "net/http_client.h"
#include "net/http_server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

namespace kled::net {
namespace {

namespace asio = boost::asio;

void run(asio::awaitable<void> body) {
    asio::io_context loop;
    asio::co_spawn(loop, std::move(body), [](const std::exception_ptr& error) {
        if (error) std::rethrow_exception(error);
    });
    loop.run();
}

asio::awaitable<void> echo(Request request, const Peer&, ResponseWriter& out) {
    Response response;
    response.headers.set("Content-Type", "text/plain");
    response.body = request.method + " " + request.target + " " + request.body;
    co_await out.respond(response);
}

asio::awaitable<void> answers() {
    const auto loop = co_await asio::this_coro::executor;
    HttpServer server{loop, {}, echo};
    TaskGroup tasks{loop};
    tasks.spawn(server.run());
    HttpClient client{loop, parse_url("http://127.0.0.1:" + std::to_string(server.port())), {}};
    Request request;
    request.method = "POST";
    request.target = "/a?b=c";
    request.body = "hello";
    for (int i = 0; i < 3; ++i) {
        const auto response = co_await client.send(request);
        EXPECT_EQ(response.status, 200U);
        EXPECT_EQ(response.body, "POST /a?b=c hello");
    }
    tasks.cancel();
    co_await tasks.join();
}

TEST(Http, ServerAnswersClient) { run(answers()); }

}  // namespace
}  // namespace kled::net
