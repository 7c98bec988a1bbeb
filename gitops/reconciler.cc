#include "gitops/reconciler.h"

#include "base/log.h"
#include "base/metrics.h"
#include "base/retry.h"
#include "base/task_group.h"
#include "base/timeout.h"
#include "gitops/build.h"
#include "gitops/credentials.h"
#include "gitops/git/mirror.h"
#include "gitops/health_wait.h"
#include "gitops/schedule.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <random>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

constexpr std::string_view repository_kind = "GitRepository";
constexpr std::string_view kustomization_kind = "Kustomization";
constexpr Backoff::Options retry{.first = Duration{2'000}, .limit = Duration{120'000}};
constexpr std::size_t listed_changes = 20;  // in one event

SteadyTime steady_now() { return std::chrono::steady_clock::now(); }
WallTime wall_now() { return std::chrono::system_clock::now(); }

std::string join(const std::vector<std::string>& lines, std::size_t limit) {
    std::string text;
    for (std::size_t i = 0; i < std::min(lines.size(), limit); ++i)
        text += (i == 0 ? "" : "\n") + lines[i];
    if (lines.size() > limit) text += "\n… and " + std::to_string(lines.size() - limit) + " more";
    return text;
}

std::string unsupported_text(const std::vector<Unsupported>& fields) {
    std::string text;
    for (const auto& [field] : fields) text += (text.empty() ? "" : ", ") + field;
    return text + (fields.size() == 1 ? " is" : " are") +
           " not supported yet; nothing is done rather than something else";
}

/// What a source and a deployment object have in common.
struct Node {
    explicit Node(kube::Object o) : object{std::move(o)} {}

    kube::Object object;
    Backoff backoff{retry, std::random_device{}()};
};

struct Source : Node {
    explicit Source(kube::Object o)
        : Node{std::move(o)}, status{SourceStatus::from_object(object)}, stored{status} {}

    SourceStatus status;
    SourceStatus stored;  ///< as last written
    std::shared_ptr<git::Mirror> mirror;
    std::optional<git::Revision> revision;
};

struct Work : Node {
    explicit Work(kube::Object o)
        : Node{std::move(o)}, status{DeploymentStatus::from_object(object)}, stored{status} {}

    DeploymentStatus status;
    DeploymentStatus stored;
    Memory memory;
    std::optional<git::ReadSet> read_set;  ///< of what was last applied completely
    SteadyTime next_full{};                ///< when drift is looked for again
};

/// Raised where a reconciliation ends early with a condition.
struct Outcome {
    std::string reason;
    std::string message;
    bool stalled = false;
    bool retry = true;  ///< false: something else will touch it
};

}  // namespace

struct Reconciler::Impl {
    Impl(asio::any_io_executor loop_, ThreadPool& pool_, kube::Client& client_, ObjectStore& store_,
         Events& events_, Options options_)
        : loop{std::move(loop_)},
          pool{pool_},
          client{client_},
          store{store_},
          events{events_},
          options{std::move(options_)},
          applier{client, {}},
          schedule{options.concurrency},
          wake{loop},
          tasks{loop} {}

    asio::any_io_executor loop;
    ThreadPool& pool;
    kube::Client& client;
    ObjectStore& store;
    Events& events;
    Options options;
    Applier applier;
    Schedule schedule;
    std::map<Key, std::shared_ptr<Source>> sources;
    std::map<Key, std::shared_ptr<Work>> works;
    std::map<Key, asio::steady_timer*> waiting;  ///< for health: what ends the wait
    std::optional<bool> has_controllers;
    std::mt19937_64 random{std::random_device{}()};
    asio::steady_timer wake;
    TaskGroup tasks;

    void touch(const Key& key) {
        schedule.touch(key, steady_now());
        wake.cancel();
        if (const auto found = waiting.find(key); found != waiting.end()) found->second->cancel();
    }

    // ---- when -----------------------------------------------------------------------------------

    asio::awaitable<void> dispatch() {
        for (;;) {
            while (const auto key = schedule.next(steady_now())) tasks.spawn(reconcile(*key));
            wake.expires_at(schedule.wake_at().value_or(SteadyTime::max()));
            co_await wake.async_wait(asio::as_tuple(asio::use_awaitable));
        }
    }

