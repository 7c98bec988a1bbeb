#include "crypto/hash.h"
#include "edge/hub_impl.h"
#include "kube/names.h"

#include <algorithm>

namespace kled::edge {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

/// What the Kubernetes API would not take is refused while somebody is there to be told.
void check_labels(const Labels& labels) {
    for (const auto& [key, value] : labels) {
        auto wrong = kube::check_qualified_name(key);
        for (auto& problem : kube::check_label_value(value)) wrong.push_back(std::move(problem));
        if (!wrong.empty()) {
            throw Error{ErrorKind::invalid,
                        "label \"" + key + "=" + value + "\": " + wrong.front()};
        }
    }
}

}  // namespace

std::string Hub::Impl::publish_shut_out() {
    std::vector<std::string> names;
    for (auto& device : store.removed()) names.push_back(std::move(device.name));
    const auto serials = store.revoked();
    if (!pki.shut_out(serials, names)) return {};
    return update_broker_access(options.state);
}

asio::awaitable<void> Hub::Impl::nodes(std::vector<NodeSpec> specs) {
    const auto mine = co_await turn();
    std::vector<DeviceRecord> changed;
    for (auto& spec : specs) {
        const auto held = devices.find(spec.name);
        if (held == devices.end() ||
            (held->second.labels == spec.labels && held->second.hold == spec.hold))
            continue;
        changed.push_back(held->second);
        changed.back().labels = std::move(spec.labels);
        changed.back().hold = spec.hold;
    }
    if (changed.empty()) co_return;
    co_await offload(pool, [this, &changed] {
        store.transaction([&] {
            for (const auto& device : changed) store.put_device(device);
        });
    });
    for (auto& device : changed) {
        const auto name = device.name;
        devices.at(name) = std::move(device);
    }
    co_await place();
}

asio::awaitable<std::string> Hub::Impl::create_token(std::string device, Labels labels,
                                                     std::chrono::seconds lifetime) {
    if (!device.empty()) check_name("device", device);
    check_labels(labels);
    const auto mine = co_await turn();
    EnrolmentToken token{.server = options.enrolment_url,
                         .ca = crypto::sha256_hex(pki.server_ca_pem()),
                         .secret = Secret{crypto::random_hex(32)},
                         .device = device};
    const TokenRecord record{.device = std::move(device),
                             .labels = std::move(labels),
                             .expires = system_clock::now() + lifetime};
    co_await offload(pool, [this, &token, &record] {
        store.put_token(crypto::sha256_hex(token.secret.reveal()), record);
    });
    co_return to_text(token);
}

asio::awaitable<EnrolmentAnswer> Hub::Impl::enrol(EnrolmentRequest request) {
    const auto mine = co_await turn();
    // Read before anything is used up.
    static_cast<void>(crypto::Recipient::parse(request.recipient));
    const auto held = devices.find(request.device);
    const auto* before = held == devices.end() ? nullptr : &held->second;
    DeviceRecord device{
        .name = request.device, .sealing = request.recipient, .at = {.epoch = epoch, .gen = 0}};
    auto certified = co_await offload(pool, [this, &request, &device, before] {
        auto pem =
            pki.certify_device(request.request, request.device, options.certificate_lifetime);
        const auto given = record_of(pem);
        store.transaction([&] {
            const auto token =
                store.use_token(crypto::sha256_hex(request.secret.reveal()), request.device,
                                request.recipient, system_clock::now());
            if (before != nullptr) {
                const bool same_key = before->sealing == request.recipient;
                if (!same_key && token.device != request.device) {
                    throw Error{ErrorKind::conflict,
                                "device " + request.device +
                                    " has joined before with another key; a token made for "
                                    "it (--device " +
                                    request.device + ") replaces it"};
                }
                device.at = before->at;
                device.labels = before->labels;
            }
            for (const auto& [label, value] : token.labels)
                device.labels.insert_or_assign(label, value);
            store.put_device(device);
            store.put_certificate(given, system_clock::now());
        });
        // A name that was removed is let in again, another key of the name is not any more.
        if (const auto why = publish_shut_out(); !why.empty())
            log::warn("edge", "the broker was not told who may connect", {{"why", why}});
        return pem;
    });
    const auto name = device.name;
    devices.insert_or_assign(name, std::move(device));
    removals.erase(name);
    dirty_nodes.insert(name);
    mirror_wake.notify();
    log::info("edge", "device joined", {{"device", name}});
    co_await assign_again(name);
    co_return EnrolmentAnswer{.fleet = options.fleet,
                              .device = name,
                              .certificate = std::move(certified),
                              .broker_ca = pki.server_ca_pem(),
                              .broker_host = options.device_broker_host.empty()
                                                 ? options.broker_host
                                                 : options.device_broker_host,
                              .broker_port = options.broker_port,
                              .delivery_key = delivery.verifying_key().raw()};
}

