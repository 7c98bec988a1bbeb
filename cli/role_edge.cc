// The role `edge`: the hub of a fleet of devices.
#include "base/clock.h"
#include "base/error.h"
#include "base/hop.h"
#include "base/task_group.h"
#include "cli/address.h"
#include "cli/role.h"
#include "edge/enrolment_server.h"
#include "edge/fields.h"
#include "edge/hub.h"
#include "edge/hub_status.h"
#include "edge/kube_mirror.h"
#include "edge/names.h"

#include <CLI/CLI.hpp>

#include <utility>

namespace kled::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// Where no Kubernetes API is: `kled edge get` asks the hub itself.
class NoMirror final : public edge::Mirror {
public:
    asio::awaitable<bool> node(const edge::DeviceRecord&, const json::object&) override {
        co_return true;
    }
    asio::awaitable<bool> deployment(const std::string&, const std::string&,
                                     const json::object&) override {
        co_return true;
    }
    asio::awaitable<bool> removed(const std::string&) override { co_return true; }
};

/// Shows what another one does, and tells who follows deployments in another way.
class TellingMirror final : public edge::Mirror {
public:
    TellingMirror(std::unique_ptr<edge::Mirror> shown, const Daemon& daemon)
        : shown_{std::move(shown)}, daemon_{daemon} {}

    asio::awaitable<bool> node(const edge::DeviceRecord& device,
                               const json::object& status) override {
        return shown_->node(device, status);
    }
    asio::awaitable<bool> deployment(const std::string& ns, const std::string& name,
                                     const json::object& status) override {
        if (daemon_.deployment_status)
            daemon_.deployment_status("EdgeDeployment", ns, name, status);
        return shown_->deployment(ns, name, status);
    }
    asio::awaitable<bool> removed(const std::string& device) override {
        return shown_->removed(device);
    }

private:
    std::unique_ptr<edge::Mirror> shown_;
    const Daemon& daemon_;
};

net::Response json_answer(json::object body) {
    net::Response response;
    response.headers.set("Content-Type", "application/json");
    response.body = kube::to_json(json::value(std::move(body)));
    return response;
}

class EdgeRole final : public Role {
public:
    EdgeRole(const asio::any_io_executor& loop, const Daemon& daemon, edge::HubOptions options,
             edge::EnrolmentServerOptions enrolment, std::shared_ptr<kube::Transport> cluster)
        : fleet_{options.fleet}, pki_{options.state} {
        if (cluster) {
            auto mirror = std::make_unique<edge::KubeMirror>(std::move(cluster), options.fleet);
            kube_ = mirror.get();
            mirror_ = std::move(mirror);
        } else {
            mirror_ = std::make_unique<NoMirror>();
        }
        mirror_ = std::make_unique<TellingMirror>(std::move(mirror_), daemon);
        hub_ = std::make_unique<edge::Hub>(loop, daemon.pool, std::move(options), *mirror_);
        server_ = edge::make_enrolment_server(*hub_, pki_, enrolment);
    }

    asio::awaitable<void> run() override {
        TaskGroup tasks{hub_->executor()};
        tasks.spawn(hub_->run());
        tasks.spawn(server_->run());
        if (kube_ != nullptr) tasks.spawn(kube_->follow(*hub_));
        co_await even_if_cancelled;
        co_await tasks.join();
    }

    [[nodiscard]] std::shared_ptr<kube::Target> target() { return edge::make_target(*hub_); }

    /// GET /v1/edge/nodes, DELETE /v1/edge/nodes/<name>[?force], POST /v1/edge/tokens; from the
    /// daemon's loop.
    asio::awaitable<void> answer(net::Request request, net::ResponseWriter& out) {
        auto response = co_await on(hub_->executor(), handle(std::move(request)));
        co_await out.respond(std::move(response));
    }

private:
    asio::awaitable<net::Response> handle(net::Request request) {
        if (request.method == "GET" && request.target == "/v1/edge/nodes")
            co_return json_answer(nodes());
        constexpr std::string_view node = "/v1/edge/nodes/";
        if (request.method == "DELETE" && request.target.starts_with(node)) {
            auto name = request.target.substr(node.size());
            const bool force = name.ends_with("?force");
            if (force) name.resize(name.size() - std::string_view{"?force"}.size());
            edge::check_name("device", name);
            auto removal = co_await hub_->remove(std::move(name), force);
            json::object body;
            body["broker"] = std::move(removal.broker);
            co_return json_answer(std::move(body));
        }
        if (request.method == "POST" && request.target == "/v1/edge/tokens") {
            const auto message = edge::parse_message("token", request.body, 64U << 10U);
            const edge::Fields fields{message, "token"};
            edge::Labels labels;
            if (const auto* given = message.if_contains("labels"); given && given->is_object()) {
                for (const auto& label : given->get_object())
                    if (const auto* value = label.value().if_string())
                        labels.emplace(label.key(), *value);
            }
            constexpr std::uint64_t longest = 30UL * 24 * 3600;
            const std::chrono::seconds lifetime{fields.number("seconds", longest)};
            if (lifetime == std::chrono::seconds{0})
                fields.fail("seconds", "a token that is never valid is of no use");
            auto device = fields.text_or("device", 64, "");
            json::object body;
            body["token"] =
                co_await hub_->create_token(std::move(device), std::move(labels), lifetime);
            co_return json_answer(std::move(body));
        }
        throw Error{ErrorKind::not_found, "no such path: " + request.target};
    }

