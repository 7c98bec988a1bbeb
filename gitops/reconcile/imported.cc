// What a Bucket, an OCIRepository and an ExternalArtifact have in common: what they brought is kept
// as Git's objects, whatever it came from.
#include "base/error.h"
#include "gitops/objects/annotations.h"
#include "gitops/reconcile/reconciler_impl.h"

#include <exception>

namespace kled::gitops {

namespace asio = boost::asio;

void Reconciler::Impl::make_imported(const Key& key, Source& source) const {
    if (!source.mirror)
        source.mirror =
            std::make_shared<git::Mirror>(cache_of(key), "artifact://" + key.ns + "/" + key.name);
}

git::Imported Reconciler::Impl::imported_of(const Key& key, const Source& source) const {
    return git::Imported{
        source.mirror, [in_use = in_use_of(key)](std::string_view name, std::string_view memo) {
            constexpr std::string_view digest = "sha256:";
            return in_use(commit_in(name)) ||
                   (memo.starts_with(digest) && in_use(memo.substr(digest.size())));
        }};
}

asio::awaitable<void> Reconciler::Impl::recall_imported(Key key, std::shared_ptr<Source> source,
                                                        Remember remember, Trusted trusted) {
    make_imported(key, *source);
    if (std::exchange(source->recalled, true)) co_return;
    struct Found {
        std::optional<git::Revision> revision;
        bool damaged = false;
        bool refused = false;
        bool unknown = false;
        std::exception_ptr failure;  // the machine's: it is looked again
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
            if (kept && !files) imported.forget();  // damaged: all of it comes again
        } catch (const Error& error) {
            // Nothing was seen to be damaged: nothing is thrown away.
            result.unknown = true;
            if (error.kind() == ErrorKind::exhausted || error.kind() == ErrorKind::denied)
                result.failure = std::current_exception();
            return result;
        }
        result.damaged = ours;
        return result;
    };
    auto found = co_await offload_stoppable(pool, std::move(find));
    if (!found.unknown) source->damaged = found.damaged;
    // Its keys may come to be others.
    if (found.refused || found.unknown) source->recalled = false;
    if (found.failure) std::rethrow_exception(found.failure);
    if (source->revision || !found.revision) co_return;
    source->revision = std::move(found.revision);
    touch_dependents_of_source(key);
}

}  // namespace kled::gitops
