// What a Bucket, an OCIRepository and an ExternalArtifact have in common: what they brought is kept
// as Git's objects, whatever it came from.
#include "base/error.h"
#include "gitops/objects/annotations.h"
#include "gitops/reconcile/reconciler_impl.h"

#include <algorithm>
#include <exception>

namespace kled::gitops {

namespace asio = boost::asio;

void Reconciler::Impl::make_imported(const Key& key, Source& source) const {
    if (!source.mirror)
        source.mirror =
            std::make_shared<git::Mirror>(cache_of(key), "artifact://" + key.ns + "/" + key.name);
}

git::Imported Reconciler::Impl::imported_of(const Key& key, const Source& source) const {
    std::set<std::string> all_digits;  // of a digest, or of whatever else another's revisions name
    for (const auto& [name, work] : works) {
        if (source_named_in(work->object) != key) continue;
        const auto& object = work->object;
        for (const std::string_view one :
             {std::string_view{work->status.last_applied_revision},
              object.annotation(pin_annotation), object.annotation(promoted_annotation)}) {
            if (const auto digits = commit_in(one); !digits.empty()) all_digits.insert(digits);
        }
    }
    const bool all = knows_all_works();
    return git::Imported{
        source.mirror,
        [all_digits = std::move(all_digits), all](std::string_view name, std::string_view memo) {
            return !all || std::ranges::any_of(all_digits, [&](const std::string& digits) {
                return commit_in(name) == digits || memo == "sha256:" + digits;
            });
        }};
}

bool Reconciler::Impl::knows_all_works() const {
    if (options.only_sources) return true;
    const auto known = [this](std::string_view kind) {
        return known_kinds.contains(kind) || absent_kinds.contains(kind);
    };
    return known("Kustomization") && std::ranges::all_of(options.targets, [&](const auto& target) {
               return known(target.first);
           });
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
