#include "gitops/git/change.h"

#include "base/error.h"
#include "gitops/git/libgit2.h"
#include "gitops/git/mirror_impl.h"
#include "gitops/git/receive_pack.h"
#include "gitops/git/transport.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <git2/sys/mempack.h>
#include <git2/sys/odb_backend.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <utility>

namespace kled::gitops::git {

namespace {

constexpr std::size_t depth_limit = 256;
constexpr int memory_first = 1000;  // before packs and loose objects

/// The parts of `path` joined again, with "." gone and ".." never above the root.
std::string within_root(std::string_view path) {
    std::vector<std::string_view> parts;
    while (!path.empty()) {
        const auto end = std::min(path.find('/'), path.size());
        const auto part = path.substr(0, end);
        path.remove_prefix(std::min(end + 1, path.size()));
        if (part.empty() || part == ".") continue;
        if (part != "..") {
            parts.push_back(part);
        } else if (!parts.empty()) {
            parts.pop_back();
        }
    }
    std::string result;
    for (const auto part : parts) result += (result.empty() ? "" : "/") + std::string{part};
    return result;
}

TreePtr tree_of(git_repository* repository, const git_oid& oid) {
    git_tree* raw = nullptr;
    check(git_tree_lookup(&raw, repository, &oid), "git cache");
    return TreePtr{raw};
}

CommitPtr commit_of(git_repository* repository, const Oid& id) {
    git_commit* raw = nullptr;
    const auto oid = to_git(id);
    check(git_commit_lookup(&raw, repository, &oid), "git cache");
    return CommitPtr{raw};
}

/// One walk over the files below a folder.
class Visit {
public:
    Visit(git_repository* repository, git_odb* odb, std::size_t limit_bytes,
          const Change::Wants& wants, const Change::Each& each, const std::stop_token& stop)
        : repository_{repository},
          odb_{odb},
          limit_bytes_{limit_bytes},
          wants_{wants},
          each_{each},
          stop_{stop} {}

    void entry(const git_tree_entry* entry, const std::string& path, std::size_t depth) {
        if (stop_.stop_requested())
            throw boost::system::system_error{boost::asio::error::operation_aborted};
        if (++seen_ > Change::entry_limit)
            throw Error{ErrorKind::exhausted,
                        "more than " + std::to_string(Change::entry_limit) + " files and folders"};
        const auto mode = git_tree_entry_filemode(entry);
        const auto& oid = *git_tree_entry_id(entry);
        if (mode == GIT_FILEMODE_TREE) {
            if (depth < depth_limit) folder(oid, path, depth + 1);
        } else if ((mode == GIT_FILEMODE_BLOB || mode == GIT_FILEMODE_BLOB_EXECUTABLE) &&
                   wants_(git_tree_entry_name(entry))) {
            file(oid, path);
        }
    }
    void folder(const git_oid& oid, const std::string& path, std::size_t depth) {
        const auto tree = tree_of(repository_, oid);
        for (std::size_t i = 0; i < git_tree_entrycount(tree.get()); ++i) {
            const auto* one = git_tree_entry_byindex(tree.get(), i);
            entry(one, (path.empty() ? "" : path + "/") + git_tree_entry_name(one), depth);
        }
    }

    std::vector<std::string> too_large;

private:
    void file(const git_oid& oid, const std::string& path) {
        std::size_t size = 0;
        git_object_t type = GIT_OBJECT_INVALID;
        check(git_odb_read_header(&size, &type, odb_, &oid), "git cache");
        if (size > limit_bytes_) {
            too_large.push_back(path);
            return;
        }
        git_blob* raw = nullptr;
        check(git_blob_lookup(&raw, repository_, &oid), "git cache");
        const BlobPtr blob{raw};
        each_(path, {static_cast<const char*>(git_blob_rawcontent(raw)),
                     static_cast<std::size_t>(git_blob_rawsize(raw))});
    }

    git_repository* repository_;
    git_odb* odb_;
    std::size_t limit_bytes_;
    const Change::Wants& wants_;
    const Change::Each& each_;
    const std::stop_token& stop_;
    std::size_t seen_ = 0;
};

/// A message of Git's must not have a zero byte.
std::string message_of(std::string text) {
    std::erase(text, '\0');
    return text;
}

/// Bytes that libgit2 allocated.
struct Buffer {
    git_buf raw = GIT_BUF_INIT;
    Buffer() = default;
    ~Buffer() { git_buf_dispose(&raw); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    [[nodiscard]] std::string_view text() const { return {raw.ptr, raw.size}; }
};

bool is_signed(const git_commit* commit) {
    Buffer signature;
    return git_commit_header_field(&signature.raw, commit, "gpgsig") == 0;
}

}  // namespace

struct Change::Impl {
    Impl(Mirror& m, const Revision& b) : mirror{m}, base{b}, opened{m, {}} {}

