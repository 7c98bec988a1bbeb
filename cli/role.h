/// The roles of `kledd`: each runs on its own thread and loop, and the daemon wires them.
#pragma once

#include "base/offload.h"
#include "kube/target.h"
#include "kube/transport.h"
#include "net/http_server.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace kled::cli {

/// What the roles offer each other; filled while they are made, in the order api, edge, gitops, and
/// read-only once the first of them runs. Everything in here may be called from any loop: who
/// offers it brings the call to his own (base/hop.h).
struct Daemon {
    std::filesystem::path state;  ///< each role keeps its data below `state / name`, mode 0700
    ThreadPool& pool;

    /// The Kubernetes API kledd works against (--api); makes a transport for the caller's loop.
    std::function<std::shared_ptr<kube::Transport>(boost::asio::any_io_executor)> cluster;
    std::string cluster_name;  ///< "embedded", "kubeconfig FILE (context C)", "in-cluster"

    /// Who takes deployment objects of a kind other than Kustomization: {"EdgeDeployment", fleet}.
    std::map<std::string, std::shared_ptr<kube::Target>> targets;

    /// Wants to hear of each change of what a target says of a deployment object (its status) that
    /// may stand in no API; set in file mode. Does not wait.
    std::function<void(std::string kind, std::string ns, std::string name,
                       boost::json::object status)>
        deployment_status = {};

    /// Routes of the Unix socket `<state>/kledd.sock` by path prefix: {"/v1/notify", handler}.
    std::map<std::string, net::Handler, std::less<>> socket_routes;
};

class Role {
public:
    virtual ~Role() = default;
    /// On the role's own loop until cancelled. What it throws stops the daemon.
    virtual boost::asio::awaitable<void> run() = 0;
};

/// The flags of a role, and the role made from them.
class RoleSetup {
public:
    virtual ~RoleSetup() = default;
    [[nodiscard]] virtual std::string_view name() const = 0;
    virtual void add_flags(CLI::App& app) = 0;  ///< named `--<role>-…`
    virtual std::unique_ptr<Role> make(Daemon& daemon, boost::asio::any_io_executor loop) = 0;
};

std::unique_ptr<RoleSetup> api_setup();     // cli/role_api.cc
std::unique_ptr<RoleSetup> edge_setup();    // cli/role_edge.cc
std::unique_ptr<RoleSetup> gitops_setup();  // cli/role_gitops.cc

}  // namespace kled::cli
