// A source: fetched, and what was fetched last kept.
#include "gitops/credentials.h"
#include "gitops/reconciler_impl.h"

namespace kled::gitops {

namespace asio = boost::asio;

asio::awaitable<std::optional<SteadyTime>> Reconciler::Impl::reconcile_source(
    Key key, std::shared_ptr<Source> source) {
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

asio::awaitable<void> Reconciler::Impl::discard(std::filesystem::path mirror) {
    auto remove = [path = mirror.string()] {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    };
    co_await offload(pool, std::move(remove));
}

}  // namespace kled::gitops
