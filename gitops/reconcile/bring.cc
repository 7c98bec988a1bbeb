// Objects into the cluster: inventory, apply, prune, health.
#include "base/metrics.h"
#include "base/timeout.h"
#include "gitops/apply/prune.h"
#include "gitops/apply/prune_approval.h"
#include "gitops/health/health_wait.h"
#include "gitops/reconcile/reconciler_impl.h"

#include <algorithm>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

/// A Kustomization may bring itself, and would wait for itself until the time is up.
bool is_itself(const Key& key, const kube::ObjectId& id) {
    return id.group == kustomize_group && id.kind == key.kind && id.ns == key.ns &&
           id.name == key.name;
}

}  // namespace

asio::awaitable<std::optional<Outcome>> Reconciler::Impl::bring(const Key& key, Work& work,
                                                                const Deployment& deployment,
                                                                const git::Revision& revision,
                                                                Built& built, bool full, Due due) {
    Plan plan;
    std::optional<Outcome> bad;
    const auto brought_to = work.destination;
    try {
        co_await find_destination(work, deployment);
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::unavailable) throw;
        bad = Outcome{.reason = "ReconciliationFailed", .message = error.what()};
    }
    if (bad) co_return bad;
    auto& applier = work.destination->applier;
    try {
        co_await store.declare(key, built.objects);
        plan = co_await make_plan(work.destination->client, built.objects, work.plan);
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::unavailable) throw;
        bad = Outcome{.reason = "BuildFailed", .message = error.what()};
    }
    if (bad) co_return bad;

    built.objects = {};
    // What goes on from one revision to the next is shared with the builder, which keeps it anyway.
    work.plan = work.builds->keeps_objects() ? plan : Plan{};

    if (!work.status.inventory.contains_all(plan.inventory)) {
        work.status.inventory.merge(plan.inventory);
        work.status.conditions.reconciling("applying " + revision.name, work.object.generation(),
                                           wall_now());
        co_await save(work);
    }

    Applier::Order order;
    order.owner = key;
    order.force = deployment.force;
    order.drift = drift_of(deployment);
    order.compare = full && order.drift != Drift::ignore;
    const bool moved = brought_to && brought_to != work.destination;
    order.applied_before = !moved && work.status.history.succeeded_last(built.digest);
    order.ignore = &deployment.ignore;
    order.timeout = deployment.timeout;
    std::vector<Change> changes;
    std::optional<std::string> late;
    try {
        changes = co_await with_timeout(deployment.timeout, "applying",
                                        applier.apply(order, plan, work.memory));
    } catch (const Error& error) {
        late = error.what();
    }
    if (late) co_return Outcome{.reason = "ReconciliationFailed", .message = *late};
    auto failures = failures_of(changes);
    // Nothing is taken away before all that should be there is there.
    std::string reason = "ReconciliationFailed";
    if (failures.empty()) {
        reason = "PruneFailed";
        auto pruned = co_await prune(key, work, deployment, plan.inventory);
        failures = failures_of(pruned);
        std::ranges::move(pruned, std::back_inserter(changes));
    }
    tell(work, changes);
    follow(key, work, deployment, plan);
    if (order.compare) due.clear();  // that was among it
    if (!due.empty() && failures.empty()) {
        auto not_mended = co_await mend(key, work, deployment, plan, std::move(due));
        if (not_mended) co_return not_mended;
    }
    if (!failures.empty()) {
        co_return Outcome{.reason = std::move(reason), .message = join(failures, listed_changes)};
    }
    Kept kept;
    for (const auto& change : changes)
        if (change.action == Change::Action::kept) kept.insert(change.id);
    co_return co_await check_health(key, work, deployment, plan, std::move(kept));
}

asio::awaitable<void> Reconciler::Impl::find_destination(Work& work, const Deployment& deployment) {
    auto destination = co_await destinations.of(deployment);
    // What was ignored may differ from Git though nobody touched it since.
    if (std::exchange(work.ignored, deployment.ignore.digest()) != deployment.ignore.digest())
        work.memory.clear();
    if (destination == work.destination) co_return;
    work.memory.clear();
    work.plan = {};
    work.destination = std::move(destination);
}