    [[nodiscard]] git_repository* repository() const { return opened.repository.get(); }
    /// What `id` has and neither the base nor `known` has, as a pack.
    void pack(Buffer& out, const std::map<std::string, Oid>& known) const;
    /// Error(conflict) unless what stands there is an ancestor.
    void check_forward(const std::string& name, const Oid& there) const;
    bool send_over(const Push& push, Transfer& transfer, Protocol protocol) const;
    bool send_here(const Push& push) const;

    Mirror& mirror;
    Revision base;
    Opened opened;
    std::optional<Oid> made;
};

Change::Change(Mirror& mirror, const Revision& base) : impl_{std::make_unique<Impl>(mirror, base)} {
    if (!impl_->opened.repository) {
        throw Error{ErrorKind::unavailable,
                    "the cache of " + printable_url(mirror.url()) + " is not there"};
    }
    git_odb_backend* memory = nullptr;
    check(git_mempack_new(&memory), "git");
    if (const int code = git_odb_add_backend(impl_->opened.odb.get(), memory, memory_first);
        code < 0) {
        memory->free(memory);
        check(code, "git");
    }
    static_cast<void>(commit_of(impl_->repository(), base.commit));
}

Change::~Change() = default;

std::vector<std::string> Change::visit(const std::string& path, std::size_t limit_bytes,
                                       const Wants& wants, const Each& each,
                                       const std::stop_token& stop) const {
    Visit visit{impl_->repository(), impl_->opened.odb.get(), limit_bytes, wants, each, stop};
    const auto root = to_git(impl_->base.tree);
    const auto at = within_root(path);
    if (at.empty()) {
        visit.folder(root, {}, 0);
    } else {
        const auto tree = tree_of(impl_->repository(), root);
        git_tree_entry* raw = nullptr;
        const int code = git_tree_entry_bypath(&raw, tree.get(), at.c_str());
        if (code == GIT_ENOTFOUND)
            throw Error{ErrorKind::not_found, "there is no '" + at + "' in " + impl_->base.name};
        check(code, "git cache");
        const TreeEntryPtr entry{raw};
        visit.entry(raw, at, 0);
    }
    return std::move(visit.too_large);
}

void Change::commit(const std::map<std::string, std::string>& files, const std::string& message,
                    const Author& author, std::int64_t time, const Sign& sign) {
    auto* repository = impl_->repository();
    const auto root = tree_of(repository, to_git(impl_->base.tree));
    std::vector<git_tree_update> updates;
    for (const auto& [path, text] : files) {
        git_tree_entry* raw = nullptr;
        check(git_tree_entry_bypath(&raw, root.get(), path.c_str()), "git cache");
        const TreeEntryPtr entry{raw};
        git_tree_update update{};
        update.action = GIT_TREE_UPDATE_UPSERT;
        update.filemode = git_tree_entry_filemode(raw);
        update.path = path.c_str();
        check(git_odb_write(&update.id, impl_->opened.odb.get(), text.data(), text.size(),
                            GIT_OBJECT_BLOB),
              "git");
        updates.push_back(update);
    }
    git_oid tree_oid{};
    check(
        git_tree_create_updated(&tree_oid, repository, root.get(), updates.size(), updates.data()),
        "git");
    const auto tree = tree_of(repository, tree_oid);
    git_signature* raw = nullptr;
    const auto& name = author.name.empty() ? author.email : author.name;
    // libgit2 would write it as it is: a line break makes another header of the rest.
    const bool plain = std::ranges::none_of(name + author.email,
                                            [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    if (!plain || git_signature_new(&raw, name.c_str(), author.email.c_str(), time, 0) < 0) {
        throw Error{ErrorKind::invalid,
                    "spec.git.commit.author: not a name and an address that Git takes"};
    }
    const SignaturePtr signature{raw};
    const auto parent = commit_of(repository, impl_->base.commit);
    const git_commit* parents[] = {parent.get()};  // NOLINT(*-avoid-c-arrays): as libgit2 has it
    Buffer payload;
    check(git_commit_create_buffer(&payload.raw, repository, raw, raw, nullptr,
                                   message_of(message).c_str(), tree.get(), 1, parents),
          "git");
    std::string signature_text;
    if (sign) signature_text = sign(payload.text());
    while (signature_text.ends_with('\n')) signature_text.pop_back();
    git_oid made{};
    check(git_commit_create_with_signature(&made, repository, payload.raw.ptr,
                                           sign ? signature_text.c_str() : nullptr, nullptr),
          "git");
    impl_->made = from_git(made);
}

Oid Change::id() const { return impl_->made.value(); }

bool Change::same_as(const Oid& other) const {
    git_commit* raw = nullptr;
    const auto oid = to_git(other);
    if (git_commit_lookup(&raw, impl_->repository(), &oid) < 0) return false;
    const CommitPtr theirs{raw};
    const auto ours = commit_of(impl_->repository(), id());
    return git_commit_parentcount(raw) == 1 &&
           from_git(*git_commit_parent_id(raw, 0)) == impl_->base.commit &&
           git_oid_equal(git_commit_tree_id(raw), git_commit_tree_id(ours.get())) != 0 &&
           is_signed(raw) == is_signed(ours.get());
}

bool Change::send(const Push& push, const Access& access, std::stop_token stop) const {
    const auto& url = impl_->mirror.url();
    try {
        const auto protocol = protocol_of(url, access);
        if (protocol == Protocol::local) return impl_->send_here(push);
        Transfer transfer{.access = access,
                          .stop = std::move(stop),
                          .deadline = std::chrono::steady_clock::now() + access.timeout,
                          .received = 0,
                          .failure = nullptr};
        return impl_->send_over(push, transfer, protocol);
    } catch (const Error& error) {
        throw error.within(printable_url(url));
    }
}

void Change::Impl::pack(Buffer& out, const std::map<std::string, Oid>& known) const {
    git_revwalk* raw_walk = nullptr;
    check(git_revwalk_new(&raw_walk, repository()), "git");
    const RevwalkPtr walk{raw_walk};
    const auto ours = to_git(made.value());
    check(git_revwalk_push(raw_walk, &ours), "git");
    const auto hide = [&](const Oid& id) {
        const auto oid = to_git(id);
        git_commit* commit = nullptr;
        // Of many thousands that are not here, none is a reason to read the packs' list again.
        if (git_odb_exists_ext(opened.odb.get(), &oid, GIT_ODB_LOOKUP_NO_REFRESH) == 0) return;
        if (git_commit_lookup(&commit, repository(), &oid) < 0) return;  // we do not know it
        const CommitPtr keeper{commit};
        check(git_revwalk_hide(raw_walk, &oid), "git");
    };
    hide(base.commit);  // the server had it a moment ago, under whatever name
    for (const auto& [name, id] : known) hide(id);
    git_packbuilder* raw = nullptr;
    check(git_packbuilder_new(&raw, repository()), "git");
    const PackbuilderPtr builder{raw};
    git_packbuilder_set_threads(raw, 1);
    check(git_packbuilder_insert_walk(raw, raw_walk), "git");
    check(git_packbuilder_write_buf(&out.raw, raw), "git");
}

void Change::Impl::check_forward(const std::string& name, const Oid& there) const {
    const auto ours = to_git(made.value());
    const auto theirs = to_git(there);
    if (git_graph_descendant_of(repository(), &ours, &theirs) == 1) return;
    throw Error{ErrorKind::conflict, name + " moved meanwhile"};
}

bool Change::Impl::send_over(const Push& push, Transfer& transfer, Protocol protocol) const {
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
    auto listing = reading(subtransport->open(mirror.url(), GIT_SERVICE_RECEIVEPACK_LS));
    const auto server = Advertisement::read(listing, protocol == Protocol::http);
    const auto there = server.references.find(push.reference);
    ReferenceUpdate update{.name = push.reference, .from = {}, .to = made.value()};
    if (there != server.references.end()) update.from = there->second;
    const auto stream = subtransport->open(mirror.url(), GIT_SERVICE_RECEIVEPACK);
    if (update.from == update.to) {
        if (protocol == Protocol::ssh) stream->write(flush_packet);  // it waits for a word
        return false;
    }
    if (!push.force && update.from != Oid{}) check_forward(push.reference, update.from);
    stream->write(push_request(server, update, push.options));
    Buffer buffer;
    pack(buffer, server.references);
    stream->write(buffer.text());
    auto answer = reading(stream);
    read_report(answer, server, push.reference);
    return true;
}

bool Change::Impl::send_here(const Push& push) const {
    if (!push.options.empty())
        throw Error{ErrorKind::invalid,
                    "a repository on this machine takes no push options (spec.git.push.options)"};
    const auto& url = mirror.url();
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
    const auto to = to_git(made.value());
    if (exists && git_oid_equal(&there, &to) != 0) return false;
    if (exists && !push.force) check_forward(push.reference, from_git(there));
    Buffer buffer;
    pack(buffer, {});
    git_odb* raw_odb = nullptr;
    check(git_repository_odb(&raw_odb, raw), "git");
    const OdbPtr odb{raw_odb};
    git_odb_writepack* writer = nullptr;
    check(git_odb_write_pack(&writer, raw_odb, nullptr, nullptr), "git");
    const std::unique_ptr<git_odb_writepack, void (*)(git_odb_writepack*)> keeper{
        writer, [](git_odb_writepack* one) { one->free(one); }};
    git_indexer_progress progress{};
    check(writer->append(writer, buffer.raw.ptr, buffer.raw.size, &progress), "git");
    check(writer->commit(writer, &progress), "git");
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

std::string full_reference(const std::string& name, const std::string& field) {
    auto full = name.starts_with("refs/") ? name : "refs/heads/" + name;
    int valid = 0;
    initialise();
    if (name.empty() || git_reference_name_is_valid(&valid, full.c_str()) < 0 || valid == 0)
        throw Error{ErrorKind::invalid, field + ": '" + name + "' is no name of a reference"};
    return full;
}

}  // namespace kled::gitops::git
