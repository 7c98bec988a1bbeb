// An OCIRepository: which artifact it names now, its layer pulled when that is another, and what
// was pulled last kept.
#include "base/timeout.h"
#include "gitops/git/imported.h"
#include "gitops/oci_fetch.h"
#include "gitops/reconciler_impl.h"

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

/// Where the files come from, if who pushed them said so (as `flux push artifact` does).
std::string origin_of(const std::map<std::string, std::string>& annotations) {
    const auto source = annotations.find("org.opencontainers.image.source");
    const auto revision = annotations.find("org.opencontainers.image.revision");
    if (source == annotations.end() || revision == annotations.end()) return {};
    if (source->second.size() + revision->second.size() > 1'000) return {};  // nobody reads that
    return ", origin source '" + source->second + "', origin revision '" + revision->second + "'";
}

}  // namespace

asio::awaitable<std::optional<SteadyTime>> Reconciler::Impl::reconcile_oci(
    Key key, std::shared_ptr<Source> source) {
    if (source->object.deleting()) {  // what is on disk goes when it has gone
        co_await store.release(source->object);
        co_return std::nullopt;
    }
    const auto seen = seen_of(*source);
    std::optional<Outcome> bad;
    OciRepository repository;
    try {
        repository = OciRepository::from_object(source->object);
    } catch (const Error& error) {
        bad = Outcome{.reason = "InvalidSpec", .message = error.what(), .stalled = true};
    }
    if (!bad && repository.suspend) {  // what was pulled before goes on
        co_await recall_oci(key, source, repository);
        co_return std::nullopt;
    }
    if (!bad && !repository.unsupported.empty()) {
        bad = Outcome{.reason = "UnsupportedField",
                      .message = unsupported_text(repository.unsupported),
                      .stalled = true};
    }
    if (bad) {
        co_await conclude(*source, *bad, seen);
        co_return std::nullopt;
    }
    co_await recall_oci(key, source, repository);
    auto& status = source->status;
    std::optional<RegistryAccess> access;
    try {
        access = co_await read_registry_access(client, repository.secrets, repository.repository);
        access->insecure = repository.insecure;
        access->timeout = repository.timeout;
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::unavailable) throw;
        bad = Outcome{.reason = "AuthenticationFailed", .message = error.what()};
    }
    std::optional<git::Revision> fetched;
    if (!bad) {
        OciFetch fetch{pool,           registries,    repository,  std::move(*access),
                       source->mirror, options.cache, *source->oci};
        try {
            auto run = fetch.run();
            auto what = repository.url;
            fetched = co_await with_timeout(repository.timeout, std::move(what), std::move(run));
        } catch (const Error& error) {
            const bool denied = error.kind() == ErrorKind::denied;
            bad = Outcome{.reason = denied ? "AuthenticationFailed" : std::string{fetch.reason()},
                          .message = error.what()};
        }
    }
    const bool told = fetched && status.artifact_revision == fetched->name;
    auto taking = take_up(key, source, fetched, std::move(bad), seen);
    if (!co_await std::move(taking)) co_return after_failure(*source, repository.interval);
    status.artifact_metadata = source->oci->pulled.annotations;
    status.observed_ignore = repository.ignore;
    status.observed_layer =
        repository.layer_given ? repository.layer.to_json() : kube::json::object{};
    const auto message = "stored artifact for digest '" + fetched->name + "'";
    if (!told) {
        events.record(source->object, false, "NewArtifact",
                      "stored artifact with revision '" + fetched->name + "' from '" +
                          repository.url + "'" + origin_of(status.artifact_metadata),
                      fetched->name);
    }
    co_await conclude_stored(*source, message, seen);
    co_return after(repository.interval);
}

asio::awaitable<void> Reconciler::Impl::recall_oci(Key key, std::shared_ptr<Source> source,
                                                   const OciRepository& repository) {
    if (!source->mirror || source->mirror->url() != repository.url) {
        source->mirror = std::make_shared<git::Mirror>(cache_of(key), repository.url);
        source->oci = std::make_shared<OciMemory>();
    }
    auto& memory = *source->oci;
    if (memory.recalled) co_return;
    auto find = [imported = git::Imported{source->mirror}, ignore = repository.ignore,
                 name = source->status.artifact_revision](const std::stop_token& stop) mutable {
        OciMemory found;
        if (name.empty()) return found;
        try {
            const auto kept = imported.find(name);
            auto pulled = kept ? Pulled::from_memo(kept->memo) : std::nullopt;
            if (pulled && imported.files(kept->revision, stop)) {
                found.revision = pulled->shape(kept->revision, ignore);
                found.pulled = std::move(*pulled);
                return found;
            }
            if (kept) imported.forget();  // damaged: all of it comes again
        } catch (const Error&) {
            imported.forget();
        }
        return OciMemory{};
    };
    memory = co_await offload_stoppable(pool, std::move(find));
    memory.recalled = true;
    if (source->revision || !memory.revision) co_return;
    source->revision = memory.revision;
    touch_dependents_of_source(key);
}

}  // namespace kled::gitops