std::vector<std::string> Reconciler::Impl::failures_of(const std::vector<Change>& changes) {
    std::vector<std::string> result;
    for (const auto& change : changes)
        if (change.action == Change::Action::failed)
            result.push_back(change.id.to_string() + ": " + change.message);
    return result;
}

void Reconciler::Impl::tell(const Work& work, const std::vector<Change>& changes) {
    std::vector<std::string> done;
    std::vector<std::string> repaired;
    std::vector<std::string> drifted;
    for (const auto& change : changes) {
        if (change.action == Change::Action::unchanged || change.action == Change::Action::failed ||
            change.action == Change::Action::waiting)
            continue;
        const bool left = change.action == Change::Action::drifted;
        auto& lines = left ? drifted : change.by_others ? repaired : done;
        lines.push_back(change.id.to_string() +
                        (left ? "" : " " + std::string{to_string(change.action)}) +
                        (change.message.empty() ? "" : ": " + change.message));
        metrics::registry()
            .counter("kled_gitops_changes_total", "Objects changed in the cluster",
                     {{"action", std::string{to_string(change.action)}}})
            .add();
    }
    const auto revision = revision_in(work.status);
    if (!done.empty())
        events.record(work.object, false, "Progressing", work.redacted(join(done, listed_changes)),
                      revision, work.origin);
    // The same again is another time that somebody did it.
    if (!repaired.empty())
        events.happened(work.object, false, "DriftCorrected",
                        work.redacted(join(repaired, listed_changes)), revision, work.origin);
    if (!drifted.empty())
        events.happened(work.object, true, "Drifted", work.redacted(join(drifted, listed_changes)),
                        revision, work.origin);
}

asio::awaitable<std::vector<Change>> Reconciler::Impl::prune(const Key& key, Work& work,
                                                             const Deployment& deployment,
                                                             const Inventory& wanted) {
    auto gone = work.status.inventory.minus(wanted);
    std::vector<Change> changes;
    auto inventory = wanted;
    if (!deployment.prune || gone.empty()) {
        note_pending(work, {});
    } else {
        const auto versions = gone;
        changes = co_await take_away(key, work, deployment, std::move(gone));
        for (const auto& change : changes) {
            if (change.action != Change::Action::failed && change.action != Change::Action::waiting)
                continue;
            const auto found =
                std::ranges::find(versions, change.id, [](const auto& v) { return v.first; });
            inventory.add(change.id, found->second);
        }
    }
    work.status.inventory = std::move(inventory);
    co_return changes;
}

asio::awaitable<std::vector<Change>> Reconciler::Impl::take_away(const Key& key, Work& work,
                                                                 const Deployment& deployment,
                                                                 Inventory::EntryList gone) {
    auto& there = work.destination->client;
    const std::map<kube::ObjectId, std::string> versions{gone.begin(), gone.end()};
    auto changes =
        co_await gitops::prune(there, key, std::move(gone), work.memory,
                               deployment.confirm_prune ? Confirm::all : Confirm::marked);
    const PendingPrune pending{changes};
    if (!pending.empty() && pending.digest() == deployment.prune_approved) {
        Inventory::EntryList approved;
        for (const auto& change : changes) {
            if (change.action == Change::Action::waiting)
                approved.emplace_back(change.id, versions.at(change.id));
        }
        std::erase_if(changes, [](const Change& c) { return c.action == Change::Action::waiting; });
        auto more =
            co_await gitops::prune(there, key, std::move(approved), work.memory, Confirm::given);
        std::ranges::move(more, std::back_inserter(changes));
    }
    note_pending(work, changes);
    co_return changes;
}

void Reconciler::Impl::note_pending(Work& work, const std::vector<Change>& changes) {
    const PendingPrune pending{changes};
    auto& conditions = work.status.conditions;
    work.prunes_waiting = pending.size();
    if (pending.empty()) {
        conditions.remove(prune_approval_condition);
        return;
    }
    auto message = work.redacted(pending.message());
    const auto* before = conditions.find(prune_approval_condition);
    const bool told = before != nullptr && before->message == message;
    conditions.set(prune_approval_condition, "False", "WaitingForApproval", message,
                   work.object.generation(), wall_now());
    if (!told) {
        events.record(work.object, false, std::string{prune_approval_condition}, std::move(message),
                      revision_in(work.status), work.origin);
    }
}

