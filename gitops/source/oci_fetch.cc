#include "gitops/source/oci_fetch.h"

#include "base/error.h"

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

constexpr std::string_view tags_failed = "ReadOperationFailed";
constexpr std::string_view pull_failed = "OCIArtifactPullFailed";
constexpr std::string_view verification_failed = "VerificationError";
constexpr int nested_lists = 3;
constexpr std::string_view layer_failed = "OCIArtifactLayerOperationFailed";

}  // namespace

asio::awaitable<git::Revision> OciFetch::run() {
    reason_ = pull_failed;
    auto named = co_await resolve();
    co_await verify(named);
    auto kept = co_await look(named);
    if (!kept) {
        auto fresh = co_await pull(named);
        kept = std::move(fresh);
    }
    if (!memory_.take(std::move(*kept), repository_.ignore))
        throw Error{ErrorKind::internal, named.revision + ": its memo cannot be read"};
    co_return *memory_.revision;
}

asio::awaitable<OciFetch::Named> OciFetch::resolve() {
    const auto& ref = repository_.ref;
    Named named;
    named.digest = ref.digest;
    auto wanted = repository_.repository;
    if (named.digest.empty()) {
        wanted.tag = ref.tag.empty() ? "latest" : ref.tag;
        if (!ref.semver.empty()) {
            reason_ = tags_failed;
            auto tags = co_await client_.tags(repository_.repository, access_);
            auto choose = [&ref, tags = std::move(tags)](const std::stop_token& stop) {
                return ref.choose(tags, stop);
            };
            wanted.tag = co_await offload_stoppable(pool_, std::move(choose));
            reason_ = pull_failed;
        }
        named.digest = co_await client_.digest(wanted, access_);
    }
    named.revision = artifact_revision(wanted.tag, named.digest);
    co_return named;
}

asio::awaitable<void> OciFetch::verify(Named named) {
    if (!keys_) co_return;
    auto find = [imported = imported_, digest = named.digest, keys = keys_->fingerprint] {
        return imported.find_if([&](std::string_view name, std::string_view memo) {
            const auto pulled =
                is_revision_of(name, digest) ? Pulled::from_memo(memo) : std::nullopt;
            return pulled && pulled->verified == keys;
        });
    };
    const auto verified = co_await offload(pool_, std::move(find));
    if (verified) co_return;
    reason_ = verification_failed;
    co_await keys_->verify(client_, repository_.repository, access_, named.digest);
    reason_ = pull_failed;
}

asio::awaitable<std::optional<git::Imported::Kept>> OciFetch::look(Named named) {
    // What was read once in this process need not be read again.
    const auto last = memory_.revision ? std::optional{memory_.revision->commit} : std::nullopt;
    auto find = [imported = imported_, named = std::move(named), url = repository_.url,
                 layer = repository_.layer, verified = keys_ ? keys_->fingerprint : std::string{},
                 last](const std::stop_token& stop) mutable -> std::optional<git::Imported::Kept> {
        const auto wanted = [&](std::string_view name, std::string_view memo) {
            if (!is_revision_of(name, named.digest)) return false;
            const auto pulled = Pulled::from_memo(memo);
            return pulled && pulled->url == url && pulled->layer == layer;
        };
        auto kept = imported.find_if(wanted);
        if (!kept) return std::nullopt;
        auto pulled = Pulled::from_memo(kept->memo);
        if (!verified.empty()) pulled->verified = verified;
        const auto memo = pulled->to_memo();
        if (kept->revision.commit == last && kept->revision.name == named.revision &&
            kept->memo == memo)
            return kept;
        const auto files = imported.files(kept->revision, stop);
        if (!files) {  // damaged: all of it comes again
            imported.forget();
            return std::nullopt;
        }
        kept->memo = memo;
        kept->revision = imported.commit(named.revision, *files, memo, kept->revision.archive);
        return kept;
    };
    co_return co_await offload_stoppable(pool_, std::move(find));
}

asio::awaitable<git::Imported::Kept> OciFetch::pull(Named named) {
    auto wanted = repository_.repository;
    wanted.digest = named.digest;
    auto found = co_await client_.manifest(wanted, access_);
    for (int depth = 0; found.manifest.index; ++depth) {
        if (depth == nested_lists)
            throw Error{ErrorKind::invalid, named.revision + " is a list of lists of lists"};
        try {
            wanted.digest = found.manifest.default_image().digest;
        } catch (const Error& error) {
            throw error.within(named.revision);
        }
        auto image = co_await client_.manifest(wanted, access_);
        found = std::move(image);
    }
    reason_ = layer_failed;
    git::Imported::Kept kept;
    Pulled pulled{.url = repository_.url,
                  .verified = keys_ ? keys_->fingerprint : std::string{},
                  .layer = repository_.layer,
                  .annotations = std::move(found.manifest.annotations)};
    static_cast<void>(pulled.to_memo());  // before anything is pulled that could not be kept
    auto layer = repository_.layer.select(found.manifest);
    const auto limit = repository_.layer.copy ? limits_.copied : limits_.unpack.archive;
    if (layer.size > limit) {
        throw Error{ErrorKind::exhausted, "layer " + layer.digest + " has " +
                                              std::to_string(layer.size) + " bytes; it may have " +
                                              std::to_string(limit)};
    }
    const auto what = "layer " + layer.digest;
    reason_ = pull_failed;
    auto spool = co_await pull_layer(std::move(layer));
    reason_ = layer_failed;
    Unpacked unpacked;
    try {
        auto work = [imported = imported_, spool = std::move(spool), limits = limits_.unpack,
                     copy = repository_.layer.copy](const std::stop_token& stop) {
            return unpack(*spool, imported, copy, limits, stop);
        };
        unpacked = co_await offload_stoppable(pool_, std::move(work));
    } catch (const Error& error) {
        throw error.within(what);
    }
    pulled.unusable = std::move(unpacked.unusable);
    kept.memo = pulled.to_memo();
    auto commit = [imported = imported_, name = named.revision, memo = kept.memo,
                   unpacked = std::move(unpacked)]() mutable {
        return imported.commit(name, unpacked.files, memo, unpacked.archive);
    };
    kept.revision = co_await offload(pool_, std::move(commit));
    co_return kept;
}

asio::awaitable<std::shared_ptr<Spool>> OciFetch::pull_layer(oci::Descriptor layer) {
    auto make = [folder = scratch_] { return std::make_shared<Spool>(folder); };
    auto spool = co_await offload(pool_, std::move(make));
    const oci::Client::Sink sink = [this, spool](std::string bytes) -> asio::awaitable<void> {
        auto write = [spool = spool, bytes = std::move(bytes)] { spool->write(bytes); };
        co_await offload(pool_, std::move(write));
    };
    co_await client_.blob(repository_.repository, std::move(layer), access_, sink);
    co_return spool;
}

}  // namespace kled::gitops
