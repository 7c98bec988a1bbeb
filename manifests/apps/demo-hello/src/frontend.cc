// demo-frontend: the backend's answer as a page.
#include "base/error.h"
#include "base/log.h"
#include "manifests/apps/demo-hello/src/service.h"
#include "net/http_client.h"

#include <boost/asio/this_coro.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <string>
#include <string_view>

namespace {

namespace json = boost::json;
namespace net = kled::net;

std::string escaped(std::string_view text) {
    std::string html;
    for (const char c : text) {
        switch (c) {
            case '<': html += "&lt;"; break;
            case '>': html += "&gt;"; break;
            case '&': html += "&amp;"; break;
            case '"': html += "&quot;"; break;
            default: html += c;
        }
    }
    return html;
}

struct Greeting {
    std::string message;
    std::string revision;
    std::string device;
};

/// kled::Error(unavailable) when the backend does not answer as it should.
boost::asio::awaitable<Greeting> ask_backend(const demo::Settings& settings) {
    net::ClientOptions options;
    options.connect_timeout = std::chrono::seconds{1};
    options.timeout = std::chrono::seconds{2};
    options.body_limit = 65'536;
    const auto url = net::parse_url(settings.backend_url);
    net::HttpClient backend{co_await boost::asio::this_coro::executor, url, options};
    net::Request request;
    request.target = "/";
    const auto response = co_await backend.send(std::move(request));
    boost::system::error_code malformed;
    const auto body = json::parse(response.body, malformed);
    const auto text = [&body](std::string_view key) -> std::string {
        const auto* object = body.if_object();
        const auto* value = object == nullptr ? nullptr : object->if_contains(key);
        return value != nullptr && value->is_string() ? std::string{value->get_string()} : "";
    };
    if (response.status != 200 || malformed || text("revision").empty()) {
        throw kled::Error{kled::ErrorKind::unavailable, settings.backend_url + ": status " +
                                                            std::to_string(response.status) +
                                                            " without a greeting"};
    }
    co_return Greeting{text("message"), text("revision"), text("device")};
}

std::string page(std::string_view title, std::string_view content) {
    std::string html =
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta "
        "name=\"viewport\" "
        "content=\"width=device-width\"><title>";
    html.append(title).append("</title></head>\n<body><main>\n").append(content);
    return html + "</main></body>\n</html>\n";
}

boost::asio::awaitable<net::Response> home(const demo::Settings& settings) {
    Greeting greeting;
    std::string problem;
    try {
        greeting = co_await ask_backend(settings);
    } catch (const kled::Error& error) {
        problem = error.what();
    }
    if (!problem.empty()) {
        kled::log::warn("demo-frontend", problem);
        auto response = demo::answer(page("demo-hello", "<h1>The backend does not answer</h1>\n"),
                                     "text/html; charset=utf-8");
        response.status = 502;
        co_return response;
    }
    const auto content = "<h1>" + escaped(greeting.message) +
                         "</h1>\n<dl>\n<dt>Revision</dt><dd id=\"revision\">" +
                         escaped(greeting.revision) + "</dd>\n<dt>Device</dt><dd id=\"device\">" +
                         escaped(greeting.device) + "</dd>\n</dl>\n";
    co_return demo::answer(page("demo-hello", content), "text/html; charset=utf-8");
}

boost::asio::awaitable<void> handle(const demo::Settings& settings, net::Request request,
                                    net::ResponseWriter& out) {
    const auto path = net::parse_target(request.target).path;
    net::Response response;
    if (path == "/healthz") {
        response = demo::answer("ok\n", "text/plain");
    } else if (path == "/") {
        response = co_await home(settings);
    } else {
        response = demo::answer("not found\n", "text/plain");
        response.status = 404;
    }
    co_await out.respond(std::move(response));
}

}  // namespace

int main() {
    try {
        const auto settings = demo::Settings::from_environment();
        return demo::serve(
            "demo-frontend", settings,
            [&settings](net::Request request, const net::Peer&, net::ResponseWriter& out) {
                return handle(settings, std::move(request), out);
            });
    } catch (const std::exception& error) {
        kled::log::error("demo-frontend", error.what());
        return 2;
    }
}
