#include "gitops/git/remotes.h"

#include "base/error.h"
#include "base/file.h"
#include "base/run.h"
#include "crypto/hash.h"
#include "gitops/git/mirror.h"
#include "gitops/git/tree.h"
#include "net/http_client.h"

#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <map>
#include <thread>
#include <utility>

namespace kled::gitops::git {

namespace asio = boost::asio;

namespace {

/// A tree that keeps what it is read from, and says in messages where it is.
class RemoteTree : public kustomize::Files {
public:
    RemoteTree(std::shared_ptr<Mirror> mirror, const Revision& revision, std::size_t limit)
        : mirror_{std::move(mirror)},
          tree_{*mirror_, revision, limit},
          name_{printable_url(mirror_->url()) + "@" + revision.commit.hex().substr(0, 12)} {}

    [[nodiscard]] std::optional<Entry> find(const std::string& path) const override {
        return tree_.find(path);
    }
    [[nodiscard]] std::string read(const std::string& path) const override {
        return tree_.read(path);
    }
    [[nodiscard]] std::vector<std::string> list(const std::string& directory) const override {
        return tree_.list(directory);
    }
    [[nodiscard]] std::string display(const std::string& path) const override {
        return name_ + "//" + path;
    }

private:
    std::shared_ptr<Mirror> mirror_;
    Tree tree_;
    std::string name_;
};

/// Held by one process at a time; the kernel lets go of it when we die.
class Lock {
public:
    Lock(const std::filesystem::path& directory, const std::stop_token& stop) {
        make_directories(directory, 0700);
        const auto file = directory / "lock";
        descriptor_ = FileDescriptor{::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
        constexpr auto patience = std::chrono::seconds{120};
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (::flock(descriptor_.get(), LOCK_EX | LOCK_NB) != 0) {
            if (errno != EWOULDBLOCK && errno != EINTR)
                throw Error{ErrorKind::unavailable, file.string() + ": cannot be locked"};
            if (stop.stop_requested())
                throw boost::system::system_error{asio::error::operation_aborted};
            if (std::chrono::steady_clock::now() > deadline)
                throw Error{ErrorKind::unavailable, file.string() + ": another process holds it"};
            std::this_thread::sleep_for(std::chrono::milliseconds{20});
        }
    }

private:
    FileDescriptor descriptor_;
};

asio::awaitable<net::Response> get(net::Url url, net::ClientOptions options) {
    net::HttpClient client{co_await asio::this_coro::executor, url, std::move(options)};
    net::Request request;
    request.target = url.target;
    request.headers.set("Accept", "*/*");
    co_return co_await client.send(std::move(request));
}

/// Where a redirect leads; Error(denied) when that is less safe.
std::string redirected(const std::string& from, std::string to) {
    const auto base = net::parse_url(from);
    if (to.starts_with('/') && !to.starts_with("//"))
        to = from.substr(0, from.find('/', from.find("://") + 3)) + to;
    const auto target = net::parse_url(to);
    const bool safe =
        target.scheme == "https" || (target.scheme == "http" && base.scheme == "http");
    if (!safe) throw Error{ErrorKind::denied, from + ": leads to something that is not https"};
    return to;
}

}  // namespace

struct RemoteCache::Impl {
    Options options;
    std::map<std::string, std::shared_ptr<Mirror>> mirrors = {};
    std::map<std::string, std::shared_ptr<const kustomize::Files>> trees =
        {};                                            ///< by URL and commit
    std::map<std::string, std::string> resolved = {};  ///< by URL and ref
    std::map<std::string, std::string> files = {};

    [[nodiscard]] std::filesystem::path place(const char* kind, const std::string& key) const {
        return options.directory / kind / crypto::sha256_hex(key).substr(0, 40);
    }

    std::shared_ptr<Mirror> mirror_of(const std::string& url) {
        auto& mirror = mirrors[url];
        if (!mirror) mirror = std::make_shared<Mirror>(place("git", url), url);
        return mirror;
    }

