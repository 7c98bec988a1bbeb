/// The Unix socket through which the commands on this machine reach the daemon.
#pragma once

#include "base/file.h"
#include "cli/role.h"

#include <boost/asio/awaitable.hpp>

#include <filesystem>
#include <memory>

namespace kled::cli {

/// Two daemons on one state directory would tear it apart: an exclusive flock on `<state>/lock`,
/// freed by the kernel whatever ends the process. Error(conflict) names the holder.
class StateLock {
public:
    explicit StateLock(const std::filesystem::path& state);

private:
    FileDescriptor file_;
};

/// `<state>/kledd.sock`, mode 0660: the routes of the roles (longest prefix first), and
/// `/v1/version`, `/metrics`.
class ControlSocket {
public:
    ControlSocket(boost::asio::any_io_executor loop, const Daemon& daemon);
    ~ControlSocket();
    boost::asio::awaitable<void> run();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::cli