    SteadyTime after(Duration interval) {
        std::uniform_real_distribution<double> jitter{1 - options.interval_jitter,
                                                      1 + options.interval_jitter};
        const auto delay = std::chrono::duration<double, std::milli>{interval} * jitter(random);
        return steady_now() + std::chrono::duration_cast<Duration>(delay);
    }

    /// The earlier of the object's own time and the backoff.
    SteadyTime after_failure(Node& node, Duration interval) {
        return after(std::min(interval, std::max(node.backoff.next(), Duration{200})));
    }

    asio::awaitable<void> reconcile(Key key) {
        const auto started = steady_now();
        std::optional<SteadyTime> again;
        std::string_view outcome = "success";
        try {
            if (key.kind == repository_kind) {
                if (const auto found = sources.find(key); found != sources.end())
                    again = co_await reconcile_source(key, found->second);
            } else if (const auto found = works.find(key); found != works.end()) {
                again = co_await reconcile_work(key, found->second);
            }
        } catch (const std::exception& error) {
            const auto* system = dynamic_cast<const boost::system::system_error*>(&error);
            if (system != nullptr && system->code() == asio::error::operation_aborted) {
                schedule.finished(key, std::nullopt);
                throw;  // cancelled
            }
            // The API server could not be reached, or a bug: either way this one tries again later.
            outcome = "error";
            log::warn("gitops", error.what(), {{"object", key.to_string()}});
            again = steady_now() + Duration{2'000};
        }
        const std::chrono::duration<double> took = steady_now() - started;
        metrics::registry()
            .histogram("kled_gitops_reconcile_duration_seconds", "Time of one reconciliation",
                       {0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120}, {{"kind", key.kind}})
            .observe(took.count());
        metrics::registry()
            .counter("kled_gitops_reconciles_total", "Reconciliations",
                     {{"kind", key.kind}, {"outcome", std::string{outcome}}})
            .add();
        schedule.finished(key, again);
        wake.cancel();
    }

    void touch_dependents_of_source(const Key& source) {
        for (const auto& [key, work] : works) {
            const auto* spec = work->object.spec();
            if (spec == nullptr) continue;
            const auto ns = kube::find_string(*spec, {"sourceRef", "namespace"});
            if (kube::find_string(*spec, {"sourceRef", "kind"}) == source.kind &&
                kube::find_string(*spec, {"sourceRef", "name"}) == source.name &&
                (ns.empty() ? key.ns : ns) == source.ns) {
                touch(key);
            }
        }
    }

    void touch_dependents_of_work(const Key& done) {
        for (const auto& [key, work] : works) {
            const auto* list = work->object.spec() == nullptr
                                   ? nullptr
                                   : kube::find(*work->object.spec(), {"dependsOn"});
            if (list == nullptr || !list->is_array() || key.kind != done.kind) continue;
            for (const auto& item : list->get_array()) {
                if (!item.is_object()) continue;
                const auto ns = kube::find_string(item.get_object(), {"namespace"});
                if (kube::find_string(item.get_object(), {"name"}) == done.name &&
                    (ns.empty() ? key.ns : ns) == done.ns) {
                    touch(key);
                }
            }
        }
    }

    // ---- status ---------------------------------------------------------------------------------

    template <typename N>
    asio::awaitable<void> save(N& node) {
        if (node.status == node.stored) co_return;
        kube::Object object{node.object.fields()};
        node.status.write_to(object);
        try {
            co_await store.write_status(object);
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::not_found) throw;  // it went meanwhile
        }
        node.stored = node.status;
    }

    template <typename N>
    asio::awaitable<void> conclude(N& node, const Outcome& outcome) {
        const auto generation = node.object.generation();
        auto& conditions = node.status.conditions;
        if (outcome.stalled) {
            conditions.stalled(outcome.reason, outcome.message, generation, wall_now());
        } else {
            conditions.failed(outcome.reason, outcome.message, generation, wall_now());
        }
        node.status.observed_generation = generation;
        node.status.handled_request = reconcile_request(node.object);
        // What something else will end by itself is no reason to worry.
        events.record(node.object, outcome.retry, outcome.reason, outcome.message);
        co_await save(node);
    }

