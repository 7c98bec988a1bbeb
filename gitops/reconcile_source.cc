// A source: fetched, and what was fetched last kept.
#include "gitops/credentials.h"
#include "gitops/reconciler_impl.h"

#include <boost/asio/use_awaitable.hpp>

#include <set>

namespace kled::gitops {

namespace asio = boost::asio;

asio::awaitable<std::optional<SteadyTime>> Reconciler::Impl::reconcile_source(
    Key key, std::shared_ptr<Source> source) {
    if (source->object
            .deleting()) {  // nothing here needs it; what is on disk goes when it has gone
        co_await store.release(source->object);
        co_return std::nullopt;
    }
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
        source->mirror = std::make_shared<git::Mirror>(options.cache / (key.ns + "_" + key.name),
                                                       repository.url);
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
        fetched->ignore = repository.ignore;
        fetched->sparse = repository.sparse;
    } catch (const Error& error) {
        bad = Outcome{.reason = error.kind() == ErrorKind::denied ? "AuthenticationFailed"
                                                                  : "GitOperationFailed",
                      .message = error.what()};
    }
    if (bad) {
        // The last good revision goes on: it is in the mirror, also after a restart.
        if (!source->revision) co_await recall(key, *source, repository);
        co_await conclude(*source, *bad);
        co_return after_failure(*source, repository.interval);
    }
    const bool fresh = source->revision != fetched;
    source->revision = fetched;
    auto& status = source->status;
    if (fresh) touch_dependents_of_source(key);
    try {
        co_await archive(key, *source);
    } catch (const Error& error) {
        bad = Outcome{.reason = "ArchiveOperationFailed", .message = error.what()};
    }
    if (bad) {
        co_await conclude(*source, *bad);
        co_return after_failure(*source, repository.interval);
    }
    source->backoff.reset();
    const auto message = "stored artifact for revision '" + fetched->name + "'";
    if (fresh) events.record(source->object, false, "NewArtifact", message);
    status.conditions.ready("Succeeded", message, source->object.generation(), wall_now());
    status.observed_generation = source->object.generation();
    status.handled_request = reconcile_request(source->object);
    co_await save(*source);
    co_return after(repository.interval);
}

asio::awaitable<void> Reconciler::Impl::recall(const Key& key, Source& source,
                                               const GitRepository& repository) {
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
    found->ignore = repository.ignore;
    found->sparse = repository.sparse;
    source.revision = std::move(found);
    touch_dependents_of_source(key);
}

asio::awaitable<void> Reconciler::Impl::archive(const Key& key, Source& source) {
    const auto& revision = *source.revision;
    auto& status = source.status;
    Artifact artifact{.path = {}, .url = {}, .digest = "sha1:" + revision.tree.hex()};
    if (options.artifacts) {
        auto make = [artifacts = options.artifacts, mirror = source.mirror, revision,
                     name = Artifacts::Name{key.ns, key.name}, known = status.artifact,
                     same = source.archived == revision](const std::stop_token& stop) {
            if (same && artifacts->has(known)) return known;
            return artifacts->store(name, *mirror, revision, stop);
        };
        artifact = co_await offload_stoppable(pool, std::move(make));
        source.archived = revision;
    }
    if (status.artifact_revision == revision.name && status.artifact == artifact) co_return;
    status.artifact_revision = revision.name;
    status.artifact = std::move(artifact);
    status.artifact_time = to_rfc3339(wall_now());
}

asio::awaitable<void> Reconciler::Impl::discard(Key key) {
    auto remove = [path = options.cache / (key.ns + "_" + key.name), artifacts = options.artifacts,
                   name = Artifacts::Name{key.ns, key.name}] {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
        if (artifacts) artifacts->remove(name);
    };
    co_await offload(pool, std::move(remove));
}

asio::awaitable<void> Reconciler::Impl::sweep() {
    constexpr std::chrono::minutes until_all_are_told{10};
    asio::steady_timer timer{loop};
    for (;;) {
        timer.expires_after(until_all_are_told);
        co_await timer.async_wait(asio::use_awaitable);
        if (sources.empty()) continue;  // more likely the API is away
        std::set<Artifacts::Name> names;
        for (const auto& [key, source] : sources) names.emplace(key.ns, key.name);
        auto sweep = [artifacts = options.artifacts, names = std::move(names)] {
            artifacts->keep_only(names);
        };
        co_await offload(pool, std::move(sweep));
    }
}

}  // namespace kled::gitops
