#include "gitops/git/mirror.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "gitops/git/libgit2.h"
#include "gitops/git/mirror_impl.h"
#include "gitops/git/numbered.h"
#include "gitops/git/semver.h"
#include "gitops/git/transport.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

namespace kled::gitops::git {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view heads = "refs/heads/";
constexpr std::string_view tags = "refs/tags/";
constexpr std::string_view ours = "refs/kled/";            // what was fetched, below this
constexpr std::string_view by_ids = "refs/kled/commits/";  // of these, those fetched by their id
constexpr const char* used = "refs/kled-used/revision";    // what was taken of all that
constexpr std::string_view mark = "kled-url";              // a digest: a URL may hold a password
constexpr unsigned open_flags = GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_BARE;
constexpr std::size_t pack_limit = 40;  // each fetch adds one; lookups search all

/// The full name on the server; empty for a commit without a branch: everything.
std::string wanted_name(const Reference& reference) {
    if (!reference.any.empty()) return std::string{heads} + reference.any;
    if (!reference.commit.empty())
        return reference.branch.empty() ? "" : std::string{heads} + reference.branch;
    if (!reference.name.empty()) return reference.name;
    if (!reference.tag.empty()) return std::string{tags} + reference.tag;
    return std::string{heads} + (reference.branch.empty() ? "master" : reference.branch);
}

/// What a short name may stand for, in Git's order (gitrevisions(7)).
std::vector<std::string> meanings_of(const std::string& any) {
    return {any, "refs/" + any, std::string{tags} + any, std::string{heads} + any};
}

std::string kept_name(std::string_view name) {
    if (!name.starts_with("refs/")) return std::string{ours} + std::string{name};  // HEAD
    return std::string{ours} + std::string{name.substr(5)};
}

/// `main` of refs/heads/main, `v1` of refs/tags/v1, other names in full: as Flux shows them.
std::string shown_name(const Reference& reference) {
    if (!reference.any.empty()) return reference.any;
    if (!reference.commit.empty()) return reference.branch;
    if (!reference.name.empty()) return reference.name;
    if (!reference.tag.empty()) return reference.tag;
    return reference.branch.empty() ? "master" : reference.branch;
}

Revision revision_of(git_repository* repository, const git_oid& oid, const std::string& name) {
    git_object* raw = nullptr;
    check(git_object_lookup(&raw, repository, &oid, GIT_OBJECT_ANY), "git cache");
    const ObjectPtr object{raw};
    git_object* peeled = nullptr;
    if (git_object_peel(&peeled, raw, GIT_OBJECT_COMMIT) < 0) {
        throw Error{ErrorKind::invalid,
                    (name.empty() ? from_git(oid).hex() : name) + " does not lead to a commit"};
    }
    const ObjectPtr keeper{peeled};
    auto* commit = reinterpret_cast<git_commit*>(peeled);
    const auto commit_oid = from_git(*git_commit_id(commit));
    return {.name = (name.empty() ? "" : name + "@") + "sha1:" + commit_oid.hex(),
            .commit = commit_oid,
            .tree = from_git(*git_commit_tree_id(commit))};
}

/// Of what was thrown while something was read that is there.
bool means_damage(const Error& error) {
    return error.kind() != ErrorKind::invalid && error.kind() != ErrorKind::denied &&
           error.kind() != ErrorKind::exhausted;
}

bool exists(git_repository* repository, const git_oid& oid) {
    git_odb* raw = nullptr;
    check(git_repository_odb(&raw, repository), "git cache");
    const OdbPtr odb{raw};
    return git_odb_exists(raw, &oid) != 0;
}

std::size_t count_packs(const std::filesystem::path& directory) {
    std::error_code ignored;
    std::size_t count = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator{directory / "objects" / "pack", ignored}) {
        if (entry.path().extension() == ".pack") ++count;
    }
    return count;
}