asio::awaitable<std::optional<Outcome>> Reconciler::Impl::check_health(const Key& key, Work& work,
                                                                       const Deployment& deployment,
                                                                       const Plan& plan,
                                                                       Kept kept) {
    auto& destination = *work.destination;
    Watched pending;
    std::set<kube::ObjectId> jobs;  // that go once they are done
    for (const auto& one : plan.objects) {
        const bool job = one->id.kind == "Job" && one->id.group == "batch";
        if (job && expires(one->manifest->decode())) jobs.insert(one->id);
    }
    if (deployment.wait) {
        for (const auto& one : plan.objects) {
            if (!kept.contains(one->id) && !is_itself(key, one->id))
                pending.push_back({one->manifest->gvk(), one->id, true, jobs.contains(one->id)});
        }
    } else {
        for (const auto& id : deployment.health_checks) {
            const auto mapping = co_await destination.client.map(id);
            if (!mapping) {
                co_return Outcome{.reason = "HealthCheckFailed",
                                  .message = id.to_string() + ": no such kind is served"};
            }
            auto local = id;
            if (local.ns.empty() && mapping->scope == kube::Scope::namespaced) local.ns = key.ns;
            const kube::GroupVersionKind gvk{
                .group = id.group, .version = mapping->resource.version, .kind = id.kind};
            if (is_itself(key, local)) continue;
            pending.push_back({gvk, local, false, jobs.contains(local)});
        }
    }
    work.status.conditions.remove("Healthy");
    if (pending.empty()) co_return std::nullopt;
    const auto generation = work.object.generation();
    const bool controllers = co_await destination.runs_controllers();
    if (!controllers) {
        work.status.conditions.set("Healthy", "Unknown", "Applied",
                                   "this API server runs no controllers: objects end at Applied",
                                   generation, wall_now());
        co_return std::nullopt;
    }
    const auto deadline = steady_now() + deployment.timeout;
    work.status.conditions.reconciling("waiting for health", generation, wall_now());
    work.status.conditions.set("Healthy", "Unknown", "Progressing", "waiting for health",
                               generation, wall_now());
    co_await save(work);
    // Something new ends the wait: a check that cannot pass must not hold back its fix.
    asio::steady_timer alarm{loop};
    waiting.insert_or_assign(key, &alarm);
    const auto touched = [this, &key] {
        return turns.schedule().touched_while_running(key, steady_now());
    };
    const std::function<bool()> give_up = [&] { return touched() || drift_is_due(work); };
    std::vector<std::string> why;
    std::optional<Outcome> bad;
    try {
        for (;;) {
            why =
                co_await wait_until_healthy(destination.client, pending, deadline, alarm, give_up);
            if (why.empty() || touched()) break;
            // What others changed meanwhile is put right, and the wait goes on.
            auto due = work.suspects.due(work.memory, steady_now());
            if (due.empty()) break;
            bad = co_await mend(key, work, deployment, plan, std::move(due));
            if (bad) break;
        }
    } catch (...) {
        waiting.erase(key);
        throw;
    }
    waiting.erase(key);
    if (bad) co_return bad;
    if (!why.empty() && touched()) {
        co_return Outcome{
            .reason = "HealthCheckCanceled",
            .message = "there is something new; until then\n" + join(why, listed_changes),
            .retry = false};
    }
    if (!why.empty()) {
        work.status.conditions.set("Healthy", "False", "HealthCheckFailed",
                                   work.redacted(join(why, listed_changes)), generation,
                                   wall_now());
        co_return Outcome{.reason = "HealthCheckFailed", .message = join(why, listed_changes)};
    }
    work.status.conditions.set("Healthy", "True", "Succeeded", "Health check passed", generation,
                               wall_now());
    co_return std::nullopt;
}

}  // namespace kled::gitops
