// A source: fetched, and what was fetched last kept.
#include "crypto/hash.h"
#include "gitops/access/credentials.h"
#include "gitops/access/secret_data.h"
#include "gitops/objects/annotations.h"
#include "gitops/reconcile/reconciler_impl.h"
#include "gitops/source/cache_names.h"
#include "gitops/source/oci_verification.h"

#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <set>

namespace kled::gitops {

namespace asio = boost::asio;

namespace {

std::vector<std::string> included_names(const kube::Object& object) {
    std::vector<std::string> names;
    const auto* list = object.spec() == nullptr ? nullptr : kube::find(*object.spec(), {"include"});
    if (list == nullptr || !list->is_array()) return names;
    for (const auto& item : list->get_array()) {
        if (item.is_object())
            names.emplace_back(kube::find_string(item.get_object(), {"repository", "name"}));
    }
    return names;
}

}  // namespace

std::filesystem::path Reconciler::Impl::cache_of(const Key& key) const {
    return options.cache / cache_name(key);
}

std::filesystem::path Reconciler::Impl::modules_of(const Key& key) const {
    return options.cache / cache_name(key, modules_cache);
}

asio::awaitable<std::optional<SteadyTime>> Reconciler::Impl::reconcile_source(
    Key key, std::shared_ptr<Source> source) {
    if (source->object.deleting()) {  // what is on disk goes when it has gone
        if (is_own_source_kind(key.kind)) co_await store.release(source->object);
        co_return std::nullopt;
    }
    if (key.kind == bucket_kind) co_return co_await reconcile_bucket(key, source);
    if (key.kind == oci_kind) co_return co_await reconcile_oci(key, source);
    if (key.kind == external_kind) co_return co_await reconcile_external(key, source);
    co_return co_await reconcile_repository(key, source);
}

Outcome Reconciler::Impl::fetch_failed(Source& source, std::string_view reason, std::string message,
                                       const Seen& seen) {
    source.status.conditions.set("FetchFailed", "True", reason, source.redacted(message),
                                 seen.generation, wall_now());
    return {.reason = std::string{reason}, .message = std::move(message)};
}

asio::awaitable<Reconciler::Impl::Taken> Reconciler::Impl::take_up(
    Key key, std::shared_ptr<Source> source, std::optional<git::Revision> fetched,
    std::optional<Outcome> bad, Seen seen) {
    auto& status = source->status;
    const auto before = std::pair{status.artifact_revision, status.artifact.digest};
    if (!bad) {
        status.conditions.remove("FetchFailed");
        const bool fresh = source->revision != fetched || std::exchange(source->damaged, false);
        source->revision = std::move(fetched);
        if (fresh) touch_dependents_of_source(key);
        try {
            co_await archive(key, *source);
            status.conditions.remove("StorageOperationFailed");
        } catch (const Error& error) {
            bad = Outcome{.reason = "ArchiveOperationFailed", .message = error.what()};
            status.conditions.set("StorageOperationFailed", "True", bad->reason,
                                  source->redacted(bad->message), seen.generation, wall_now());
            source->recalled = false;  // perhaps it is the cache that is not whole
        }
    }
    if (bad) {
        co_await conclude(*source, *bad, seen);
        co_return Taken::nothing;
    }
    source->backoff.reset();
    const bool same = before == std::pair{status.artifact_revision, status.artifact.digest};
    co_return same ? Taken::same : Taken::other;
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

asio::awaitable<std::optional<SteadyTime>> Reconciler::Impl::reconcile_repository(
    Key key, std::shared_ptr<Source> source) {
    const auto seen = seen_of(*source);
    GitRepository repository;
    if (const auto wrong = read_spec(*source, repository)) {
        co_await conclude(*source, *wrong, seen);
        co_return std::nullopt;
    }
    if (repository.suspend) {  // what was fetched before goes on
        auto included = includes_of(key, repository);
        if (auto* all = std::get_if<Included>(&included); all != nullptr && !source->revision) {
            auto assembly = assembly_of(key, *source, repository, std::move(all->parts));
            try {
                assembly.verification = co_await verification_of(repository);
            } catch (const Error&) {  // whom to trust is not known
                co_return std::nullopt;
            }
            co_await recall(key, *source, std::move(assembly));
        }
        co_return std::nullopt;
    }
    auto included = includes_of(key, repository);
    if (auto* wrong = std::get_if<Outcome>(&included)) {
        source->status.conditions.set("IncludeUnavailable", "True", wrong->reason, wrong->message,
                                      source->object.generation(), wall_now());
        co_await conclude(*source, *wrong, seen);
        co_return after_failure(*source, repository.interval);
    }
    auto& own = std::get<Included>(included);
    auto assembly = assembly_of(key, *source, repository, std::move(own.parts));
    if (!repository.verify) {
        source->status.conditions.remove("SourceVerified");
        source->status.verification_mode.clear();
    }
    std::optional<Outcome> bad;
    try {
        assembly.verification = co_await verification_of(repository);
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::unavailable) throw;
        bad = Outcome{.reason = "VerificationError", .message = error.what()};
    }
    if (bad) {  // whom to trust is not known: not even what was fetched before
        const Verified unknown{.reason = bad->reason, .message = bad->message};
        note_verified(*source, unknown, seen);
        co_await conclude(*source, *bad, seen);
        co_return after_failure(*source, repository.interval);
    }
    std::optional<git::Revision> fetched;
    try {
        assembly.access = co_await access_of(repository);
        auto fetch = [assembly, assembling = source->assembling](const std::stop_token& stop) {
            const std::scoped_lock alone{*assembling};
            auto result = assembly.fetch(stop);
            // One that is refused moves the branch, and what there was goes on.
            if (result.failure.empty()) assembly.mirror->use(result.revision.commit);
            return result;
        };
        auto assembled = co_await offload_stoppable(pool, std::move(fetch));
        note_verified(*source, assembled.verified, seen);
        if (assembled.failure.empty()) {
            fetched = std::move(assembled.revision);
            if (repository.verify) source->status.verification_mode = repository.verify->mode;
        } else if (assembled.verified && !assembled.verified->good) {
            bad = Outcome{.reason = assembled.verified->reason,
                          .message = std::move(assembled.failure)};
        } else {
            bad = Outcome{.reason = "CopyFailure", .message = std::move(assembled.failure)};
            source->status.conditions.set("IncludeUnavailable", "True", bad->reason, bad->message,
                                          source->object.generation(), wall_now());
        }
    } catch (const Error& error) {
        const bool denied = error.kind() == ErrorKind::denied;
        bad = fetch_failed(*source, denied ? "AuthenticationFailed" : "GitOperationFailed",
                           error.what(), seen);
    }
    if (!bad || bad->reason != "CopyFailure")
        source->status.conditions.remove("IncludeUnavailable");
    const auto mirror_before = source->mirror;
    if (!bad) {
        source->mirror = assembly.mirror;
    } else if (!source->revision) {
        // The last good revision goes on: it is in the mirror, also after a restart.
        co_await recall(key, *source, std::move(assembly));
    }
    auto& status = source->status;
    const bool fresh = !bad && source->revision != fetched;
    const auto artifact_before = status.artifact_json();
    auto taking = take_up(key, source, fetched, std::move(bad), seen);
    const auto taken = co_await std::move(taking);
    if (taken == Taken::nothing) co_return after_failure(*source, repository.interval);
    status.included = std::move(own.artifacts);
    if (fresh || status.artifact_json() != artifact_before) touch_includers(key);
    const auto message = "stored artifact for revision '" + fetched->name + "'";
    const bool recovered = !status.conditions.is_true("Ready");
    if (taken == Taken::other || recovered) {
        events.record(source->object, false, taken == Taken::other ? "NewArtifact" : "Succeeded",
                      message, fetched->name);
    }
    co_await conclude_stored(*source, message, seen);
    if (source->mirror != mirror_before)
        co_await discard_mirrors(key, mirror_before, source->mirror->url());
    co_return after(repository.interval);
}

asio::awaitable<git::Access> Reconciler::Impl::access_of(const GitRepository& repository) {
    auto access = co_await read_access(client, logins, repository);
    access.local_repositories = options.local_repositories;
    access.own_ssh_configuration = !options.local_repositories || access.ssh_identity;
    co_return access;
}

asio::awaitable<std::shared_ptr<const Verification>> Reconciler::Impl::verification_of(
    const GitRepository& repository) {
    if (!repository.verify) co_return nullptr;
    auto result = std::make_shared<Verification>();
    result->head = repository.verify->head();
    result->tag = repository.verify->tag();
    const std::string ns{repository.object.ns()};
    const auto secret = co_await read_secret(client, ns, repository.verify->secret_name);
    for (const auto& key : secret.keys()) {
        const auto text = secret.text({key});
        try {
            if (text.find("-----BEGIN PGP PUBLIC KEY BLOCK-----") == std::string::npos) {
                result->keys.add(text);
            } else {
                if (!result->pgp) result->pgp.emplace();
                result->pgp->add(text);
            }
        } catch (const Error& error) {
            throw error.within("Secret " + secret.name() + ": data." + key);
        }
    }
    if (result->keys.empty() && !result->pgp) {
        throw Error{ErrorKind::invalid,
                    "Secret " + secret.name() +
                        " has no public key (ssh-ed25519 AAAA…, or PGP keys in armor)"};
    }
    co_return result;
}

void Reconciler::Impl::note_verified(Source& source, const std::optional<Verified>& verified,
                                     const Seen& seen) {
    if (!verified) return;
    source.status.conditions.set("SourceVerified", verified->good ? "True" : "False",
                                 verified->reason, verified->message, seen.generation, wall_now());
}

std::shared_ptr<git::Mirror> Reconciler::Impl::mirror_of(const Key& key, Source& source,
                                                         const std::string& url) const {
    const auto directory = cache_of(key) / crypto::sha256_hex(url);
    // Back at the URL of what an earlier process had: that may be fetched again.
    if (source.mirror && source.mirror->url() == "cache:" + crypto::sha256_hex(url))
        source.mirror = std::make_shared<git::Mirror>(directory, url);
    if (source.mirror && source.mirror->url() == url) {
        source.next = nullptr;
        return source.mirror;
    }
    if (!source.next || source.next->url() != url) {
        source.next = std::make_shared<git::Mirror>(directory, url);
        source.submodules = nullptr;
    }
    return source.next;
}

asio::awaitable<void> Reconciler::Impl::discard_mirrors(Key key,
                                                        std::shared_ptr<git::Mirror> before,
                                                        std::string url) {
    auto remove = [path = cache_of(key), before = std::move(before),
                   kept = crypto::sha256_hex(url)] {
        if (before) git::Imported{before}.forget();  // once nobody reads from it
        std::error_code ignored;
        for (std::filesystem::directory_iterator entry{path, ignored}, end; entry != end;
             entry.increment(ignored)) {
            if (entry->path().filename() != kept)
                std::filesystem::remove_all(entry->path(), ignored);
        }
    };
    co_await offload(pool, std::move(remove));
}

Assembly Reconciler::Impl::assembly_of(const Key& key, Source& source,
                                       const GitRepository& repository,
                                       std::vector<git::Include> includes) const {
    auto mirror = mirror_of(key, source, repository.url);
    if (!repository.submodules) {
        source.submodules = nullptr;
    } else if (!source.submodules) {
        source.submodules = std::make_shared<git::Submodules>(modules_of(key));
    }
    return {.mirror = std::move(mirror),
            .submodules = source.submodules,
            .reference = repository.reference,
            .access = {},
            .ignore = repository.ignore,
            .sparse = repository.sparse,
            .includes = std::move(includes),
            .verification = nullptr,
            .memory = source.assembled};
}

bool Reconciler::Impl::leads_to(const Key& from, const Key& wanted) const {
    std::set<Key> seen;
    std::vector<Key> next{from};
    while (!next.empty()) {
        const auto key = std::move(next.back());
        next.pop_back();
        if (key == wanted) return true;
        const auto found = sources.find(key);
        if (found == sources.end() || !seen.insert(key).second) continue;
        for (auto& name : included_names(found->second->object))
            next.push_back({.kind = key.kind, .ns = key.ns, .name = std::move(name)});
    }
    return false;
}

Reconciler::Impl::Includes Reconciler::Impl::includes_of(const Key& key,
                                                         const GitRepository& repository) const {
    Included result;
    for (const auto& include : repository.include) {
        const Key other{.kind = key.kind, .ns = key.ns, .name = include.name};
        if (leads_to(other, key)) {
            return Outcome{.reason = "IncludeCycle",
                           .message = "include '" + include.name + "' includes this one in turn"};
        }
        const auto found = sources.find(other);
        if (found == sources.end()) {
            return Outcome{.reason = "NotFound",
                           .message = "could not get resource for include '" + include.name +
                                      "': " + key.kind + " " + key.ns + "/" + include.name +
                                      " does not exist"};
        }
        const auto& source = *found->second;
        if (!source.revision) {
            return Outcome{.reason = "NoArtifact",
                           .message = "no artifact available for include '" + include.name + "'",
                           .retry = false};
        }
        result.parts.push_back({.name = include.name,
                                .mirror = source.mirror,
                                .revision = *source.revision,
                                .from = include.from,
                                .to = include.to});
        result.artifacts.push_back(source.status.artifact_json());
    }
    return result;
}

void Reconciler::Impl::touch_includers(const Key& included) {
    if (included.kind != repository_kind) return;
    for (const auto& [key, source] : sources) {
        if (key.ns == included.ns &&
            std::ranges::count(included_names(source->object), included.name) != 0)
            touch(key);
    }
}

asio::awaitable<void> Reconciler::Impl::recall(const Key& key, Source& source, Assembly assembly) {
    const auto name = source.status.artifact_revision;
    const auto at = name.rfind("sha1:");
    if (at == std::string::npos) co_return;
    const auto commit = git::Oid::parse(std::string_view{name}.substr(at + 5));
    if (!commit) co_return;
    struct Found {
        std::shared_ptr<git::Mirror> mirror;
        std::optional<git::Revision> revision;
    };
    auto find = [assembly = std::move(assembly), commit = *commit, cache = cache_of(key),
                 branch =
                     at == 0 ? "" : name.substr(0, at - 1)](const std::stop_token& stop) mutable {
        const auto look = [&]() -> std::optional<git::Revision> {
            try {
                auto found = assembly.find(commit, branch, stop);
                if (found && found->failure.empty()) return std::move(found->revision);
            } catch (const Error&) {  // it cannot be put together without a server
            }
            return std::nullopt;
        };
        Found result{.mirror = assembly.mirror, .revision = look()};
        // Perhaps its URL became another while nobody looked.
        std::error_code ignored;
        for (std::filesystem::directory_iterator entry{cache, ignored}, end;
             !result.revision && entry != end; entry.increment(ignored)) {
            assembly.mirror = git::Mirror::kept(entry->path());
            if (assembly.mirror) result = {.mirror = assembly.mirror, .revision = look()};
        }
        return result;
    };
    auto found = co_await offload_stoppable(pool, std::move(find));
    if (!found.revision) co_return;
    source.mirror = std::move(found.mirror);
    source.revision = std::move(found.revision);
    touch_dependents_of_source(key);
    touch_includers(key);
}

asio::awaitable<std::variant<git::Revision, Outcome>> Reconciler::Impl::revision_at(
    const Key& key, std::shared_ptr<Source> source, std::string commit,
    std::shared_ptr<AssemblyMemory> memory, bool had) {
    if (commit_in(source->revision->name) == commit) co_return *source->revision;
    const auto none = [&](std::string reason, const std::string& why) {
        return Outcome{.reason = std::move(reason),
                       .message = "revision " + commit + " of " + key.kind + " " + key.ns + "/" +
                                  key.name + ": " + why};
    };
    struct Found {
        std::optional<Assembled> assembled;
        std::string trouble;  // why the server did not give it either
    };
    std::optional<Outcome> bad;
    Found found;
    if (key.kind != repository_kind) {
        auto find = [imported = git::Imported{source->mirror}, commit] {
            return imported.find_if([&](std::string_view name, std::string_view memo) {
                return commit_in(name) == commit || memo == "sha256:" + commit;
            });
        };
        auto kept = co_await offload(pool, std::move(find));
        auto pulled = kept && key.kind == oci_kind ? Pulled::from_memo(kept->memo) : std::nullopt;
        if (pulled) {
            // As the source would have it now, but for the layer that was chosen then.
            try {
                const auto repository = OciRepository::from_object(source->object);
                if (!repository.verify.empty()) {
                    const auto keys =
                        co_await ArtifactKeys::read(client, key.ns, repository.verify);
                    if (pulled->verified != keys.fingerprint) {
                        co_return none("VerificationError",
                                       "it was not verified by the keys of Secret " + keys.secret);
                    }
                }
                co_return pulled->shape(std::move(kept->revision), repository.ignore);
            } catch (const Error& error) {
                bad = none("RevisionNotUsable", error.what());
            }
            co_return std::move(*bad);
        }
        if (kept) co_return std::move(kept->revision);
        co_return none("RevisionNotFound", "it is not among the last that were fetched");
    }
    try {
        const auto repository = GitRepository::from_object(source->object);
        auto included = includes_of(key, repository);
        if (auto* wrong = std::get_if<Outcome>(&included)) co_return std::move(*wrong);
        auto assembly =
            assembly_of(key, *source, repository, std::move(std::get<Included>(included).parts));
        assembly.memory = std::move(memory);
        assembly.mirror = source->mirror;  // also where the URL is another now
        assembly.verification = co_await verification_of(repository);
        assembly.access = co_await access_of(repository);
        // A tag is the name of one commit; a branch was that of those before as well.
        const auto& ref = repository.reference;
        const bool branch = ref.tag.empty() && ref.semver.empty() && ref.name.empty();
        const auto& newest = source->revision->name;
        const auto at = branch ? newest.rfind("@sha1:") : std::string::npos;
        had = had && source->mirror->url() == repository.url;
        auto find = [assembly = std::move(assembly), assembling = source->assembling,
                     oid = *git::Oid::parse(commit), had, in_use = in_use_of(key),
                     name = at == std::string::npos ? "" : newest.substr(0, at)](
                        const std::stop_token& stop) {
            std::unique_lock<std::mutex> alone{*assembling, std::defer_lock};
            if (assembly.submodules || !assembly.includes.empty()) alone.lock();
            Found result{.assembled = assembly.find(oid, name, stop), .trouble = {}};
            if (result.assembled || !had) return result;
            if (!alone.owns_lock()) alone.lock();
            try {
                static_cast<void>(assembly.mirror->fetch_commit(
                    oid, name, assembly.access, stop,
                    [&](const git::Oid& one) { return in_use(one.hex()); }));
            } catch (const Error& error) {
                result.trouble = error.what();
                return result;
            }
            result.assembled = assembly.find(oid, name, stop);
            return result;
        };
        found = co_await offload_stoppable(pool, std::move(find));
    } catch (const Error& error) {
        bad = none("RevisionNotUsable", error.what());
    }
    if (bad) co_return std::move(*bad);
    if (!found.assembled && !found.trouble.empty()) {
        co_return none("RevisionNotFound",
                       "it is not among what was fetched any more, and was not had by its id (" +
                           found.trouble +
                           "); push it to a branch or tag that the source follows, or go on to a "
                           "newer one");
    }
    if (!found.assembled) {
        co_return none("RevisionNotFound",
                       "it is not among what was fetched; a commit of the branch that the source "
                       "follows is, once it was pushed");
    }
    auto& it = *found.assembled;
    if (!it.failure.empty()) {
        co_return none(it.verified && !it.verified->good ? it.verified->reason : "CopyFailure",
                       it.failure);
    }
    co_return std::move(it.revision);
}

asio::awaitable<void> Reconciler::Impl::archive(const Key& key, Source& source) {
    const auto& revision = *source.revision;
    auto& status = source.status;
    Artifact artifact{.path = {}, .url = {}, .digest = "sha1:" + revision.tree.hex()};
    if (options.artifacts) {
        auto make = [artifacts = options.artifacts, mirror = source.mirror, revision,
                     name = Artifacts::Name{key.ns, key.name, key.kind}, known = status.artifact,
                     same = source.archived == revision](const std::stop_token& stop) {
            if (same && artifacts->has(known)) return known;
            return artifacts->store(name, *mirror, revision, stop);
        };
        artifact = co_await offload_stoppable(pool, std::move(make));
        source.archived = revision;
    }
    if (status.artifact_revision == revision.name && status.artifact == artifact) co_return;
    status.artifact_revision = revision.name;
    status.artifact = std::move(artifact);
    status.artifact_time = to_rfc3339(wall_now());
}

asio::awaitable<void> Reconciler::Impl::discard(Key key) {
    auto remove = [path = cache_of(key), modules = modules_of(key), artifacts = options.artifacts,
                   name = Artifacts::Name{key.ns, key.name, key.kind}] {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
        std::filesystem::remove_all(modules, ignored);
        if (artifacts) artifacts->remove(name);
    };
    co_await offload(pool, std::move(remove));
}

asio::awaitable<void> Reconciler::Impl::sweep_caches(std::string kind, std::set<Key> others) {
    auto look = [cache = options.cache, kind = std::move(kind)] {
        std::set<Key> found;
        std::error_code ignored;
        for (std::filesystem::directory_iterator entry{cache, ignored}, end; entry != end;
             entry.increment(ignored)) {
            auto key = owner_of_cache(entry->path().filename().native());
            if (key && key->kind == kind) found.insert(std::move(*key));
        }
        return found;
    };
    const auto found = co_await offload(pool, std::move(look));
    // One that comes just now is not in its way: its turn is after that of what goes.
    for (const auto& key : found) {
        if (!sources.contains(key) && !works.contains(key) && !others.contains(key)) touch(key);
    }
}

asio::awaitable<void> Reconciler::Impl::sweep() {
    asio::steady_timer timer{loop};
    for (;;) {
        timer.expires_after(options.artifacts_swept_every);
        co_await timer.async_wait(asio::use_awaitable);
        if (sources.empty()) continue;  // more likely the API is away
        std::set<Artifacts::Name> names;
        for (const auto& [key, source] : sources)
            names.insert(Artifacts::Name{key.ns, key.name, key.kind});
        auto sweep = [artifacts = options.artifacts, names = std::move(names),
                      kinds = known_kinds] { artifacts->keep_only(names, kinds); };
        co_await offload(pool, std::move(sweep));
    }
}

}  // namespace kled::gitops
