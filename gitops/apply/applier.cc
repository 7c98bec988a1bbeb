#include "gitops/apply/applier.h"

#include "base/task_group.h"
#include "crypto/hash.h"
#include "gitops/annotations.h"
#include "gitops/apply/compare.h"
#include "gitops/apply/order.h"
#include "gitops/apply/take_over.h"
#include "gitops/drift/record.h"
#include "kube/schema.h"
#include "net/http.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <set>
#include <unordered_map>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr const char* as_it_says = "its labels or annotations say so";
constexpr std::string_view owner_name = owner_name_label;
constexpr std::string_view owner_namespace = owner_namespace_label;
constexpr std::chrono::milliseconds gone_limit{30'000};
constexpr unsigned take_over_attempts = 5;
constexpr std::chrono::milliseconds served_pause{50};
constexpr unsigned conflict_retries = 3;

std::string selector_of(const Key& owner) {
    return std::string{owner_name} + "=" + owner.name + "," + std::string{owner_namespace} + "=" +
           owner.ns;
}

bool has_owner(const kube::Object& object) { return !object.label(owner_name).empty(); }

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

Change failed(const kube::ObjectId& id, const std::string& message) {
    return {.id = id, .action = Change::Action::failed, .message = message};
}

Change changed(const kube::ObjectId& id, Change::Action action) {
    return {.id = id, .action = action, .message = {}};
}

/// `what`: "changed" or "deleted".
Change others_changed(const kube::ObjectId& id, Change::Action action, const std::string& what,
                      std::string who = "") {
    if (who.empty()) who = "somebody";
    return {.id = id, .action = action, .message = who + " had " + what + " it", .by_others = true};
}

/// What others changed and is not written: told where the policy is to report.
Change left(const Applier::Order& order, const kube::ObjectId& id, const std::string& what,
            std::string who = "") {
    if (order.drift == Drift::ignore) return changed(id, Change::Action::unchanged);
    return others_changed(id, Change::Action::drifted, what, std::move(who));
}

Change kept(const kube::ObjectId& id, std::string why) {
    return {.id = id, .action = Change::Action::kept, .message = std::move(why)};
}

}  // namespace

std::string_view to_string(Change::Action action) noexcept {
    switch (action) {
        case Change::Action::unchanged: return "unchanged";
        case Change::Action::created: return "created";
        case Change::Action::configured: return "configured";
        case Change::Action::recreated: return "recreated";
        case Change::Action::pruned: return "pruned";
        case Change::Action::kept: return "kept";
        case Change::Action::waiting: return "waiting";
        case Change::Action::drifted: return "drifted";
        case Change::Action::failed: return "failed";
    }
    return "";
}

bool is_immutable_error(const kube::StatusError& error) {
    // The API server has no reason of its own for this; the texts are those of its validation, of
    // rules in definitions, and of webhooks, which refuse with other codes.
    const auto one_of = [](std::string_view text, std::initializer_list<std::string_view> says) {
        return std::ranges::any_of(
            says, [&](auto what) { return text.find(what) != std::string_view::npos; });
    };
    const auto immutable = [&](std::string_view text) {
        if (one_of(text, {"is immutable", "immutable field"})) return true;
        return error.code() == 422 &&
               one_of(text, {"are forbidden", "may not change once set", "cannot be changed"});
    };
    return immutable(error.what()) ||
           std::ranges::any_of(error.causes(), [&](const auto& c) { return immutable(c.message); });
}

bool expires(const kube::Object& object) {
    const auto* spec = object.spec();
    return object.kind() == "Job" && object.gvk().group == "batch" && spec != nullptr &&
           kube::find(*spec, {"ttlSecondsAfterFinished"}) != nullptr;
}

bool belongs_to(const kube::Object& object, const Key& owner) {
    return object.label(owner_name) == owner.name && object.label(owner_namespace) == owner.ns;
}

kube::Object Planned::object(const Key& owner) const {
    auto result = manifest->decode();
    if (!id.ns.empty()) {
        result.set_namespace(id.ns);
    } else if (!result.ns().empty()) {
        result.metadata().stable_erase(result.metadata().find("namespace"));
    }
    if (!owner.name.empty()) {
        result.set_label(owner_name, owner.name);
        result.set_label(owner_namespace, owner.ns);
    }
    return result;
}

/// One stage on its way: workers take the next object until none is left.
struct Applier::Batch {
    const Order& order;
    Memory& memory;
    std::vector<const Planned*> objects;
    std::map<kube::ObjectId, kube::Object> live;  ///< what was listed and may differ
    std::set<kube::ObjectId> settled;             ///< listed, and as remembered
    std::size_t next = 0;
    std::vector<Change> changes;  ///< by position in `objects`
};

