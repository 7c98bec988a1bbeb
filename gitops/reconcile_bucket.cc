// A Bucket: listed, what changed of it fetched, and what was fetched last kept.
#include "base/timeout.h"
#include "gitops/bucket_fetch.h"
#include "gitops/git/imported.h"
#include "gitops/reconciler_impl.h"

namespace kled::gitops {

namespace asio = boost::asio;

asio::awaitable<std::optional<SteadyTime>> Reconciler::Impl::reconcile_bucket(
    Key key, std::shared_ptr<Source> source) {
    if (source->object.deleting()) {  // what is on disk goes when it has gone
        co_await store.release(source->object);
        co_return std::nullopt;
    }
    const auto seen = seen_of(*source);
    std::optional<Outcome> bad;
    Bucket bucket;
    try {
        bucket = Bucket::from_object(source->object);
    } catch (const Error& error) {
        bad = Outcome{.reason = "InvalidSpec", .message = error.what(), .stalled = true};
    }
    if (!bad && bucket.suspend) {  // what was fetched before goes on
        co_await recall_bucket(key, source, bucket.url());
        co_return std::nullopt;
    }
    if (!bad && !bucket.unsupported.empty()) {
        bad = Outcome{.reason = "UnsupportedField",
                      .message = unsupported_text(bucket.unsupported),
                      .stalled = true};
    }
    if (bad) {
        co_await conclude(*source, *bad, seen);
        co_return std::nullopt;
    }
    co_await recall_bucket(key, source, bucket.url());
    auto& status = source->status;
    std::optional<s3::Access> access;
    try {
        access = co_await read_access(client, bucket);
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::unavailable) throw;
        bad = Outcome{.reason = "AuthenticationFailed", .message = error.what()};
    }
    std::optional<git::Revision> fetched;
    if (!bad) {
        try {
            BucketFetch fetch{loop,           pool,           bucket, std::move(*access),
                              source->mirror, *source->bucket};
            auto run = fetch.run();
            auto what = bucket.url();
            fetched = co_await with_timeout(bucket.timeout, std::move(what), std::move(run));
        } catch (const Error& error) {
            bad = Outcome{.reason = "BucketOperationFailed", .message = error.what()};
        }
    }
    const bool told = fetched && status.artifact_revision == fetched->name;
    auto taking = take_up(key, source, fetched, std::move(bad), seen);
    if (!co_await std::move(taking)) co_return after_failure(*source, bucket.interval);
    const auto message = "stored artifact: revision '" + fetched->name + "'";
    if (!told) {
        events.record(source->object, false, "NewArtifact",
                      "stored artifact with " + std::to_string(source->bucket->objects.size()) +
                          " fetched files from '" + bucket.location.bucket + "' bucket",
                      fetched->name);
    }
    co_await conclude_stored(*source, message, seen);
    co_return after(bucket.interval);
}

asio::awaitable<void> Reconciler::Impl::recall_bucket(Key key, std::shared_ptr<Source> source,
                                                      std::string url) {
    if (!source->mirror || source->mirror->url() != url) {
        source->mirror = std::make_shared<git::Mirror>(cache_of(key), url);
        source->bucket = std::make_shared<BucketMemory>();
    }
    auto& memory = *source->bucket;
    if (memory.recalled) co_return;
    auto find = [imported = git::Imported{source->mirror},
                 name = source->status.artifact_revision](const std::stop_token& stop) mutable {
        BucketMemory found;
        if (name.empty()) return found;
        try {
            const auto kept = imported.find(name);
            const auto files = kept ? imported.files(kept->revision, stop) : std::nullopt;
            if (files && found.take(*kept, *files)) return found;
            if (kept) imported.forget();  // damaged: all of it comes again
        } catch (const Error&) {
            imported.forget();
        }
        return BucketMemory{};
    };
    memory = co_await offload_stoppable(pool, std::move(find));
    memory.recalled = true;
    if (source->revision || !memory.revision) co_return;
    source->revision = memory.revision;
    touch_dependents_of_source(key);
}

}  // namespace kled::gitops
