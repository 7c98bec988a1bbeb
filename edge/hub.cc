#include "edge/hub.h"

#include "base/error.h"
#include "base/file.h"
#include "base/hop.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/retry.h"
#include "base/signal.h"
#include "base/task_group.h"
#include "crypto/hash.h"
#include "crypto/seal.h"
#include "crypto/sign.h"
#include "edge/hub_status.h"
#include "edge/hub_store.h"
#include "edge/names.h"
#include "edge/pki.h"
#include "edge/trust.h"
#include "kube/names.h"
#include "kube/selector.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cassert>
#include <deque>
#include <set>
#include <utility>

namespace kled::edge {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

constexpr std::size_t inbox_messages = 8192;
constexpr std::size_t inbox_bytes = 16U << 20U;
constexpr std::size_t batch_messages = 256;
constexpr std::size_t cached_bytes = 8U << 20U;
constexpr std::size_t mirrored_at_once = 50;
constexpr milliseconds mirror_gap{1'000};
constexpr milliseconds mirror_gather{50};  // changes that come together are written together
constexpr std::size_t hellos_a_second = 200;
constexpr std::chrono::hours hub_key_lifetime{24 * 365};
constexpr std::chrono::seconds chunk_lifetime{30};

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

/// The labels as an object that a selector can look at.
kube::Object labelled(const Labels& labels) {
    kube::Object object;
    for (const auto& [key, value] : labels) object.set_label(key, value);
    return object;
}

std::string deployment_name(const kube::ObjectId& id) { return id.ns + "/" + id.name; }

}  // namespace

struct Hub::Impl {
    Impl(asio::any_io_executor loop, ThreadPool& threads, HubOptions given, Mirror& shown)
        : executor{std::move(loop)},
          pool{threads},
          options{std::move(given)},
          mirror{shown},
          pki{private_directory(options.state)},
          delivery{crypto::SigningKey::load_or_create(options.state / "delivery.key")},
          key{crypto::SigningKey::load_or_create(options.state / "hub.key")},
          sealing{load_or_create_sealing_key(options.state / "sealing.key")},
          commitment{load_or_create_random(options.state / "commitment.key")},
          certificate{certify_hub(delivery, options.fleet, key.verifying_key(),
                                  system_clock::now() + hub_key_lifetime)},
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

    /// Who is shut out, to the CA's files and the broker; why the broker does not know. Blocks.
    std::string publish_shut_out() {
        std::vector<std::string> names;
        for (auto& device : store.removed()) names.push_back(std::move(device.name));
        const auto serials = store.revoked();
        if (!pki.shut_out(serials, names)) return {};
        return update_broker_access(options.state);
    }

    // --- One change at a time: each holds its turn from reading the state to having stored it.

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

    asio::awaitable<Turn> turn() {
        while (busy) co_await turn_over.wait();
        busy = true;
        co_return Turn{*this};
    }

    // --- What devices say

    struct Incoming {
        std::string topic;
        std::string payload;
    };

    void receive(std::string topic, std::string payload) {
        const auto size = topic.size() + payload.size();
        if (inbox.size() >= inbox_messages || size > inbox_bytes - inbox_size) {
            dropped.add();  // all of it is said again
            return;
        }
        inbox_size += size;
        inbox.push_back({std::move(topic), std::move(payload)});
        inbox_wake.notify();
    }

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

    asio::awaitable<void> listen() {
        for (;;) {
            while (inbox.empty()) co_await inbox_wake.wait();
            try {
                co_await take_batch();
            } catch (const Error& error) {
                // Nothing of it was acknowledged, so all of it comes again.
                log::error("edge", "cannot store what devices said", {{"error", error.what()}});
            }
        }
    }

