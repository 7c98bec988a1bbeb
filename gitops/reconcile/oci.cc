// An OCIRepository: which artifact it names now, its layer pulled when that is another, and what
// was pulled last kept.
#include "base/timeout.h"
#include "gitops/reconcile/reconciler_impl.h"
#include "gitops/source/oci_fetch.h"

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

constexpr std::string_view verification_error = "VerificationError";

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
    const auto seen = seen_of(*source);
    OciRepository repository;
    if (const auto wrong = read_spec(*source, repository)) {
        co_await conclude(*source, *wrong, seen);
        co_return std::nullopt;
    }
    std::optional<ArtifactKeys> keys;
    std::string whom_to_trust;  // why that is not known
    try {
        if (!repository.verify.empty())
            keys = co_await ArtifactKeys::read(client, key.ns, repository.verify);
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::unavailable) throw;
        whom_to_trust = error.what();
    }
    if (!source->recalled) source->oci = std::make_shared<OciMemory>();
    const auto memory = source->oci;
    auto remember = [memory, ignore = repository.ignore](const auto& kept, const auto&) {
        return memory->take(kept, ignore) ? memory->revision : std::nullopt;
    };
    // What was pulled when nobody asked for a signature, or for another's, is not taken up again.
    Trusted trusted;
    if (!repository.verify.empty()) {
        trusted = [by = keys ? keys->fingerprint : std::string{}](std::string_view memo) {
            const auto pulled = Pulled::from_memo(memo);
            return pulled && !by.empty() && pulled->verified == by;
        };
    }
    co_await recall_imported(key, source, std::move(remember), std::move(trusted));
    if (repository.suspend) co_return std::nullopt;  // what was pulled before goes on
    auto& status = source->status;
    std::optional<RegistryAccess> access;
    std::optional<Outcome> bad;
    const auto not_verified = [&](const std::string& why) {
        Outcome result{.reason = std::string{verification_error},
                       .message = "failed to verify the signature using provider 'cosign': " + why};
        const Verified bad_one{.reason = result.reason, .message = result.message};
        note_verified(*source, bad_one, seen);
        return result;
    };
    if (repository.verify.empty()) status.conditions.remove("SourceVerified");
    if (!whom_to_trust.empty()) bad = not_verified(whom_to_trust);
    try {
        access = co_await read_registry_access(client, logins.registries, repository.secrets,
                                               repository.repository, repository.timeout);
        access->insecure = repository.insecure;
    } catch (const Error& error) {
        // A cloud may be away too, which is to be said.
        const bool ours = repository.secrets.cloud.empty();
        if (error.kind() == ErrorKind::unavailable && ours) throw;
        if (!bad) bad = fetch_failed(*source, "AuthenticationFailed", error.what(), seen);
    }
    std::optional<git::Revision> fetched;
    if (!bad) {
        OciFetch fetch{pool,
                       registries,
                       repository,
                       std::move(*access),
                       std::move(keys),
                       imported_of(key, *source),
                       options.cache,
                       *memory};
        try {
            auto run = fetch.run();
            auto what = repository.url;
            fetched = co_await with_timeout(repository.timeout, std::move(what), std::move(run));
        } catch (const Error& error) {
            const bool denied = error.kind() == ErrorKind::denied;
            bad = fetch.reason() == verification_error
                      ? not_verified(error.what())
                      : fetch_failed(*source, denied ? "AuthenticationFailed" : fetch.reason(),
                                     error.what(), seen);
        }
    }
    if (fetched && !repository.verify.empty()) {
        const Verified good{.good = true,
                            .reason = "Succeeded",
                            .message = "verified signature of revision " + fetched->name};
        note_verified(*source, good, seen);
    }
    auto taking = take_up(key, source, fetched, std::move(bad), seen);
    const auto taken = co_await std::move(taking);
    if (taken == Taken::nothing) co_return after_failure(*source, repository.interval);
    status.artifact_metadata = memory->pulled.annotations;
    status.observed_ignore = repository.ignore;
    status.observed_layer =
        repository.layer_given ? repository.layer.to_json() : kube::json::object{};
    const auto message = "stored artifact for digest '" + fetched->name + "'";
    if (taken == Taken::other) {
        events.record(source->object, false, "NewArtifact",
                      "stored artifact with revision '" + fetched->name + "' from '" +
                          repository.url + "'" + origin_of(status.artifact_metadata),
                      fetched->name);
    }
    co_await conclude_stored(*source, message, seen);
    co_return after(repository.interval);
}

}  // namespace kled::gitops