namespace {

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

asio::awaitable<Plan> Applier::plan(const Manifests& manifests, const Plan& before) {
    Plan result;
    const auto defined = defined_in(manifests);
    bool same_scopes = true;
    for (const auto& [gvk, scope] : before.scopes) {
        const auto now = co_await scope_of(client_, gvk, defined);
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
            const auto asked = co_await scope_of(client_, gvk, defined);
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

asio::awaitable<std::vector<Change>> Applier::apply(const Order& order, const Plan& plan,
                                                    Memory& memory) {
    std::vector<Change> changes;
    auto next = plan.objects.begin();
    for (const auto stage : {Stage::definitions, Stage::classes, Stage::rest}) {
        Batch batch{.order = order,
                    .memory = memory,
                    .objects = {},
                    .live = {},
                    .settled = {},
                    .next = 0,
                    .changes = {}};
        for (; next != plan.objects.end() && stage_of((*next)->id) == stage; ++next) {
            const auto known = memory.find((*next)->id);
            const bool same = known != memory.end() && known->second.digest == (*next)->digest;
            if (order.compare || !same) batch.objects.push_back(next->get());
        }
        if (batch.objects.empty()) continue;
        batch.changes.resize(batch.objects.size());
        if (order.compare && !order.one_by_one) co_await list_live(batch);
        TaskGroup workers{co_await asio::this_coro::executor};
        for (std::size_t i = 0; i < std::min(options_.concurrency, batch.objects.size()); ++i)
            workers.spawn(work(batch));
        co_await even_if_cancelled;
        co_await workers.join();
        if (batch.next < batch.objects.size()) throw_cancelled();
        const bool broken = std::ranges::any_of(
            batch.changes, [](const Change& c) { return c.action == Change::Action::failed; });
        std::ranges::move(batch.changes, std::back_inserter(changes));
        if (broken && stage == Stage::definitions) break;
        if (stage == Stage::definitions) co_await wait_until_served(order, plan);
    }
    co_return changes;
}

/// A kind whose definition comes along is served a moment after it was applied.
asio::awaitable<void> Applier::wait_until_served(const Order& order, const Plan& plan) {
    std::set<std::pair<std::string, std::string>> defined;
    for (const auto& one : plan.objects) {
        if (const auto& definition = one->manifest->defines)
            defined.emplace(definition->group, definition->kind);
    }
    if (defined.empty()) co_return;
    asio::steady_timer timer{co_await asio::this_coro::executor};
    const auto deadline = std::chrono::steady_clock::now() + order.timeout;
    std::set<kube::GroupVersionKind> wanted;
    for (const auto& one : plan.objects)
        if (defined.contains({one->id.group, one->id.kind})) wanted.insert(one->manifest->gvk());
    for (const auto& gvk : wanted) {
        for (;;) {
            const auto mapping = co_await client_.map(gvk);
            // One that is never served fails by itself when its objects are applied.
            if (mapping || std::chrono::steady_clock::now() > deadline) break;
            timer.expires_after(served_pause);
            co_await timer.async_wait(asio::use_awaitable);
        }
    }
}

/// The live objects of the owner, one list per kind, or per namespace for an account that may not
/// list all of them; one that may list none has each object looked at by itself. What is as
/// remembered is settled by its resourceVersion; of the rest the object is kept to compare with.
asio::awaitable<void> Applier::list_live(Batch& batch) {
    std::map<kube::GroupVersionKind, std::set<std::string>> kinds;
    for (const auto* one : batch.objects) kinds[one->manifest->gvk()].insert(one->id.ns);
    const std::string everywhere;
    for (const auto& [gvk, namespaces] : kinds) {
        const auto served = co_await client_.map(gvk);
        if (!served) continue;
        if (co_await list_live(batch, gvk, everywhere)) continue;
        if (served->scope != kube::Scope::namespaced) continue;
        for (const auto& ns : namespaces) co_await list_live(batch, gvk, ns);
    }
}

/// Those of one kind in `ns` (empty: everywhere); false when that is refused.
asio::awaitable<bool> Applier::list_live(Batch& batch, const kube::GroupVersionKind& gvk,
                                         std::string ns) {
    kube::ListOptions options;
    options.ns = std::move(ns);
    options.label_selector = selector_of(batch.order.owner);
    kube::Client::List list;
    try {
        list = co_await client_.list(gvk, options);
    } catch (const kube::StatusError&) {
        co_return false;  // what is wrong each object says by itself
    }
    for (auto& item : list.items) {
        const auto id = item.id();
        const auto known = batch.memory.find(id);
        if (known != batch.memory.end() &&
            known->second.resource_version == item.resource_version() &&
            !(known->second.left && batch.order.drift == Drift::repair)) {
            batch.settled.insert(id);
        } else {
            batch.live.emplace(id, std::move(item));
        }
    }
    co_return true;
}

asio::awaitable<void> Applier::work(Batch& batch) {
    while (batch.next < batch.objects.size()) {
        const auto position = batch.next++;
        auto change = co_await apply_one(batch, *batch.objects[position]);
        batch.changes[position] = std::move(change);
    }
}

asio::awaitable<Change> Applier::apply_one(const Batch& batch, const Planned& planned) {
    const auto& id = planned.id;
    const auto found = batch.memory.find(id);
    auto* known = found == batch.memory.end() ? nullptr : &found->second;
    const bool same = known != nullptr && known->digest == planned.digest;
    if (same && (!batch.order.compare || batch.settled.contains(id)))
        co_return changed(id, Change::Action::unchanged);
    const auto object = planned.object(batch.order.owner);
    std::optional<std::string> immutable;
    try {
        co_return co_await apply_checked(batch, planned, object, known);
    } catch (const kube::StatusError& error) {
        if (!is_immutable_error(error)) co_return failed(id, error.what());
        immutable = error.what();
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::unavailable) throw;
        co_return failed(id, error.what());
    }
    try {
        if (!co_await may_recreate(batch, object))
            co_return failed(id, *immutable + " (spec.force recreates it)");
        co_return co_await recreate(batch, planned, object);
    } catch (const Error& error) {
        co_return failed(id, *immutable + "; recreating it: " + error.what());
    }
}

asio::awaitable<bool> Applier::may_recreate(const Batch& batch, const kube::Object& object) {
    if (batch.order.force || says(object, force_switch, "enabled")) co_return true;
    const auto id = object.id();
    const auto live = co_await client_.get(object.gvk(), id.ns, id.name);
    co_return live.has_value() && says(*live, force_switch, "enabled");
}

asio::awaitable<Change> Applier::apply_checked(const Batch& batch, const Planned& planned,
                                               const kube::Object& object, Remembered* known) {
    const auto& id = planned.id;
    if (says_hands_off(object)) co_return kept(id, as_it_says);
    const auto ignored = batch.order.ignore == nullptr ? std::vector<IgnoreRules::Steps>{}
                                                       : batch.order.ignore->of(object);
    std::optional<kube::Object> live;
    if (const auto found = batch.live.find(id); found != batch.live.end()) {
        live = found->second;
    } else {
        live = co_await client_.get(object.gvk(), id.ns, id.name);
    }
    if (live && says_hands_off(*live)) co_return kept(id, as_it_says);
    if (live && says(object, ssa_switch, "IfNotPresent"))
        co_return kept(id, "it is there already (IfNotPresent)");
    // What Git changed and kled knows is not compared.
    if (known != nullptr && !batch.order.compare && ignored.empty()) live.reset();
    // What depends on the very version that was read is read again when somebody was faster.
    for (unsigned left = conflict_retries; left > 0 && live && !ignored.empty(); --left) {
        try {
            co_return co_await apply_on(batch, planned, object, known, live, ignored);
        } catch (const kube::StatusError& error) {
            if (error.code() != 409) throw;
        }
        live = co_await client_.get(object.gvk(), id.ns, id.name);
    }
    co_return co_await apply_on(batch, planned, object, known, std::move(live), ignored);
}

asio::awaitable<Change> Applier::apply_on(const Batch& batch, const Planned& planned,
                                          const kube::Object& object, Remembered* known,
                                          std::optional<kube::Object> live,
                                          const std::vector<IgnoreRules::Steps>& ignored) {
    const auto& id = planned.id;
    // Whatever differs from an object that Git did not change was changed by others.
    bool by_others =
        known == nullptr ? batch.order.applied_before : known->digest == planned.digest;
    // Where it is not known what Git said before, who holds which field tells.
    if (known == nullptr && !by_others && live && batch.order.drift != Drift::repair) {
        const auto wanted = wanted_on(batch, object, *live, ignored);
        kube::ApplyOptions options;
        options.field_manager = options_.field_manager;
        options.dry_run = true;
        const auto result = co_await client_.apply(wanted, options);
        by_others = only_others_changed(*live, result, options_.field_manager);
    }
    const bool leave = by_others && batch.order.drift != Drift::repair;
    bool adopted = known != nullptr && known->adopted;
    std::optional<kube::Object> as_found;  // with the records of those who changed it
    if (live) {
        if (live->deleting()) co_return failed(id, "it is being deleted; waiting for it to go");
        adopted = !has_owner(*live) || live->annotation(adopted_annotation) == "true";
        // Before anything else: whatever happens then, it is known not to be pruned.
        if (adopted && !leave && live->annotation(adopted_annotation) != "true") {
            co_await mark_adopted(*live);
            live = co_await client_.get(object.gvk(), id.ns, id.name);
        }
    }
    if (by_others) as_found = live;
    const bool merge =
        says(object, ssa_switch, "Merge") || (live && says(*live, ssa_switch, "Merge"));
    if (live && !leave && !merge) live = co_await taken_over(std::move(*live));
    const bool expired = !live && known != nullptr && known->expires;
    if (leave && expired) co_return changed(id, Change::Action::unchanged);
    if (leave && !live) co_return left(batch.order, id, "deleted");

    const auto wanted = live ? wanted_on(batch, object, *live, ignored) : object;
    kube::ApplyOptions options;
    options.field_manager = options_.field_manager;
    std::string who;
    if (live) {
        options.dry_run = true;
        const auto result = co_await client_.apply(wanted, options);
        const bool right = same_state(*live, result);
        const auto its_record = record_of(result, options_.field_manager);
        // What is right and no longer ours could be changed unseen.
        const bool ours = its_record == 0 || its_record == record_of(*live, options_.field_manager);
        if (leave || (right && ours)) {
            auto& now = batch.memory[id];
            now = remembered(planned, *live, adopted);
            now.left = !right;
            if (right) co_return changed(id, Change::Action::unchanged);
            co_return left(batch.order, id, "changed",
                           rivals(*live, result, options_.field_manager));
        }
        if (by_others) who = rivals(*as_found, result, options_.field_manager);
        options.dry_run = false;
    }
    const auto result = co_await client_.apply(wanted, options);
    batch.memory.insert_or_assign(id, remembered(planned, result, adopted));
    const bool looked = known == nullptr || batch.order.compare || !ignored.empty();
    const auto action = live || !looked ? Change::Action::configured : Change::Action::created;
    if (!by_others || expired) co_return changed(id, action);
    co_return others_changed(id, action, live ? "changed" : "deleted", std::move(who));
}

kube::Object Applier::wanted_on(const Batch& batch, const kube::Object& object,
                                const kube::Object& live,
                                const std::vector<IgnoreRules::Steps>& ignored) const {
    kube::Object wanted{object.fields()};
    if (ignored.empty()) return wanted;
    if (leave_to_others(wanted, live, ignored, options_.field_manager))
        wanted.metadata()["resourceVersion"] = live.resource_version();
    if (!batch.order.owner.name.empty()) {
        wanted.set_label(owner_name, batch.order.owner.name);
        wanted.set_label(owner_namespace, batch.order.owner.ns);
    }
    return wanted;
}

Remembered Applier::remembered(const Planned& planned, const kube::Object& live,
                               bool adopted) const {
    return {.digest = planned.digest,
            .resource_version = std::string{live.resource_version()},
            .record = record_of(live, options_.field_manager),
            .adopted = adopted,
            .expires = expires(live)};
}

asio::awaitable<kube::Object> Applier::taken_over(kube::Object live) {
    const auto gvk = live.gvk();
    const auto id = live.id();
    for (unsigned attempt = 1;; ++attempt) {
        auto operations = take_over(live, options_.field_manager);
        if (operations.empty()) co_return live;
        const json::value patch(std::move(operations));
        const std::string whole;
        std::optional<kube::Object> taken;
        try {
            taken =
                co_await client_.patch(gvk, id.ns, id.name, kube::PatchType::json, patch, whole);
        } catch (const kube::StatusError& error) {
            if (error.code() != 409 || attempt == take_over_attempts) throw;
        }
        if (taken) co_return std::move(*taken);
        // Somebody else wrote in between, a controller its status for one.
        auto again = co_await client_.get(gvk, id.ns, id.name);
        if (!again) throw Error{ErrorKind::conflict, "it was deleted meanwhile"};
        live = std::move(*again);
    }
}

/// Not with the fields of the manager that applies: whoever applies in its name next (Flux) leaves
/// the mark where it is.
asio::awaitable<void> Applier::mark_adopted(const kube::Object& live) {
    const auto id = live.id();
    json::object annotations;
    annotations[adopted_annotation] = "true";
    json::object metadata;
    metadata["annotations"] = std::move(annotations);
    json::object fields;
    fields["metadata"] = std::move(metadata);
    const json::value patch(std::move(fields));
    const std::string whole;
    co_await client_.patch(live.gvk(), id.ns, id.name, kube::PatchType::merge, patch, whole);
}

asio::awaitable<Change> Applier::recreate(const Batch& batch, const Planned& planned,
                                          const kube::Object& object) {
    const auto& id = planned.id;
    batch.memory.erase(id);
    const kube::DeleteOptions deletion;
    co_await client_.remove(object.gvk(), id.ns, id.name, deletion);
    // Finalizers may hold it for a while.
    asio::steady_timer timer{co_await asio::this_coro::executor};
    const auto deadline = std::chrono::steady_clock::now() + gone_limit;
    for (auto pause = std::chrono::milliseconds{20};;
         pause = std::min(pause * 2, std::chrono::milliseconds{1000})) {
        const auto still = co_await client_.get(object.gvk(), id.ns, id.name);
        if (!still) break;
        if (std::chrono::steady_clock::now() > deadline)
            throw Error{ErrorKind::unavailable, "it is still being deleted"};
        timer.expires_after(pause);
        co_await timer.async_wait(asio::use_awaitable);
    }
    kube::ApplyOptions options;
    options.field_manager = options_.field_manager;
    const auto result = co_await client_.apply(object, options);
    batch.memory.insert_or_assign(id, remembered(planned, result, false));
    co_return changed(id, Change::Action::recreated);
}

asio::awaitable<std::vector<Change>> Applier::prune(
    const Key& owner, std::vector<std::pair<kube::ObjectId, std::string>> gone, Memory& memory,
    Confirm confirm) {
    std::ranges::sort(
        gone, [](const auto& a, const auto& b) { return applied_before(b.first, a.first); });
    std::vector<Change> changes;
    for (const auto& [id, version] : gone) {
        try {
            auto change = co_await prune_one(owner, id, version, confirm);
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

asio::awaitable<Change> Applier::prune_one(const Key& owner, const kube::ObjectId& id,
                                           const std::string& version, Confirm confirm) {
    kube::GroupVersionKind gvk{.group = id.group, .version = version, .kind = id.kind};
    const auto served = co_await client_.map(gvk);
    if (!served) {
        // The version is no longer served, or the definition went, and its objects with it.
        const auto mapping = co_await client_.map(id);
        if (!mapping && !co_await is_not_served(id.group, version))
            co_return failed(id, "the API server of " + id.group + " does not answer");
        if (!mapping) co_return changed(id, Change::Action::pruned);
        gvk.version = mapping->resource.version;
    }
    const auto live = co_await client_.get(gvk, id.ns, id.name);
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
    co_await client_.remove(gvk, id.ns, id.name, options);
    co_return changed(id, Change::Action::pruned);
}

/// Discovery leaves out what an extension API server does not answer for.
asio::awaitable<bool> Applier::is_not_served(const std::string& group, const std::string& version) {
    net::Request request;
    request.target = "/apis/" + net::percent_encode(group) + "/" + net::percent_encode(version);
    const auto response = co_await client_.transport().send(std::move(request));
    co_return response.status < 500;
}

asio::awaitable<bool> Applier::is_going(const kube::ObjectId& id) {
    const auto mapping = co_await client_.map(id);
    if (!mapping) co_return false;
    const kube::GroupVersionKind gvk{
        .group = id.group, .version = mapping->resource.version, .kind = id.kind};
    const auto live = co_await client_.get(gvk, id.ns, id.name);
    co_return live && live->deleting();
}

asio::awaitable<Applier::Preview> Applier::preview(const kube::Object& object) {
    const auto id = object.id();
    Preview result;
    result.change = changed(id, Change::Action::unchanged);
    result.after = object;
    try {
        const auto live = co_await client_.get(object.gvk(), id.ns, id.name);
        kube::Object desired{object.fields()};
        if (live) {
            result.before = without_bookkeeping(*live);
            for (const auto label : {owner_name, owner_namespace})
                if (!live->label(label).empty()) desired.set_label(label, live->label(label));
        }
        kube::ApplyOptions options;
        options.field_manager = options_.field_manager;
        options.dry_run = true;
        const auto applied = co_await client_.apply(desired, options);
        result.after = without_bookkeeping(applied);
        if (!live) {
            result.change.action = Change::Action::created;
        } else if (!(result.before == result.after)) {
            result.change.action = Change::Action::configured;
        }
    } catch (const kube::StatusError& error) {
        result.change = failed(id, error.what());
        if (is_immutable_error(error)) result.change.action = Change::Action::recreated;
        if (error.code() == 404) result.missing = Preview::Missing::place;
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found) throw;
        result.change = failed(id, error.what());
        result.missing = Preview::Missing::kind;
    }
    co_return result;
}

}  // namespace kled::gitops
