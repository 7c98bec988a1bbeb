/// What the parts of the hub share: hub.cc is connected and says who waits for what,
/// hub_messages.cc hears and answers devices, hub_placement.cc says what each should run,
/// hub_devices.cc who belongs to the fleet, hub_mirror.cc shows it to others.
#pragma once

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/offload.h"
#include "base/retry.h"
#include "base/signal.h"
#include "crypto/seal.h"
#include "crypto/sign.h"
#include "edge/hub.h"
#include "edge/hub_status.h"
#include "edge/hub_store.h"
#include "edge/mqtt_session.h"
#include "edge/names.h"
#include "edge/outbox.h"
#include "edge/pki.h"
#include "edge/trust.h"

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace kled::edge {

struct Hub::Impl {
    Impl(boost::asio::any_io_executor loop, ThreadPool& threads, HubOptions given, Mirror& shown);

    /// One change at a time: each holds its turn from reading the state to having stored it.
    class Turn {
    public:
        explicit Turn(Impl& hub) noexcept : hub_{&hub} {}
        Turn(Turn&& other) noexcept : hub_{std::exchange(other.hub_, nullptr)} {}
        ~Turn() {
            if (hub_ == nullptr) return;
            hub_->busy = false;
            hub_->turn_over.notify();
        }

    private:
        Impl* hub_;
    };

    boost::asio::awaitable<Turn> turn() {
        while (busy) co_await turn_over.wait();
        busy = true;
        co_return Turn{*this};
    }

    struct Incoming {
        std::string topic;
        std::string payload;
    };

    /// What one batch of messages changes and asks for.
    struct Batch {
        std::map<std::string, DeviceRecord> devices{};
        std::set<std::string> store{};
        std::set<std::string> answer{};
        std::set<std::string> point{};
        std::set<std::string> assign{};
        std::vector<std::pair<std::string, Get>> gets{};
        std::map<std::string, RenewalRequest> renewals{};
    };

    using Reassigned = std::vector<std::pair<DeviceRecord, Document>>;

    // hub.cc
    /// What `key` may sign for, valid for half its life at least: a hub may run for years.
    const HubCertificate& certificate();
    boost::asio::awaitable<void> stay_connected();
    boost::asio::awaitable<void> connection(Backoff& backoff);
    boost::asio::awaitable<void> greet(MqttSession& session, Backoff& backoff);
    boost::asio::awaitable<void> run();

    // hub_messages.cc
    void receive(std::string topic, std::string payload);
    boost::asio::awaitable<void> listen();
    boost::asio::awaitable<void> take_batch();
    Reaction handle(Batch& batch, DeviceRecord& device, std::string_view leaf,
                    const std::string& payload, WallTime now);
    static void note(Batch& batch, const DeviceRecord& device, const Reaction& reaction);
    /// The mirror has to look at it, and at what it runs.
    void mark(const DeviceRecord& device, bool changed);
    boost::asio::awaitable<void> notice_the_gone();
    void publish(Message message);
    /// Signed anew each time: it expires.
    void point(const DeviceRecord& device);
    [[nodiscard]] bool may_have(const DeviceRecord& device, std::string_view digest) const;
    boost::asio::awaitable<std::shared_ptr<const std::string>> content(std::string digest);
    boost::asio::awaitable<void> send_chunks(const std::string& name, const Get& get);

    // hub_placement.cc; the first three hold the turn of their caller
    /// New generations where labels and deployments ask for another document.
    boost::asio::awaitable<void> place();
    /// A new generation in any case: sealed to another key, or above what the device knows.
    boost::asio::awaitable<void> assign_again(std::string name);
    boost::asio::awaitable<void> assign(std::vector<DeviceRecord> candidates,
                                        std::set<std::string> forced);
    /// On the pool, while the loop's state stands still for its turn.
    Reassigned reassign(std::vector<DeviceRecord> candidates, const std::set<std::string>& forced);
    void seal_for(DeviceRecord& device, const Document& document);
    std::set<std::string, std::less<>> wanted_blobs();
    void remember_documents();
    boost::asio::awaitable<void> deliver(kube::Rendered rendered);
    boost::asio::awaitable<void> withdraw(kube::ObjectId owner);

    // hub_devices.cc
    /// Who is shut out, to the CA's files and the broker; why the broker does not know. Blocks.
    std::string publish_shut_out();
    boost::asio::awaitable<void> nodes(std::vector<NodeSpec> specs);
    boost::asio::awaitable<std::string> create_token(std::string device, Labels labels,
                                                     std::chrono::seconds lifetime);
    boost::asio::awaitable<EnrolmentAnswer> enrol(EnrolmentRequest request);
    static CertificateRecord record_of(const std::string& pem);
    /// Holds the turn of its caller.
    boost::asio::awaitable<void> renew(std::string name, const RenewalRequest& request);
    [[nodiscard]] std::chrono::milliseconds renewal_gap() const;
    boost::asio::awaitable<Removal> remove(std::string name, bool force);
    /// The broker ends a connection when another comes with its client id, which only the hub and
    /// the device know.
    boost::asio::awaitable<void> end_connection(std::string client_id);

    // hub_mirror.cc
    void show_again(const std::string& device);
    void show_again();
    boost::asio::awaitable<void> reflect();
    boost::asio::awaitable<void> show_some();
    boost::asio::awaitable<void> show_removal(std::string name);

    boost::asio::any_io_executor executor;
    ThreadPool& pool;
    HubOptions options;
    Mirror& mirror;
    Pki pki;
    crypto::SigningKey delivery;
    crypto::SigningKey key;
    crypto::Identity sealing;  // what the store holds of secrets
    Secret commitment;
    HubCertificate own_key;
    Trust trust;
    HubStore store;
    const std::uint64_t epoch;  // of devices that join
    std::map<std::string, DeviceRecord> devices;
    std::map<std::string, DeploymentRecord> deployments;
    std::map<std::string, Document, std::less<>> documents;  // that devices have, by digest
    std::map<std::string, std::shared_ptr<const std::string>, std::less<>> cache;
    std::size_t cache_size = 0;

    std::set<std::string> removals;             // whose EdgeNodes are not deleted yet
    std::map<std::string, SteadyTime> renewed;  // when a device was last given a certificate
    std::optional<MqttTls> own_certificate;
    std::string connection_error;  // why the last connection ended or was not made

    bool busy = false;
    Signal turn_over{executor};
    std::deque<Incoming> inbox;
    std::size_t inbox_size = 0;
    Signal inbox_wake{executor};
    static constexpr Outbox::Limits outbox_limits{.bytes = 32U << 20U, .in_flight = 64};
    Outbox outbox{outbox_limits};
    Signal outbox_wake{executor};

    std::set<std::string> dirty_nodes;
    std::set<std::string> dirty_deployments;
    std::map<std::string, json::object> shown_nodes;
    std::map<std::string, json::object> shown_deployments;
    Signal mirror_wake{executor};

    metrics::Counter& dropped = metrics::registry().counter(
        "kled_edge_messages_dropped_total", "Messages not taken because a queue was full");
    metrics::Counter& refused =
        metrics::registry().counter("kled_edge_messages_refused_total",
                                    "Messages that were not understood or not of this fleet");
};

}  // namespace kled::edge
