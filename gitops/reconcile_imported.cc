// What a Bucket, an OCIRepository and an ExternalArtifact have in common: what they brought is kept
// as Git's objects, whatever it came from.
#include "gitops/reconciler_impl.h"

namespace kled::gitops {

namespace asio = boost::asio;

void Reconciler::Impl::make_imported(const Key& key, Source& source) const {
    if (!source.mirror)
        source.mirror =
            std::make_shared<git::Mirror>(cache_of(key), "artifact://" + key.ns + "/" + key.name);
}

asio::awaitable<void> Reconciler::Impl::recall_imported(Key key, std::shared_ptr<Source> source,
                                                        Remember remember, Trusted trusted) {
    make_imported(key, *source);
    if (std::exchange(source->recalled, true)) co_return;
    struct Found {
        std::optional<git::Revision> revision;
        bool damaged = false;
        bool refused = false;
    };
    // What another process fetched is not here, and what is here is whole for all that.
    auto find = [imported = git::Imported{source->mirror}, remember = std::move(remember),
                 trusted = std::move(trusted), ours = source->revision.has_value(),
                 name =
                     source->revision ? source->revision->name : source->status.artifact_revision](
                    const std::stop_token& stop) mutable {
        Found result;
        if (name.empty()) return result;
        try {
            const auto kept = imported.find(name);
            result.refused = kept && trusted && !trusted(kept->memo);
            if (result.refused) return result;
            ours = ours || kept.has_value();
            const auto files = kept ? imported.files(kept->revision, stop) : std::nullopt;
            result.revision = files ? remember(*kept, *files) : std::nullopt;
            if (result.revision) return result;
        } catch (const Error&) {
            ours = true;
        }
        if (!ours) return result;
        imported.forget();  // damaged, or gone: all of it comes again
        result.damaged = true;
        return result;
    };
    auto found = co_await offload_stoppable(pool, std::move(find));
    source->damaged = found.damaged;
    if (found.refused) source->recalled = false;  // its keys may come to be others
    if (source->revision || !found.revision) co_return;
    source->revision = std::move(found.revision);
    touch_dependents_of_source(key);
}

}  // namespace kled::gitops
