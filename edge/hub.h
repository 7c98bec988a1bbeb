/// The hub of a fleet: takes rendered deployments, places them on devices, delivers, and knows what
/// became of them. Its database is the truth; the broker is a wire and the Kubernetes API a mirror.
#pragma once

#include "base/offload.h"
#include "edge/enrolment.h"
#include "edge/fleet.h"
#include "edge/mqtt_session.h"
#include "edge/protocol.h"
#include "kube/target.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kled::edge {

struct HubOptions {
    std::filesystem::path state;  ///< keys, certificates and hub.db; mode 0700
    std::string fleet = "default";
    std::string broker_host = "127.0.0.1";
    std::uint16_t broker_port = 8883;
    bool tls = true;                 ///< false: a broker on the loopback, for tests
    std::string enrolment_url;       ///< in tokens: "https://host:port"
    std::string device_broker_host;  ///< in answers; empty: broker_host
    std::chrono::milliseconds offline_after{30'000};
    std::chrono::milliseconds first_reconnect{500};  ///< upper bounds of random pauses
    std::chrono::milliseconds longest_reconnect{30'000};
    std::chrono::hours assignment_lifetime{24 * 7};
    /// Of devices' certificates, which they renew from half of it on.
    std::chrono::seconds certificate_lifetime{std::chrono::hours{24 * 365}};
    /// Of the key that assignments are signed with, certified anew from half of it on.
    std::chrono::seconds key_lifetime{std::chrono::hours{24 * 365}};
    ProtocolRange protocol = our_protocol;
};

/// Where the hub's knowledge is shown: the Kubernetes API (edge/kube_mirror.h), or a test.
class Mirror {
public:
    virtual ~Mirror() = default;
    /// `status` is EdgeNode.status. Made with these labels when it is not there.
    /// False: it cannot be shown yet; asked again after `Hub::show_again`.
    virtual boost::asio::awaitable<bool> node(const DeviceRecord& device,
                                              const json::object& status) = 0;
    /// `status` is what the hub owns of EdgeDeployment.status. False: as above.
    virtual boost::asio::awaitable<bool> deployment(const std::string& ns, const std::string& name,
                                                    const json::object& status) = 0;
    /// The device was removed: nothing of it is shown any more. False: as above.
    virtual boost::asio::awaitable<bool> removed(const std::string& device) = 0;
};

/// All calls on its loop; from another: `on(hub.executor(), hub.deliver(…))`.
class Hub {
public:
    /// Opens or makes the store and the keys. `mirror` outlives the hub.
    Hub(boost::asio::any_io_executor executor, ThreadPool& pool, HubOptions options,
        Mirror& mirror);
    ~Hub();

    /// Serves devices and feeds the mirror until cancelled.
    boost::asio::awaitable<void> run();

    /// As kube::Target. `rendered.owner` is an EdgeDeployment.
    boost::asio::awaitable<void> deliver(kube::Rendered rendered);
    boost::asio::awaitable<void> withdraw(kube::ObjectId owner);
    /// What the API says about a device: labels decide what it runs.
    struct NodeSpec {
        std::string name;
        Labels labels;
        bool hold = false;
    };
    boost::asio::awaitable<void> nodes(std::vector<NodeSpec> specs);
    /// The mirror may show now what it could not before.
    void show_again();
    /// Somebody deleted what the mirror shows of a device. One that is still of the fleet is shown
    /// again: what removes a device is `remove`.
    void show_again(const std::string& device);

    /// A token for one device, valid for `lifetime`; printed once, kept as a hash.
    boost::asio::awaitable<std::string> create_token(std::string device, Labels labels,
                                                     std::chrono::seconds lifetime);
    /// Error(denied) for a bad token, Error(conflict) when the name is taken by another key.
    boost::asio::awaitable<EnrolmentAnswer> enrol(EnrolmentRequest request);
    [[nodiscard]] const std::string& server_ca_pem() const noexcept;

    struct Removal {
        std::string broker{};  ///< why the broker does not refuse it yet; empty: it does
    };
    /// Shuts a device out for good: its certificates and tokens are worth nothing from now on, its
    /// connection ends, and it is shown nowhere. What runs on it goes on. Error(not_found);
    /// Error(conflict) for one that cannot be told because it is offline, unless `force`.
    boost::asio::awaitable<Removal> remove(std::string device, bool force);

    [[nodiscard]] const std::map<std::string, DeviceRecord>& devices() const noexcept;
    [[nodiscard]] boost::asio::any_io_executor executor() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// The hub as gitops sees it, from any loop.
[[nodiscard]] std::shared_ptr<kube::Target> make_target(Hub& hub);

}  // namespace kled::edge