/// Everything our references reach, in one pack; then the old packs go.
void compact(git_repository* repository, const std::filesystem::path& directory) {
    git_revwalk* raw_walk = nullptr;
    check(git_revwalk_new(&raw_walk, repository), "git cache");
    const RevwalkPtr walk{raw_walk};
    check(git_revwalk_push_glob(raw_walk, "refs/kled/*"), "git cache");
    check(git_revwalk_push_glob(raw_walk, "refs/kled-used/*"), "git cache");
    git_packbuilder* raw = nullptr;
    check(git_packbuilder_new(&raw, repository), "git cache");
    const PackbuilderPtr builder{raw};
    check(git_packbuilder_insert_walk(raw, raw_walk), "git cache");
    // The walk has the commits; a reference may also name a tag object.
    const auto insert = [](const char* name, void* payload) {
        git_oid oid{};
        auto* b = static_cast<std::pair<git_repository*, git_packbuilder*>*>(payload);
        if (git_reference_name_to_id(&oid, b->first, name) < 0) return 0;
        return git_packbuilder_insert_recur(b->second, &oid, nullptr);
    };
    std::pair<git_repository*, git_packbuilder*> both{repository, raw};
    check(git_reference_foreach_name(repository, insert, &both), "git cache");
    const auto packs = directory / "objects" / "pack";
    std::vector<std::filesystem::path> old;
    for (const auto& entry : std::filesystem::directory_iterator{packs})
        old.push_back(entry.path());
    check(git_packbuilder_write(raw, packs.c_str(), 0, nullptr, nullptr), "git cache");
    const std::string kept = git_packbuilder_name(raw);
    for (const auto& file : old) {
        std::error_code ignored;
        if (file.stem() != "pack-" + kept) std::filesystem::remove(file, ignored);
    }
}

}  // namespace

Mirror::Mirror(std::filesystem::path directory, std::string url)
    : url_{std::move(url)}, impl_{std::make_unique<Impl>()} {
    initialise();
    impl_->directory = std::move(directory);
    impl_->url_digest = crypto::sha256_hex(url_);
}

std::shared_ptr<Mirror> Mirror::kept(std::filesystem::path directory) {
    std::error_code absent;
    if (!fs::is_regular_file(directory / mark, absent)) return nullptr;
    const auto digest = read_file_if_exists(directory / mark);
    if (!digest) return nullptr;
    auto result = std::make_shared<Mirror>(std::move(directory), "cache:" + *digest);
    result->impl_->url_digest = *digest;
    return result;
}

Mirror::~Mirror() = default;

namespace {

/// One call of Mirror::fetch.
class Fetch {
public:
    Fetch(const std::string& url, const Reference& reference, const Access& access,
          std::stop_token stop)
        : url_{url},
          reference_{reference},
          access_{access},
          transfer_{.access = access,
                    .stop = std::move(stop),
                    .deadline = std::chrono::steady_clock::now() + access.timeout,
                    .received = 0,
                    .failure = nullptr} {}

    /// The object the reference names, downloaded.
    git_oid run(git_repository* repository) {
        repository_ = repository;
        protocol_of(url_, access_);
        connect();
        choose_tag();
        const auto wanted = wanted_name(reference_);
        const auto result = wanted.empty()           ? everything()
                            : reference_.any.empty() ? one(wanted)
                                                     : one(meaning_of(reference_.any));
        git_remote_disconnect(remote_.get());
        return result;
    }

    /// A commit that no reference need lead to.
    void by_id(git_repository* repository, const git_oid& oid, const std::string& hex) {
        repository_ = repository;
        protocol_of(url_, access_);
        connect();
        static_cast<void>(advertised());
        try {
            download({"+" + hex + ":" + std::string{by_ids} + hex});
        } catch (const Error& error) {
            // It was reached, and refused or does not have it.
            if (error.kind() == ErrorKind::denied || error.kind() == ErrorKind::exhausted) throw;
            throw Error{ErrorKind::not_found,
                        "commit " + hex + " is not given by its id: " + error.what()};
        }
        git_remote_disconnect(remote_.get());
        if (!exists(repository, oid))
            throw Error{ErrorKind::not_found, "the server did not send commit " + hex};
    }

    /// What was asked for, with the tag in place of the range it was found by.
    [[nodiscard]] const Reference& reference() const { return reference_; }

private:
    void check_transfer(int code) {
        if (code >= 0) return;
        // What we threw below libgit2 says more than what it made of it.
        if (transfer_.failure) std::rethrow_exception(std::exchange(transfer_.failure, nullptr));
        const auto* error = git_error_last();
        const bool absent =
            code == GIT_ENOTFOUND || (error != nullptr && error->klass == GIT_ERROR_OS &&
                                      !std::filesystem::exists(local_path()));
        if (absent && !local_path().empty())
            throw Error{ErrorKind::not_found, "there is no repository at " + local_path().string()};
        check(code, "git");
    }

    [[nodiscard]] std::filesystem::path local_path() const {
        if (url_.starts_with("file://")) return url_.substr(7);
        return url_.starts_with('/') ? url_ : "";
    }

