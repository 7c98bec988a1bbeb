/// A fleet on this machine for tests: a real mosquitto with TLS and access rules, hubs and agents
/// that run, real processes.
#pragma once

#include "base/error.h"
#include "base/run.h"
#include "base/task_group.h"
#include "base/timeout.h"
#include "edge/agent.h"
#include "edge/hub.h"
#include "edge/join.h"
#include "edge/pki.h"
#include "kube/yaml.h"
#include "tests/support/broker.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kled::edge {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using testing::Broker;

/// What the Kubernetes API would hold.
class Shown final : public Mirror {
public:
    asio::awaitable<bool> node(const DeviceRecord& device, const json::object& status) override {
        nodes[device.name] = status;
        if (delay > 0ms) {
            asio::steady_timer timer{co_await asio::this_coro::executor, delay};
            co_await timer.async_wait(asio::use_awaitable);
        }
        co_return true;
    }
    asio::awaitable<bool> deployment(const std::string& ns, const std::string& name,
                                     const json::object& status) override {
        deployments[ns + "/" + name] = status;
        co_return true;
    }
    asio::awaitable<bool> removed(const std::string& device) override {
        nodes.erase(device);
        co_return true;
    }
    std::map<std::string, json::object> nodes;
    std::map<std::string, json::object> deployments;
    std::chrono::milliseconds delay{0};  ///< of the API's answer, after it has taken a node
};

/// A fleet on this machine: state directories, keys, a broker that trusts them.
class Site {
public:
    Site() : broker_{listener()} {}

    [[nodiscard]] HubOptions hub_options() const {
        HubOptions options;
        options.state = directory_.path() / "hub";
        options.fleet = "lab";
        options.broker_port = broker_.port();
        options.offline_after = 300ms;
        options.first_reconnect = 20ms;
        options.longest_reconnect = 200ms;
        return options;
    }
    [[nodiscard]] AgentOptions agent_options(const std::string& device) const {
        AgentOptions options;
        options.state = state(device);
        options.process_runtime = true;
        options.first_reconnect = 20ms;
        options.longest_reconnect = 200ms;
        return options;
    }
    [[nodiscard]] std::filesystem::path state(const std::string& device) const {
        return directory_.path() / device;
    }
    [[nodiscard]] const std::filesystem::path& path() const { return directory_.path(); }
    Broker& broker() { return broker_; }

private:
    std::string listener() const {
        BrokerOptions options;
        options.state = directory_.path() / "hub";
        const auto folder = write_broker_files(options).parent_path().string() + "/";
        return "cafile " + folder + "devices.crt\ncertfile " + folder + "server.crt\nkeyfile " +
               folder + "server.key\ncrlfile " + folder +
               "crl.pem\nrequire_certificate true\nuse_identity_as_username true\nacl_file " +
               folder + "acl\nmax_packet_size 262144\n";
    }

    TemporaryDirectory directory_{"kled-fleet"};
    Broker broker_;
};

inline kube::Rendered rendered(const std::string& name, const std::string& revision,
                               const std::string& selector, const std::string& manifest) {
    kube::Rendered result;
    result.owner = kube::Object::from(kube::parse_yaml(
        "{apiVersion: edge.kled.io/v1, kind: EdgeDeployment, metadata: {name: " + name +
        ", namespace: shop, generation: 1}, spec: {placement: {selector: " + selector + "}}}"));
    result.revision = revision;
    result.objects = kube::load_manifest(manifest);
    return result;
}

/// Writes its environment to a file and stays.
inline std::string workload(const std::string& word, const std::filesystem::path& out) {
    return R"yaml(
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {word: )yaml" +
           word + R"yaml(}
---
apiVersion: v1
kind: Secret
metadata: {name: door, namespace: shop}
stringData: {code: open-sesame-)yaml" +
           word + R"yaml(}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {annotations: {edge.kled.io/runtime: process}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: main
        command: [sh, -c]
        args:
        - 'echo "$$$$ $WORD $(cat $(KLED_ROOT)/etc/door/code)" >> )yaml" +
           out.string() + R"yaml(; exec sleep 1000'
        env:
        - name: WORD
          valueFrom: {configMapKeyRef: {name: settings, key: word}}
        volumeMounts: [{name: door, mountPath: /etc/door}]
      volumes: [{name: door, secret: {secretName: door}}]
)yaml";
}

inline asio::awaitable<void> until(std::function<bool()> condition) {
    asio::steady_timer timer{co_await asio::this_coro::executor};
    while (!condition()) {
        timer.expires_after(5ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

inline asio::awaitable<void> eventually(std::string what, std::function<bool()> condition,
                                        std::chrono::milliseconds limit = 15s) {
    try {
        co_await with_timeout(limit, std::move(what), until(std::move(condition)));
    } catch (const Error& error) {
        ADD_FAILURE() << error.what();  // and on to the orderly end
    }
}

/// A hub or an agent that runs until `stop`; started again it is another one on the same state.
template <typename T>
class Running {
public:
    template <typename... Arguments>
    explicit Running(asio::any_io_executor loop, Arguments&&... arguments)
        : it_{loop, std::forward<Arguments>(arguments)...}, tasks_{loop} {
        tasks_.spawn(it_.run());
    }
    asio::awaitable<void> stop() {
        tasks_.cancel();
        co_await even_if_cancelled;
        co_await tasks_.join();
    }
    T* operator->() { return &it_; }
    T& operator*() { return it_; }

private:
    T it_;
    TaskGroup tasks_;
};

/// As `kled-agent join` does, without the HTTPS between.
inline asio::awaitable<void> enrol(Hub& hub, std::filesystem::path state, std::string device,
                                   Labels labels) {
    const auto token = parse_token(co_await hub.create_token(device, std::move(labels), 1min));
    const auto keys = prepare_keys(state, device);
    EnrolmentRequest request{.secret = token.secret.clone(),
                             .device = device,
                             .request = keys.request,
                             .recipient = keys.recipient};
    save_identity(state, co_await hub.enrol(std::move(request)));
}

inline std::string lines(const std::filesystem::path& file) {
    return read_file_if_exists(file).value_or("");
}

inline std::size_t count(const std::string& text, const std::string& part) {
    std::size_t n = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
    return n;
}

inline std::string ready(const Shown& shown, const std::string& deployment) {
    const auto held = shown.deployments.find(deployment);
    if (held == shown.deployments.end()) return {};
    return std::string{
        kube::find_string(held->second.at("conditions").as_array().at(0).as_object(), {"reason"})};
}

/// An agent that is stopped leaves its processes to this test, which does not reap them.
inline bool lives(int pid) {
    std::string stat;
    try {
        stat = read_file_if_exists("/proc/" + std::to_string(pid) + "/stat", 4096).value_or("");
    } catch (const Error&) {
        return false;  // it went while it was read
    }
    const auto name_end = stat.rfind(") ");
    return name_end != std::string::npos && stat[name_end + 2] != 'Z';
}

/// Ends what the last agent left running.
inline asio::awaitable<void> clear(Hub& hub, std::filesystem::path out) {
    kube::ObjectId owner{"edge.kled.io", "EdgeDeployment", "shop", "app"};
    co_await hub.withdraw(std::move(owner));
    const auto text = lines(out);
    std::vector<int> pids;
    for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
        pids.push_back(std::atoi(text.c_str() + at));
    co_await eventually("all processes end", [&pids] { return std::ranges::none_of(pids, lives); });
}

}  // namespace kled::edge
