#include "gitops/apply/applier.h"

#include "base/error.h"
#include "base/task_group.h"
#include "gitops/apply/compare.h"
#include "gitops/apply/immutable.h"
#include "gitops/apply/live.h"
#include "gitops/apply/order.h"
#include "gitops/apply/take_over.h"
#include "gitops/drift/record.h"
#include "gitops/objects/annotations.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::chrono::milliseconds gone_limit{30'000};
constexpr std::chrono::milliseconds served_pause{50};
constexpr unsigned conflict_retries = 4;

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

}  // namespace

/// One stage on its way: workers take the next object until none is left.
struct Applier::Batch {
    const Order& order;
    Memory& memory;
    LiveObjects live;
    std::vector<const Planned*> objects;
    std::size_t next = 0;
    std::vector<Change> changes;  ///< by position in `objects`
};

/// One object of a batch, and what is known of it.
struct Applier::Task {
    const Batch& batch;
    const Planned& planned;
    kube::Object object;  ///< as it is sent
    const Remembered* known;
    std::vector<IgnoreRules::Steps> ignored;

    [[nodiscard]] const kube::ObjectId& id() const { return planned.id; }
    /// What Git changed, and kled applied before, is written whatever others did to it.
    [[nodiscard]] bool compares() const {
        return known == nullptr || batch.order.compare || !ignored.empty();
    }
    /// Whatever differs then was changed by others.
    [[nodiscard]] bool is_as_git_had_it() const {
        return known == nullptr ? batch.order.applied_before : known->digest == planned.digest;
    }
    [[nodiscard]] bool leaves_to_others() const { return batch.order.drift != Drift::repair; }
};

asio::awaitable<std::vector<Change>> Applier::apply(const Order& order, const Plan& plan,
                                                    Memory& memory) {
    std::vector<Change> changes;
    auto next = plan.objects.begin();
    for (const auto stage : {Stage::definitions, Stage::classes, Stage::rest}) {
        Batch batch{.order = order,
                    .memory = memory,
                    .live = {client_, memory, order.drift == Drift::repair},
                    .objects = {},
                    .changes = {}};
        for (; next != plan.objects.end() && stage_of((*next)->id) == stage; ++next) {
            const auto known = memory.find((*next)->id);
            const bool same = known != memory.end() && known->second.digest == (*next)->digest;
            if (order.compare || !same) batch.objects.push_back(next->get());
        }
        if (batch.objects.empty()) continue;
        batch.changes.resize(batch.objects.size());
        if (order.compare && !order.one_by_one)
            co_await batch.live.list(order.owner, batch.objects);
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
    const auto* known = found == batch.memory.end() ? nullptr : &found->second;
    const bool same = known != nullptr && known->digest == planned.digest;
    if (same && (!batch.order.compare || batch.live.is_settled(id)))
        co_return changed(id, Change::Action::unchanged);
    Task task{.batch = batch,
              .planned = planned,
              .object = planned.object(batch.order.owner),
              .known = known,
              .ignored = {}};
    if (batch.order.ignore != nullptr) task.ignored = batch.order.ignore->of(task.object);
    std::optional<std::string> immutable;
    try {
        co_return co_await apply_object(task);
    } catch (const kube::StatusError& error) {
        if (!is_immutable_error(error)) co_return failed(id, error.what());
        immutable = error.what();
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::unavailable) throw;
        co_return failed(id, error.what());
    }
    try {
        if (!co_await may_recreate(task))
            co_return failed(id, *immutable + " (spec.force recreates it)");
        co_return co_await recreate(task);
    } catch (const Error& error) {
        co_return failed(id, *immutable + "; recreating it: " + error.what());
    }
}

