#include "gitops/apply/prune.h"

#include "base/error.h"
#include "gitops/apply/order.h"
#include "gitops/apply/ownership.h"
#include "gitops/objects/annotations.h"
#include "net/http.h"

#include <algorithm>
#include <string>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

/// Discovery leaves out what an extension API server does not answer for.
asio::awaitable<bool> is_not_served(kube::Client& client, const std::string& group,
                                    const std::string& version) {
    net::Request request;
    request.target = "/apis/" + net::percent_encode(group) + "/" + net::percent_encode(version);
    const auto response = co_await client.transport().send(std::move(request));
    co_return response.status < 500;
}

asio::awaitable<Change> prune_one(kube::Client& client, const Key& owner, const kube::ObjectId& id,
                                  const std::string& version, Confirm confirm) {
    kube::GroupVersionKind gvk{.group = id.group, .version = version, .kind = id.kind};
    const auto served = co_await client.map(gvk);
    if (!served) {
        // The version is no longer served, or the definition went, and its objects with it.
        const auto mapping = co_await client.map(id);
        if (!mapping && !co_await is_not_served(client, id.group, version))
            co_return failed(id, "the API server of " + id.group + " does not answer");
        if (!mapping) co_return changed(id, Change::Action::pruned);
        gvk.version = mapping->resource.version;
    }
    const auto live = co_await client.get(gvk, id.ns, id.name);
    if (!live) co_return changed(id, Change::Action::pruned);
    if (!belongs_to(*live, owner)) co_return kept(id, "it belongs to someone else now");
    if (live->annotation(adopted_annotation) == "true")
        co_return kept(id, "it was there before kled");
    if (says(*live, prune_switch, "disabled") || says_hands_off(*live))
        co_return kept(id, as_it_says);
    const bool marked = live->annotation(prune_annotation) == "confirm";
    if (confirm == Confirm::all || (confirm == Confirm::marked && marked)) {
        co_return Change{.id = id,
                         .action = Change::Action::waiting,
                         .message = {},
                         .uid = std::string{live->uid()}};
    }
    kube::DeleteOptions options;
    options.uid = live->uid();  // not another one that takes its name meanwhile
    co_await client.remove(gvk, id.ns, id.name, options);
    co_return changed(id, Change::Action::pruned);
}

}  // namespace

asio::awaitable<std::vector<Change>> prune(kube::Client& client, const Key& owner,
                                           Inventory::EntryList gone, Memory& memory,
                                           Confirm confirm) {
    std::ranges::sort(
        gone, [](const auto& a, const auto& b) { return applied_before(b.first, a.first); });
    std::vector<Change> changes;
    for (const auto& [id, version] : gone) {
        try {
            auto change = co_await prune_one(client, owner, id, version, confirm);
            const bool stays =
                change.action == Change::Action::waiting || change.action == Change::Action::failed;
            changes.push_back(std::move(change));
            if (stays) continue;
        } catch (const kube::StatusError& error) {
            changes.push_back(failed(id, error.what()));
            continue;
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::unavailable) throw;
            changes.push_back(failed(id, error.what()));
            continue;
        }
        memory.erase(id);
    }
    co_return changes;
}

asio::awaitable<bool> is_going(kube::Client& client, const kube::ObjectId& id) {
    const auto mapping = co_await client.map(id);
    if (!mapping) co_return false;
    const kube::GroupVersionKind gvk{
        .group = id.group, .version = mapping->resource.version, .kind = id.kind};
    const auto live = co_await client.get(gvk, id.ns, id.name);
    co_return live && live->deleting();
}

}  // namespace kled::gitops