    asio::awaitable<void> take_batch() {
        const auto mine = co_await turn();
        Batch batch;
        const auto now = system_clock::now();
        for (std::size_t i = 0; i < batch_messages && !inbox.empty(); ++i) {
            auto incoming = std::move(inbox.front());
            inbox.pop_front();
            inbox_size -= incoming.topic.size() + incoming.payload.size();
            const auto topic = parse_up_topic(options.fleet, incoming.topic);
            if (!topic) continue;
            const auto known = devices.find(std::string{topic->device});
            if (known == devices.end()) {
                refused.add();
                continue;
            }
            auto& device = batch.devices.try_emplace(known->first, known->second).first->second;
            try {
                note(batch, device, handle(batch, device, topic->leaf, incoming.payload, now));
            } catch (const Error& error) {
                refused.add();
                log::warn("edge", "message refused",
                          {{"device", device.name}, {"error", error.what()}});
            }
        }
        if (!batch.store.empty()) {
            co_await offload(pool, [this, &batch] {
                store.transaction([&] {
                    for (const auto& name : batch.store) store.put_device(batch.devices.at(name));
                });
            });
        }
        for (auto& [name, device] : batch.devices) {
            mark(device, batch.store.contains(name));
            devices.at(name) = std::move(device);
        }
        for (const auto& name : batch.answer) {
            const auto& device = devices.at(name);
            publish({.topic = down_topic(options.fleet, name, "ack"),
                     .payload = to_json(ack_of(device, now))});
        }
        for (const auto& name : batch.point) point(devices.at(name));
        for (const auto& name : batch.assign) co_await assign_again(name);
        for (const auto& [name, get] : batch.gets) co_await send_chunks(name, get);
        for (const auto& [name, request] : batch.renewals) co_await renew(name, request);
    }

    Reaction handle(Batch& batch, DeviceRecord& device, std::string_view leaf,
                    const std::string& payload, WallTime now) {
        if (leaf == "hello") {
            auto hello = parse_hello(payload);
            const auto reaction = on_hello(device, hello, options.protocol, now);
            log::debug("edge", "hello", {{"device", device.name}, {"gen", hello.have.gen}});
            return reaction;
        }
        if (leaf == "report") return on_report(device, parse_report(payload), now);
        if (leaf == "state")
            return on_state(device, parse_state(payload), steady_clock::now(), now);
        if (leaf == "get") batch.gets.emplace_back(device.name, parse_get(payload));
        if (leaf == "renew")
            batch.renewals.insert_or_assign(device.name, parse_renewal_request(payload));
        return {};
    }

    static void note(Batch& batch, const DeviceRecord& device, const Reaction& reaction) {
        if (reaction.store) batch.store.insert(device.name);
        if (reaction.answer) batch.answer.insert(device.name);
        if (reaction.point) batch.point.insert(device.name);
        if (reaction.assign) batch.assign.insert(device.name);
    }

    /// The mirror has to look at it, and at what it runs.
    void mark(const DeviceRecord& device, bool changed) {
        if (!changed) return;
        dirty_nodes.insert(device.name);
        const auto document =
            device.document ? documents.find(device.document->digest) : documents.end();
        if (document != documents.end())
            for (const auto& bundle : document->second.bundles)
                dirty_deployments.insert(bundle.deployment);
        mirror_wake.notify();
    }

