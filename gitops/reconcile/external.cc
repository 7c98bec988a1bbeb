// An ExternalArtifact: another controller's object, whose archive is fetched when its status names
// another. Nothing is written to it.
#include "base/timeout.h"
#include "gitops/reconcile/reconciler_impl.h"
#include "gitops/source/external_artifact.h"

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

constexpr Duration whole_fetch = std::chrono::minutes{5};
constexpr Duration longest_pause = std::chrono::minutes{2};

}  // namespace

asio::awaitable<std::optional<SteadyTime>> Reconciler::Impl::reconcile_external(
    Key key, std::shared_ptr<Source> source) {
    std::optional<ExternalArtifact> artifact;
    std::optional<git::Revision> fetched;
    bool fresh = false;
    std::string trouble;
    try {
        artifact = ExternalArtifact::from_object(source->object);
    } catch (const Error& error) {
        trouble = error.what();
    }
    if (!artifact && trouble.empty()) co_return std::nullopt;  // its status will say when
    if (trouble.empty()) {
        make_imported(key, *source);
        ExternalFetch fetch{loop, pool, *artifact, imported_of(key, *source), options.cache};
        try {
            const bool checked = std::exchange(source->recalled, true);
            auto run = fetch.run(checked ? source->revision : std::nullopt);
            auto what = git::printable_url(artifact->url);
            fetched = co_await with_timeout(whole_fetch, std::move(what), std::move(run));
            fresh = fetch.downloaded() || source->revision != fetched;
        } catch (const Error& error) {
            trouble = error.what();
        }
    }
    // What deploys it says so.
    const bool other = source->trouble != trouble;
    source->trouble = trouble;
    if (!trouble.empty()) {
        if (other) touch_dependents_of_source(key);
        events.record(source->object, true, "ArtifactFailed", trouble,
                      artifact ? artifact->revision : std::string{});
        co_return after_failure(*source, longest_pause);
    }
    source->backoff.reset();
    source->revision = std::move(fetched);
    if (fresh || other) touch_dependents_of_source(key);
    co_return std::nullopt;
}

}  // namespace kled::gitops
