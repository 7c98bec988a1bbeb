#include "edge/hub_impl.h"
#include "kube/selector.h"

#include <algorithm>

namespace kled::edge {

namespace asio = boost::asio;
using std::chrono::system_clock;

namespace {

/// The labels as an object that a selector can look at.
kube::Object labelled(const Labels& labels) {
    kube::Object object;
    for (const auto& [key, value] : labels) object.set_label(key, value);
    return object;
}

std::string deployment_name(const kube::ObjectId& id) { return id.ns + "/" + id.name; }

}  // namespace

asio::awaitable<void> Hub::Impl::place() {
    std::vector<DeviceRecord> all;
    for (const auto& [name, device] : devices) all.push_back(device);
    co_await assign(std::move(all), std::set<std::string>{});
}

asio::awaitable<void> Hub::Impl::assign_again(std::string name) {
    std::vector<DeviceRecord> one(1, devices.at(name));
    std::set<std::string> forced;
    forced.insert(std::move(name));
    co_await assign(std::move(one), std::move(forced));
}

asio::awaitable<void> Hub::Impl::assign(std::vector<DeviceRecord> candidates,
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

Hub::Impl::Reassigned Hub::Impl::reassign(std::vector<DeviceRecord> candidates,
                                          const std::set<std::string>& forced) {
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

void Hub::Impl::seal_for(DeviceRecord& device, const Document& document) {
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

std::set<std::string, std::less<>> Hub::Impl::wanted_blobs() {
    std::set<std::string, std::less<>> wanted;
    std::set<std::string, std::less<>> used;
    for (const auto& [name, deployment] : deployments) wanted.insert(deployment.bundle.digest);
    for (const auto& [name, device] : devices) {
        if (device.document) used.insert(device.document->digest);
        if (device.secrets) wanted.insert(device.secrets->digest);
    }
    std::erase_if(documents, [&used](const auto& entry) { return !used.contains(entry.first); });
    for (const auto& [digest, document] : documents) {
        wanted.insert(digest);
        for (const auto& bundle : document.bundles) wanted.insert(bundle.blob.digest);
    }
    return wanted;
}

void Hub::Impl::remember_documents() {
    for (const auto& [name, device] : devices) {
        if (!device.document || documents.contains(device.document->digest)) continue;
        if (const auto wire = store.blob_wire(device.document->digest))
            documents.emplace(device.document->digest,
                              parse_document(unpack(*wire, *device.document), trust));
    }
}

asio::awaitable<void> Hub::Impl::deliver(kube::Rendered rendered) {
    const auto mine = co_await turn();
    const auto name = deployment_name(rendered.owner.id());
    const auto* selector = kube::find(rendered.owner.fields(), {"spec", "placement", "selector"});
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
            record.signature = sign_bundle(delivery, options.fleet, record.name, record.revision,
                                           record.bundle.digest);
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

asio::awaitable<void> Hub::Impl::withdraw(kube::ObjectId owner) {
    const auto mine = co_await turn();
    const auto name = deployment_name(owner);
    if (!deployments.contains(name)) co_return;
    co_await offload(pool,
                     [this, &name] { store.transaction([&] { store.remove_deployment(name); }); });
    deployments.erase(name);
    dirty_deployments.erase(name);
    shown_deployments.erase(name);
    co_await place();
}

}  // namespace kled::edge