asio::awaitable<Change> Applier::apply_object(const Task& task) {
    const auto& id = task.id();
    if (says_hands_off(task.object)) co_return kept(id, as_it_says);
    const bool only_once = says(task.object, ssa_switch, "IfNotPresent");
    if (!task.compares() && !only_once && co_await apply_unread(task))
        co_return changed(id, Change::Action::configured);
    std::optional<kube::Object> live;
    if (const auto* listed = task.batch.live.find(id)) {
        live = *listed;
    } else {
        live = co_await client_.get(task.object.gvk(), id.ns, id.name);
    }
    // Somebody else may write in between, a controller its status for one: what is there by then
    // is asked everything anew, above all whether it is to be left alone.
    for (unsigned left = conflict_retries; live; --left) {
        if (says_hands_off(*live)) co_return kept(id, as_it_says);
        if (only_once) co_return kept(id, "it is there already (IfNotPresent)");
        if (live->deleting()) co_return failed(id, "it is being deleted; waiting for it to go");
        try {
            if (task.compares()) co_return co_await apply_on(task, std::move(*live));
            // Before anything else: whatever happens then, it is known not to be pruned.
            if (is_unmarked(*live)) co_await mark_adopted(*live);
            break;
        } catch (const kube::StatusError& error) {
            if (error.code() != 409 || left == 0) throw;
        }
        live = co_await client_.get(task.object.gvk(), id.ns, id.name);
    }
    if (task.compares()) co_return co_await make(task);
    co_await write(task, task.object);
    co_return changed(id, Change::Action::configured);
}

/// Onto the version that kled left there, of which it knows all that matters: one request. False:
/// it has to be looked at.
asio::awaitable<bool> Applier::apply_unread(const Task& task) {
    const auto& known = *task.known;
    if (known.read_first || known.resource_version.empty()) co_return false;
    kube::Object wanted{task.object.fields()};
    wanted.metadata()["resourceVersion"] = known.resource_version;
    try {
        co_await write(task, wanted);
    } catch (const kube::StatusError& error) {
        if (error.code() == 429 || error.code() == 503) throw;  // it is asked enough already
        // Somebody wrote or deleted it since, or it is refused: then it is once more.
        co_return false;
    }
    co_return true;
}

/// What is not there.
asio::awaitable<Change> Applier::make(const Task& task) {
    const auto& id = task.id();
    const bool by_others = task.is_as_git_had_it();
    const bool expired = task.known != nullptr && task.known->expires;
    if (by_others && task.leaves_to_others()) {
        if (expired) co_return changed(id, Change::Action::unchanged);
        co_return left(task.batch.order, id, "deleted");
    }
    co_await write(task, task.object);
    if (!by_others || expired) co_return changed(id, Change::Action::created);
    co_return others_changed(id, Change::Action::created, "deleted");
}

asio::awaitable<Change> Applier::apply_on(const Task& task, kube::Object live) {
    const auto& id = task.id();
    const bool by_others = co_await was_changed_by_others(task, live);
    const bool leave = by_others && task.leaves_to_others();
    if (!leave && is_unmarked(live)) live = co_await mark_adopted(live);
    std::optional<kube::Object> as_found;  // with the records of those who changed it
    if (by_others) as_found = live;
    const bool merges = says(task.object, ssa_switch, "Merge") || says(live, ssa_switch, "Merge");
    if (!leave && !merges) live = co_await taken_over(std::move(live));

    const auto wanted = wanted_on(task, live);
    const auto trial = options(true);
    const auto result = co_await client_.apply(wanted, trial);
    const auto& manager = options_.field_manager;
    const bool right = same_state(live, result);
    const auto its_record = record_of(result, manager);
    // What is right and no longer ours could be changed unseen.
    const bool ours = its_record == 0 || its_record == record_of(live, manager);
    if (leave || (right && ours)) {
        auto& now = task.batch.memory[id];
        now = Remembered::of(live, task.planned.digest, manager);
        now.left = !right;
        if (right) co_return changed(id, Change::Action::unchanged);
        co_return left(task.batch.order, id, "changed", rivals(live, result, manager));
    }
    co_await write(task, wanted);
    if (!by_others) co_return changed(id, Change::Action::configured);
    co_return others_changed(id, Change::Action::configured, "changed",
                             rivals(*as_found, result, manager));
}