    // ---- sources --------------------------------------------------------------------------------

    asio::awaitable<std::optional<SteadyTime>> reconcile_source(Key key,
                                                                std::shared_ptr<Source> source) {
        std::optional<Outcome> bad;
        GitRepository repository;
        try {
            repository = GitRepository::from_object(source->object);
        } catch (const Error& error) {
            bad = Outcome{.reason = "InvalidSpec", .message = error.what(), .stalled = true};
        }
        if (!bad && repository.suspend) co_return std::nullopt;
        if (!bad && !repository.unsupported.empty()) {
            bad = Outcome{.reason = "UnsupportedField",
                          .message = unsupported_text(repository.unsupported),
                          .stalled = true};
        }
        if (bad) {
            co_await conclude(*source, *bad);
            co_return std::nullopt;
        }
        if (!source->mirror || source->mirror->url() != repository.url) {
            source->mirror = std::make_shared<git::Mirror>(
                options.cache / (key.ns + "_" + key.name), repository.url);
        }
        std::optional<git::Revision> fetched;
        try {
            auto access = co_await read_access(client, repository);
            access.local_repositories = options.local_repositories;
            access.own_ssh_configuration = !options.local_repositories || access.ssh_identity;
            auto fetch = [mirror = source->mirror, access = std::move(access),
                          reference = repository.reference](const std::stop_token& stop) {
                return mirror->fetch(reference, access, stop);
            };
            fetched = co_await offload_stoppable(pool, std::move(fetch));
        } catch (const Error& error) {
            bad = Outcome{.reason = error.kind() == ErrorKind::denied ? "AuthenticationFailed"
                                                                      : "GitOperationFailed",
                          .message = error.what()};
        }
        if (bad) {
            // The last good revision goes on: it is in the mirror, also after a restart.
            if (!source->revision) co_await recall(key, *source);
            co_await conclude(*source, *bad);
            co_return after_failure(*source, repository.interval);
        }
        source->backoff.reset();
        const bool fresh = source->revision != fetched;
        source->revision = fetched;
        auto& status = source->status;
        if (fresh) touch_dependents_of_source(key);
        if (status.artifact_revision != fetched->name) {
            status.artifact_revision = fetched->name;
            status.artifact_digest = "sha1:" + fetched->tree.hex();
            status.artifact_time = to_rfc3339(wall_now());
        }
        const auto message = "stored artifact for revision '" + fetched->name + "'";
        if (fresh) events.record(source->object, false, "NewArtifact", message);
        status.conditions.ready("Succeeded", message, source->object.generation(), wall_now());
        status.observed_generation = source->object.generation();
        status.handled_request = reconcile_request(source->object);
        co_await save(*source);
        co_return after(repository.interval);
    }

    /// What the status says was fetched last, if it still is in the mirror.
    asio::awaitable<void> recall(const Key& key, Source& source) {
        const auto name = source.status.artifact_revision;
        const auto at = name.rfind("sha1:");
        if (at == std::string::npos) co_return;
        const auto commit = git::Oid::parse(std::string_view{name}.substr(at + 5));
        if (!commit) co_return;
        auto find = [mirror = source.mirror, commit = *commit, name, at] {
            return mirror->find(commit, at == 0 ? "" : name.substr(0, at - 1));
        };
        auto found = co_await offload(pool, std::move(find));
        if (!found) co_return;
        source.revision = std::move(found);
        touch_dependents_of_source(key);
    }

    asio::awaitable<void> discard(std::filesystem::path mirror) {
        auto remove = [path = mirror.string()] {
            std::error_code ignored;
            std::filesystem::remove_all(path, ignored);
        };
        co_await offload(pool, std::move(remove));
    }

    // ---- deployment objects ---------------------------------------------------------------------

