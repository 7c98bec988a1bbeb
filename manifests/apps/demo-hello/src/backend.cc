// demo-backend: who it is and what it was told to say, as JSON.
#include "base/log.h"
#include "manifests/apps/demo-hello/src/service.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <string_view>

namespace {

namespace json = boost::json;

boost::asio::awaitable<void> handle(const demo::Settings& settings, kled::net::Request request,
                                    kled::net::ResponseWriter& out) {
    const auto path = kled::net::parse_target(request.target).path;
    kled::net::Response response;
    if (path == "/healthz") {
        response = demo::answer("ok\n", "text/plain");
    } else if (path == "/") {
        const json::object body{{"message", settings.greeting + " from " + settings.device},
                                {"revision", settings.revision},
                                {"device", settings.device}};
        response = demo::answer(json::serialize(body) + "\n", "application/json");
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
        return demo::serve("demo-backend", settings,
                           [&settings](kled::net::Request request, const kled::net::Peer&,
                                       kled::net::ResponseWriter& out) {
                               return handle(settings, std::move(request), out);
                           });
    } catch (const std::exception& error) {
        kled::log::error("demo-backend", error.what());
        return 2;
    }
}
