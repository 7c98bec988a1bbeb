#include "gitops/destination/destinations.h"

#include "base/error.h"
#include "crypto/hash.h"
#include "gitops/access/secret_data.h"
#include "kube/account_bearer.h"
#include "kube/https_transport.h"
#include "kube/impersonation.h"

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

const kube::GroupVersionKind secret_kind{.group = "", .version = "v1", .kind = "Secret"};
const kube::GroupVersionKind map_kind{.group = "", .version = "v1", .kind = "ConfigMap"};
const kube::GroupVersionKind account_kind{.group = "", .version = "v1", .kind = "ServiceAccount"};

const std::string map_field = "spec.kubeConfig.configMapRef";

/// The transport of a client that outlives what is made of it.
std::shared_ptr<kube::Transport> way_of(kube::Client& client) {
    return {std::shared_ptr<void>{}, &client.transport()};
}

/// So that what is wrong with the account is said before anything is built for it.
asio::awaitable<std::shared_ptr<kube::Transport>> signed_in(
    std::shared_ptr<kube::AccountBearer> bearer) {
    try {
        co_await bearer->sign_in();
    } catch (const Error& error) {
        throw error.within(map_field);
    }
    co_return bearer;
}

}  // namespace

asio::awaitable<bool> runs_controllers(kube::Transport& server) {
    net::Request request;
    request.target = "/version";
    const auto response = co_await server.send(std::move(request));
    co_return response.body.find("+kled\"") == std::string::npos;
}

asio::awaitable<bool> Destination::runs_controllers() {
    if (!runs_controllers_) runs_controllers_ = co_await gitops::runs_controllers(*ways_.front());
    co_return *runs_controllers_;
}

Destinations::Destinations(asio::any_io_executor loop, kube::Client& own,
                           std::string default_account)
    : Destinations{loop, own, std::move(default_account),
                   std::make_shared<cloud::Identities>(loop, cloud::Identities::Options{})} {}

Destinations::Destinations(asio::any_io_executor loop, kube::Client& own,
                           std::string default_account,
                           std::shared_ptr<cloud::Identities> identities)
    : loop_{std::move(loop)},
      own_client_{own},
      own_{std::make_shared<Destination>(std::vector{way_of(own)})},
      default_account_{std::move(default_account)},
      clouds_{std::make_shared<cloud::ClusterLogins>(std::move(identities))} {}

std::string Destinations::account_of(const Deployment& deployment) const {
    return deployment.service_account.empty() ? default_account_ : deployment.service_account;
}

asio::awaitable<std::string> Destinations::kubeconfig_of(const Deployment& deployment) {
    const auto& from = *deployment.kube_config;
    const std::string where = "spec.kubeConfig.secretRef";
    std::string text;
    try {
        const auto data = co_await read_secret(own_client_, std::string{deployment.object.ns()},
                                               from.secret_name);
        text = from.key.empty() ? data.text({"value", "value.yaml"}) : data.text({from.key});
    } catch (const Error& error) {
        throw error.within(where);
    }
    if (text.empty()) {
        throw Error{ErrorKind::invalid, where + ": Secret " + from.secret_name + " has no key '" +
                                            (from.key.empty() ? "value" : from.key) + "'"};
    }
    co_return text;
}

asio::awaitable<RemoteCluster> Destinations::cluster_of(const Deployment& deployment) {
    const std::string ns{deployment.object.ns()};
    const auto& name = deployment.kube_config->config_map_name;
    const auto map = co_await own_client_.get(map_kind, ns, name);
    if (!map) {
        throw Error{ErrorKind::not_found,
                    map_field + ": ConfigMap " + ns + "/" + name + " does not exist"};
    }
    try {
        auto cluster = RemoteCluster::from_config_map(*map);
        if (!cluster.is_placed()) {
            const auto place =
                co_await clouds_->place(own_client_, cluster.applicant(), *cluster.cloud);
            cluster.take(place);
        }
        co_return cluster;
    } catch (const Error& error) {
        throw error.within(map_field);
    }
}