    asio::awaitable<void> notice_the_gone() {
        asio::steady_timer timer{executor};
        for (;;) {
            timer.expires_after(std::min<milliseconds>(milliseconds{1'000}, options.offline_after));
            co_await timer.async_wait(asio::use_awaitable);
            for (auto& [name, device] : devices)
                if (expired(device, steady_clock::now(), options.offline_after)) mark(device, true);
        }
    }

    // --- What devices get

    void publish(Message message) {
        try {
            outbox.push(std::move(message));
            outbox_wake.notify();
        } catch (const Error&) {
            dropped.add();  // everything is asked for again
        }
    }

    /// Signed anew each time: it expires.
    void point(const DeviceRecord& device) {
        if (device.at.gen == 0 || !device.document) return;
        const auto now = system_clock::now();
        const Assignment assignment{.fleet = options.fleet,
                                    .device = device.name,
                                    .at = device.at,
                                    .document = *device.document,
                                    .secrets = device.secrets,
                                    .not_before = now - std::chrono::minutes{5},
                                    .expires = now + options.assignment_lifetime};
        publish({.topic = down_topic(options.fleet, device.name, "desired"),
                 .payload = sign_assignment(assignment, key, certificate),
                 .retain = true});
    }

    [[nodiscard]] bool may_have(const DeviceRecord& device, std::string_view digest) const {
        if (device.document && device.document->digest == digest) return true;
        if (device.secrets && device.secrets->digest == digest) return true;
        if (!device.document) return false;
        const auto document = documents.find(device.document->digest);
        return document != documents.end() &&
               std::ranges::any_of(document->second.bundles, [digest](const auto& bundle) {
                   return bundle.blob.digest == digest;
               });
    }

    asio::awaitable<std::shared_ptr<const std::string>> content(std::string digest) {
        if (const auto held = cache.find(digest); held != cache.end()) co_return held->second;
        auto wire = co_await offload(pool, [this, &digest] { return store.blob_wire(digest); });
        if (!wire) co_return nullptr;
        auto shared = std::make_shared<const std::string>(*std::move(wire));
        cache_size += shared->size();
        if (cache_size > cached_bytes) {
            cache.clear();
            cache_size = shared->size();
        }
        cache.emplace(digest, shared);
        co_return shared;
    }

    asio::awaitable<void> send_chunks(const std::string& name, const Get& get) {
        if (!may_have(devices.at(name), get.digest)) {
            // It asks for what it had before: the pointer tells it better.
            point(devices.at(name));
            co_return;
        }
        const auto wire = co_await content(get.digest);
        if (!wire) co_return;
        const auto chunks = (wire->size() + chunk_bytes - 1) / chunk_bytes;
        std::size_t sent = 0;
        for (std::size_t i = 0; i < chunks && sent < get.window; ++i) {
            const bool has = std::ranges::any_of(get.have, [i](const auto& range) {
                return i >= range.first && i - range.first < range.second;
            });
            if (has) continue;
            ++sent;
            publish({.topic = down_topic(options.fleet, name, chunk_leaf(get.digest, i)),
                     .payload = wire->substr(i * chunk_bytes, chunk_bytes),
                     .expires_at = Clock::now() + chunk_lifetime});
        }
    }

    // --- Placement

    // All three hold the turn of their caller.

    /// New generations where labels and deployments ask for another document.
    asio::awaitable<void> place() {
        std::vector<DeviceRecord> all;
        for (const auto& [name, device] : devices) all.push_back(device);
        co_await assign(std::move(all), std::set<std::string>{});
    }

    /// A new generation in any case: sealed to another key, or above what the device knows.
    asio::awaitable<void> assign_again(std::string name) {
        std::vector<DeviceRecord> one(1, devices.at(name));
        std::set<std::string> forced;
        forced.insert(std::move(name));
        co_await assign(std::move(one), std::move(forced));
    }

    asio::awaitable<void> assign(std::vector<DeviceRecord> candidates,
                                 std::set<std::string> forced) {
        auto changed = co_await offload(
            pool, [this, &candidates, &forced] { return reassign(std::move(candidates), forced); });
        for (auto& [device, document] : changed) {
            documents.insert_or_assign(device.document->digest, std::move(document));
            const auto name = device.name;
            // What ran before is told too: its counts change.
            mark(devices.at(name), true);
            devices.at(name) = std::move(device);
            mark(devices.at(name), true);
            point(devices.at(name));
        }
        if (changed.empty()) co_return;
        log::info("edge", "assigned", {{"devices", changed.size()}});
        const auto wanted = wanted_blobs();
        co_await offload(pool, [this, &wanted] { store.keep_blobs(wanted); });
    }

    using Reassigned = std::vector<std::pair<DeviceRecord, Document>>;

    /// On the pool, while the loop's state stands still for its turn.
    Reassigned reassign(std::vector<DeviceRecord> candidates, const std::set<std::string>& forced) {
        std::map<std::string, kube::LabelSelector> selectors;
        for (const auto& [name, deployment] : deployments) {
            if (deployment.selector.empty()) continue;
            const auto selector = kube::parse_json(deployment.selector);
            selectors.emplace(name, kube::LabelSelector::from_object(selector.as_object()));
        }
        Reassigned changed;
        std::map<std::vector<std::string>, std::pair<Document, Blob>> made;
        for (auto& device : candidates) {
            if (device.hold && device.at.gen > 0 && !forced.contains(device.name)) continue;
            const auto object = labelled(device.labels);
            std::vector<std::string> placed;
            for (const auto& [name, selector] : selectors)
                if (selector.matches(object)) placed.push_back(name);
            if (placed.empty() && device.at.gen == 0) continue;
            auto [entry, fresh] = made.try_emplace(placed);
            auto& [document, blob] = entry->second;
            if (fresh) {
                for (const auto& name : placed) {
                    const auto& deployment = deployments.at(name);
                    document.bundles.push_back({.deployment = name,
                                                .revision = deployment.revision,
                                                .blob = deployment.bundle,
                                                .signature = deployment.signature});
                }
                blob = pack(to_json(document));
            }
            const bool same = device.document && device.document->digest == blob.ref.digest;
            if (same && !forced.contains(device.name)) continue;
            ++device.at.gen;
            device.document = blob.ref;
            changed.emplace_back(std::move(device), document);
        }
        if (changed.empty()) return changed;
        store.transaction([&] {
            for (auto& [names, content] : made) store.put_blob(content.second);
            for (auto& [device, document] : changed) {
                seal_for(device, document);
                store.put_device(device);
            }
        });
        return changed;
    }

    void seal_for(DeviceRecord& device, const Document& document) {
        std::vector<Sealable> secrets;
        for (const auto& bundle : document.bundles)
            for (auto& secret : store.secrets(bundle.deployment, sealing))
                secrets.push_back(std::move(secret));
        device.secrets.reset();
        if (secrets.empty()) return;
        const auto blob =
            seal_secrets(secrets, device.name, device.at, crypto::Recipient::parse(device.sealing));
        store.put_blob(blob);
        device.secrets = blob.ref;
    }

    std::set<std::string, std::less<>> wanted_blobs() {
        std::set<std::string, std::less<>> wanted;
        std::set<std::string, std::less<>> used;
        for (const auto& [name, deployment] : deployments) wanted.insert(deployment.bundle.digest);
        for (const auto& [name, device] : devices) {
            if (device.document) used.insert(device.document->digest);
            if (device.secrets) wanted.insert(device.secrets->digest);
        }
        std::erase_if(documents,
                      [&used](const auto& entry) { return !used.contains(entry.first); });
        for (const auto& [digest, document] : documents) {
            wanted.insert(digest);
            for (const auto& bundle : document.bundles) wanted.insert(bundle.blob.digest);
        }
        return wanted;
    }

    void remember_documents() {
        for (const auto& [name, device] : devices) {
            if (!device.document || documents.contains(device.document->digest)) continue;
            if (const auto wire = store.blob_wire(device.document->digest))
                documents.emplace(device.document->digest,
                                  parse_document(unpack(*wire, *device.document), trust));
        }
    }

    // --- What is desired

    asio::awaitable<void> deliver(kube::Rendered rendered) {
        const auto mine = co_await turn();
        const auto name = deployment_name(rendered.owner.id());
        const auto* selector =
            kube::find(rendered.owner.fields(), {"spec", "placement", "selector"});
        DeploymentRecord record{.name = name,
                                .revision = rendered.revision,
                                .latest = rendered.revision,
                                .selector = selector != nullptr && selector->is_object()
                                                ? kube::to_canonical_json(*selector)
                                                : std::string{},
                                .generation = rendered.owner.generation()};
        if (!record.selector.empty()) {
            // Refused here, where the owner can be told, not at each placement.
            static_cast<void>(kube::LabelSelector::from_object(selector->get_object()));
        }
        const auto held = deployments.find(name);
        const auto* before = held == deployments.end() ? nullptr : &held->second;
        co_await offload(pool, [this, &rendered, &record, before] {
            const auto bundle = make_bundle(record.name, rendered.objects, commitment.reveal());
            record.bundle = bundle.blob.ref;
            if (before != nullptr && before->bundle == record.bundle) {
                record.revision = before->revision;  // the content is what was signed then
                record.signature = before->signature;
            } else {
                record.signature = sign_bundle(delivery, options.fleet, record.name,
                                               record.revision, record.bundle.digest);
            }
            store.transaction([&] {
                store.put_blob(bundle.blob);
                store.put_secrets(record.name, bundle.secrets, sealing.recipient());
                store.put_deployment(record);
            });
        });
        deployments.insert_or_assign(name, std::move(record));
        dirty_deployments.insert(name);
        mirror_wake.notify();
        co_await place();
    }

    asio::awaitable<void> withdraw(kube::ObjectId owner) {
        const auto mine = co_await turn();
        const auto name = deployment_name(owner);
        if (!deployments.contains(name)) co_return;
        co_await offload(
            pool, [this, &name] { store.transaction([&] { store.remove_deployment(name); }); });
        deployments.erase(name);
        dirty_deployments.erase(name);
        shown_deployments.erase(name);
        co_await place();
    }

    asio::awaitable<void> nodes(std::vector<NodeSpec> specs) {
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

    // --- Enrolment

    asio::awaitable<std::string> create_token(std::string device, Labels labels,
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

    asio::awaitable<EnrolmentAnswer> enrol(EnrolmentRequest request) {
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

    static CertificateRecord record_of(const std::string& pem) {
        const auto info = crypto::read_certificate(pem);
        return {.serial = info.serial_hex,
                .device = info.common_name,
                .key_id = info.key_id,
                .not_after = info.not_after};
    }

    /// Holds the turn of its caller.
    asio::awaitable<void> renew(std::string name, const RenewalRequest& request) {
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
                     .payload = sign_renewal(options.fleet, name, pem, key, certificate)});
            log::info("edge", "certificate renewed", {{"device", name}});
        } catch (const Error& error) {
            refused.add();
            log::warn("edge", "certificate not renewed",
                      {{"device", name}, {"error", error.what()}});
        }
    }

    [[nodiscard]] milliseconds renewal_gap() const {
        return std::min<milliseconds>(std::chrono::seconds{10}, options.certificate_lifetime / 50);
    }

    // --- Removal

    asio::awaitable<Removal> remove(std::string name, bool force) {
        std::string session_id;
        Removal removal;
        {
            const auto mine = co_await turn();
            const auto held = devices.find(name);
            if (held == devices.end())
                throw Error{
                    ErrorKind::not_found,
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
            publish(
                {.topic = down_topic(options.fleet, name, "ack"), .payload = to_json(farewell)});
            // What the broker keeps of it for those who come later.
            publish({.topic = down_topic(options.fleet, name, "desired"),
                     .payload = {},
                     .retain = true});
            publish(
                {.topic = up_topic(options.fleet, name, "state"), .payload = {}, .retain = true});
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

    /// The broker ends a connection when another comes with its client id, which only the hub and
    /// the device know.
    asio::awaitable<void> end_connection(std::string client_id) {
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

    // --- The mirror

    void show_again(const std::string& device) {
        if (!devices.contains(device)) return;
        shown_nodes.erase(device);
        dirty_nodes.insert(device);
        mirror_wake.notify();
    }

    void show_again() {
        for (const auto& [name, device] : devices) dirty_nodes.insert(name);
        // Not from the store: whoever has the turn may be writing to it.
        dirty_nodes.insert(removals.begin(), removals.end());
        for (const auto& [name, deployment] : deployments) dirty_deployments.insert(name);
        mirror_wake.notify();
    }

    asio::awaitable<void> reflect() {
        asio::steady_timer timer{executor};
        Backoff failures{{.first = milliseconds{1'000}, .limit = milliseconds{30'000}}, 1};
        for (;;) {
            while (dirty_nodes.empty() && dirty_deployments.empty()) co_await mirror_wake.wait();
            timer.expires_after(mirror_gather);
            co_await timer.async_wait(asio::use_awaitable);
            auto pause = mirror_gap;
            try {
                co_await show_some();
                failures.reset();
            } catch (const Error& error) {
                pause += failures.next();
                log::warn("edge", "cannot write status", {{"error", error.what()}});
            }
            timer.expires_after(pause);
            co_await timer.async_wait(asio::use_awaitable);
        }
    }

    asio::awaitable<void> show_some() {
        const auto now = system_clock::now();
        for (std::size_t i = 0; i < mirrored_at_once && !dirty_nodes.empty(); ++i) {
            const auto name = *dirty_nodes.begin();
            // Before it is shown: what changes meanwhile is marked again.
            dirty_nodes.erase(name);
            const auto device = devices.find(name);
            if (device == devices.end()) {
                co_await show_removal(name);
                continue;
            }
            const auto status = node_status(device->second, shown_nodes[name], now);
            if (same_but_time(status, shown_nodes[name])) continue;
            const auto copy = device->second;
            try {
                if (co_await mirror.node(copy, status)) shown_nodes[name] = status;
            } catch (const Error&) {
                dirty_nodes.insert(name);
                throw;
            }
        }
        for (std::size_t i = 0; i < mirrored_at_once && !dirty_deployments.empty(); ++i) {
            const auto name = *dirty_deployments.begin();
            dirty_deployments.erase(name);
            const auto deployment = deployments.find(name);
            if (deployment == deployments.end()) continue;
            const auto status = deployment_status(deployment->second, devices, documents,
                                                  shown_deployments[name], now);
            if (same_but_time(status, shown_deployments[name])) continue;
            const auto slash = name.find('/');
            const auto ns = name.substr(0, slash);
            const auto local = name.substr(slash + 1);
            try {
                if (co_await mirror.deployment(ns, local, status)) shown_deployments[name] = status;
            } catch (const Error&) {
                dirty_deployments.insert(name);
                throw;
            }
        }
    }

    asio::awaitable<void> show_removal(std::string name) {
        try {
            if (!co_await mirror.removed(name)) co_return;
        } catch (const Error&) {
            dirty_nodes.insert(name);
            throw;
        }
        // It may have joined again meanwhile.
        const auto mine = co_await turn();
        shown_nodes.erase(name);
        co_await offload(pool, [this, &name] { store.put_removed_shown(name); });
        removals.erase(name);
    }

    // --- The connection

    asio::awaitable<void> stay_connected() {
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

    asio::awaitable<void> connection(Backoff& backoff) {
        MqttOptions mqtt{
            .host = options.broker_host,
            .port = options.broker_port,
            // As the agents': nobody guesses it, so nobody takes it over.
            .client_id = std::string{hub_user} + ":" + options.fleet + ":" + crypto::random_hex(8),
            .tls = {},
            .will = {}};
        if (options.tls) mqtt.tls = own_certificate = pki.hub_client();
        MqttHandlers handlers{.message =
                                  [this](std::string topic, std::string payload) {
                                      receive(std::move(topic), std::move(payload));
                                  },
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

    asio::awaitable<void> greet(MqttSession& session, Backoff& backoff) {
        std::vector<std::string> filters{"kled/v1/" + options.fleet + "/d/+/up/#"};
        co_await session.subscribe(std::move(filters));
        backoff.reset();
        connection_error.clear();
        log::info("edge", "connected to the broker",
                  {{"broker", options.broker_host},
                   {"port", options.broker_port},
                   {"fleet", options.fleet}});
        const HubNotice notice{.epoch = epoch,
                               .incarnation = crypto::random_hex(8),
                               .spread = milliseconds{devices.size() * 1000 / hellos_a_second}};
        // Who went while we were not listening is not heard of again.
        for (auto& [name, device] : devices) doubt(device, steady_clock::now() + notice.spread);
        publish({.topic = hub_topic(options.fleet), .payload = to_json(notice), .retain = true});
    }

    asio::awaitable<void> run() {
        TaskGroup tasks{executor};
        tasks.spawn(stay_connected());
        tasks.spawn(listen());
        tasks.spawn(notice_the_gone());
        tasks.spawn(reflect());
        co_await even_if_cancelled;
        co_await tasks.join();
    }

    asio::any_io_executor executor;
    ThreadPool& pool;
    HubOptions options;
    Mirror& mirror;
    Pki pki;
    crypto::SigningKey delivery;
    crypto::SigningKey key;
    crypto::Identity sealing;  // what the store holds of secrets
    Secret commitment;
    HubCertificate certificate;
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