    void connect() {
        git_remote_create_options create{};
        check(git_remote_create_options_init(&create, GIT_REMOTE_CREATE_OPTIONS_VERSION), "git");
        create.repository = repository_;
        create.flags = GIT_REMOTE_CREATE_SKIP_INSTEADOF | GIT_REMOTE_CREATE_SKIP_DEFAULT_FETCHSPEC;
        git_remote* raw = nullptr;
        check(git_remote_create_with_opts(&raw, url_.c_str(), &create), "git");
        remote_.reset(raw);
        check(git_fetch_options_init(&options_, GIT_FETCH_OPTIONS_VERSION), "git");
        install(options_.callbacks, transfer_);
        options_.update_fetchhead = 0;
        options_.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
        options_.proxy_opts.type = GIT_PROXY_NONE;
        check_transfer(git_remote_connect(raw, GIT_DIRECTION_FETCH, &options_.callbacks,
                                          &options_.proxy_opts, nullptr));
    }

    [[nodiscard]] std::span<const git_remote_head* const> advertised() {
        const git_remote_head** list = nullptr;
        std::size_t count = 0;
        check_transfer(git_remote_ls(&list, &count, remote_.get()));
        return {list, count};
    }

    [[nodiscard]] Error absent(std::span<const git_remote_head* const> list) const {
        if (list.empty()) return {ErrorKind::not_found, "the repository is empty"};
        return {ErrorKind::not_found, reference_.to_string() + " does not exist in the repository"};
    }

    /// The highest tag in the range; of several that are equal (they differ in build metadata) the
    /// one whose commit is the youngest.
    void choose_tag() {
        if (!reference_.commit.empty() || !reference_.name.empty() || reference_.semver.empty())
            return;
        const auto range = VersionRange::parse(reference_.semver);
        const auto list = advertised();
        std::optional<Version> highest;
        std::map<std::string, git_oid> best;
        for (const auto* head : list) {
            const std::string_view name{head->name};
            if (!name.starts_with(tags) || name.ends_with("^{}")) continue;
            const auto tag = name.substr(tags.size());
            const auto version = Version::parse(tag);
            if (!version || !range.contains(*version) || (highest && *version < *highest)) continue;
            if (!highest || *version > *highest) best.clear();
            highest = version;
            best.emplace(tag, head->oid);
        }
        if (best.empty()) throw absent(list);
        reference_.tag = best.size() == 1 ? best.begin()->first : youngest(best);
    }

    std::string youngest(const std::map<std::string, git_oid>& candidates) {
        std::vector<std::string> refspecs;
        for (const auto& [tag, oid] : candidates) {
            const auto name = std::string{tags} + tag;
            refspecs.push_back("+" + name + ":" + kept_name(name));
        }
        download(std::move(refspecs));
        std::string result;
        git_time_t latest = 0;
        for (const auto& [tag, oid] : candidates) {
            git_object* raw = nullptr;
            check(git_object_lookup(&raw, repository_, &oid, GIT_OBJECT_ANY), "git cache");
            const ObjectPtr object{raw};
            git_object* peeled = nullptr;
            if (git_object_peel(&peeled, raw, GIT_OBJECT_COMMIT) < 0) continue;
            const ObjectPtr keeper{peeled};
            const auto time = git_commit_time(reinterpret_cast<git_commit*>(peeled));
            if (!result.empty() && time < latest) continue;
            result = tag;
            latest = time;
        }
        if (result.empty())
            throw Error{ErrorKind::invalid, reference_.to_string() + " leads to no commit"};
        return result;
    }

    void download(std::vector<std::string> refspecs) {
        std::vector<char*> pointers;
        for (auto& refspec : refspecs) pointers.push_back(refspec.data());
        const git_strarray array{pointers.data(), pointers.size()};
        check_transfer(git_remote_download(remote_.get(), &array, &options_));
    }

    void keep(const std::string& name, const git_oid& oid) {
        git_reference* raw = nullptr;
        check(git_reference_create(&raw, repository_, kept_name(name).c_str(), &oid, 1, nullptr),
              "git cache");
        const ReferencePtr reference{raw};
    }

    std::string meaning_of(const std::string& any) {
        const auto list = advertised();
        for (const auto& name : meanings_of(any)) {
            if (std::ranges::any_of(list, [&](const auto* head) { return name == head->name; }))
                return name;
        }
        throw absent(list);
    }