asio::awaitable<std::shared_ptr<kube::Transport>> Destinations::way_to(
    const RemoteCluster& cluster) {
    auto way = std::make_shared<kube::HttpsTransport>(loop_, cluster.access());
    if (cluster.cloud) {
        auto issue = [logins = clouds_, &client = own_client_, who = cluster.applicant(),
                      there = *cluster.cloud] { return logins->token(client, who, there); };
        co_return co_await signed_in(
            std::make_shared<kube::AccountBearer>(std::move(way), std::move(issue)));
    }
    if (!co_await own_->runs_controllers()) {
        throw Error{ErrorKind::invalid,
                    map_field +
                        ": the embedded API issues no tokens for service accounts; name a "
                        "kubeconfig by secretRef"};
    }
    co_return co_await signed_in(std::make_shared<kube::AccountBearer>(
        std::move(way), own_client_.transport(), cluster.token));
}

asio::awaitable<std::shared_ptr<Destination>> Destinations::of(const Deployment& deployment) {
    const auto account = account_of(deployment);
    if (account.empty() && !deployment.kube_config) co_return own_;
    std::string user;
    if (!account.empty())
        user = "system:serviceaccount:" + std::string{deployment.object.ns()} + ":" + account;
    std::string text;
    std::optional<RemoteCluster> remote;
    if (deployment.kube_config && !deployment.kube_config->config_map_name.empty()) {
        remote = co_await cluster_of(deployment);
    } else if (deployment.kube_config) {
        text = co_await kubeconfig_of(deployment);
    }

    const auto name = (remote ? remote->fingerprint() : crypto::sha256_hex(text)) + " " + user;
    std::erase_if(others_, [](const auto& other) { return other.second.expired(); });
    if (auto known = others_[name].lock()) co_return known;
    std::vector<std::shared_ptr<kube::Transport>> ways;
    if (remote) {
        ways.push_back(co_await way_to(*remote));
    } else if (deployment.kube_config) {
        const auto source = "Secret " + std::string{deployment.object.ns()} + "/" +
                            deployment.kube_config->secret_name;
        ways.push_back(
            std::make_shared<kube::HttpsTransport>(loop_, kube::read_kubeconfig(text, source)));
    } else {
        ways.push_back(way_of(own_client_));
    }
    if (!user.empty()) ways.push_back(std::make_shared<kube::Impersonation>(*ways.back(), user));
    auto made = std::make_shared<Destination>(std::move(ways));
    if (!user.empty() && !co_await made->runs_controllers()) {
        throw Error{ErrorKind::invalid,
                    "service account '" + account +
                        "': the embedded API has no access rules that would bound it"};
    }
    others_[name] = made;
    co_return made;
}

asio::awaitable<std::shared_ptr<Destination>> Destinations::as(std::string ns,
                                                               std::string account) {
    Deployment here;
    here.object.set_namespace(ns);
    here.service_account = std::move(account);
    co_return co_await of(here);
}

asio::awaitable<bool> Destinations::can_be_reached(const Deployment& deployment) {
    const std::string ns{deployment.object.ns()};
    std::optional<kube::Object> needed;
    if (deployment.kube_config && !deployment.kube_config->config_map_name.empty()) {
        needed = co_await own_client_.get(map_kind, ns, deployment.kube_config->config_map_name);
        const auto account =
            needed
                ? std::string{kube::find_string(needed->fields(), {"data", "serviceAccountName"})}
                : std::string{};
        // What else is wrong with the ConfigMap may be put right yet.
        if (!account.empty()) needed = co_await own_client_.get(account_kind, ns, account);
    } else if (deployment.kube_config) {
        needed = co_await own_client_.get(secret_kind, ns, deployment.kube_config->secret_name);
    } else if (const auto account = account_of(deployment); !account.empty()) {
        needed = co_await own_client_.get(account_kind, ns, account);
    } else {
        co_return true;
    }
    co_return needed.has_value();
}

}  // namespace kled::gitops