    json::object nodes() {
        json::array items;
        const auto now = std::chrono::system_clock::now();
        for (const auto& [name, device] : hub_->devices()) {
            const auto status = edge::node_status(device, json::object(), now);
            items.push_back(edge::node_object(device, fleet_, status).fields());
        }
        json::object list;
        list["apiVersion"] = "v1";
        list["kind"] = "List";
        list["items"] = std::move(items);
        return list;
    }

    std::string fleet_;
    edge::Pki pki_;
    std::unique_ptr<edge::Mirror> mirror_;
    edge::KubeMirror* kube_ = nullptr;
    std::unique_ptr<edge::Hub> hub_;
    std::unique_ptr<net::HttpServer> server_;
};

class EdgeSetup final : public RoleSetup {
public:
    [[nodiscard]] std::string_view name() const override { return "edge"; }

    void add_flags(CLI::App& app) override {
        app.add_option("--edge-fleet", fleet_, "Name of the fleet")->capture_default_str();
        app.add_option("--edge-broker", broker_, "host:port of the fleet's MQTT broker")
            ->capture_default_str();
        app.add_option("--edge-broker-address", device_broker_,
                       "The host under which devices reach the broker (default: that of "
                       "--edge-broker)");
        app.add_option("--edge-enrol-listen", enrol_, "host:port where devices join (HTTPS)")
            ->capture_default_str();
        app.add_option("--edge-enrol-url", enrol_url_,
                       "Its address as devices see it (default: https://<edge-enrol-listen>)");
        app.add_option("--edge-name", names_,
                       "More DNS names and addresses for its certificate; may repeat");
        app.add_option("--edge-certificate-lifetime", certificate_lifetime_,
                       "Of devices' certificates, which they renew before two thirds of it")
            ->capture_default_str();
        app.add_option("--edge-offline-after", offline_after_,
                       "A device that is gone this long is shown as offline")
            ->capture_default_str();
    }

    std::unique_ptr<Role> make(Daemon& daemon, asio::any_io_executor loop) override {
        const auto broker = parse_address("--edge-broker", broker_);
        const auto enrol = parse_address("--edge-enrol-listen", enrol_);
        edge::check_name("--edge-fleet", fleet_);
        edge::HubOptions options;
        options.state = daemon.state / name();
        options.fleet = fleet_;
        options.broker_host = broker.host;
        options.broker_port = broker.port;
        options.device_broker_host = device_broker_;
        options.enrolment_url = enrol_url_.empty() ? "https://" + enrol_ : enrol_url_;
        options.offline_after = parse_duration(offline_after_);
        options.certificate_lifetime =
            std::chrono::duration_cast<std::chrono::seconds>(parse_duration(certificate_lifetime_));
        constexpr std::chrono::seconds shortest{10};
        if (options.certificate_lifetime < shortest)
            throw Error{ErrorKind::invalid,
                        "--edge-certificate-lifetime " + certificate_lifetime_ + ": at least 10s"};
        edge::EnrolmentServerOptions enrolment;
        enrolment.host = enrol.host;
        enrolment.port = enrol.port;
        enrolment.names = names_;
        auto role =
            std::make_unique<EdgeRole>(loop, daemon, std::move(options), std::move(enrolment),
                                       daemon.cluster ? daemon.cluster(loop) : nullptr);
        daemon.targets["EdgeDeployment"] = role->target();
        daemon.socket_routes["/v1/edge/"] =
            [edge = role.get()](net::Request request, const net::Peer&, net::ResponseWriter& out) {
                return edge->answer(std::move(request), out);
            };
        return role;
    }

private:
    std::string fleet_ = "default";
    std::string broker_ = "127.0.0.1:8883";
    std::string device_broker_;
    std::string enrol_ = "127.0.0.1:8884";
    std::string enrol_url_;
    std::vector<std::string> names_;
    std::string certificate_lifetime_ = "8760h";
    std::string offline_after_ = "30s";
};

}  // namespace

std::unique_ptr<RoleSetup> edge_setup() { return std::make_unique<EdgeSetup>(); }

}  // namespace kled::cli
