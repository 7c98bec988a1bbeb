// The role `api`: the embedded Kubernetes API.
#include "apiserver/server.h"
#include "cli/role.h"

#include <CLI/CLI.hpp>

#include <utility>

namespace kled::cli {

namespace {

class ApiRole final : public Role {
public:
    ApiRole(boost::asio::any_io_executor loop, api::ApiServer::Options options)
        : server_{std::move(loop), std::move(options)} {}
    boost::asio::awaitable<void> run() override { return server_.run(); }
    [[nodiscard]] std::shared_ptr<kube::Transport> transport() {
        return server_.in_process_transport();
    }

private:
    api::ApiServer server_;
};

class ApiSetup final : public RoleSetup {
public:
    [[nodiscard]] std::string_view name() const override { return "api"; }

    void add_flags(CLI::App& app) override {
        app.add_option("--api-listen", host_, "Address the embedded API listens on")
            ->capture_default_str();
        app.add_option("--api-port", port_, "Its port; 0: any free one")->capture_default_str();
        app.add_option("--api-name", names_,
                       "More DNS names and addresses for its certificate; may repeat");
    }

    std::unique_ptr<Role> make(Daemon& daemon, boost::asio::any_io_executor loop) override {
        api::ApiServer::Options options;
        options.state = daemon.state / name();
        options.host = host_;
        options.port = port_;
        options.names = names_;
        auto role = std::make_unique<ApiRole>(std::move(loop), std::move(options));
        if (daemon.cluster_name.empty()) {
            // Nothing else was chosen: the other roles work against this one.
            daemon.cluster_name = "embedded";
            daemon.cluster = [transport = role->transport()](const boost::asio::any_io_executor&) {
                return transport;
            };
        }
        return role;
    }

private:
    std::string host_ = "127.0.0.1";
    std::uint16_t port_ = 6443;
    std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<RoleSetup> api_setup() { return std::make_unique<ApiSetup>(); }

}  // namespace kled::cli
