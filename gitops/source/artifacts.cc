#include "gitops/source/artifacts.h"

#include "base/error.h"
#include "base/file.h"
#include "crypto/hash.h"
#include "gitops/git/archive.h"
#include "gitops/git/imported.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <vector>

namespace kled::gitops {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view suffix = ".tar.gz";
constexpr std::string_view latest = "latest.tar.gz";

/// As Kubernetes names things. A dot never begins one: neither ".." nor a temporary file does pass.
bool is_name(std::string_view text) {
    const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    return !text.empty() && text.size() <= 253 && plain(text.front()) &&
           std::ranges::all_of(text, [&](char c) { return plain(c) || c == '-' || c == '.'; });
}

/// Named by a commit, or by the digest of what did not come by Git.
bool is_archive(std::string_view file) {
    if (!file.ends_with(suffix)) return false;
    file.remove_suffix(suffix.size());
    return (file.size() == 40 || file.size() == 64) && std::ranges::all_of(file, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

std::string archive_name(const git::Revision& revision) {
    constexpr std::string_view digest = "sha256:";  // which is in no name of a branch or a tag
    const auto at = revision.name.rfind(digest);
    const auto id =
        at == std::string::npos ? revision.commit.hex() : revision.name.substr(at + digest.size());
    return id + std::string{suffix};
}

/// "gitrepository"
std::string folder_of(std::string_view kind) {
    std::string folder{kind};
    std::ranges::transform(folder, folder.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return folder;
}

bool is_folder(std::string_view name) {
    return std::ranges::any_of(own_source_kinds,
                               [&](std::string_view kind) { return folder_of(kind) == name; });
}

std::vector<fs::path> names_in(const fs::path& directory) {
    std::vector<fs::path> names;
    std::error_code failed;
    for (fs::directory_iterator entry{directory, failed}, end; !failed && entry != end;
         entry.increment(failed))
        names.push_back(entry->path().filename());
    return names;
}

/// A file that takes its name only when it is whole.
class NewFile {
public:
    explicit NewFile(fs::path path)
        : path_{std::move(path)},
          temporary_{path_.parent_path() / ("." + path_.filename().string() + ".XXXXXX")},
          file_{::mkostemp(temporary_.data(), O_CLOEXEC)} {
        if (!file_) throw from_errno(errno, path_.string());
    }
    ~NewFile() {
        if (file_) ::unlink(temporary_.c_str());
    }
    NewFile(const NewFile&) = delete;
    NewFile& operator=(const NewFile&) = delete;

    void write(std::string_view bytes) {
        while (!bytes.empty()) {
            const auto count = ::write(file_.get(), bytes.data(), bytes.size());
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) throw from_errno(errno, path_.string());
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
    }
    void commit() {
        if (::fsync(file_.get()) < 0 || ::rename(temporary_.c_str(), path_.c_str()) < 0)
            throw from_errno(errno, path_.string());
        file_ = {};
        sync_directory(path_.parent_path());
    }

private:
    fs::path path_;
    std::string temporary_;
    FileDescriptor file_;
};

void point(const fs::path& link, const fs::path& target) {
    const auto fresh = link.parent_path() / ("." + link.filename().string());
    std::error_code ignored;
    fs::remove(fresh, ignored);
    if (::symlink(target.c_str(), fresh.c_str()) < 0 || ::rename(fresh.c_str(), link.c_str()) < 0)
        throw from_errno(errno, link.string());
}

std::string hex(const crypto::Sha256& digest) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const auto byte : digest) {
        text += digits[byte >> 4U];
        text += digits[byte & 15U];
    }
    return text;
}

struct OpenFile {
    FileDescriptor file;
    std::string etag;
    std::uint64_t size = 0;
};

/// nullopt: it went since it was located.
std::optional<OpenFile> open_archive(const fs::path& path) {
    OpenFile result;
    result.file = FileDescriptor{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
    struct stat about{};
    if (!result.file || ::fstat(result.file.get(), &about) < 0 || !S_ISREG(about.st_mode))
        return std::nullopt;
    result.size = static_cast<std::uint64_t>(about.st_size);
    // A commit's archive is made anew when the rules of what is in it change.
    std::array<char, 16> inode{};
    std::array<char, 32> time{};
    auto* end = std::to_chars(inode.data(), inode.data() + inode.size(), about.st_ino, 16).ptr;
    result.etag = '"' + std::string{inode.data(), end} + '-';
    const auto nanoseconds = static_cast<std::uint64_t>(about.st_mtim.tv_sec) * 1'000'000'000 +
                             static_cast<std::uint64_t>(about.st_mtim.tv_nsec);
    end = std::to_chars(time.data(), time.data() + time.size(), nanoseconds, 16).ptr;
    result.etag += std::string{time.data(), end} + '"';
    return result;
}

struct ArtifactRoute {
    std::shared_ptr<const Artifacts> artifacts;
    ThreadPool& pool;

    static asio::awaitable<void> refuse(unsigned status, std::string text,
                                        net::ResponseWriter& out) {
        net::Response response;
        response.status = status;
        response.headers.set("Content-Type", "text/plain; charset=utf-8");
        if (status == 405) response.headers.set("Allow", "GET, HEAD");
        response.body = std::move(text) + "\n";
        co_await out.respond(std::move(response));
    }

    static asio::awaitable<void> send(ThreadPool& pool, int file, net::ResponseWriter& out) {
        constexpr std::size_t piece_bytes = 256U << 10U;
        for (;;) {
            const auto read = [file] {
                std::string piece(piece_bytes, '\0');
                ssize_t count = 0;
                do {
                    count = ::read(file, piece.data(), piece.size());
                } while (count < 0 && errno == EINTR);
                if (count < 0) throw from_errno(errno, "archive");
                piece.resize(static_cast<std::size_t>(count));
                return piece;
            };
            const auto piece = co_await offload(pool, read);
            if (piece.empty()) co_return;
            co_await out.write(piece);
        }
    }

    static asio::awaitable<void> serve(std::shared_ptr<const ArtifactRoute> self,
                                       net::Request request, net::ResponseWriter& out) {
        const bool head = request.method == "HEAD";
        if (!head && request.method != "GET")
            co_return co_await refuse(405, "archives are read only", out);
        const auto target = net::parse_target(request.target);
        const auto open = [&artifacts = *self->artifacts,
                           path = target.path]() -> std::optional<OpenFile> {
            const auto file = artifacts.locate(path);
            return file ? open_archive(*file) : std::nullopt;
        };
        const auto archive = co_await offload(self->pool, open);
        if (!archive) co_return co_await refuse(404, "there is no such archive", out);
        net::Headers headers;
        headers.set("ETag", archive->etag);
        headers.set("Content-Type", "application/gzip");
        const auto known = request.headers.get("If-None-Match");
        const bool same = known == "*" || known.find(archive->etag) != std::string_view::npos;
        if (!same && !head) {
            co_await out.begin(200, std::move(headers));
            co_return co_await send(self->pool, archive->file.get(), out);
        }
        if (!same) headers.set("Content-Length", std::to_string(archive->size));
        net::Response response;
        response.status = same ? 304 : 200;
        response.headers = std::move(headers);
        co_await out.respond(std::move(response));
    }
};

}  // namespace

void Artifacts::advertise(std::string url) {
    url_ = std::move(url);
    while (url_.ends_with('/')) url_.pop_back();
}

fs::path Artifacts::folder(const Name& source) const {
    if (!is_own_source_kind(source.kind) || !is_name(source.ns) || !is_name(source.name)) {
        throw Error{ErrorKind::invalid,
                    source.ns + "/" + source.name + " is not a name of an object"};
    }
    return directory_ / folder_of(source.kind) / source.ns / source.name;
}

Artifact Artifacts::store(const Name& source, git::Mirror& mirror, const git::Revision& revision,
                          const std::stop_token& stop) const {
    const auto place = folder(source);
    make_directories(place, 0700);
    const auto name = archive_name(revision);
    if (!is_archive(name))
        throw Error{ErrorKind::invalid, "'" + revision.name + "' is not a name of a revision"};
    Artifact result;
    result.path = fs::path{folder_of(source.kind)} / source.ns / source.name / name;
    result.url = url_ + "/" + result.path;
    {
        NewFile file{place / name};
        crypto::Sha256Stream digest;
        const git::Sink sink = [&](std::string_view bytes) {
            file.write(bytes);
            digest.update(bytes);
            result.size += bytes.size();
        };
        const git::ArchiveLimits limits;
        if (revision.archive) {
            sink(git::read_archive(mirror, revision));
        } else {
            const git::Tree tree{mirror, revision, limits.file};
            git::write_archive(tree, sink, stop, limits);
        }
        result.digest = "sha256:" + hex(digest.finish());
        file.commit();
    }
    std::error_code absent;
    const auto before = fs::read_symlink(place / latest, absent);
    if (before == name) return result;
    point(place / latest, name);
    for (const auto& file : names_in(place)) {
        if (file != name && file != before && file != latest) fs::remove_all(place / file, absent);
    }
    return result;
}

bool Artifacts::has(const Artifact& artifact) const {
    const auto file = locate("/" + artifact.path);
    std::error_code absent;
    return file && fs::file_size(*file, absent) == artifact.size && !absent;
}

void Artifacts::remove(const Name& source) const {
    std::error_code ignored;
    if (is_own_source_kind(source.kind) && is_name(source.ns) && is_name(source.name))
        fs::remove_all(folder(source), ignored);
}

void Artifacts::keep_only(const std::set<Name>& sources,
                          const std::set<std::string, std::less<>>& kinds) const {
    std::error_code ignored;
    for (const auto kind : own_source_kinds) {
        if (!kinds.contains(kind)) continue;
        const auto root = directory_ / folder_of(kind);
        for (const auto& ns : names_in(root)) {
            for (const auto& name : names_in(root / ns)) {
                const Name source{.ns = ns, .name = name, .kind = std::string{kind}};
                if (!sources.contains(source)) fs::remove_all(root / ns / name, ignored);
            }
        }
    }
}

std::optional<fs::path> Artifacts::locate(std::string_view path) const {
    std::array<std::string_view, 4> parts;
    for (auto& part : parts) {
        if (!path.starts_with('/')) return std::nullopt;
        path.remove_prefix(1);
        part = path.substr(0, path.find('/'));
        path.remove_prefix(part.size());
    }
    const auto [kind, ns, name, file] = parts;
    if (!path.empty() || !is_folder(kind) || !is_name(ns) || !is_name(name)) return std::nullopt;
    const auto place = directory_ / kind / ns / name;
    if (is_archive(file)) return place / file;
    if (file != latest) return std::nullopt;
    std::error_code absent;
    const auto target = fs::read_symlink(place / latest, absent);
    if (absent || !is_archive(target.native())) return std::nullopt;
    return place / target;
}

net::Handler artifact_handler(std::shared_ptr<const Artifacts> artifacts, ThreadPool& pool) {
    auto route = std::make_shared<const ArtifactRoute>(std::move(artifacts), pool);
    return [route](net::Request request, const net::Peer&, net::ResponseWriter& out) {
        return ArtifactRoute::serve(route, std::move(request), out);
    };
}

}  // namespace kled::gitops
