#include "edge/hub_impl.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace kled::edge {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::system_clock;

namespace {

constexpr std::size_t mirrored_at_once = 50;
constexpr milliseconds mirror_gap{1'000};
constexpr milliseconds mirror_gather{50};  // changes that come together are written together

}  // namespace

void Hub::Impl::show_again(const std::string& device) {
    if (!devices.contains(device)) return;
    shown_nodes.erase(device);
    dirty_nodes.insert(device);
    mirror_wake.notify();
}

void Hub::Impl::show_again() {
    for (const auto& [name, device] : devices) dirty_nodes.insert(name);
    // Not from the store: whoever has the turn may be writing to it.
    dirty_nodes.insert(removals.begin(), removals.end());
    for (const auto& [name, deployment] : deployments) dirty_deployments.insert(name);
    mirror_wake.notify();
}

asio::awaitable<void> Hub::Impl::reflect() {
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

asio::awaitable<void> Hub::Impl::show_some() {
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
        const auto status =
            deployment_status(deployment->second, devices, documents, shown_deployments[name], now);
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

asio::awaitable<void> Hub::Impl::show_removal(std::string name) {
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

}  // namespace kled::edge