    asio::awaitable<std::optional<SteadyTime>> reconcile_work(const Key& key,
                                                              std::shared_ptr<Work> work) {
        const auto shared = std::make_shared<Deployment>();  // a build on the pool keeps it
        auto& deployment = *shared;
        std::optional<Outcome> bad;
        try {
            deployment = Deployment::from_object(work->object);
        } catch (const Error& error) {
            bad = Outcome{.reason = "InvalidSpec", .message = error.what(), .stalled = true};
        }
        if (work->object.deleting())
            co_return co_await finalize(key, *work, bad ? nullptr : &deployment);
        if (!bad && deployment.suspend) co_return std::nullopt;
        if (!bad && !deployment.unsupported.empty()) {
            bad = Outcome{.reason = "UnsupportedField",
                          .message = unsupported_text(deployment.unsupported),
                          .stalled = true};
        }
        if (!bad) {
            co_await store.hold(work->object);
            bad = not_yet(deployment);
        }
        if (bad) {
            co_await conclude(*work, *bad);
            if (bad->stalled || !bad->retry) co_return std::nullopt;
            co_return after_failure(*work, deployment.retry_interval);
        }
        bad = co_await deploy(key, *work, shared);
        if (bad) {
            co_await conclude(*work, *bad);
            work->next_full = {};
            co_return after_failure(*work, deployment.retry_interval);
        }
        work->backoff.reset();
        touch_dependents_of_work(key);
        co_return work->next_full;
    }

    [[nodiscard]] std::shared_ptr<Source> source_of(const Deployment& deployment) const {
        const auto found = sources.find({.kind = deployment.source.kind,
                                         .ns = deployment.source.ns,
                                         .name = deployment.source.name});
        return found == sources.end() ? nullptr : found->second;
    }

    /// Why a deployment has to wait: its source, or what it depends on. Both touch it when they are
    /// ready.
    [[nodiscard]] std::optional<Outcome> not_yet(const Deployment& deployment) const {
        const auto source = source_of(deployment);
        const auto& ref = deployment.source;
        if (!source) {
            return Outcome{.reason = "ArtifactFailed",
                           .message = ref.kind + " " + ref.ns + "/" + ref.name + " does not exist",
                           .retry = false};
        }
        if (!source->revision) {
            return Outcome{
                .reason = "ArtifactFailed",
                .message = ref.kind + " " + ref.ns + "/" + ref.name + " has no revision yet",
                .retry = false};
        }
        for (const auto& key : deployment.depends_on) {
            if (auto why = why_not_ready(key, deployment, *source); !why.empty()) {
                return Outcome{.reason = "DependencyNotReady",
                               .message = "dependency '" + key.ns + "/" + key.name + "' " + why,
                               .retry = false};
            }
        }
        return std::nullopt;
    }

    [[nodiscard]] std::string why_not_ready(const Key& key, const Deployment& deployment,
                                            const Source& source) const {
        const auto found = works.find(key);
        if (found == works.end()) return "does not exist";
        const auto& status = found->second->status;
        const auto* ready = status.conditions.find("Ready");
        if (ready == nullptr || ready->status != "True" ||
            ready->observed_generation != found->second->object.generation()) {
            return "is not ready";
        }
        const auto* spec = found->second->object.spec();
        const bool same_source =
            spec != nullptr &&
            kube::find_string(*spec, {"sourceRef", "name"}) == deployment.source.name;
        if (same_source && status.last_applied_revision != source.revision->name)
            return "has not applied " + source.revision->name + " yet";
        return {};
    }

    asio::awaitable<std::optional<Outcome>> deploy(const Key& key, Work& work,
                                                   std::shared_ptr<const Deployment> shared) {
        const auto& deployment = *shared;
        const auto source = source_of(deployment);
        const auto revision = *source->revision;
        const auto now = steady_now();
        const bool full = now >= work.next_full || !work.read_set ||
                          work.object.generation() != work.status.observed_generation ||
                          reconcile_request(work.object) != work.status.handled_request;
        work.status.last_attempted_revision = revision.name;

        std::optional<Built> built;
        std::optional<Outcome> bad;
        try {
            std::optional<git::ReadSet> earlier;
            if (!full) earlier = work.read_set;
            auto build_if_needed = [mirror = source->mirror, revision, shared,
                                    earlier = std::move(earlier)]() -> std::optional<Built> {
                if (earlier && git::Tree{*mirror, revision}.agrees_with(*earlier))
                    return std::nullopt;
                return build(*mirror, revision, *shared);
            };
            built = co_await offload(pool, std::move(build_if_needed));
        } catch (const Error& error) {
            bad = Outcome{.reason = "BuildFailed", .message = error.what()};
            // The cache was damaged or thrown away: the source makes it anew.
            if (error.kind() == ErrorKind::unavailable)
                touch({.kind = deployment.source.kind,
                       .ns = deployment.source.ns,
                       .name = deployment.source.name});
        }
        if (bad) co_return bad;
        if (built) {
            for (const auto& warning : built->warnings)
                log::debug("gitops", warning, {{"object", key.to_string()}});
            work.read_set.reset();
            auto read_set = std::move(built->read_set);
            const auto target = options.targets.find(key.kind);
            if (target != options.targets.end()) {
                bad = co_await hand_over(*target->second, work, revision, *built);
            } else {
                bad = co_await bring(key, work, deployment, revision, *built, full);
            }
            if (bad) co_return bad;
            work.read_set = std::move(read_set);
        }
        if (full) work.next_full = after(deployment.interval);
        co_await succeed(work, revision);
        co_return std::nullopt;
    }

