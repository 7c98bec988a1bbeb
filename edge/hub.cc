#include "base/hop.h"
#include "base/task_group.h"
#include "crypto/hash.h"
#include "edge/hub_impl.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace kled::edge {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

constexpr std::size_t hellos_a_second = 200;

crypto::Identity load_or_create_sealing_key(const fs::path& path) {
    if (const auto text = read_file_if_exists(path, 4096)) return crypto::Identity::parse(*text);
    auto identity = crypto::Identity::generate();
    write_file_atomic(path, identity.text().reveal(), 0600);
    return identity;
}

Secret load_or_create_random(const fs::path& path) {
    constexpr std::size_t bytes = 32;
    if (auto held = read_file_if_exists(path, bytes)) return Secret{*std::move(held)};
    auto made = crypto::random_bytes(bytes);
    write_file_atomic(path, made, 0600);
    return Secret{std::move(made)};
}

const fs::path& private_directory(const fs::path& path) {
    make_directories(path, 0700);
    return path;
}

}  // namespace

Hub::Impl::Impl(asio::any_io_executor loop, ThreadPool& threads, HubOptions given, Mirror& shown)
    : executor{std::move(loop)},
      pool{threads},
      options{std::move(given)},
      mirror{shown},
      pki{private_directory(options.state)},
      delivery{crypto::SigningKey::load_or_create(options.state / "delivery.key")},
      key{crypto::SigningKey::load_or_create(options.state / "hub.key")},
      sealing{load_or_create_sealing_key(options.state / "sealing.key")},
      commitment{load_or_create_random(options.state / "commitment.key")},
      trust{options.fleet, "", delivery.verifying_key()},
      store{options.state / "hub.db"},
      epoch{store.epoch(system_clock::now())},
      devices{store.devices()},
      deployments{store.deployments()} {
    check_name("fleet", options.fleet);
    // A hub that was killed before it had told the broker tells it now.
    publish_shut_out();
    for (auto& device : store.removed())
        if (!device.shown) removals.insert(std::move(device.name));
    show_again();
    remember_documents();
}

const HubCertificate& Hub::Impl::certificate() {
    const auto now = system_clock::now();
    if (own_key.not_after - now < options.key_lifetime / 2)
        own_key =
            certify_hub(delivery, options.fleet, key.verifying_key(), now + options.key_lifetime);
    return own_key;
}

asio::awaitable<void> Hub::Impl::stay_connected() {
    Backoff backoff{{.first = options.first_reconnect, .limit = options.longest_reconnect},
                    static_cast<std::uint64_t>(steady_clock::now().time_since_epoch().count())};
    for (;;) {
        try {
            co_await connection(backoff);
        } catch (const Error& error) {
            // The same again and again says nothing new.
            const bool known = connection_error == error.what();
            log::write(known ? log::Level::debug : log::Level::warn, "edge",
                       "no connection to the broker (`kled edge broker run` starts one); "
                       "trying again",
                       {{"error", error.what()}});
            connection_error = error.what();
        }
        outbox = Outbox{outbox_limits};
        asio::steady_timer pause{executor, backoff.next()};
        co_await pause.async_wait(asio::use_awaitable);
    }
}

asio::awaitable<void> Hub::Impl::connection(Backoff& backoff) {
    MqttOptions mqtt{
        .host = options.broker_host,
        .port = options.broker_port,
        // As the agents': nobody guesses it, so nobody takes it over.
        .client_id = std::string{hub_user} + ":" + options.fleet + ":" + crypto::random_hex(8),
        .tls = {},
        .will = {}};
    if (options.tls) mqtt.tls = own_certificate = pki.hub_client();
    MqttHandlers handlers{
        .message = [this](std::string topic,
                          std::string payload) { receive(std::move(topic), std::move(payload)); },
        .acknowledged =
            [this](Outbox::Sequence sequence) {
                outbox.acknowledge(sequence);
                outbox_wake.notify();
            }};
    MqttSession session{executor, pool, std::move(mqtt), std::move(handlers)};
    co_await session.connect();
    TaskGroup tasks{executor};
    tasks.spawn(session.run());
    tasks.spawn(greet(session, backoff));
    tasks.spawn(pump(outbox, session, outbox_wake));
    co_await even_if_cancelled;
    co_await tasks.join();
}

