#include "gitops/git/change.h"

#include "base/error.h"
#include "gitops/git/libgit2.h"
#include "gitops/git/mirror_impl.h"
#include "gitops/git/send.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <git2/sys/mempack.h>
#include <git2/sys/odb_backend.h>

#include <algorithm>
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
    Outgoing outgoing;
    outgoing.commit = id();
    outgoing.had = {impl_->base.commit};  // a moment ago
    outgoing.with_objects = [this](const Outgoing::Use& use) {
        use(impl_->repository(), impl_->opened.odb.get());
    };
    try {
        return git::send(outgoing, url, push, access, std::move(stop));
    } catch (const Error& error) {
        throw error.within(printable_url(url));
    }
}

}  // namespace kled::gitops::git