    /// The revision now, or the one found earlier where there is no network to ask.
    Revision find(Mirror& mirror, const kustomize::RepositoryUrl& where) {
        if (const auto commit = Oid::parse(where.ref)) {
            if (auto here = mirror.find(*commit, "")) return *here;
        }
        const auto note = place("refs", where.url + "\n" + where.ref);
        if (options.offline) {
            if (const auto earlier = read_file_if_exists(note)) {
                const auto commit = Oid::parse(*earlier);
                if (auto here = commit ? mirror.find(*commit, "") : std::nullopt) return *here;
            }
            throw Error{ErrorKind::unavailable, printable_url(where.url) +
                                                    (where.ref.empty() ? "" : " at " + where.ref) +
                                                    ": not fetched before, and this is offline"};
        }
        auto access = options.access;
        access.timeout = where.timeout;
        Reference reference;
        if (Oid::parse(where.ref)) {
            reference.commit = where.ref;
        } else {
            reference.any = where.ref.empty() ? "HEAD" : where.ref;
        }
        auto revision = mirror.fetch(reference, access, options.stop);
        make_directories(note.parent_path(), 0700);
        write_file_atomic(note, revision.commit.hex(), 0600);
        return revision;
    }

    std::string download(const std::string& url) const {
        net::ClientOptions client;
        client.tls.ca_pem = options.access.ca_pem;
        client.proxy = options.access.proxy;
        client.body_limit = options.file_limit_bytes;
        constexpr int most_redirects = 5;
        auto at = url;
        for (int i = 0; i <= most_redirects; ++i) {
            const auto response = run_to_end(get(net::parse_url(at), client));
            if (response.status >= 200 && response.status < 300) return response.body;
            const std::string location{response.headers.get("Location")};
            if (response.status / 100 != 3 || location.empty()) {
                const bool gone = response.status == 404 || response.status == 410;
                const bool closed = response.status == 401 || response.status == 403;
                throw Error{
                    gone     ? ErrorKind::not_found
                    : closed ? ErrorKind::denied
                             : ErrorKind::unavailable,
                    printable_url(at) + ": the server says " + std::to_string(response.status)};
            }
            at = redirected(at, location);
        }
        throw Error{ErrorKind::unavailable, printable_url(url) + ": too many redirects"};
    }
};

RemoteCache::RemoteCache(Options options) : impl_{new Impl{.options = std::move(options)}} {}
RemoteCache::~RemoteCache() = default;

std::shared_ptr<const kustomize::Files> RemoteCache::repository(
    const kustomize::RepositoryUrl& where) {
    const auto mirror = impl_->mirror_of(where.url);
    auto& commit = impl_->resolved[where.url + "\n" + where.ref];
    auto known = impl_->trees.find(where.url + "\n" + commit);
    if (commit.empty() || known == impl_->trees.end()) {
        const Lock alone{impl_->options.directory, impl_->options.stop};
        const auto revision = impl_->find(*mirror, where);
        commit = revision.commit.hex();
        const auto [entry, added] = impl_->trees.try_emplace(where.url + "\n" + commit);
        if (added) {
            entry->second =
                std::make_shared<RemoteTree>(mirror, revision, impl_->options.file_limit_bytes);
        }
        known = entry;
    }
    return known->second;
}

std::string RemoteCache::file(const std::string& url) {
    if (const auto known = impl_->files.find(url); known != impl_->files.end())
        return known->second;
    const auto kept = impl_->place("files", url);
    std::string text;
    if (impl_->options.offline) {
        auto earlier = read_file_if_exists(kept);
        if (!earlier) {
            throw Error{ErrorKind::unavailable,
                        printable_url(url) + ": not fetched before, and this is offline"};
        }
        text = std::move(*earlier);
    } else {
        text = impl_->download(url);
        const Lock alone{impl_->options.directory, impl_->options.stop};
        make_directories(kept.parent_path(), 0700);
        write_file_atomic(kept, text, 0600);
    }
    return impl_->files.emplace(url, std::move(text)).first->second;
}

}  // namespace kled::gitops::git
