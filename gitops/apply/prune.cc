#include "gitops/apply/prune.h"

#include "base/error.h"
#include "gitops/apply/order.h"
#include "gitops/apply/ownership.h"
#include "gitops/objects/annotations.h"
#include "net/http.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

constexpr std::size_t versions_limit = 50;  // of one group

std::string path_of(const std::string& group) {
    return group.empty() ? "/api" : "/apis/" + net::percent_encode(group);
}

/// nullopt: there is no such thing. Error(invalid): it does not say.
asio::awaitable<std::optional<boost::json::object>> ask(kube::Client& client, std::string path) {
    net::Request request;
    request.target = path;
    const auto response = co_await client.transport().send(std::move(request));
    if (response.status == 404) co_return std::nullopt;
    auto answer = response.status == 200 ? kube::parse_json(response.body, 32) : nullptr;
    if (!answer.is_object()) {
        throw Error{ErrorKind::invalid, path + " does not answer (status " +
                                            std::to_string(response.status) +
                                            "), and may have it still"};
    }
    co_return std::move(answer.get_object());
}

/// The texts `field` of the objects in `list`, or those in it.
std::set<std::string> texts_in(const boost::json::object& answer, std::string_view list,
                               std::string_view field) {
    std::set<std::string> result;
    const auto* items = answer.if_contains(list);
    if (items == nullptr || !items->is_array()) return result;
    for (const auto& item : items->get_array()) {
        if (item.is_string()) result.emplace(item.get_string());
        if (item.is_object()) result.emplace(kube::find_string(item.get_object(), {field}));
    }
    return result;
}

/// Whether the server says that no version has the kind. Discovery leaves out what an extension API
/// server does not answer for: that is asked for here, and is an Error(invalid).
asio::awaitable<bool> is_gone(kube::Client& client, const kube::ObjectId& id,
                              const std::string& version) {
    const auto path = path_of(id.group);
    std::set<std::string> versions{version};
    if (const auto group = co_await ask(client, path))
        versions.merge(texts_in(*group, "versions", "version"));
    if (versions.size() > versions_limit)
        throw Error{ErrorKind::exhausted, path + ": too many versions"};
    for (const auto& one : versions) {
        const auto resources = co_await ask(client, path + "/" + net::percent_encode(one));
        if (resources && texts_in(*resources, "resources", "kind").contains(id.kind))
            co_return false;
    }
    co_return true;
}

asio::awaitable<Change> prune_one(kube::Client& client, const Key& owner, const kube::ObjectId& id,
                                  const std::string& version, Confirm confirm) {
    kube::GroupVersionKind gvk{.group = id.group, .version = version, .kind = id.kind};
    const auto served = co_await client.map(gvk);
    if (!served) {
        // The version is no longer served, or the definition went, and its objects with it.
        const auto mapping = co_await client.map(id);
        if (!mapping) {
            const bool gone = co_await is_gone(client, id, version);
            if (gone) co_return changed(id, Change::Action::pruned);
            client.discovery_changed();
            co_return failed(id, "its kind has just come back");
        }
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