asio::awaitable<void> Hub::Impl::greet(MqttSession& session, Backoff& backoff) {
    std::vector<std::string> filters{"kled/v1/" + options.fleet + "/d/+/up/#"};
    co_await session.subscribe(std::move(filters));
    backoff.reset();
    connection_error.clear();
    log::info(
        "edge", "connected to the broker",
        {{"broker", options.broker_host}, {"port", options.broker_port}, {"fleet", options.fleet}});
    const HubNotice notice{.epoch = epoch,
                           .incarnation = crypto::random_hex(8),
                           .spread = milliseconds{devices.size() * 1000 / hellos_a_second}};
    // Who went while we were not listening is not heard of again.
    for (auto& [name, device] : devices) doubt(device, steady_clock::now() + notice.spread);
    publish({.topic = hub_topic(options.fleet), .payload = to_json(notice), .retain = true});
}

asio::awaitable<void> Hub::Impl::run() {
    TaskGroup tasks{executor};
    tasks.spawn(stay_connected());
    tasks.spawn(listen());
    tasks.spawn(notice_the_gone());
    tasks.spawn(reflect());
    co_await even_if_cancelled;
    co_await tasks.join();
}

Hub::Hub(asio::any_io_executor executor, ThreadPool& pool, HubOptions options, Mirror& mirror)
    : impl_{std::make_unique<Impl>(std::move(executor), pool, std::move(options), mirror)} {}

Hub::~Hub() = default;

asio::awaitable<void> Hub::run() { return impl_->run(); }
asio::awaitable<void> Hub::deliver(kube::Rendered rendered) {
    return impl_->deliver(std::move(rendered));
}
asio::awaitable<void> Hub::withdraw(kube::ObjectId owner) {
    return impl_->withdraw(std::move(owner));
}
asio::awaitable<void> Hub::nodes(std::vector<NodeSpec> specs) {
    return impl_->nodes(std::move(specs));
}
void Hub::show_again() { impl_->show_again(); }
void Hub::show_again(const std::string& device) { impl_->show_again(device); }
asio::awaitable<Hub::Removal> Hub::remove(std::string device, bool force) {
    return impl_->remove(std::move(device), force);
}
asio::awaitable<std::string> Hub::create_token(std::string device, Labels labels,
                                               std::chrono::seconds lifetime) {
    return impl_->create_token(std::move(device), std::move(labels), lifetime);
}
asio::awaitable<EnrolmentAnswer> Hub::enrol(EnrolmentRequest request) {
    return impl_->enrol(std::move(request));
}
const std::string& Hub::server_ca_pem() const noexcept { return impl_->pki.server_ca_pem(); }
const std::map<std::string, DeviceRecord>& Hub::devices() const noexcept { return impl_->devices; }
asio::any_io_executor Hub::executor() const { return impl_->executor; }

namespace {

class HubTarget final : public kube::Target {
public:
    explicit HubTarget(Hub& hub) : hub_{hub} {}
    asio::awaitable<void> deliver(kube::Rendered rendered) override {
        co_await on(hub_.executor(), hub_.deliver(std::move(rendered)));
    }
    asio::awaitable<void> withdraw(kube::ObjectId owner) override {
        co_await on(hub_.executor(), hub_.withdraw(std::move(owner)));
    }

private:
    Hub& hub_;
};

}  // namespace

std::shared_ptr<kube::Target> make_target(Hub& hub) { return std::make_shared<HubTarget>(hub); }

}  // namespace kled::edge