CertificateRecord Hub::Impl::record_of(const std::string& pem) {
    const auto info = crypto::read_certificate(pem);
    return {.serial = info.serial_hex,
            .device = info.common_name,
            .key_id = info.key_id,
            .not_after = info.not_after};
}

asio::awaitable<void> Hub::Impl::renew(std::string name, const RenewalRequest& request) {
    // One that asks all the time costs a signature now and then.
    const auto now = steady_clock::now();
    const auto before = renewed.find(name);
    if (before != renewed.end() && now - before->second < renewal_gap()) co_return;
    try {
        const auto pem = co_await offload(pool, [this, &name, &request] {
            auto made = pki.renew_device(request.certificate, request.request, name,
                                         options.certificate_lifetime);
            const auto given = record_of(made);
            store.transaction([&] { store.put_certificate(given, system_clock::now()); });
            return made;
        });
        renewed.insert_or_assign(name, now);
        publish({.topic = down_topic(options.fleet, name, "certificate"),
                 .payload = sign_renewal(options.fleet, name, pem, key, certificate())});
        log::info("edge", "certificate renewed", {{"device", name}});
    } catch (const Error& error) {
        refused.add();
        log::warn("edge", "certificate not renewed", {{"device", name}, {"error", error.what()}});
    }
}

milliseconds Hub::Impl::renewal_gap() const {
    return std::min<milliseconds>(std::chrono::seconds{10}, options.certificate_lifetime / 50);
}

asio::awaitable<Hub::Removal> Hub::Impl::remove(std::string name, bool force) {
    std::string session_id;
    Removal removal;
    {
        const auto mine = co_await turn();
        const auto held = devices.find(name);
        if (held == devices.end())
            throw Error{ErrorKind::not_found,
                        "edge node \"" + name + "\": no such device; `kled edge get` lists them"};
        if (!held->second.online && !force) {
            throw Error{ErrorKind::conflict,
                        "edge node \"" + name +
                            "\" is offline, and cannot be told that it was removed: what runs "
                            "on it goes on. --force removes it all the same"};
        }
        held->second.refused = "this device was removed from the fleet";
        session_id = held->second.session.id;
        const auto farewell = ack_of(held->second, system_clock::now());
        publish({.topic = down_topic(options.fleet, name, "ack"), .payload = to_json(farewell)});
        // What the broker keeps of it for those who come later.
        publish(
            {.topic = down_topic(options.fleet, name, "desired"), .payload = {}, .retain = true});
        publish({.topic = up_topic(options.fleet, name, "state"), .payload = {}, .retain = true});
        removal.broker = co_await offload(pool, [this, &name] {
            store.transaction([&] { store.remove_device(name); });
            return publish_shut_out();
        });
        mark(devices.at(name), true);
        devices.erase(name);
        removals.insert(name);
        renewed.erase(name);
        const auto wanted = wanted_blobs();
        co_await offload(pool, [this, &wanted] { store.keep_blobs(wanted); });
    }
    log::info("edge", "device removed", {{"device", name}});
    if (!session_id.empty()) co_await end_connection(name + ":" + session_id);
    co_return removal;
}

asio::awaitable<void> Hub::Impl::end_connection(std::string client_id) {
    MqttOptions mqtt{.host = options.broker_host,
                     .port = options.broker_port,
                     .client_id = std::move(client_id),
                     .tls = {},
                     .will = {}};
    mqtt.connect_timeout = std::chrono::seconds{3};
    if (options.tls) mqtt.tls = own_certificate ? *own_certificate : pki.hub_client();
    MqttHandlers handlers{.message = [](const std::string&, const std::string&) {},
                          .acknowledged = [](Outbox::Sequence) {}};
    try {
        MqttSession session{executor, pool, std::move(mqtt), std::move(handlers)};
        co_await session.connect();
        session.disconnect();
    } catch (const Error& error) {
        log::debug("edge", "cannot end a connection", {{"error", error.what()}});
    }
}

}  // namespace kled::edge
