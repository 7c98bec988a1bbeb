// What others change of what Git says: seen by watches, and put right or told.
#include "base/timeout.h"
#include "gitops/reconcile/reconciler_impl.h"
#include "kube/informer.h"

#include <set>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

/// Changes that come together are looked at together.
constexpr Duration gather{50};

/// Those that Git still says, in the order of application.
Plan part_of(const Plan& plan, const std::set<kube::ObjectId>& seen) {
    Plan part;
    for (const auto& one : plan.objects)
        if (seen.contains(one->id)) part.objects.push_back(one);
    return part;
}

}  // namespace

DriftWatches::Listener Reconciler::Impl::drift_listener() {
    DriftWatches::Listener listener;
    listener.saw = [this](const Key& owner, const kube::ObjectId& id, Sighting sighting) {
        suspect(owner, id, std::move(sighting));
    };
    listener.listed = [this](const Key& owner, const kube::GroupVersionKind& gvk,
                             const std::string& ns, const std::set<std::string>& there) {
        const auto found = works.find(owner);
        if (found == works.end()) return;
        for (const auto& [id, remembered] : found->second->memory) {
            if (id.group == gvk.group && id.kind == gvk.kind && (ns.empty() || id.ns == ns) &&
                !there.contains(kube::object_key(id.ns, id.name))) {
                suspect(owner, id, Sighting{});
            }
        }
    };
    listener.namespaces = [this](const Key& owner, const kube::GroupVersionKind& gvk) {
        std::set<std::string> result;
        const auto found = works.find(owner);
        if (found == works.end()) return result;
        for (const auto& [id, remembered] : found->second->memory)
            if (id.group == gvk.group && id.kind == gvk.kind) result.insert(id.ns);
        return result;
    };
    return listener;
}

void Reconciler::Impl::suspect(const Key& owner, const kube::ObjectId& id, Sighting sighting) {
    const auto found = works.find(owner);
    if (found == works.end()) return;
    auto& work = *found->second;
    const auto known = work.memory.find(id);
    // What is not remembered yet is being looked at. What went by itself comes again with the next
    // look at everything, as with Flux.
    if (known == work.memory.end() || (sighting.resource_version.empty() && known->second.expires))
        return;
    work.suspects.saw(id, std::move(sighting));
    if (const auto wait = waiting.find(owner); wait != waiting.end()) {
        wait->second->cancel();  // for health: it looks itself
        return;
    }
    // One that runs asks for another look at its end, when its own writes are known.
    if (turns.schedule().is_running(owner) || !work.suspects.settle(id, work.memory)) return;
    turns.touch(owner, steady_now() + gather);
}

bool Reconciler::Impl::drift_is_due(Work& work) {
    if (!work.suspects.settle(work.memory)) return false;
    const auto now = steady_now();
    const auto next = work.suspects.next(now);
    return next && *next <= now;
}

void Reconciler::Impl::follow(const Key& key, Work& work, const Deployment& deployment,
                              const Plan& plan) {
    work.policy = drift_of(deployment);
    // It may have gone while it was applied.
    const auto found = works.find(key);
    if (found == works.end() || found->second.get() != &work) return;
    DriftWatches::Kinds kinds;
    if (*work.policy != Drift::ignore) {
        for (const auto& [gvk, scope] : plan.scopes) kinds.insert(gvk);
    }
    drift.follow(key, work.destination, kinds);
}

asio::awaitable<std::optional<Outcome>> Reconciler::Impl::mend(const Key& key, Work& work,
                                                               const Deployment& deployment,
                                                               const Plan& plan, Due due) {
    std::set<kube::ObjectId> seen;
    for (auto& one : due) seen.insert(std::move(one.id));
    const auto part = part_of(plan, seen);
    Applier::Order order;
    order.owner = key;
    order.force = deployment.force;
    order.one_by_one = true;
    order.drift = drift_of(deployment);
    order.ignore = &deployment.ignore;
    order.timeout = deployment.timeout;
    std::vector<Change> changes;
    std::optional<Outcome> bad;
    try {
        changes = co_await with_timeout(deployment.timeout, "repairing",
                                        work.destination->applier.apply(order, part, work.memory));
    } catch (const Error& error) {
        bad = Outcome{.reason = "ReconciliationFailed", .message = error.what()};
    }
    if (bad) co_return bad;
    tell(work, changes);
    const auto failures = failures_of(changes);
    if (failures.empty()) co_return std::nullopt;
    co_return Outcome{.reason = "ReconciliationFailed", .message = join(failures, listed_changes)};
}

}  // namespace kled::gitops
