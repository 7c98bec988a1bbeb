#include "gitops/apply/plan.h"

#include "base/error.h"
#include "crypto/hash.h"
#include "gitops/apply/order.h"
#include "gitops/apply/ownership.h"
#include "kube/schema.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <unordered_map>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

using Defined = std::map<std::pair<std::string, std::string>, kube::Scope>;

/// Of all that is sent, without making it: the owner is the same for all of a plan.
std::uint64_t digest_of(const Manifest& manifest, const std::string& ns) {
    std::string bytes{reinterpret_cast<const char*>(manifest.digest.data()),
                      manifest.digest.size()};
    return crypto::xxh3(bytes + ns);
}

Defined defined_in(const Manifests& manifests) {
    Defined defined;
    for (const auto& manifest : manifests) {
        if (const auto& one = manifest->defines)
            defined.emplace(std::pair{one->group, one->kind}, one->scope);
    }
    return defined;
}

/// The scope of a kind: built in, of a definition that comes along, or what the server says.
asio::awaitable<std::optional<kube::Scope>> scope_of(kube::Client& client,
                                                     const kube::GroupVersionKind& gvk,
                                                     const Defined& defined) {
    if (const auto builtin = kube::builtin_scope(gvk.group, gvk.kind)) co_return builtin;
    if (const auto found = defined.find({gvk.group, gvk.kind}); found != defined.end())
        co_return found->second;
    const auto mapping = co_await client.map(gvk);
    if (mapping) co_return mapping->scope;
    co_return std::nullopt;
}

bool before_in_order(const std::shared_ptr<const Planned>& a,
                     const std::shared_ptr<const Planned>& b) {
    return ranked_before(a->rank, a->id, b->rank, b->id);
}

std::shared_ptr<const Planned> make_planned(std::shared_ptr<const Manifest> manifest,
                                            std::optional<kube::Scope> scope) {
    if (manifest->encrypted) {
        throw Error{ErrorKind::invalid,
                    manifest->place + ": " + manifest->id.to_string() +
                        " is encrypted with SOPS; spec.decryption says how it is decrypted"};
    }
    auto result = std::make_shared<Planned>();
    result->id = manifest->id;
    auto& ns = result->id.ns;
    if (scope == kube::Scope::namespaced && ns.empty()) ns = "default";
    if (scope == kube::Scope::cluster) ns.clear();
    result->digest = digest_of(*manifest, ns);
    result->rank = rank_of(result->id);
    result->manifest = std::move(manifest);
    return result;
}

/// The inventory of `before` with those in place that come and go.
Inventory inventory_of(const Plan& before, const std::vector<std::shared_ptr<const Planned>>& fresh,
                       const std::vector<bool>& stays) {
    auto result = before.inventory;
    std::set<kube::ObjectId> again;
    for (const auto& one : fresh) again.insert(one->id);
    for (std::size_t i = 0; i < stays.size(); ++i) {
        if (!stays[i] && !again.contains(before.objects[i]->id))
            result.remove(before.objects[i]->id);
    }
    for (const auto& one : fresh) result.add(one->id, one->manifest->version);
    return result;
}

/// A kind that only earlier plans had is not asked for again.
void drop_unused(Plan& plan) {
    std::erase_if(plan.scopes, [&](const auto& entry) {
        const auto& gvk = entry.first;
        return !kube::builtin_scope(gvk.group, gvk.kind) &&
               std::ranges::none_of(plan.objects, [&](const auto& one) {
                   return one->id.kind == gvk.kind && one->id.group == gvk.group &&
                          one->manifest->version == gvk.version;
               });
    });
}

}  // namespace

kube::Object Planned::object(const Key& owner) const {
    auto result = manifest->decode();
    if (!id.ns.empty()) {
        result.set_namespace(id.ns);
    } else if (!result.ns().empty()) {
        result.metadata().stable_erase(result.metadata().find("namespace"));
    }
    if (!owner.name.empty()) label_owner(result, owner);
    return result;
}

asio::awaitable<Plan> make_plan(kube::Client& client, const Manifests& manifests,
                                const Plan& before) {
    Plan result;
    const auto defined = defined_in(manifests);
    bool same_scopes = true;
    for (const auto& [gvk, scope] : before.scopes) {
        const auto now = co_await scope_of(client, gvk, defined);
        same_scopes = same_scopes && now == scope;
        result.scopes.emplace(gvk, now);
    }
    std::unordered_map<const Manifest*, std::size_t> earlier;
    if (same_scopes) {
        earlier.reserve(before.objects.size());
        for (std::size_t i = 0; i < before.objects.size(); ++i)
            earlier.emplace(before.objects[i]->manifest.get(), i);
    }
    std::vector<bool> stays(before.objects.size());
    std::vector<std::shared_ptr<const Planned>> fresh;
    for (const auto& manifest : manifests) {
        if (const auto found = earlier.find(manifest.get()); found != earlier.end()) {
            stays[found->second] = true;
            continue;
        }
        const auto gvk = manifest->gvk();
        auto scope = result.scopes.find(gvk);
        if (scope == result.scopes.end()) {
            const auto asked = co_await scope_of(client, gvk, defined);
            scope = result.scopes.emplace(gvk, asked).first;
        }
        fresh.push_back(make_planned(manifest, scope->second));
    }
    std::ranges::stable_sort(fresh, before_in_order);
    std::vector<std::shared_ptr<const Planned>> staying;
    staying.reserve(before.objects.size());
    for (std::size_t i = 0; i < stays.size(); ++i) {
        if (stays[i]) staying.push_back(before.objects[i]);
    }
    result.objects.reserve(staying.size() + fresh.size());
    std::ranges::merge(staying, fresh, std::back_inserter(result.objects), before_in_order);
    drop_unused(result);
    const auto same_id = [](const auto& a, const auto& b) { return a->id == b->id; };
    const auto twice = std::ranges::adjacent_find(result.objects, same_id);
    if (twice != result.objects.end()) {
        throw Error{ErrorKind::invalid, (*twice)->id.to_string() +
                                            " is there twice: " + (*twice)->manifest->place +
                                            " and " + (*std::next(twice))->manifest->place};
    }
    result.inventory = inventory_of(before, fresh, stays);
    co_return result;
}

}  // namespace kled::gitops