    asio::awaitable<void> succeed(Work& work, const git::Revision& revision) {
        const bool delivered = options.targets.contains(std::string{work.object.kind()});
        const auto message =
            (delivered ? "Delivered revision: " : "Applied revision: ") + revision.name;
        if (work.status.last_applied_revision != revision.name)
            events.record(work.object, false, "ReconciliationSucceeded", message);
        work.status.last_applied_revision = revision.name;
        work.status.conditions.ready("ReconciliationSucceeded", message, work.object.generation(),
                                     wall_now());
        work.status.observed_generation = work.object.generation();
        work.status.handled_request = reconcile_request(work.object);
        co_await save(work);
    }

    asio::awaitable<std::optional<Outcome>> hand_over(kube::Target& target, Work& work,
                                                      const git::Revision& revision, Built& built) {
        std::optional<Outcome> bad;
        try {
            kube::Rendered rendered;
            rendered.owner = work.object;
            rendered.revision = revision.name;
            rendered.digest = std::move(built.digest);
            rendered.objects = std::move(built.objects);
            co_await target.deliver(std::move(rendered));
        } catch (const Error& error) {
            bad = Outcome{.reason = "DeliveryFailed", .message = error.what()};
        }
        co_return bad;
    }

    /// Into the cluster: what is new in the inventory is stored before it is applied, so whatever
    /// happens in between, nothing that was applied is ever forgotten.
    asio::awaitable<std::optional<Outcome>> bring(const Key& key, Work& work,
                                                  const Deployment& deployment,
                                                  const git::Revision& revision, Built& built,
                                                  bool full) {
        std::vector<kube::Object> objects;
        std::optional<Outcome> bad;
        try {
            co_await store.declare(key, built.objects);
            objects = co_await applier.prepare(key, std::move(built.objects));
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::unavailable) throw;
            bad = Outcome{.reason = "BuildFailed", .message = error.what()};
        }
        if (bad) co_return bad;

        Inventory wanted;
        for (const auto& object : objects) wanted.add(object.id(), object.gvk().version);
        const auto before = work.status.inventory;
        if (!before.contains_all(wanted)) {
            work.status.inventory.merge(wanted);
            work.status.conditions.reconciling("applying " + revision.name,
                                               work.object.generation(), wall_now());
            co_await save(work);
        }

