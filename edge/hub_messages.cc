#include "edge/hub_impl.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace kled::edge {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

constexpr std::size_t inbox_messages = 8192;
constexpr std::size_t inbox_bytes = 16U << 20U;
constexpr std::size_t batch_messages = 256;
constexpr std::size_t cached_bytes = 8U << 20U;
constexpr std::chrono::seconds chunk_lifetime{30};

}  // namespace

void Hub::Impl::receive(std::string topic, std::string payload) {
    const auto size = topic.size() + payload.size();
    if (inbox.size() >= inbox_messages || size > inbox_bytes - inbox_size) {
        dropped.add();  // all of it is said again
        return;
    }
    inbox_size += size;
    inbox.push_back({std::move(topic), std::move(payload)});
    inbox_wake.notify();
}

asio::awaitable<void> Hub::Impl::listen() {
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

asio::awaitable<void> Hub::Impl::take_batch() {
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

Reaction Hub::Impl::handle(Batch& batch, DeviceRecord& device, std::string_view leaf,
                           const std::string& payload, WallTime now) {
    if (leaf == "hello") {
        auto hello = parse_hello(payload);
        const auto reaction = on_hello(device, hello, options.protocol, now);
        log::debug("edge", "hello", {{"device", device.name}, {"gen", hello.have.gen}});
        return reaction;
    }
    if (leaf == "report") return on_report(device, parse_report(payload), now);
    if (leaf == "state") return on_state(device, parse_state(payload), steady_clock::now(), now);
    if (leaf == "get") batch.gets.emplace_back(device.name, parse_get(payload));
    if (leaf == "renew")
        batch.renewals.insert_or_assign(device.name, parse_renewal_request(payload));
    return {};
}

void Hub::Impl::note(Batch& batch, const DeviceRecord& device, const Reaction& reaction) {
    if (reaction.store) batch.store.insert(device.name);
    if (reaction.answer) batch.answer.insert(device.name);
    if (reaction.point) batch.point.insert(device.name);
    if (reaction.assign) batch.assign.insert(device.name);
}

void Hub::Impl::mark(const DeviceRecord& device, bool changed) {
    if (!changed) return;
    dirty_nodes.insert(device.name);
    const auto document =
        device.document ? documents.find(device.document->digest) : documents.end();
    if (document != documents.end())
        for (const auto& bundle : document->second.bundles)
            dirty_deployments.insert(bundle.deployment);
    mirror_wake.notify();
}

asio::awaitable<void> Hub::Impl::notice_the_gone() {
    asio::steady_timer timer{executor};
    for (;;) {
        timer.expires_after(std::min<milliseconds>(milliseconds{1'000}, options.offline_after));
        co_await timer.async_wait(asio::use_awaitable);
        for (auto& [name, device] : devices)
            if (expired(device, steady_clock::now(), options.offline_after)) mark(device, true);
    }
}

void Hub::Impl::publish(Message message) {
    try {
        outbox.push(std::move(message));
        outbox_wake.notify();
    } catch (const Error&) {
        dropped.add();  // everything is asked for again
    }
}

void Hub::Impl::point(const DeviceRecord& device) {
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
             .payload = sign_assignment(assignment, key, certificate()),
             .retain = true});
}

bool Hub::Impl::may_have(const DeviceRecord& device, std::string_view digest) const {
    if (device.document && device.document->digest == digest) return true;
    if (device.secrets && device.secrets->digest == digest) return true;
    if (!device.document) return false;
    const auto document = documents.find(device.document->digest);
    return document != documents.end() &&
           std::ranges::any_of(document->second.bundles, [digest](const auto& bundle) {
               return bundle.blob.digest == digest;
           });
}

asio::awaitable<std::shared_ptr<const std::string>> Hub::Impl::content(std::string digest) {
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

asio::awaitable<void> Hub::Impl::send_chunks(const std::string& name, const Get& get) {
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

}  // namespace kled::edge