    git_oid one(const std::string& wanted) {
        const auto list = advertised();
        const auto head =
            std::ranges::find_if(list, [&](const auto* h) { return wanted == h->name; });
        if (head == list.end()) throw absent(list);
        const auto oid = (*head)->oid;
        if (!exists(repository_, oid)) download({"+" + wanted + ":" + kept_name(wanted)});
        keep(wanted, oid);
        return reference_.commit.empty() ? oid : commit();
    }

    git_oid everything() {
        std::vector<std::pair<std::string, git_oid>> all;
        const auto list = advertised();
        for (const auto* head : list) {
            const std::string_view name{head->name};
            // "v1^{}" is the peeled form of the tag before it.
            if ((name.starts_with(heads) || name.starts_with(tags)) && !name.ends_with("^{}"))
                all.emplace_back(name, head->oid);
        }
        if (all.empty()) throw absent(list);
        download({"+refs/heads/*:refs/kled/heads/*", "+refs/tags/*:refs/kled/tags/*"});
        for (const auto& [name, oid] : all) keep(name, oid);
        return commit();
    }

    [[nodiscard]] git_oid commit() const {
        const auto oid = to_git(*Oid::parse(reference_.commit));
        if (exists(repository_, oid)) return oid;
        throw Error{
            ErrorKind::not_found,
            reference_.to_string() + (reference_.branch.empty()
                                          ? " is on no branch or tag of the repository"
                                          : " is not on branch '" + reference_.branch + "'")};
    }

    const std::string& url_;
    Reference reference_;
    const Access& access_;
    Transfer transfer_;
    git_repository* repository_ = nullptr;
    git_fetch_options options_{};
    RemotePtr remote_;  // its callbacks refer to transfer_
};

}  // namespace

RepositoryPtr Mirror::Impl::open() const {
    git_repository* raw = nullptr;
    const bool same_url = read_file_if_exists(directory / mark) == url_digest;
    if (!same_url) return nullptr;
    const auto code = git_repository_open_ext(&raw, directory.c_str(), open_flags, nullptr);
    if (is_of_machine(code)) check(code, "git cache");
    if (code < 0) return nullptr;
    return RepositoryPtr{raw};
}

void Mirror::Impl::sweep() {
    std::error_code ignored;
    const auto locks_in = [&](auto entries) {
        for (const auto& entry : entries) {
            if (entry.path().extension() == ".lock") fs::remove(entry.path(), ignored);
        }
    };
    locks_in(fs::directory_iterator{directory, ignored});
    locks_in(fs::recursive_directory_iterator{directory / "refs", ignored});
    for (const auto& entry : fs::directory_iterator{directory / "objects" / "pack", ignored}) {
        const auto extension = entry.path().extension();
        if (extension != ".pack" && extension != ".idx") fs::remove(entry.path(), ignored);
    }
}

void Mirror::Impl::trim_composed() {
    constexpr std::size_t limit = 20'000;
    std::error_code ignored;
    std::vector<fs::path> folders;
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator{directory / "objects", ignored}) {
        if (entry.path().filename().native().size() != 2) continue;  // "pack", "info"
        folders.push_back(entry.path());
        for ([[maybe_unused]] const auto& object : fs::directory_iterator{entry.path(), ignored})
            ++count;
    }
    // After a power cut one may be empty, and would be taken for good.
    if (trimmed && count <= limit) return;
    const std::unique_lock alone{packs, std::try_to_lock};
    if (!alone.owns_lock()) return;  // the next time
    trimmed = true;
    for (const auto& folder : folders) fs::remove_all(folder, ignored);
}

Opened::Opened(Mirror& mirror, const std::vector<std::shared_ptr<Mirror>>& parts) {
    // All in one order, whoever needs which.
    std::set<Mirror::Impl*> all{mirror.impl_.get()};
    for (const auto& part : parts) all.insert(part->impl_.get());
    for (auto* one : all) reading.emplace_back(one->packs);
    repository = mirror.impl_->open();
    if (!repository) return;
    git_odb* raw = nullptr;
    check(git_repository_odb(&raw, repository.get()), "git cache");
    odb.reset(raw);
    for (const auto& part : parts) {
        if (part.get() == &mirror) continue;
        if (!part->impl_->open()) {
            throw Error{ErrorKind::unavailable,
                        "the cache of " + printable_url(part->url()) + " is not there"};
        }
        const auto objects = part->impl_->directory / "objects";
        check(git_odb_add_disk_alternate(raw, objects.c_str()), "git cache");
    }
}

