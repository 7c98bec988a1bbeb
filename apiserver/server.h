/// The embedded Kubernetes API: HTTPS for kubectl and other clients, in-process for the roles that
/// run beside it. docs/apiserver.md is the guide.
#pragma once

#include "kube/admission.h"
#include "kube/transport.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace kled::api {

class ApiServer {
public:
    struct Options {
        std::filesystem::path state;     ///< made with mode 0700; holds store, CA and kubeconfig
        std::string host = "127.0.0.1";  ///< where it listens
        std::uint16_t port = 0;          ///< 0: any free one
        std::vector<std::string> names;  ///< more DNS names and addresses for the certificate
        std::size_t history_bytes = 4U << 20U;       ///< of changes kept for watches that reconnect
        std::shared_ptr<kube::Admission> admission;  ///< asked before each write; may be empty
    };

    /// Opens the store (made on first use), the CA and the listener; all state is touched on
    /// `executor` alone, which is one thread. Error(invalid) for a damaged or newer store,
    /// Error(unavailable) when the address cannot be had.
    ApiServer(boost::asio::any_io_executor executor, Options options);
    ~ApiServer();

    /// Serves until cancelled. Watches end, commits on their way are finished.
    boost::asio::awaitable<void> run();

    /// "https://127.0.0.1:6443".
    [[nodiscard]] const std::string& url() const noexcept;
    /// A kubeconfig with a client certificate for the group system:masters; mode 0600.
    [[nodiscard]] const std::filesystem::path& admin_kubeconfig() const noexcept;

    /// Requests as a member of system:masters without TLS or sockets. May be called, and its
    /// transport used, from any loop while `run` runs; it may outlive the server and then answers
    /// Error(unavailable).
    [[nodiscard]] std::shared_ptr<kube::Transport> in_process_transport();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kled::api
