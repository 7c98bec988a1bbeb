#include "cli/socket.h"

#include "base/error.h"
#include "base/metrics.h"
#include "cli/command.h"
#include "cli/version.h"
#include "net/http_server.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace kled::cli {

namespace asio = boost::asio;

StateLock::StateLock(const std::filesystem::path& state) {
    const auto path = state / "lock";
    file_ = FileDescriptor{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    if (!file_) throw Error{ErrorKind::denied, path.string() + ": " + std::strerror(errno)};
    if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0)
        throw Error{ErrorKind::conflict,
                    state.string() + ": another kledd works on this state directory (process " +
                        read_file_if_exists(path).value_or("unknown") + ")"};
    const auto pid = std::to_string(::getpid());
    if (::ftruncate(file_.get(), 0) != 0 || ::write(file_.get(), pid.data(), pid.size()) < 0)
        throw Error{ErrorKind::unavailable, path.string() + ": " + std::strerror(errno)};
}

struct ControlSocket::Impl {
    const Daemon& daemon;
    net::HttpServer server;

    Impl(asio::any_io_executor loop, const Daemon& d)
        : daemon{d},
          server{loop, options(d),
                 [this](net::Request request, const net::Peer& peer, net::ResponseWriter& out) {
                     return handle(std::move(request), peer, out);
                 }} {}

    static net::ServerOptions options(const Daemon& daemon) {
        net::ServerOptions options;
        options.unix_socket = socket_in(daemon.state);
        options.unix_mode = 0660;
        options.body_limit = 1U << 20U;
        return options;
    }

    asio::awaitable<void> handle(net::Request request, const net::Peer& peer,
                                 net::ResponseWriter& out) {
        const auto path = net::parse_target(request.target).path;
        if (path == "/v1/version" || path == "/metrics") {
            net::Response response;
            response.headers.set("Content-Type", "text/plain; charset=utf-8");
            response.body =
                path == "/metrics" ? metrics::registry().text() : std::string{KLED_VERSION "\n"};
            co_await out.respond(std::move(response));
            co_return;
        }
        // The last prefix not after the path is the longest one that can match.
        for (auto route = daemon.socket_routes.upper_bound(path);
             route != daemon.socket_routes.begin();) {
            --route;
            if (!path.starts_with(route->first)) continue;
            co_await route->second(std::move(request), peer, out);
            co_return;
        }
        throw Error{ErrorKind::not_found,
                    path + ": no such route; is the role that serves it running?"};
    }
};

ControlSocket::ControlSocket(asio::any_io_executor loop, const Daemon& daemon)
    : impl_{std::make_unique<Impl>(std::move(loop), daemon)} {}
ControlSocket::~ControlSocket() = default;

asio::awaitable<void> ControlSocket::run() { return impl_->server.run(); }

}  // namespace kled::cli
