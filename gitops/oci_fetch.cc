#include "gitops/oci_fetch.h"

#include "base/error.h"

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

constexpr std::string_view pull_failed = "OCIArtifactPullFailed";
constexpr std::string_view layer_failed = "OCIArtifactLayerOperationFailed";

}  // namespace

asio::awaitable<git::Revision> OciFetch::run() {
    reason_ = pull_failed;
    auto named = co_await resolve();
    auto kept = co_await look(named);
    if (!kept) {
        auto fresh = co_await pull(named);
        kept = std::move(fresh);
    }
    auto pulled = Pulled::from_memo(kept->memo);
    if (!pulled) throw Error{ErrorKind::internal, named.revision + ": its memo cannot be read"};
    memory_.pulled = std::move(*pulled);
    memory_.revision = memory_.pulled.shape(std::move(kept->revision), repository_.ignore);
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
            auto tags = co_await client_.tags(repository_.repository, access_);
            auto choose = [&ref, tags = std::move(tags)](const std::stop_token& stop) {
                return ref.choose(tags, stop);
            };
            wanted.tag = co_await offload_stoppable(pool_, std::move(choose));
        }
        named.digest = co_await client_.digest(wanted, access_);
    }
    named.revision = artifact_revision(wanted.tag, named.digest);
    co_return named;
}

asio::awaitable<std::optional<git::Imported::Kept>> OciFetch::look(Named named) {
    // What was read once in this process need not be read again.
    const auto last = memory_.revision ? std::optional{memory_.revision->commit} : std::nullopt;
    auto find = [imported = imported_, named = std::move(named), layer = repository_.layer,
                 last](const std::stop_token& stop) mutable -> std::optional<git::Imported::Kept> {
        const auto wanted = [&](std::string_view name, std::string_view memo) {
            if (!is_revision_of(name, named.digest)) return false;
            const auto pulled = Pulled::from_memo(memo);
            return pulled && pulled->layer == layer;
        };
        auto kept = imported.find_if(wanted);
        if (!kept) return std::nullopt;
        if (kept->revision.commit == last && kept->revision.name == named.revision) return kept;
        const auto files = imported.files(kept->revision, stop);
        if (!files) {  // damaged: all of it comes again
            imported.forget();
            return std::nullopt;
        }
        kept->revision =
            imported.commit(named.revision, *files, kept->memo, kept->revision.archive);
        return kept;
    };
    co_return co_await offload_stoppable(pool_, std::move(find));
}

asio::awaitable<git::Imported::Kept> OciFetch::pull(Named named) {
    auto wanted = repository_.repository;
    wanted.digest = named.digest;
    auto found = co_await client_.manifest(std::move(wanted), access_);
    reason_ = layer_failed;
    if (found.manifest.index) {
        throw Error{ErrorKind::invalid, named.revision +
                                            " is a list of images for several platforms, and no "
                                            "artifact with layers"};
    }
    git::Imported::Kept kept;
    const Pulled pulled{.layer = repository_.layer,
                        .annotations = std::move(found.manifest.annotations)};
    kept.memo = pulled.to_memo();
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