        Applier::Order order;
        order.owner = key;
        order.force = deployment.force;
        order.compare = full;
        order.timeout = deployment.timeout;
        std::vector<Change> changes;
        std::optional<std::string> late;
        try {
            changes = co_await with_timeout(deployment.timeout, "applying",
                                            applier.apply(order, objects, work.memory));
        } catch (const Error& error) {
            late = error.what();
        }
        if (late) co_return Outcome{.reason = "ReconciliationFailed", .message = *late};
        auto failures = failures_of(changes);
        // Nothing is taken away before all that should be there is there.
        if (failures.empty()) {
            auto pruned = co_await prune(key, work, deployment, wanted);
            failures = failures_of(pruned);
            std::ranges::move(pruned, std::back_inserter(changes));
        }
        tell(work, changes);
        if (!failures.empty()) {
            co_return Outcome{.reason = "ReconciliationFailed",
                              .message = join(failures, listed_changes)};
        }
        co_return co_await check_health(key, work, deployment, objects);
    }

    static std::vector<std::string> failures_of(const std::vector<Change>& changes) {
        std::vector<std::string> result;
        for (const auto& change : changes)
            if (change.action == Change::Action::failed)
                result.push_back(change.id.to_string() + ": " + change.message);
        return result;
    }

    void tell(const Work& work, const std::vector<Change>& changes) {
        std::vector<std::string> lines;
        for (const auto& change : changes) {
            if (change.action == Change::Action::unchanged ||
                change.action == Change::Action::failed)
                continue;
            lines.push_back(change.id.to_string() + " " + std::string{to_string(change.action)} +
                            (change.message.empty() ? "" : ": " + change.message));
            metrics::registry()
                .counter("kled_gitops_changes_total", "Objects changed in the cluster",
                         {{"action", std::string{to_string(change.action)}}})
                .add();
        }
        if (!lines.empty())
            events.record(work.object, false, "Progressing", join(lines, listed_changes));
    }

    /// Afterwards the inventory is what is wanted and what could not be pruned.
    asio::awaitable<std::vector<Change>> prune(const Key& key, Work& work,
                                               const Deployment& deployment,
                                               const Inventory& wanted) {
        auto gone = work.status.inventory.minus(wanted);
        std::vector<Change> changes;
        auto inventory = wanted;
        if (deployment.prune && !gone.empty()) {
            const auto versions = gone;
            changes = co_await applier.prune(key, std::move(gone), work.memory);
            for (const auto& change : changes) {
                if (change.action != Change::Action::failed) continue;
                const auto found =
                    std::ranges::find(versions, change.id, [](const auto& v) { return v.first; });
                inventory.add(change.id, found->second);
            }
        }
        work.status.inventory = std::move(inventory);
        co_return changes;
    }

    // ---- health ---------------------------------------------------------------------------------

    asio::awaitable<bool> controllers_run() {
        if (!has_controllers) {
            net::Request request;
            request.target = "/version";
            const auto response = co_await client.transport().send(std::move(request));
            has_controllers = response.body.find("+kled\"") == std::string::npos;
        }
        co_return *has_controllers;
    }

    asio::awaitable<std::optional<Outcome>> check_health(const Key& key, Work& work,
                                                         const Deployment& deployment,
                                                         const std::vector<kube::Object>& objects) {
        Watched pending;
        if (deployment.wait) {
            for (const auto& object : objects) pending.emplace_back(object.gvk(), object.id());
        } else {
            for (const auto& id : deployment.health_checks) {
                const auto mapping = co_await client.map(id);
                if (!mapping) {
                    co_return Outcome{.reason = "HealthCheckFailed",
                                      .message = id.to_string() + ": no such kind is served"};
                }
                pending.emplace_back(
                    kube::GroupVersionKind{
                        .group = id.group, .version = mapping->resource.version, .kind = id.kind},
                    id);
            }
        }
        work.status.conditions.remove("Healthy");
        if (pending.empty()) co_return std::nullopt;
        const auto generation = work.object.generation();
        const bool controllers = co_await controllers_run();
        if (!controllers) {
            work.status.conditions.set(
                "Healthy", "Unknown", "Applied",
                "this API server runs no controllers: objects end at Applied", generation,
                wall_now());
            co_return std::nullopt;
        }
        const auto deadline = steady_now() + deployment.timeout;
        work.status.conditions.reconciling("waiting for health", generation, wall_now());
        co_await save(work);
        // Something new ends the wait: a check that cannot pass must not hold back its fix.
        asio::steady_timer alarm{loop};
        waiting.insert_or_assign(key, &alarm);
        const std::function<bool()> give_up = [this, &key] {
            return schedule.touched_while_running(key, steady_now());
        };
        std::vector<std::string> why;
        try {
            why = co_await wait_until_healthy(client, pending, deadline, alarm, give_up);
        } catch (...) {
            waiting.erase(key);
            throw;
        }
        waiting.erase(key);
        if (!why.empty()) {
            work.status.conditions.set("Healthy", "False", "HealthCheckFailed",
                                       join(why, listed_changes), generation, wall_now());
            co_return Outcome{.reason = "HealthCheckFailed", .message = join(why, listed_changes)};
        }
        work.status.conditions.set("Healthy", "True", "Succeeded", "Health check passed",
                                   generation, wall_now());
        co_return std::nullopt;
    }

    // ---- the end of a deployment object
    // -----------------------------------------------------------

    asio::awaitable<std::optional<SteadyTime>> finalize(const Key& key, Work& work,
                                                        const Deployment* deployment) {
        if (const auto target = options.targets.find(key.kind); target != options.targets.end()) {
            co_await target->second->withdraw(work.object.id());
        } else if (deployment != nullptr && !deployment->orphan && !deployment->suspend) {
            const Inventory nothing;
            auto all = work.status.inventory.minus(nothing);
            const auto changes = co_await applier.prune(key, std::move(all), work.memory);
            tell(work, changes);
            if (const auto failures = failures_of(changes); !failures.empty()) {
                const Outcome bad{.reason = "PruneFailed",
                                  .message = join(failures, listed_changes)};
                co_await conclude(work, bad);
                co_return after_failure(work, deployment->retry_interval);
            }
        }
        events.record(work.object, false, "Removed", "removed, with what it had brought");
        co_await store.release(work.object);
        co_return std::nullopt;
    }
};

