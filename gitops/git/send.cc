#include "gitops/git/send.h"

#include "base/error.h"
#include "gitops/git/mirror_impl.h"
#include "gitops/git/receive_pack.h"
#include "gitops/git/transport.h"

#include <git2/sys/odb_backend.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

namespace kled::gitops::git {

namespace {

/// A pack of what `commit` has and the server has not; empty when it lacks nothing.
struct Pack {
    git_buf raw = GIT_BUF_INIT;
    std::size_t objects = 0;
    Pack() = default;
    ~Pack() { git_buf_dispose(&raw); }
    Pack(const Pack&) = delete;
    Pack& operator=(const Pack&) = delete;
    [[nodiscard]] std::string_view text() const { return {raw.ptr, raw.size}; }
};

void fill(Pack& pack, const Outgoing& outgoing, const std::map<std::string, Oid>& known,
          git_repository* repository, git_odb* odb) {
    git_revwalk* raw_walk = nullptr;
    check(git_revwalk_new(&raw_walk, repository), "git");
    const RevwalkPtr walk{raw_walk};
    const auto ours = to_git(outgoing.commit);
    check(git_revwalk_push(raw_walk, &ours), "git");
    const auto hide = [&](const Oid& id) {
        const auto oid = to_git(id);
        git_commit* commit = nullptr;
        // Of many thousands that are not here, none is a reason to read the packs' list again.
        if (git_odb_exists_ext(odb, &oid, GIT_ODB_LOOKUP_NO_REFRESH) == 0) return;
        if (git_commit_lookup(&commit, repository, &oid) < 0) return;  // we do not know it
        const CommitPtr keeper{commit};
        check(git_revwalk_hide(raw_walk, &oid), "git");
    };
    for (const auto& id : outgoing.had) hide(id);
    for (const auto& [name, id] : known) hide(id);
    git_packbuilder* raw = nullptr;
    check(git_packbuilder_new(&raw, repository), "git");
    const PackbuilderPtr builder{raw};
    git_packbuilder_set_threads(raw, 1);
    check(git_packbuilder_insert_walk(raw, raw_walk), "git");
    pack.objects = git_packbuilder_object_count(raw);
    check(git_packbuilder_write_buf(&pack.raw, raw), "git");
}

/// Error(conflict) unless what stands there is an ancestor.
void check_forward(const Outgoing& outgoing, const std::string& name, const Oid& there,
                   git_repository* repository) {
    const auto ours = to_git(outgoing.commit);
    const auto theirs = to_git(there);
    if (git_graph_descendant_of(repository, &ours, &theirs) == 1) return;
    throw Error{ErrorKind::conflict, name + " is at " + there.hex() + ", which is no ancestor of " +
                                         outgoing.commit.hex()};
}

bool send_over(const Outgoing& outgoing, const std::string& url, const Push& push,
               Transfer& transfer, Protocol protocol) {
    const auto subtransport = protocol == Protocol::http ? make_http_subtransport(transfer)
                                                         : make_ssh_subtransport(transfer);
    const auto reading = [&transfer](std::shared_ptr<Stream> stream) {
        return PacketReader{
            [&transfer, stream = std::move(stream)](char* buffer, std::size_t size) {
                transfer.check_limits();
                const auto count = stream->read(buffer, size);
                transfer.received += count;
                return count;
            }};
    };
    auto listing = reading(subtransport->open(url, GIT_SERVICE_RECEIVEPACK_LS));
    const auto server = Advertisement::read(listing, protocol == Protocol::http);
    const auto there = server.references.find(push.reference);
    ReferenceUpdate update{.name = push.reference, .from = {}, .to = outgoing.commit};
    if (there != server.references.end()) update.from = there->second;
    const auto stream = subtransport->open(url, GIT_SERVICE_RECEIVEPACK);
    if (update.from == update.to) {
        if (protocol == Protocol::ssh) stream->write(flush_packet);  // it waits for a word
        return false;
    }
    Pack pack;
    const auto request = push_request(server, update, push.options);
    outgoing.with_objects([&](git_repository* repository, git_odb* odb) {
        if (!push.force && update.from != Oid{})
            check_forward(outgoing, push.reference, update.from, repository);
        fill(pack, outgoing, server.references, repository, odb);
    });
    stream->write(request);
    stream->write(pack.text());
    auto answer = reading(stream);
    read_report(answer, server, push.reference);
    return true;
}

bool send_here(const Outgoing& outgoing, const std::string& url, const Push& push) {
    if (!push.options.empty())
        throw Error{ErrorKind::invalid,
                    "a repository on this machine takes no push options (spec.git.push.options)"};
    const std::filesystem::path path = url.starts_with("file://") ? url.substr(7) : url;
    git_repository* raw = nullptr;
    check(git_repository_open_ext(&raw, path.c_str(), GIT_REPOSITORY_OPEN_NO_SEARCH, nullptr),
          "git");
    const RepositoryPtr target{raw};
    git_reference* raw_head = nullptr;
    if (git_repository_is_bare(raw) == 0 && git_reference_lookup(&raw_head, raw, "HEAD") == 0) {
        const ReferencePtr head{raw_head};
        const auto* name = git_reference_symbolic_target(raw_head);
        if (name != nullptr && push.reference == name)
            throw Error{ErrorKind::denied, push.reference + " is checked out there"};
    }
    git_oid there{};
    const bool exists = git_reference_name_to_id(&there, raw, push.reference.c_str()) == 0;
    const auto to = to_git(outgoing.commit);
    if (exists && git_oid_equal(&there, &to) != 0) return false;
    git_odb* raw_odb = nullptr;
    check(git_repository_odb(&raw_odb, raw), "git");
    const OdbPtr odb{raw_odb};
    Pack pack;
    outgoing.with_objects([&](git_repository* repository, git_odb* objects) {
        if (exists && !push.force)
            check_forward(outgoing, push.reference, from_git(there), repository);
        if (git_odb_exists(raw_odb, &to) == 0) fill(pack, outgoing, {}, repository, objects);
    });
    if (pack.objects > 0) {
        git_odb_writepack* writer = nullptr;
        check(git_odb_write_pack(&writer, raw_odb, nullptr, nullptr), "git");
        const std::unique_ptr<git_odb_writepack, void (*)(git_odb_writepack*)> keeper{
            writer, [](git_odb_writepack* one) { one->free(one); }};
        git_indexer_progress progress{};
        check(writer->append(writer, pack.raw.ptr, pack.raw.size, &progress), "git");
        check(writer->commit(writer, &progress), "git");
    }
    git_reference* raw_reference = nullptr;
    const int code =
        exists ? git_reference_create_matching(&raw_reference, raw, push.reference.c_str(), &to, 1,
                                               &there, "push: kled")
               : git_reference_create(&raw_reference, raw, push.reference.c_str(), &to, 0,
                                      "push: kled");
    if (code == GIT_EMODIFIED || code == GIT_EEXISTS || code == GIT_ELOCKED)
        throw Error{ErrorKind::conflict, push.reference + " moved meanwhile"};
    check(code, "git");
    const ReferencePtr reference{raw_reference};
    return true;
}

}  // namespace

bool send(const Outgoing& outgoing, const std::string& url, const Push& push, const Access& access,
          std::stop_token stop) {
    const auto protocol = protocol_of(url, access);
    if (protocol == Protocol::local) return send_here(outgoing, url, push);
    Transfer transfer{.access = access,
                      .stop = std::move(stop),
                      .deadline = std::chrono::steady_clock::now() + access.timeout,
                      .received = 0,
                      .failure = nullptr};
    return send_over(outgoing, url, push, transfer, protocol);
}

bool push_commit(Mirror& mirror, const Oid& commit, const std::string& url, const Push& push,
                 const Access& access, std::stop_token stop) {
    Outgoing outgoing;
    outgoing.commit = commit;
    outgoing.with_objects = [&](const Outgoing::Use& use) {
        const Opened opened{mirror, {}};
        git_commit* raw = nullptr;
        const auto oid = to_git(commit);
        if (!opened.repository || git_commit_lookup(&raw, opened.repository.get(), &oid) < 0) {
            throw Error{ErrorKind::unavailable, "commit " + commit.hex() +
                                                    " is not in the cache of " +
                                                    printable_url(mirror.url())};
        }
        const CommitPtr keeper{raw};
        use(opened.repository.get(), opened.odb.get());
    };
    try {
        return send(outgoing, url, push, access, std::move(stop));
    } catch (const Error& error) {
        throw error.within(printable_url(url));
    }
}

std::string full_reference(const std::string& name, const std::string& field) {
    auto full = name.starts_with("refs/") ? name : "refs/heads/" + name;
    int valid = 0;
    initialise();
    if (name.empty() || git_reference_name_is_valid(&valid, full.c_str()) < 0 || valid == 0)
        throw Error{ErrorKind::invalid, field + ": '" + name + "' is no name of a reference"};
    return full;
}

}  // namespace kled::gitops::git