asio::awaitable<bool> Applier::was_changed_by_others(const Task& task, const kube::Object& live) {
    if (task.is_as_git_had_it()) co_return true;
    if (task.known != nullptr || !task.leaves_to_others()) co_return false;
    // Where it is not known what Git said before, who holds which field tells.
    const auto wanted = wanted_on(task, live);
    const auto trial = options(true);
    const auto result = co_await client_.apply(wanted, trial);
    co_return only_others_changed(live, result, options_.field_manager);
}

/// The object without what the rules leave to others on `live`.
kube::Object Applier::wanted_on(const Task& task, const kube::Object& live) const {
    kube::Object wanted{task.object.fields()};
    if (task.ignored.empty()) return wanted;
    if (leave_to_others(wanted, live, task.ignored, options_.field_manager))
        wanted.metadata()["resourceVersion"] = live.resource_version();
    if (const auto& owner = task.batch.order.owner; !owner.name.empty()) label_owner(wanted, owner);
    return wanted;
}

kube::ApplyOptions Applier::options(bool dry_run) const {
    return {.field_manager = options_.field_manager, .dry_run = dry_run};
}

asio::awaitable<void> Applier::write(const Task& task, const kube::Object& wanted) {
    const auto for_good = options(false);
    const auto result = co_await client_.apply(wanted, for_good);
    task.batch.memory.insert_or_assign(
        task.id(), Remembered::of(result, task.planned.digest, options_.field_manager));
}

/// StatusError 409: somebody wrote since `live` was read.
asio::awaitable<kube::Object> Applier::taken_over(kube::Object live) {
    auto operations = take_over(live, options_.field_manager);
    if (operations.empty()) co_return live;
    const auto id = live.id();
    const json::value patch(std::move(operations));
    const std::string whole;
    co_return co_await client_.patch(live.gvk(), id.ns, id.name, kube::PatchType::json, patch,
                                     whole);
}

/// Not with the fields of the manager that applies: whoever applies in its name next (Flux) leaves
/// the mark where it is. StatusError 409 as of taken_over.
asio::awaitable<kube::Object> Applier::mark_adopted(const kube::Object& live) {
    const auto id = live.id();
    json::object annotations;
    annotations[adopted_annotation] = "true";
    json::object metadata;
    metadata["annotations"] = std::move(annotations);
    metadata["resourceVersion"] = live.resource_version();
    json::object fields;
    fields["metadata"] = std::move(metadata);
    const json::value patch(std::move(fields));
    const std::string whole;
    co_return co_await client_.patch(live.gvk(), id.ns, id.name, kube::PatchType::merge, patch,
                                     whole);
}

asio::awaitable<bool> Applier::may_recreate(const Task& task) {
    if (task.batch.order.force || says(task.object, force_switch, "enabled")) co_return true;
    const auto& id = task.id();
    const auto live = co_await client_.get(task.object.gvk(), id.ns, id.name);
    co_return live.has_value() && says(*live, force_switch, "enabled");
}

asio::awaitable<Change> Applier::recreate(const Task& task) {
    const auto& id = task.id();
    const auto gvk = task.object.gvk();
    task.batch.memory.erase(id);
    const kube::DeleteOptions deletion;
    co_await client_.remove(gvk, id.ns, id.name, deletion);
    // Finalizers may hold it for a while.
    asio::steady_timer timer{co_await asio::this_coro::executor};
    const auto deadline = std::chrono::steady_clock::now() + gone_limit;
    for (auto pause = std::chrono::milliseconds{20};;
         pause = std::min(pause * 2, std::chrono::milliseconds{1000})) {
        const auto still = co_await client_.get(gvk, id.ns, id.name);
        if (!still) break;
        if (std::chrono::steady_clock::now() > deadline)
            throw Error{ErrorKind::unavailable, "it is still being deleted"};
        timer.expires_after(pause);
        co_await timer.async_wait(asio::use_awaitable);
    }
    co_await write(task, task.object);
    co_return changed(id, Change::Action::recreated);
}

}  // namespace kled::gitops