Reconciler::Reconciler(asio::any_io_executor loop, ThreadPool& pool, kube::Client& client,
                       ObjectStore& store, Events& events, Options options)
    : impl_{std::make_unique<Impl>(std::move(loop), pool, client, store, events,
                                   std::move(options))} {}

Reconciler::~Reconciler() = default;

asio::awaitable<void> Reconciler::run() {
    impl_->tasks.spawn(impl_->store.run(*this));
    impl_->tasks.spawn(impl_->dispatch());
    co_await impl_->tasks.join();
}

namespace {

/// A path on this machine with its links resolved: a hook says where its repository really is.
std::string resolved(std::string_view url) {
    if (url.starts_with("file://")) url.remove_prefix(7);
    if (!url.starts_with('/')) return std::string{url};
    std::error_code failed;
    const auto path = std::filesystem::weakly_canonical(url, failed);
    return failed ? std::string{url} : path.string();
}

}  // namespace

std::size_t Reconciler::nudge(const std::string& url) {
    std::size_t count = 0;
    const auto wanted = resolved(url);
    for (const auto& [key, source] : impl_->sources) {
        const auto* spec = source->object.spec();
        const auto own = spec == nullptr ? std::string_view{} : kube::find_string(*spec, {"url"});
        if (!url.empty() && !git::same_repository(resolved(own), wanted)) continue;
        impl_->touch(key);
        ++count;
    }
    return count;
}

namespace {

/// Whether `now` asks for something that `before` did not: status alone never does.
bool asks_for_more(const kube::Object& before, const kube::Object& now) {
    const auto* a = before.spec();
    const auto* b = now.spec();
    const bool same_spec = (a == nullptr) == (b == nullptr) && (a == nullptr || *a == *b);
    return !same_spec || before.deleting() != now.deleting() ||
           reconcile_request(before) != reconcile_request(now);
}

template <typename N>
bool take(std::map<Key, std::shared_ptr<N>>& nodes, const Key& key, kube::Object object) {
    auto& node = nodes[key];
    // The same name again may be another object.
    if (!node || (!object.uid().empty() && node->object.uid() != object.uid())) {
        node = std::make_shared<N>(std::move(object));
        return true;
    }
    const bool more = asks_for_more(node->object, object);
    node->object = std::move(object);
    return more;
}

}  // namespace

void Reconciler::changed(kube::Object object) {
    const auto key = key_of(object);
    const bool source = key.kind == repository_kind;
    const bool more = source ? take(impl_->sources, key, std::move(object))
                             : take(impl_->works, key, std::move(object));
    if (more) impl_->touch(key);
}

void Reconciler::removed(const Key& key) {
    impl_->schedule.forget(key);
    impl_->events.forget(key);
    impl_->works.erase(key);
    const auto source = impl_->sources.find(key);
    if (source == impl_->sources.end()) return;
    impl_->sources.erase(source);
    impl_->tasks.spawn(impl_->discard(impl_->options.cache / (key.ns + "_" + key.name)));
    impl_->touch_dependents_of_source(key);
}

}  // namespace kled::gitops