RepositoryPtr Mirror::Impl::open_or_make() {
    std::call_once(swept, [this] { sweep(); });
    {
        const std::shared_lock reading{packs};
        if (auto repository = open(); repository && !damaged) return repository;
    }
    const std::unique_lock alone{packs};
    if (auto repository = open(); repository && !damaged)
        return repository;  // another one made it just now
    damaged = false;
    std::filesystem::remove_all(directory);
    make_directories(directory, 0700);
    git_repository* raw = nullptr;
    check(git_repository_init(&raw, directory.c_str(), 1), "git cache");
    RepositoryPtr repository{raw};
    write_file_atomic(directory / mark, url_digest, 0600);
    return repository;
}

Revision Mirror::fetch(const Reference& reference, const Access& access, std::stop_token stop) {
    if (!reference.commit.empty()) {
        const auto oid = Oid::parse(reference.commit);
        if (!oid)
            throw Error{ErrorKind::invalid,
                        "spec.ref.commit: '" + reference.commit + "' is not 40 hex digits"};
        std::optional<Revision> here;
        try {
            if (!impl_->damaged) here = find(*oid, shown_name(reference));
        } catch (const Error& error) {
            if (!means_damage(error)) throw;
            impl_->damaged = true;  // it has it, and cannot read it
        }
        if (here) return *here;
    }
    // Of a range the server says the name, which is then checked by libgit2.
    const auto wanted = reference.semver.empty() ? wanted_name(reference) : std::string{};
    int valid = 0;
    if (!wanted.empty() && (git_reference_name_is_valid(&valid, wanted.c_str()) < 0 || valid == 0 ||
                            !wanted.starts_with("refs/"))) {
        throw Error{ErrorKind::invalid, "spec.ref: '" + wanted + "' is no valid reference name"};
    }
    try {
        RepositoryPtr repository;
        std::optional<Revision> revision;
        for (bool again = false; !revision; again = true) {
            repository = impl_->open_or_make();
            Fetch fetch{url_, reference, access, stop};
            const auto oid = fetch.run(repository.get());
            try {
                revision = revision_of(repository.get(), oid, shown_name(fetch.reference()));
            } catch (const Error& error) {
                if (again || !means_damage(error)) throw;
                // It said that it had the commit, and cannot read it.
                impl_->damaged = true;
            }
        }
        if (count_packs(impl_->directory) > pack_limit) {
            if (const std::unique_lock alone{impl_->packs, std::try_to_lock}; alone.owns_lock())
                compact(repository.get(), impl_->directory);
        }
        return std::move(*revision);
    } catch (const Error& error) {
        throw error.within(printable_url(url_));
    } catch (const std::filesystem::filesystem_error& error) {
        throw Error{ErrorKind::unavailable, error.what()};
    }
}

Revision Mirror::fetch_commit(const Oid& commit, const std::string& name, const Access& access,
                              std::stop_token stop, const InUse& in_use) {
    try {
        const auto repository = impl_->open_or_make();
        const Reference reference{.commit = commit.hex()};
        Fetch fetch{url_, reference, access, std::move(stop)};
        fetch.by_id(repository.get(), to_git(commit), reference.commit);
        keep_as_last(repository.get(), by_ids, commit, in_use);
        return revision_of(repository.get(), to_git(commit), name);
    } catch (const Error& error) {
        throw error.within(printable_url(url_));
    } catch (const std::filesystem::filesystem_error& error) {
        throw Error{ErrorKind::unavailable, error.what()};
    }
}

void Mirror::use(const Oid& commit) {
    const std::shared_lock reading{impl_->packs};
    const auto repository = impl_->open();
    if (!repository) throw Error{ErrorKind::unavailable, "the cache of the repository went"};
    git_oid before{};
    if (git_reference_name_to_id(&before, repository.get(), used) == 0 &&
        from_git(before) == commit)
        return;
    git_reference* raw = nullptr;
    const auto oid = to_git(commit);
    check(git_reference_create(&raw, repository.get(), used, &oid, 1, nullptr), "git cache");
    const ReferencePtr reference{raw};
}

std::optional<Revision> Mirror::find(const Oid& commit, const std::string& name) {
    const std::shared_lock reading{impl_->packs};
    const auto repository = impl_->open();
    const auto oid = to_git(commit);
    if (!repository || !exists(repository.get(), oid)) return std::nullopt;
    return revision_of(repository.get(), oid, name);
}

}  // namespace kled::gitops::git
