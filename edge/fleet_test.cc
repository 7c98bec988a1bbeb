/// Hub, broker and agents as they run: a real mosquitto with TLS and access rules, real processes.
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
#include <functional>
#include <optional>

namespace kled::edge {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using testing::Broker;

/// What the Kubernetes API would hold.
class Shown final : public Mirror {
public:
    asio::awaitable<void> node(const DeviceRecord& device, const json::object& status) override {
        nodes[device.name] = status;
        co_return;
    }
    asio::awaitable<void> deployment(const std::string& ns, const std::string& name,
                                     const json::object& status) override {
        deployments[ns + "/" + name] = status;
        co_return;
    }
    std::map<std::string, json::object> nodes;
    std::map<std::string, json::object> deployments;
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

kube::Rendered rendered(const std::string& name, const std::string& revision,
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
std::string workload(const std::string& word, const std::filesystem::path& out) {
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

asio::awaitable<void> until(std::function<bool()> condition) {
    asio::steady_timer timer{co_await asio::this_coro::executor};
    while (!condition()) {
        timer.expires_after(5ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

asio::awaitable<void> eventually(std::string what, std::function<bool()> condition,
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
        co_await tasks_.join();
    }
    T* operator->() { return &it_; }
    T& operator*() { return it_; }

private:
    T it_;
    TaskGroup tasks_;
};

/// As `kled-agent join` does, without the HTTPS between.
asio::awaitable<void> enrol(Hub& hub, std::filesystem::path state, std::string device,
                            Labels labels) {
    const auto token = parse_token(co_await hub.create_token(device, std::move(labels), 1min));
    const auto keys = prepare_keys(state, device);
    EnrolmentRequest request{.secret = token.secret.clone(),
                             .device = device,
                             .request = keys.request,
                             .recipient = keys.recipient};
    save_identity(state, co_await hub.enrol(std::move(request)));
}

std::string lines(const std::filesystem::path& file) {
    return read_file_if_exists(file).value_or("");
}

std::size_t count(const std::string& text, const std::string& part) {
    std::size_t n = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
    return n;
}

std::string ready(const Shown& shown, const std::string& deployment) {
    const auto held = shown.deployments.find(deployment);
    if (held == shown.deployments.end()) return {};
    return std::string{
        kube::find_string(held->second.at("conditions").as_array().at(0).as_object(), {"reason"})};
}

/// Ends what the last agent left running.
asio::awaitable<void> clear(Hub& hub, std::filesystem::path out) {
    kube::ObjectId owner{"edge.kled.io", "EdgeDeployment", "shop", "app"};
    co_await hub.withdraw(std::move(owner));
    const auto text = lines(out);
    std::vector<int> pids;
    for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
        pids.push_back(std::atoi(text.c_str() + at));
    co_await eventually("all processes end", [&pids] {
        return std::ranges::none_of(pids, [](int pid) { return ::kill(pid, 0) == 0; });
    });
}

asio::awaitable<void> whole_way(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    ThreadPool pool{2};
    Shown shown;
    const auto out = site.path() / "out";
    Running<Hub> hub{loop, pool, site.hub_options(), shown};
    Labels labels;
    labels.emplace("zone", "north");
    co_await enrol(*hub, site.state("d1"), "d1", labels);
    Running<Agent> agent{loop, pool, load_identity(site.state("d1")), site.agent_options("d1")};

    const std::string north = "{matchLabels: {zone: north}}";
    co_await hub->deliver(rendered("app", "main@sha1:1", north, workload("one", out)));
    co_await eventually("the first revision is healthy",
                        [&] { return ready(shown, "shop/app") == "Healthy"; });
    EXPECT_NE(lines(out).find(" one open-sesame-one\n"), std::string::npos) << lines(out);
    EXPECT_EQ(shown.nodes.at("d1").at("phase"), "Healthy");
    EXPECT_EQ(shown.nodes.at("d1").at("online"), true);

    // The same again changes nothing; another content replaces the process.
    co_await hub->deliver(rendered("app", "main@sha1:2", north, workload("one", out)));
    co_await hub->deliver(rendered("app", "main@sha1:3", north, workload("two", out)));
    co_await eventually("the third revision runs",
                        [&] { return lines(out).find(" two ") != std::string::npos; });
    co_await eventually("and is healthy", [&] {
        return ready(shown, "shop/app") == "Healthy" &&
               shown.deployments.at("shop/app").at("revision") == "main@sha1:3";
    });
    EXPECT_EQ(count(lines(out), "\n"), 2U) << lines(out);

    co_await clear(*hub, out);
    co_await agent.stop();
    co_await hub.stop();
    pool.join();
}

TEST(Fleet, ARevisionReachesTheDeviceRunsAndIsReported) {
    Site site;
    run_to_end(whole_way(site));
}

}  // namespace
}  // namespace kled::edge
