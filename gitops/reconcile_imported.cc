// What a Bucket and an OCIRepository have in common once they were looked at.
#include "gitops/reconciler_impl.h"

namespace kled::gitops {

namespace asio = boost::asio;

asio::awaitable<bool> Reconciler::Impl::take_up(Key key, std::shared_ptr<Source> source,
                                                std::optional<git::Revision> fetched,
                                                std::optional<Outcome> bad, Seen seen) {
    auto& conditions = source->status.conditions;
    if (bad) {
        conditions.set("FetchFailed", "True", bad->reason, source->redacted(bad->message),
                       seen.generation, wall_now());
        co_await conclude(*source, *bad, seen);
        co_return false;
    }
    conditions.remove("FetchFailed");
    const bool fresh = source->revision != fetched;
    source->revision = std::move(fetched);
    if (fresh) touch_dependents_of_source(key);
    try {
        co_await archive(key, *source);
    } catch (const Error& error) {
        bad = Outcome{.reason = "ArchiveOperationFailed", .message = error.what()};
    }
    if (bad) {
        co_await conclude(*source, *bad, seen);
        co_return false;
    }
    source->backoff.reset();
    co_return true;
}

asio::awaitable<void> Reconciler::Impl::conclude_stored(Source& source, std::string message,
                                                        Seen seen) {
    auto& status = source.status;
    status.conditions.ready("Succeeded", message, seen.generation, wall_now());
    status.conditions.set("ArtifactInStorage", "True", "Succeeded", message, seen.generation,
                          wall_now());
    status.observed_generation = seen.generation;
    status.handled_request = std::move(seen.request);
    co_await save(source);
}

}  // namespace kled::gitops
