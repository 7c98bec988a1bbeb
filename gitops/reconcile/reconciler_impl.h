/// What the parts of the reconciler share: reconciler.cc says when, source.cc,
/// work.cc and bring.cc what.
#pragma once

#include "base/now.h"
#include "base/retry.h"
#include "base/task_group.h"
#include "gitops/access/credentials.h"
#include "gitops/build/build.h"
#include "gitops/build/inputs.h"
#include "gitops/destination/destinations.h"
#include "gitops/drift/suspects.h"
#include "gitops/drift/watches.h"
#include "gitops/git/imported.h"
#include "gitops/git/mirror.h"
#include "gitops/objects/source_kinds.h"
#include "gitops/oci/client.h"
#include "gitops/pipeline/promotion.h"
#include "gitops/reconcile/reconciler.h"
#include "gitops/reconcile/turns.h"
#include "gitops/source/assembly.h"
#include "gitops/source/bucket_content.h"
#include "gitops/source/oci_content.h"

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace kled::gitops {

inline constexpr std::string_view dependency_cycle = "DependencyCycle";
inline constexpr std::size_t listed_changes = 20;  // in one event

/// At most `limit` lines of it.
[[nodiscard]] std::string join(const std::vector<std::string>& lines, std::size_t limit);
[[nodiscard]] std::string unsupported_text(const std::vector<Unsupported>& fields);

/// What `spec.sourceRef` names.
[[nodiscard]] std::optional<Key> source_named_in(const kube::Object& object);

/// What a source and a deployment object have in common.
struct Node {
    explicit Node(kube::Object o) : object{std::move(o)} {}

    kube::Object object;
    /// While it is reconciled: what no message about it may hold.
    std::shared_ptr<const Redactions> redactions;
    [[nodiscard]] std::string redacted(std::string text) const {
        return redactions ? redactions->redact(std::move(text)) : text;
    }
    Backoff backoff{{.first = Duration{2'000}, .limit = Duration{120'000}}, std::random_device{}()};
};

struct Source : Node {
    explicit Source(kube::Object o)
        : Node{std::move(o)}, status{SourceStatus::from_object(object)}, stored{status} {}

    SourceStatus status;
    SourceStatus stored;                  ///< as last written
    std::shared_ptr<git::Mirror> mirror;  ///< where `revision` is
    /// Of a GitRepository: that of its URL, while what there is was fetched from another one.
    std::shared_ptr<git::Mirror> next;
    std::shared_ptr<git::Submodules> submodules;
    std::shared_ptr<BucketMemory> bucket;  ///< of a Bucket
    std::shared_ptr<OciMemory> oci;        ///< of an OCIRepository
    /// Not of a GitRepository: what is kept was looked through, and nothing says since then that it
    /// is not whole.
    bool recalled = false;
    bool damaged = false;  ///< it was not: what there is of `revision` was thrown away
    std::shared_ptr<AssemblyMemory> assembled = std::make_shared<AssemblyMemory>();
    /// What puts together more than the repository itself is one at a time.
    std::shared_ptr<std::mutex> assembling = std::make_shared<std::mutex>();
    std::optional<git::Revision> revision;
    std::string trouble;  ///< of an ExternalArtifact: why there is not what its status names
    std::optional<git::Revision> archived;  ///< what `status.artifact` is of
};

struct Work : Node {
    explicit Work(kube::Object o)
        : Node{std::move(o)}, status{DeploymentStatus::from_object(object)}, stored{status} {
        status.take_lists_out_of(object);
        if (status.conditions.is_true("Ready"))
            whole_at = status.conditions.find("Ready")->observed_generation;
    }

    DeploymentStatus status;
    DeploymentStatus stored;
    std::shared_ptr<Destination> destination;  ///< where it was last brought
    Memory memory;                             ///< of what is there
    Suspects suspects;                         ///< of that, what others may have changed
    std::optional<Drift> policy;               ///< under which it was last looked at
    std::uint64_t ignored = 0;                 ///< digest of the rules `memory` was made by
    Plan plan;                                 ///< the last one, if it is kept
    std::shared_ptr<Rebuild> builds = std::make_shared<Rebuild>();  ///< one on the pool keeps it
    bool complete = false;     ///< what `builds` built last was applied completely
    std::uint64_t inputs = 0;  ///< digest of what else that was built from
    SteadyTime next_full{};    ///< when drift is looked for again
    /// Of a revision that is not the source's own, how it was put together.
    std::shared_ptr<AssemblyMemory> assembled = std::make_shared<AssemblyMemory>();
    /// The newest revision, while it waits for a deploy window.
    struct Held {
        std::string revision;
        std::optional<WallTime> until;  ///< nullopt: no window opens
        [[nodiscard]] std::string to_string() const;
    };
    std::optional<Held> held;
    bool gone = false;  ///< what it has, and has to keep, is no longer among what was fetched
    /// Why it has not what its source has, if that comes by itself; else empty.
    [[nodiscard]] std::string held_by() const;
    /// The revision attempted last can never be built, whatever comes: its `ArtifactFailed` is not
    /// a wait.
    bool broken = false;
    /// The generation that the last attempt, which went well, was of; nullopt: it did not.
    std::optional<std::int64_t> whole_at;
    std::size_t prunes_waiting = 0;  ///< objects, for somebody's approval
    std::string origin;  ///< of the revision attempted last: what it was made of, if it says so
};

struct PipelineNode : Node {
    explicit PipelineNode(kube::Object o)
        : Node{std::move(o)}, status{PipelineStatus::from_object(object)}, stored{status} {}

    PipelineStatus status;
    PipelineStatus stored;
    std::shared_ptr<Destination> jobs_as;         ///< who makes its Jobs
    std::map<std::string, std::string> troubles;  ///< by the name of a Job that could not be made
    std::map<Key, std::string> refused_pins;      ///< by target, why it could not be pinned
    /// What became of the last push to the branch that a GitRepository follows.
    struct Pushed {
        std::string commit;
        std::string before;   ///< what the GitRepository had
        std::string trouble;  ///< empty: it went well
        bool refused = false;
        SteadyTime again{};  ///< not sooner
    };
    std::map<Key, Pushed> pushed;
};

inline const std::string& revision_in(const PipelineStatus& status) { return status.revision; }
inline const std::string& revision_in(const SourceStatus& status) {
    return status.artifact_revision;
}
inline const std::string& revision_in(const DeploymentStatus& status) {
    return status.last_attempted_revision;
}

inline std::string origin_in(const Node&) { return {}; }
inline std::string origin_in(const Work& work) { return work.origin; }

/// Raised where a reconciliation ends early with a condition.
struct Outcome {
    std::string reason;
    std::string message;
    bool stalled = false;
    bool retry = true;  ///< false: something else will touch it
};

struct Reconciler::Impl {
    Impl(boost::asio::any_io_executor loop_, ThreadPool& pool_, kube::Client& client_,
         ObjectStore& store_, Events& events_, Options options_)
        : loop{std::move(loop_)},
          pool{pool_},
          client{client_},
          store{store_},
          events{events_},
          options{std::move(options_)},
          destinations{loop, client, options.default_service_account},
          turns{loop, options.concurrency, [this](Key key) { return reconcile(std::move(key)); },
                count},
          tasks{loop},
          drift{loop, tasks, drift_listener()} {}

    boost::asio::any_io_executor loop;
    ThreadPool& pool;
    kube::Client& client;
    ObjectStore& store;
    Events& events;
    Options options;
    Destinations destinations;
    Logins logins{loop, options.default_service_account};
    oci::Client registries{loop};
    Turns turns;
    std::map<Key, std::shared_ptr<Source>> sources;
    std::map<Key, std::shared_ptr<Work>> works;
    std::map<Key, std::shared_ptr<PipelineNode>> pipelines;
    std::set<std::string, std::less<>> known_kinds;     ///< all of which were told
    std::set<std::string, std::less<>> absent_kinds;    ///< of which there can be none
    std::map<Key, boost::asio::steady_timer*> waiting;  ///< for health: what ends the wait
    std::mt19937_64 random{std::random_device{}()};
    TaskGroup tasks;
    DriftWatches drift;

    // reconciler.cc
    void touch(const Key& key);
    SteadyTime after(Duration interval);
    /// The earlier of the object's own time and the backoff.
    SteadyTime after_failure(Node& node, Duration interval);
    /// In the metrics.
    static void count(const Key& key, std::chrono::duration<double> took, bool failed);
    boost::asio::awaitable<std::optional<SteadyTime>> reconcile(Key key);
    void touch_dependents_of_source(const Key& source);
    void touch_dependents_of_work(const Key& done);
    void touch_users_of_input(const Key& input);

    // status: of either kind
    template <typename N>
    boost::asio::awaitable<void> save(N& node) {
        if (node.status == node.stored) co_return;
        kube::Object object{node.object.fields()};
        node.status.write_to(object);
        const auto written = node.status;  // others may change it meanwhile
        try {
            co_await store.write_status(std::move(object));
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::not_found) throw;  // it went meanwhile
        }
        node.stored = written;
    }

    /// What of an object a reconciliation is about: it may be changed again while that runs.
    struct Seen {
        std::int64_t generation;
        std::string request;
    };
    static Seen seen_of(const Node& node) {
        return {.generation = node.object.generation(),
                .request = std::string{reconcile_request(node.object)}};
    }

    template <typename N>
    boost::asio::awaitable<void> conclude(N& node, const Outcome& outcome) {
        co_await conclude(node, outcome, seen_of(node));
    }
    template <typename N>
    boost::asio::awaitable<void> conclude(N& node, const Outcome& outcome, Seen seen) {
        const auto generation = seen.generation;
        auto& conditions = node.status.conditions;
        const auto message = node.redacted(outcome.message);
        if (outcome.stalled) {
            conditions.stalled(outcome.reason, message, generation, wall_now());
        } else {
            conditions.failed(outcome.reason, message, generation, wall_now());
        }
        node.status.observed_generation = generation;
        node.status.handled_request = std::move(seen.request);
        // What something else will end by itself is no reason to worry.
        events.record(node.object, outcome.retry, outcome.reason, message, revision_in(node.status),
                      origin_in(node));
        co_await save(node);
    }

    // source.cc
    boost::asio::awaitable<std::optional<SteadyTime>> reconcile_source(
        Key key, std::shared_ptr<Source> source);
    boost::asio::awaitable<std::optional<SteadyTime>> reconcile_repository(
        Key key, std::shared_ptr<Source> source);
    /// Reads its spec as a `Kind`. An Outcome: why nothing can be done with it.
    template <typename Kind>
    static std::optional<Outcome> read_spec(const Source& source, Kind& spec) {
        try {
            spec = Kind::from_object(source.object);
        } catch (const Error& error) {
            return Outcome{.reason = "InvalidSpec", .message = error.what(), .stalled = true};
        }
        if (spec.suspend || spec.unsupported.empty()) return std::nullopt;
        return Outcome{.reason = "UnsupportedField",
                       .message = unsupported_text(spec.unsupported),
                       .stalled = true};
    }
    /// What stops a look at where its files come from, also in the conditions.
    static Outcome fetch_failed(Source& source, std::string_view reason, std::string message,
                                const Seen& seen);
    enum class Taken { nothing, same, other };  ///< other: an artifact that was not there before
    /// The end of a look: `fetched` is what there is now, else `bad` says why nothing was fetched.
    /// `nothing`: the failure, or that of the archive, is told, and the last one stays.
    boost::asio::awaitable<Taken> take_up(Key key, std::shared_ptr<Source> source,
                                          std::optional<git::Revision> fetched,
                                          std::optional<Outcome> bad, Seen seen);
    boost::asio::awaitable<void> conclude_stored(Source& source, std::string message, Seen seen);
    /// What it has of others. An Outcome: one of them is not there or not ready, or they go round
    /// in a circle.
    struct Included {
        std::vector<git::Include> parts;
        kube::json::array artifacts;  ///< theirs, as status.includedArtifacts has them
    };
    using Includes = std::variant<Included, Outcome>;
    [[nodiscard]] Includes includes_of(const Key& key, const GitRepository& repository) const;
    /// Whether `from` is `wanted`, or includes it in any number of steps.
    [[nodiscard]] bool leads_to(const Key& from, const Key& wanted) const;
    void touch_includers(const Key& included);
    boost::asio::awaitable<git::Access> access_of(const GitRepository& repository);
    /// Whose signatures count; null: nobody's are asked for. Error(not_found|invalid).
    boost::asio::awaitable<std::shared_ptr<const Verification>> verification_of(
        const GitRepository& repository);
    /// What is said of the revision that was looked at, in the conditions.
    static void note_verified(Source& source, const std::optional<Verified>& verified,
                              const Seen& seen);
    /// The mirror of `url`; made beside that of `source.revision` when that came from elsewhere.
    [[nodiscard]] std::shared_ptr<git::Mirror> mirror_of(const Key& key, Source& source,
                                                         const std::string& url) const;
    /// All but that of `url` go; the one before waits for whoever reads from it.
    boost::asio::awaitable<void> discard_mirrors(Key key, std::shared_ptr<git::Mirror> before,
                                                 std::string url);
    /// How its files come together.
    [[nodiscard]] Assembly assembly_of(const Key& key, Source& source,
                                       const GitRepository& repository,
                                       std::vector<git::Include> includes) const;
    [[nodiscard]] std::filesystem::path cache_of(const Key& key) const;
    [[nodiscard]] std::filesystem::path modules_of(const Key& key) const;
    /// What the status says was fetched last, if it still is in the mirror.
    boost::asio::awaitable<void> recall(const Key& key, Source& source, Assembly assembly);
    /// Another commit of `source` than its newest, as that would be put together and verified;
    /// `had`: kled itself had fetched and chosen it once, so it is asked of the server again when
    /// it is not here any more. An Outcome: why there is none.
    boost::asio::awaitable<std::variant<git::Revision, Outcome>> revision_at(
        const Key& key, std::shared_ptr<Source> source, std::string commit,
        std::shared_ptr<AssemblyMemory> memory, bool had);
    /// The archive of what was fetched, where others want one.
    boost::asio::awaitable<void> archive(const Key& key, Source& source);
    boost::asio::awaitable<void> discard(Key key);
    /// Once all of `kind` are known: caches of those that are neither here nor among `others`.
    boost::asio::awaitable<void> sweep_caches(std::string kind, std::set<Key> others);
    /// Now and then: archives of sources that went while nobody looked, of kinds that are known.
    boost::asio::awaitable<void> sweep();

    // in_use.cc
    /// Whether a deployment object has, or is to have, what is named by these digits (commit_in).
    using InUse = std::function<bool(std::string_view digits)>;
    /// Of a source, as it is now; to be asked on any thread.
    [[nodiscard]] InUse in_use_of(const Key& source) const;
    /// Whether all deployment objects were told since the start.
    [[nodiscard]] bool knows_all_works() const;

    // imported.cc: what does not come by Git
    /// The mirror; what is in it does not depend on where it came from.
    void make_imported(const Key& key, Source& source) const;
    /// What is in it, where nothing is dropped that a deployment object has or is to have.
    [[nodiscard]] git::Imported imported_of(const Key& key, const Source& source) const;
    /// Of a revision that was kept, with all its files: what is to be taken up; nullopt: nothing.
    using Remember = std::function<std::optional<git::Revision>(const git::Imported::Kept& kept,
                                                                const git::Imported::Files& files)>;
    /// Whether what was kept with a revision allows it to be used; null: it does.
    using Trusted = std::function<bool(std::string_view memo)>;
    /// Once, and again when it is doubted: what the status says was fetched last, if that is still
    /// there as a whole and trusted. Makes the mirror.
    boost::asio::awaitable<void> recall_imported(Key key, std::shared_ptr<Source> source,
                                                 Remember remember, Trusted trusted = nullptr);

    // bucket.cc
    boost::asio::awaitable<std::optional<SteadyTime>> reconcile_bucket(
        Key key, std::shared_ptr<Source> source);

    // oci.cc
    boost::asio::awaitable<std::optional<SteadyTime>> reconcile_oci(Key key,
                                                                    std::shared_ptr<Source> source);

    // external.cc
    boost::asio::awaitable<std::optional<SteadyTime>> reconcile_external(
        Key key, std::shared_ptr<Source> source);

    // work.cc
    SteadyTime try_again(Work& work, const Deployment& deployment);
    /// Where bases are kept that a deployment object takes from elsewhere.
    [[nodiscard]] std::filesystem::path bases_of(const Key& key) const;
    boost::asio::awaitable<void> discard_bases(Key key);
    boost::asio::awaitable<std::optional<SteadyTime>> reconcile_work(const Key& key,
                                                                     std::shared_ptr<Work> work);
    /// Why it never may, whatever else happens.
    [[nodiscard]] std::optional<Outcome> not_allowed(const Key& key,
                                                     const Deployment& deployment) const;
    [[nodiscard]] std::shared_ptr<Source> source_of(const Deployment& deployment) const;
    /// Why a deployment has to wait: its source, or what it depends on. Both touch it when they are
    /// ready.
    [[nodiscard]] std::optional<Outcome> not_yet(const Key& key,
                                                 const Deployment& deployment) const;
    [[nodiscard]] static bool waits_in_cycle(const Work& work);
    [[nodiscard]] std::string why_not_ready(const Key& key, const Deployment& deployment,
                                            const Source& source) const;
    /// The version of an object that a reconcile began with.
    boost::asio::awaitable<std::optional<Outcome>> deploy(const Key& key, Work& work,
                                                          std::shared_ptr<const Deployment> shared,
                                                          const Seen& seen);
    /// What is to be deployed: what it is pinned to, else the source's newest, or outside of its
    /// windows what it has.
    boost::asio::awaitable<std::variant<git::Revision, Outcome>> choose_revision(
        Work& work, const Deployment& deployment, std::shared_ptr<Source> source);
    /// What was applied last, to stay with it; with nothing but its name if `work.gone`.
    boost::asio::awaitable<std::variant<git::Revision, Outcome>> what_it_has(
        Work& work, std::shared_ptr<Source> source);
    /// `planned`, or before that, when a window opens for what is held.
    static std::optional<SteadyTime> next_look(Work& work, std::optional<SteadyTime> planned);
    boost::asio::awaitable<void> succeed(Work& work, const git::Revision& revision,
                                         const Seen& seen);
    boost::asio::awaitable<std::optional<Outcome>> hand_over(kube::Target& target, Work& work,
                                                             const git::Revision& revision,
                                                             Built& built);
    boost::asio::awaitable<std::optional<SteadyTime>> finalize(const Key& key, Work& work,
                                                               const Deployment* deployment);
    /// What it brought goes before it does.
    boost::asio::awaitable<std::optional<Outcome>> take_out(const Key& key, Work& work,
                                                            const Deployment& deployment);
    /// What of it is being deleted and has not gone within `timeout`.
    boost::asio::awaitable<std::vector<std::string>> still_there(kube::Client& there,
                                                                 const Inventory& inventory,
                                                                 Duration timeout);

    // drift.cc
    DriftWatches::Listener drift_listener();
    void suspect(const Key& owner, const kube::ObjectId& id, Sighting sighting);
    [[nodiscard]] Drift drift_of(const Deployment& deployment) const {
        return deployment.drift.value_or(options.drift);
    }
    /// Whether something was seen that it is time to look after.
    static bool drift_is_due(Work& work);
    /// Of those kinds there is word from now on.
    void follow(const Key& key, Work& work, const Deployment& deployment, const Plan& plan);
    using Due = std::vector<Suspects::Suspect>;
    /// What was seen to change, as `plan` has it again, or said to have changed.
    boost::asio::awaitable<std::optional<Outcome>> mend(const Key& key, Work& work,
                                                        const Deployment& deployment,
                                                        const Plan& plan, Due due);

    // pipeline.cc
    boost::asio::awaitable<std::optional<SteadyTime>> reconcile_pipeline(
        const Key& key, std::shared_ptr<PipelineNode> node);
    boost::asio::awaitable<PipelineFacts> see(const Pipeline& pipeline, PipelineNode& node,
                                              const std::string& newest);
    boost::asio::awaitable<JobFacts> see_job(const Pipeline& pipeline, PipelineNode& node,
                                             Pipeline::Job job);
    [[nodiscard]] TargetFacts see_target(const Key& key, const std::string& pipeline) const;
    /// Of a stage with promotion: commit: the branch in place of the pin.
    void see_branch(TargetFacts& facts, const Key& target, const Pipeline& pipeline,
                    const PipelineNode& node) const;
    /// What is wrong with it is in `node.refused_pins`; whether that is something new.
    boost::asio::awaitable<bool> pin_target(PipelineNode& node, Key target, std::string commit);
    /// A pin that a Pipeline set goes when the object names none any more.
    boost::asio::awaitable<void> let_go(Work& work, Deployment& deployment);
    void touch_pipelines_of(const Key& target);

    // push.cc: promotion by commit
    /// The GitRepository that a deployment object follows.
    [[nodiscard]] std::optional<Key> followed_by(const Key& target) const;
    void touch_pipelines_following(const Key& source);
    /// Moves its branch to the commit; what becomes of that is in `node.pushed`, and whether that
    /// is news comes back.
    boost::asio::awaitable<bool> push_target(const Pipeline& pipeline, PipelineNode& node,
                                             Key target, std::string commit);

    // jobs.cc: those that a Pipeline makes
    boost::asio::awaitable<std::shared_ptr<Destination>> jobs_of(const Pipeline& pipeline,
                                                                 PipelineNode& node);
    boost::asio::awaitable<JobFacts> see_made_job(const Pipeline& pipeline, PipelineNode& node,
                                                  std::size_t stage, std::size_t job);
    /// What goes wrong with it is in `node.troubles`; whether that is something new.
    boost::asio::awaitable<bool> begin_job(const Pipeline& pipeline, PipelineNode& node,
                                           Promotion::Begin begin);

    // bring.cc: into the cluster
    /// Into the cluster: what is new in the inventory is stored before it is applied, so whatever
    /// happens in between, nothing that was applied is ever forgotten.
    boost::asio::awaitable<std::optional<Outcome>> bring(const Key& key, Work& work,
                                                         const Deployment& deployment,
                                                         const git::Revision& revision,
                                                         Built& built, bool full, Due due);
    /// Where it goes, as whom. What is known of another place is forgotten.
    boost::asio::awaitable<void> find_destination(Work& work, const Deployment& deployment);
    static std::vector<std::string> failures_of(const std::vector<Change>& changes);
    void tell(const Work& work, const std::vector<Change>& changes);
    /// Afterwards the inventory is what is wanted and what could not or may not be pruned.
    boost::asio::awaitable<std::vector<Change>> prune(const Key& key, Work& work,
                                                      const Deployment& deployment,
                                                      const Inventory& wanted);
    /// `gone` out of the cluster, as far as nobody has to say so first.
    boost::asio::awaitable<std::vector<Change>> take_away(const Key& key, Work& work,
                                                          const Deployment& deployment,
                                                          Inventory::EntryList gone);
    /// What waits for an approval, in the conditions and for people.
    void note_pending(Work& work, const std::vector<Change>& changes);
    using Kept = std::set<kube::ObjectId>;  ///< what was left alone on purpose
    boost::asio::awaitable<std::optional<Outcome>> check_health(const Key& key, Work& work,
                                                                const Deployment& deployment,
                                                                const Plan& plan, Kept kept);
};

}  // namespace kled::gitops
