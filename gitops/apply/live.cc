#include "gitops/apply/live.h"

#include "gitops/apply/ownership.h"

#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;

asio::awaitable<void> LiveObjects::list(const Key& owner,
                                        const std::vector<const Planned*>& objects) {
    std::map<kube::GroupVersionKind, std::set<std::string>> kinds;
    for (const auto* one : objects) kinds[one->manifest->gvk()].insert(one->id.ns);
    kube::ListOptions options;
    options.label_selector = selector_of(owner);
    for (const auto& [gvk, namespaces] : kinds) {
        const auto served = co_await client_.map(gvk);
        if (!served) continue;
        options.ns.clear();
        if (co_await list(gvk, options)) continue;
        if (served->scope != kube::Scope::namespaced) continue;
        for (const auto& ns : namespaces) {
            options.ns = ns;
            co_await list(gvk, options);
        }
    }
}

/// False when it is refused.
asio::awaitable<bool> LiveObjects::list(const kube::GroupVersionKind& gvk,
                                        const kube::ListOptions& options) {
    kube::Client::List listed;
    try {
        listed = co_await client_.list(gvk, options);
    } catch (const kube::StatusError&) {
        co_return false;  // what is wrong each object says by itself
    }
    for (auto& item : listed.items) {
        auto id = item.id();
        const auto known = memory_.find(id);
        if (known != memory_.end() && known->second.resource_version == item.resource_version() &&
            !(known->second.left && mends_)) {
            settled_.insert(std::move(id));
        } else {
            found_.emplace(std::move(id), std::move(item));
        }
    }
    co_return true;
}

const kube::Object* LiveObjects::find(const kube::ObjectId& id) const {
    const auto found = found_.find(id);
    return found == found_.end() ? nullptr : &found->second;
}

}  // namespace kled::gitops
