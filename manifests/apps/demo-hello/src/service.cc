#include "manifests/apps/demo-hello/src/service.h"

#include "base/error.h"
#include "base/log.h"
#include "base/run.h"
#include "base/task_group.h"

#include <boost/asio/signal_set.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <utility>

namespace demo {

namespace asio = boost::asio;
namespace log = kled::log;

namespace {

void read(const char* name, std::string& value) {
    if (const char* given = std::getenv(name); given != nullptr && *given != '\0') value = given;
}

asio::awaitable<void> cancel_on_signal(asio::signal_set& signals, kled::TaskGroup& tasks) {
    co_await signals.async_wait(asio::use_awaitable);
    tasks.cancel();
}

asio::awaitable<void> run(const std::string& name, const Settings& settings,
                          const kled::net::Handler& handler) {
    const auto loop = co_await asio::this_coro::executor;
    asio::signal_set signals{loop, SIGTERM, SIGINT};
    kled::net::ServerOptions options{};
    options.host = settings.host;
    options.port = settings.port;
    kled::net::HttpServer server{loop, options, handler};
    log::info(name, "serving",
              {{"host", settings.host},
               {"port", server.port()},
               {"revision", settings.revision},
               {"device", settings.device}});
    kled::TaskGroup tasks{loop};
    tasks.spawn(server.run());
    tasks.spawn(cancel_on_signal(signals, tasks));
    co_await kled::even_if_cancelled;
    co_await tasks.join();
}

}  // namespace

Settings Settings::from_environment() {
    Settings settings;
    read("HOST", settings.host);
    read("REVISION", settings.revision);
    read("GREETING", settings.greeting);
    read("BACKEND_URL", settings.backend_url);
    std::array<char, 256> host_name{};
    ::gethostname(host_name.data(), host_name.size() - 1);
    settings.device = host_name.data();
    read("DEVICE", settings.device);
    std::string port = std::to_string(settings.port);
    read("PORT", port);
    const auto [end, error] =
        std::from_chars(port.data(), port.data() + port.size(), settings.port);
    if (error != std::errc{} || end != port.data() + port.size())
        throw kled::Error{kled::ErrorKind::invalid, "PORT=\"" + port + "\" is not a port"};
    return settings;
}

kled::net::Response answer(std::string body, std::string content_type) {
    kled::net::Response response;
    response.headers.set("Content-Type", std::move(content_type));
    response.headers.set("Cache-Control", "no-store");
    response.body = std::move(body);
    return response;
}

int serve(const std::string& name, const Settings& settings, const kled::net::Handler& handler) {
    try {
        kled::run_to_end(run(name, settings, handler));
        log::info(name, "stopped");
        return 0;
    } catch (const std::exception& error) {
        log::error(name, error.what());
        return 1;
    }
}

}  // namespace demo
