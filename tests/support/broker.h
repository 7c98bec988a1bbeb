/// A real mosquitto for tests, on a free port of the loopback.
#pragma once

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace kled::testing {

/// A TCP port nobody listens on at this moment.
inline std::uint16_t free_port() {
    const FileDescriptor socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
        throw Error{ErrorKind::unavailable, "no free port"};
    return ntohs(address.sin_port);
}

/// Stops when it goes. The port stays the same over `kill` and `start`.
class Broker {
public:
    /// `listener` is configuration behind the `listener` line ("require_certificate true\n…");
    /// empty: anonymous, without TLS.
    explicit Broker(std::string listener = "allow_anonymous true\n") : port_{free_port()} {
        write_file_atomic(directory_.path() / "mosquitto.conf",
                          "user root\nlog_dest stderr\nlog_type error\nlog_type information\n"
                          "listener " +
                              std::to_string(port_) + " 127.0.0.1\n" + listener);
        start();
    }

    /// Returns once it listens.
    void start() {
        const Command command{.argv = {"mosquitto", "-c", directory_.path() / "mosquitto.conf"}};
        const Process::Options options{.pipe_stderr = true, .dies_with_parent = true};
        process_.emplace(Process::start(command, options));
        std::string said;
        while (said.find(" running") == std::string::npos) {
            pollfd ready{.fd = process_->stderr_pipe().get(), .events = POLLIN, .revents = 0};
            char buffer[512];
            if (::poll(&ready, 1, 10'000) != 1) throw Error{ErrorKind::unavailable, said};
            const auto count = ::read(ready.fd, buffer, sizeof buffer);
            if (count <= 0) throw Error{ErrorKind::unavailable, "mosquitto: " + said};
            said.append(buffer, static_cast<std::size_t>(count));
        }
    }

    /// SIGKILL: its sessions, queues and retained messages are gone.
    void kill() { process_.reset(); }

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] int pid() const noexcept { return process_->pid(); }

private:
    TemporaryDirectory directory_{"kled-broker"};
    std::uint16_t port_;
    std::optional<Process> process_;
};

}  // namespace kled::testing
