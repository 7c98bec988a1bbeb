// A deployment object: may it go, what its revision builds to, where that goes, and its end.
#include "base/log.h"
#include "gitops/apply/prune.h"
#include "gitops/objects/annotations.h"
#include "gitops/reconcile/dependencies.h"
#include "gitops/reconcile/reconciler_impl.h"
#include "gitops/source/cache_names.h"

#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

constexpr std::string_view is_gone = ", which is no longer among what was fetched";

/// What an artifact was made of, if it says so and `revision` is what its source has now.
std::string origin_of(const Source& source, const git::Revision& revision) {
    constexpr std::string_view origin = "org.opencontainers.image.revision";
    if (const auto& oci = source.oci;
        oci && oci->revision && oci->revision->name == revision.name) {
        const auto found = oci->pulled.annotations.find(std::string{origin});
        return found == oci->pulled.annotations.end() ? std::string{} : found->second;
    }
    const auto* status = source.object.status();
    if (source.object.kind() != external_kind || status == nullptr ||
        kube::find_string(*status, {"artifact", "revision"}) != revision.name)
        return {};
    return std::string{kube::find_string(*status, {"artifact", "metadata", origin})};
}

/// Whether it is our own API server that cannot be reached, where nothing can be said either.
bool is_ours_away(const Error& error, const Deployment& deployment) {
    return error.kind() == ErrorKind::unavailable && !deployment.kube_config;
}

std::vector<std::string> names_of(const Inventory& inventory) {
    std::vector<std::string> result;
    for (const auto& [id, version] : inventory.entries()) result.push_back(id.to_string());
    return result;
}

}  // namespace

asio::awaitable<std::optional<SteadyTime>> Reconciler::Impl::reconcile_work(
    const Key& key, std::shared_ptr<Work> work) {
    // While this works another version of the object may come: what was seen is what it began with.
    const auto seen = seen_of(*work);
    // Plain text is kept no longer than what is made of it.
    struct Forget {
        Work& work;
        ~Forget() { work.redactions.reset(); }
    };
    const Forget forget{*work};
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
    if (!bad) bad = not_allowed(key, deployment);
    if (!bad) {
        co_await store.hold(work->object);
        co_await let_go(*work, deployment);
        bad = not_yet(key, deployment);
    }
    if (bad) {
        if (bad->stalled) work->next_full = {};
        // The others of a cycle waited before it was one: each says so once, and tells the next.
        const bool closed = bad->reason == dependency_cycle && !waits_in_cycle(*work);
        co_await conclude(*work, *bad);
        if (closed) touch_dependents_of_work(key);
        if (bad->stalled || !bad->retry) co_return std::nullopt;
        co_return try_again(*work, deployment);
    }
    try {
        bad = co_await deploy(key, *work, shared, seen);
    } catch (const Error& error) {
        if (is_ours_away(error, deployment)) throw;
        bad = Outcome{.reason = "ReconciliationFailed", .message = error.what()};
    }
    if (bad) {
        co_await conclude(*work, *bad, seen);
        work->next_full = {};
        if (!bad->retry) {
            touch_dependents_of_work(key);  // they say what it waits for
            co_return next_look(*work, std::nullopt);
        }
        co_return next_look(*work, try_again(*work, deployment));
    }
    work->backoff.reset();
    touch_dependents_of_work(key);
    co_return next_look(*work, work->next_full);
}

SteadyTime Reconciler::Impl::try_again(Work& work, const Deployment& deployment) {
    if (!deployment.retry_given) return after_failure(work, deployment.retry_interval);
    return after(retry_after(work.backoff, deployment.retry_interval));
}

std::filesystem::path Reconciler::Impl::bases_of(const Key& key) const {
    return options.cache / cache_name(key);
}

asio::awaitable<void> Reconciler::Impl::discard_bases(Key key) {
    auto remove = [path = bases_of(key)] {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    };
    co_await offload(pool, std::move(remove));
}

