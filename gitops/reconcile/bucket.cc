// A Bucket: listed, what changed of it fetched, and what was fetched last kept.
#include "base/timeout.h"
#include "gitops/reconcile/reconciler_impl.h"
#include "gitops/source/bucket_fetch.h"

namespace kled::gitops {

namespace asio = boost::asio;

asio::awaitable<std::optional<SteadyTime>> Reconciler::Impl::reconcile_bucket(
    Key key, std::shared_ptr<Source> source) {
    const auto seen = seen_of(*source);
    Bucket bucket;
    if (const auto wrong = read_spec(*source, bucket)) {
        co_await conclude(*source, *wrong, seen);
        co_return std::nullopt;
    }
    if (!source->recalled) source->bucket = std::make_shared<BucketMemory>();
    const auto memory = source->bucket;
    auto remember = [memory](const auto& kept, const auto& files) {
        return memory->take(kept, files) ? memory->revision : std::nullopt;
    };
    co_await recall_imported(key, source, std::move(remember));
    if (bucket.suspend) co_return std::nullopt;  // what was fetched before goes on
    std::optional<s3::Access> access;
    std::optional<Outcome> bad;
    try {
        access = co_await read_access(client, logins.clouds, bucket);
    } catch (const Error& error) {
        // A cloud may be away too, which is to be said.
        if (error.kind() == ErrorKind::unavailable && bucket.cloud.empty()) throw;
        bad = fetch_failed(*source, "AuthenticationFailed", error.what(), seen);
    }
    std::optional<git::Revision> fetched;
    if (!bad) {
        const auto until = steady_now() + bucket.timeout;
        BucketFetch fetch{loop,   pool, bucket, std::move(*access), imported_of(key, *source),
                          *memory};
        try {
            auto run = fetch.run();
            auto what = bucket.url();
            fetched = co_await with_timeout(bucket.timeout, std::move(what), std::move(run));
        } catch (const Error& error) {
            const auto listed = fetch.unfinished();
            const bool endless = !listed.empty() && steady_now() >= until;
            bad = fetch_failed(*source, "BucketOperationFailed",
                               endless ? bucket.url() +
                                             ": the list of its objects has no end yet after " +
                                             format_duration(bucket.timeout) + " and " + listed
                                       : error.what(),
                               seen);
        }
    }
    auto taking = take_up(key, source, fetched, std::move(bad), seen);
    const auto taken = co_await std::move(taking);
    if (taken == Taken::nothing) co_return after_failure(*source, bucket.interval);
    const auto message = "stored artifact: revision '" + fetched->name + "'";
    if (taken == Taken::other) {
        events.record(source->object, false, "NewArtifact",
                      "stored artifact with " + std::to_string(memory->objects.size()) +
                          " fetched files from '" + bucket.location.bucket + "' bucket",
                      fetched->name);
    }
    co_await conclude_stored(*source, message, seen);
    co_return after(bucket.interval);
}

}  // namespace kled::gitops