std::optional<Outcome> Reconciler::Impl::not_allowed(const Key& key,
                                                     const Deployment& deployment) const {
    if (!options.no_cross_namespace_refs) return std::nullopt;
    std::optional<Key> foreign;
    if (deployment.source.ns != key.ns) {
        foreign = Key{.kind = deployment.source.kind,
                      .ns = deployment.source.ns,
                      .name = deployment.source.name};
    }
    for (const auto& dependency : deployment.depends_on)
        if (dependency.ns != key.ns) foreign = dependency;
    if (!foreign) return std::nullopt;
    return Outcome{.reason = "AccessDenied",
                   .message = "can't access '" + foreign->to_string() +
                              "', cross-namespace references have been blocked",
                   .stalled = true};
}

std::shared_ptr<Source> Reconciler::Impl::source_of(const Deployment& deployment) const {
    const auto found = sources.find({.kind = deployment.source.kind,
                                     .ns = deployment.source.ns,
                                     .name = deployment.source.name});
    return found == sources.end() ? nullptr : found->second;
}

std::optional<Outcome> Reconciler::Impl::not_yet(const Key& own,
                                                 const Deployment& deployment) const {
    const auto next = [this](const Key& key) {
        const auto found = works.find(key);
        return found == works.end() ? std::vector<Key>{} : dependencies_of(found->second->object);
    };
    if (!deployment.depends_on.empty()) {
        // Whoever is changed to break it is touched, and touches those that wait for it.
        if (const auto cycle = cycle_through(own, next)) {
            return Outcome{.reason = std::string{dependency_cycle},
                           .message = "spec.dependsOn: " + *cycle + ": none of them can begin",
                           .stalled = true};
        }
    }
    const auto source = source_of(deployment);
    const auto& ref = deployment.source;
    if (!source) {
        return Outcome{.reason = "ArtifactFailed",
                       .message = ref.kind + " " + ref.ns + "/" + ref.name + " does not exist",
                       .retry = false};
    }
    if (!source->trouble.empty()) {
        return Outcome{.reason = "ArtifactFailed",
                       .message = ref.kind + " " + ref.ns + "/" + ref.name + ": " + source->trouble,
                       .retry = false};
    }
    if (!source->revision) {
        return Outcome{.reason = "ArtifactFailed",
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

bool Reconciler::Impl::waits_in_cycle(const Work& work) {
    const auto* ready = work.status.conditions.find("Ready");
    return ready != nullptr && ready->reason == dependency_cycle;
}

std::string Reconciler::Impl::why_not_ready(const Key& key, const Deployment& deployment,
                                            const Source& source) const {
    const auto found = works.find(key);
    if (found == works.end()) return "does not exist";
    if (found->second->object.deleting()) return "is being deleted";
    const auto& status = found->second->status;
    const auto* ready = status.conditions.find("Ready");
    if (ready == nullptr || ready->status != "True" ||
        ready->observed_generation != found->second->object.generation()) {
        const bool held = ready != nullptr && (ready->reason == "OutsideDeployWindow" ||
                                               ready->reason == "WaitingForPromotion");
        return "is not ready" + (held ? ": " + ready->message : std::string{});
    }
    const Key own{
        .kind = deployment.source.kind, .ns = deployment.source.ns, .name = deployment.source.name};
    if (source_named_in(found->second->object) != own) return {};
    const auto held = found->second->held_by();
    const auto why = held.empty() ? held : ": " + held;
    // One that is pinned will never have the newest.
    const auto pin = commit_in(found->second->object.annotation(pin_annotation));
    if (pin.empty() && status.last_applied_revision != source.revision->name)
        return "has not applied " + source.revision->name + " yet" + why;
    if (!pin.empty() && commit_in(status.last_applied_revision) != pin)
        return "has not applied " + pin + " yet" + why;
    return {};
}

asio::awaitable<std::optional<Outcome>> Reconciler::Impl::deploy(
    const Key& key, Work& work, std::shared_ptr<const Deployment> shared, const Seen& seen) {
    const auto& deployment = *shared;
    const auto source = source_of(deployment);
    const auto now = steady_now();
    // Taken whatever comes: what is left there asks for the next look at once, over and over.
    auto due = work.suspects.due(work.memory, now);
    auto chosen = co_await choose_revision(work, deployment, source);
    if (auto* none = std::get_if<Outcome>(&chosen)) co_return std::move(*none);
    const auto revision = std::get<git::Revision>(std::move(chosen));
    if (work.gone) {
        if (work.whole_at != seen.generation) {
            co_return Outcome{
                .reason = "RevisionNotFound",
                .message = revision.name + std::string{is_gone} + "; " + work.held_by(),
                .retry = false};
        }
        work.next_full = after(deployment.interval);
        co_await succeed(work, revision, seen);
        co_return std::nullopt;
    }
    work.whole_at.reset();
    work.broken = !revision.unusable.empty();
    if (work.broken) {
        work.status.last_attempted_revision = revision.name;
        co_return Outcome{
            .reason = "ArtifactFailed",
            .message = revision.name + " is no tar.gz, as it was copied: " + revision.unusable,
            .retry = false};
    }
    const auto mirror = source->mirror;  // where that is
    // What is kept of no plan is looked at as a whole.
    const bool full =
        now >= work.next_full || !work.complete || (!due.empty() && work.plan.objects.empty()) ||
        work.policy != drift_of(deployment) || seen.generation != work.status.observed_generation ||
        seen.request != work.status.handled_request;
    if (std::exchange(work.status.last_attempted_revision, revision.name) != revision.name &&
        !work.status.conditions.is_true("Ready")) {
        // How it went so far was said of another one.
        work.status.conditions.set("Ready", "Unknown", "Progressing", "applying " + revision.name,
                                   seen.generation, wall_now());
    }
    work.origin = origin_of(*source, revision);

    struct Attempt {
        std::optional<Built> built;
        std::optional<std::string> missing;
    };
    std::optional<Built> built;
    std::optional<Outcome> bad;
    Inputs inputs;
    if (!due.empty()) work.complete = false;  // it is not asked for again
    try {
        inputs = co_await read_inputs(client, deployment);
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::unavailable) throw;
        bad = Outcome{.reason = "BuildFailed", .message = error.what()};
    }
    if (bad) co_return bad;
    const auto inputs_digest = inputs.digest;
    work.redactions = inputs.redactions;
    work.complete = false;  // whatever happens between a build and the end of what follows
    try {
        const bool only_changes = !full && inputs_digest == work.inputs;
        RemoteBases remotes;
        if (options.remote_bases) remotes.directory = bases_of(key);
        remotes.local_repositories = options.local_repositories;
        auto build_if_needed = [mirror, revision, shared, builds = work.builds, only_changes,
                                inputs = std::move(inputs),
                                remotes = std::move(remotes)](const std::stop_token& stop) mutable {
            remotes.stop = stop;
            Attempt result;
            try {
                result.built =
                    only_changes
                        ? builds->run_if_changed(*mirror, revision, *shared, inputs, remotes)
                        : builds->run(*mirror, revision, *shared, inputs, remotes);
            } catch (const Error& error) {
                if (error.kind() != ErrorKind::unavailable)
                    result.missing = missing_path(*mirror, revision, *shared);
                if (!result.missing) throw;
            }
            return result;
        };
        auto attempt = co_await offload_stoppable(pool, std::move(build_if_needed));
        work.broken = attempt.missing.has_value();
        if (work.broken)
            bad = Outcome{.reason = "ArtifactFailed", .message = std::move(*attempt.missing)};
        built = std::move(attempt.built);
    } catch (const Error& error) {
        bad = Outcome{.reason = "BuildFailed", .message = error.what()};
        // The cache was damaged or thrown away: the source makes it anew.
        const bool elsewhere = dynamic_cast<const RemoteBaseError*>(&error) != nullptr;
        if (error.kind() == ErrorKind::unavailable && !elsewhere) {
            source->recalled = false;
            touch({.kind = deployment.source.kind,
                   .ns = deployment.source.ns,
                   .name = deployment.source.name});
        }
    }
    if (bad) co_return bad;
    if (built) {
        for (const auto& warning : built->warnings)
            log::debug("gitops", work.redacted(warning), {{"object", key.to_string()}});
        const bool remote = built->remote;  // what lies elsewhere changes without a sign
        const auto digest = built->digest;
        const auto target = options.targets.find(key.kind);
        if (target != options.targets.end()) {
            bad = co_await hand_over(*target->second, work, revision, *built);
        } else {
            bad = co_await bring(key, work, deployment, revision, *built, full, std::move(due));
        }
        const History::Attempt attempt{
            .digest = digest,
            .result = bad ? bad->reason : "ReconciliationSucceeded",
            .revision = revision.name,
            .origin = work.origin,
            .took = std::chrono::duration_cast<Duration>(steady_now() - now)};
        work.status.history.add(attempt, wall_now());
        if (bad) co_return bad;
        work.complete = !remote && work.prunes_waiting == 0;
        work.inputs = inputs_digest;
    } else {
        if (!due.empty()) bad = co_await mend(key, work, deployment, work.plan, std::move(due));
        if (bad) co_return bad;
        work.complete = true;
        work.status.history.follow(revision.name, work.origin);
    }
    if (full) work.next_full = after(deployment.interval);
    work.status.last_applied_origin = work.origin;
    co_await succeed(work, revision, seen);
    co_return std::nullopt;
}

asio::awaitable<std::variant<git::Revision, Outcome>> Reconciler::Impl::choose_revision(
    Work& work, const Deployment& deployment, std::shared_ptr<Source> source) {
    const auto key = key_of(source->object);
    work.held.reset();
    work.gone = false;
    const auto applied = work.status.last_applied_revision;
    auto wanted = *source->revision;
    if (!deployment.pin.empty()) {
        const bool by_pipeline =
            !deployment.pipeline.empty() &&
            commit_in(work.object.annotation(promoted_annotation)) == deployment.pin;
        const bool had = by_pipeline || commit_in(applied) == deployment.pin;
        auto pinned = co_await revision_at(key, source, deployment.pin, work.assembled, had);
        // Who pins it by hand says when as well; a Pipeline does not.
        if (!by_pipeline || std::holds_alternative<Outcome>(pinned)) co_return pinned;
        wanted = std::get<git::Revision>(std::move(pinned));
    } else if (!deployment.pipeline.empty()) {  // nothing but what its Pipeline gives it
        if (!commit_in(applied).empty()) co_return co_await what_it_has(work, std::move(source));
        co_return Outcome{
            .reason = "WaitingForPromotion", .message = work.held_by(), .retry = false};
    }
    if (wanted.name == applied || commit_in(wanted.name) == deployment.deploy_now) co_return wanted;
    const auto verdict = deployment.windows.at(wall_now());
    if (verdict.open) co_return wanted;
    work.held = {.revision = wanted.name, .until = verdict.until};
    if (!commit_in(applied).empty()) co_return co_await what_it_has(work, std::move(source));
    co_return Outcome{.reason = "OutsideDeployWindow", .message = work.held_by(), .retry = false};
}

asio::awaitable<std::variant<git::Revision, Outcome>> Reconciler::Impl::what_it_has(
    Work& work, std::shared_ptr<Source> source) {
    const auto key = key_of(source->object);
    const auto name = work.status.last_applied_revision;
    auto found = co_await revision_at(key, source, commit_in(name), work.assembled, true);
    const auto* bad = std::get_if<Outcome>(&found);
    if (bad == nullptr || bad->reason != "RevisionNotFound") co_return found;
    work.gone = true;
    git::Revision only_a_name;
    only_a_name.name = name;
    co_return only_a_name;
}

std::string Work::held_by() const {
    if (held) return held->to_string();
    const auto pipeline = object.annotation(pipeline_annotation);
    if (pipeline.empty() || !object.annotation(pin_annotation).empty()) return {};
    return "it waits for a revision from Pipeline " + std::string{pipeline};
}

std::string Work::Held::to_string() const {
    return revision + " waits for a deploy window" +
           (until ? ", which opens at " + to_rfc3339(*until) : ", and none will open") +
           " (kled gitops reconcile --override-window)";
}

std::optional<SteadyTime> Reconciler::Impl::next_look(Work& work,
                                                      std::optional<SteadyTime> planned) {
    work.suspects.settle(work.memory);
    if (const auto look = work.suspects.next(steady_now()))
        planned = planned ? std::min(*planned, *look) : *look;
    if (!work.held || !work.held->until) return planned;
    // Clocks are set: what is far away is looked at again on the way.
    constexpr Duration longest = std::chrono::hours{1};
    const auto left = std::chrono::ceil<Duration>(*work.held->until - wall_now());
    const auto then = steady_now() + std::clamp(left, Duration{0}, longest);
    return planned ? std::min(*planned, then) : then;
}

asio::awaitable<void> Reconciler::Impl::succeed(Work& work, const git::Revision& revision,
                                                const Seen& seen) {
    const bool delivered = options.targets.contains(std::string{work.object.kind()});
    auto message = (delivered ? "Delivered revision: " : "Applied revision: ") + revision.name;
    const bool recovered = !work.status.conditions.is_true("Ready");
    if (recovered || work.status.last_applied_revision != revision.name)
        events.record(work.object, false, "ReconciliationSucceeded", message, revision.name,
                      work.origin);
    if (work.prunes_waiting > 0) {
        message += "; " + std::to_string(work.prunes_waiting) +
                   " not pruned yet: waiting for `kled gitops approve`";
    }
    if (work.gone) message += std::string{is_gone} + ": it stays as it is, whoever changes it";
    if (const auto why = work.held_by(); !why.empty()) message += "; " + why;
    const auto pipeline = work.object.annotation(pipeline_annotation);
    const auto pin = work.object.annotation(pin_annotation);
    if (!pin.empty() && !pipeline.empty() && pin == work.object.annotation(promoted_annotation)) {
        if (!work.held) message += "; promoted by Pipeline " + std::string{pipeline};
    } else if (!pin.empty()) {
        message += "; pinned to it (kled gitops rollback --undo follows the source again)";
    }
    work.whole_at = seen.generation;
    work.status.last_applied_revision = revision.name;
    work.status.conditions.ready("ReconciliationSucceeded", message, seen.generation, wall_now());
    work.status.observed_generation = seen.generation;
    work.status.handled_request = seen.request;
    co_await save(work);
}

asio::awaitable<std::optional<Outcome>> Reconciler::Impl::hand_over(kube::Target& target,
                                                                    Work& work,
                                                                    const git::Revision& revision,
                                                                    Built& built) {
    std::optional<Outcome> bad;
    for (const auto& manifest : built.objects) {
        if (!manifest->encrypted) continue;  // nobody is given the cipher text for the value
        co_return Outcome{.reason = "BuildFailed",
                          .message = manifest->place + ": " + manifest->id.to_string() +
                                     " is encrypted with SOPS; spec.decryption says how it is "
                                     "decrypted"};
    }
    try {
        kube::Rendered rendered;
        rendered.owner = work.object;
        rendered.revision = revision.name;
        rendered.digest = std::move(built.digest);
        for (const auto& manifest : built.objects) {
            kube::LoadedObject object{.object = manifest->decode(), .origin = {}};
            object.origin.file = manifest->place;
            rendered.objects.push_back(std::move(object));
        }
        co_await target.deliver(std::move(rendered));
    } catch (const Error& error) {
        bad = Outcome{.reason = "DeliveryFailed", .message = error.what()};
    }
    co_return bad;
}

asio::awaitable<std::optional<SteadyTime>> Reconciler::Impl::finalize(
    const Key& key, Work& work, const Deployment* deployment) {
    const auto target = options.targets.find(key.kind);
    const std::string_view why = deployment == nullptr ? "its spec cannot be read"
                                 : deployment->suspend ? "it was suspended"
                                 : deployment->orphan  ? "its spec says so"
                                                       : "";
    if (target != options.targets.end()) {
        co_await target->second->withdraw(work.object.id());
    } else if (!why.empty()) {
        const auto left = names_of(work.status.inventory);
        if (!left.empty()) {
            events.record(work.object, deployment == nullptr, "Removed",
                          "removed, and what it had brought stays, for " + std::string{why} +
                              ":\n" + join(left, listed_changes));
            co_await store.release(work.object);
            co_return std::nullopt;
        }
    } else {
        std::optional<Outcome> bad;
        try {
            bad = co_await take_out(key, work, *deployment);
        } catch (const Error& error) {
            if (is_ours_away(error, *deployment)) throw;
            bad = Outcome{.reason = "PruneFailed", .message = error.what()};
        }
        if (bad) {
            co_await conclude(work, *bad);
            co_return try_again(work, *deployment);
        }
    }
    events.record(work.object, false, "Removed", "removed, with what it had brought");
    co_await store.release(work.object);
    co_return std::nullopt;
}

asio::awaitable<std::optional<Outcome>> Reconciler::Impl::take_out(const Key& key, Work& work,
                                                                   const Deployment& deployment) {
    const Inventory nothing;
    auto all = work.status.inventory.minus(nothing);
    if (all.empty()) co_return std::nullopt;
    if (!co_await destinations.can_be_reached(deployment)) {
        // As Flux: the object goes, and what it brought is said.
        events.record(
            work.object, true, "PruneFailed",
            "the account or the kubeconfig with which it was applied is gone; left are:\n" +
                join(names_of(work.status.inventory), listed_changes));
        co_return std::nullopt;
    }
    co_await find_destination(work, deployment);
    const auto changes = co_await take_away(key, work, deployment, std::move(all));
    tell(work, changes);
    if (const auto failures = failures_of(changes); !failures.empty())
        co_return Outcome{.reason = "PruneFailed", .message = join(failures, listed_changes)};
    if (work.prunes_waiting > 0) {
        co_return Outcome{.reason = "WaitingForApproval",
                          .message = std::to_string(work.prunes_waiting) +
                                     " of what it brought are not pruned yet: waiting for `kled "
                                     "gitops approve`",
                          .retry = false};
    }
    if (!deployment.wait_for_termination) co_return std::nullopt;
    const auto left =
        co_await still_there(work.destination->client, work.status.inventory, deployment.timeout);
    if (left.empty()) co_return std::nullopt;
    // As Flux: it has waited for as long as it was told to.
    events.record(work.object, true, "PruneFailed",
                  "still there, and not waited for any longer:\n" + join(left, listed_changes));
    co_return std::nullopt;
}

asio::awaitable<std::vector<std::string>> Reconciler::Impl::still_there(kube::Client& there,
                                                                        const Inventory& inventory,
                                                                        Duration timeout) {
    auto left = inventory.minus({});
    const auto deadline = steady_now() + timeout;
    asio::steady_timer timer{loop};
    for (Duration pause{50};; pause = std::min(pause * 2, Duration{2'000})) {
        std::vector<std::pair<kube::ObjectId, std::string>> next;
        for (auto& entry : left) {
            if (co_await is_going(there, entry.first)) next.push_back(std::move(entry));
        }
        left = std::move(next);
        if (left.empty() || steady_now() + pause > deadline) break;
        timer.expires_after(pause);
        co_await timer.async_wait(asio::use_awaitable);
    }
    std::vector<std::string> result;
    for (const auto& [id, version] : left) result.push_back(id.to_string());
    co_return result;
}

}  // namespace kled::gitops
