#include "gitops/git/submodules.h"

#include "base/error.h"
#include "crypto/hash.h"
#include "gitops/git/compose.h"
#include "gitops/git/gitmodules.h"
#include "net/http.h"

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

namespace kled::gitops::git {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t file_bytes = 256U << 10U;
constexpr std::size_t url_bytes = 4096;

/// A URL in two: what names the server, and the path on it.
struct Place {
    std::string server;  ///< "https://host/", "git@host:", "file:///", "/"
    std::string path;
    bool local = false;
};

std::optional<Place> place_of(std::string_view url) {
    for (const std::string_view scheme : {"https://", "http://", "ssh://"}) {
        if (!url.starts_with(scheme)) continue;
        const auto slash = url.find('/', scheme.size());
        if (slash == std::string_view::npos || slash == scheme.size()) return std::nullopt;
        return Place{.server = std::string{url.substr(0, slash + 1)},
                     .path = std::string{url.substr(slash + 1)}};
    }
    if (url.starts_with("file:///"))
        return Place{.server = "file:///", .path = std::string{url.substr(8)}, .local = true};
    if (url.starts_with('/'))
        return Place{.server = "/", .path = std::string{url.substr(1)}, .local = true};
    const auto colon = url.find(':');
    if (url.find("://") != std::string_view::npos || colon == std::string_view::npos ||
        colon == 0 || url.substr(0, colon).find('/') != std::string_view::npos ||
        url.substr(colon).starts_with("::")) {  // "ext::…": a program of Git's
        return std::nullopt;
    }
    if (colon + 1 == url.size()) return std::nullopt;
    const auto rooted = url.substr(colon + 1).starts_with('/') ? 1U : 0U;
    return Place{.server = std::string{url.substr(0, colon + 1 + rooted)},
                 .path = std::string{url.substr(colon + 1 + rooted)}};
}

Error bad(std::string_view url, std::string_view what) {
    return {ErrorKind::invalid,
            "the URL '" + printable_url(url.substr(0, 200)) + "' " + std::string{what}};
}

std::string relative_to(std::string_view parent, std::string_view url) {
    auto place = place_of(parent);
    if (!place) throw bad(parent, "is none that a relative one can go on from");
    auto& path = place->path;
    while (path.ends_with('/')) path.pop_back();
    auto rest = url;
    for (;;) {
        if (rest.starts_with("./")) {
            rest.remove_prefix(2);
        } else if (rest.starts_with("../")) {
            rest.remove_prefix(3);
            if (path.empty()) throw bad(url, "leads above its server");
            const auto slash = path.rfind('/');
            path.resize(slash == std::string::npos ? 0 : slash);
        } else if (rest.starts_with('/')) {
            rest.remove_prefix(1);
        } else {
            break;
        }
    }
    const auto whole = "/" + std::string{rest} + "/";
    if (rest.empty() || rest == "." || whole.find("/../") != std::string::npos)
        throw bad(url, "names no repository");
    return place->server + path + (path.empty() ? "" : "/") + std::string{rest};
}

}  // namespace

std::string submodule_url(std::string_view parent, std::string_view url) {
    const auto plain = [](unsigned char c) { return c > 0x20 && c != 0x7f; };
    if (url.empty() || url.size() > url_bytes || !std::ranges::all_of(url, plain) ||
        url.starts_with('-')) {
        throw bad("", "of a submodule is empty, too long, or has blanks or a leading '-'");
    }
    if (url.starts_with("./") || url.starts_with("../")) return relative_to(parent, url);
    const auto place = place_of(url);
    if (!place) {
        throw bad(url,
                  "is none that kled reads: https://, http://, ssh://, user@host:path, ./ or ../");
    }
    const auto from = place_of(parent);
    if (place->local && !(from && from->local)) {
        throw Error{ErrorKind::denied, "the URL '" + std::string{url.substr(0, 200)} +
                                           "' is on this machine's disk, and the repository that "
                                           "names it is not"};
    }
    return std::string{url};
}

Access submodule_access(const Access& access, std::string_view root, std::string_view url) {
    const auto same_server = [&] {
        if (!url.starts_with("http") || !root.starts_with("http")) return false;
        const auto a = net::parse_url(root);
        const auto b = net::parse_url(url);
        return a.scheme == b.scheme && a.host == b.host && a.port == b.port;
    };
    auto result = access;
    if (!same_server()) {
        result.user.clear();
        result.password = nullptr;
        result.bearer_token = nullptr;
        result.certificate_pem.clear();
        result.key_pem = nullptr;
    }
    return result;
}

Revision Submodules::fill(Mirror& mirror, Revision revision, const Access& access,
                          const std::stop_token& stop) {
    Walk walk{.root = mirror.url(),
              .access = access,
              .stop = stop,
              .deadline = std::chrono::steady_clock::now() + access.timeout,
              .used = {}};
    auto result = fill(mirror, std::move(revision), walk, 0);
    std::erase_if(mirrors_, [&](const auto& item) { return !walk.used.contains(item.first); });
    std::error_code ignored;
    std::vector<fs::path> unused;
    for (const auto& entry : fs::directory_iterator{directory_, ignored})
        if (!walk.used.contains(entry.path().filename())) unused.push_back(entry.path());
    for (const auto& folder : unused) fs::remove_all(folder, ignored);
    return result;
}

Revision Submodules::fill(Mirror& mirror, Revision revision, Walk& walk, std::size_t depth) {
    Composer composer{mirror, std::move(revision)};
    const auto text = composer.file(".gitmodules", file_bytes);
    if (!text) return composer.revision();
    for (const auto& [path, url] : parse_gitmodules(*text)) {
        const auto commit = composer.submodule(path);
        if (!commit) continue;  // it was taken out, and its lines were left
        try {
            if (depth == depth_limit)
                throw Error{ErrorKind::exhausted, "submodules are nested too deep"};
            if (++walk.count > count_limit)
                throw Error{ErrorKind::exhausted, "there are too many submodules"};
            const auto where = submodule_url(mirror.url(), url);
            const auto folder = crypto::sha256_hex(where).substr(0, 40);
            auto& known = mirrors_[folder];
            if (!known) known = std::make_shared<Mirror>(directory_ / folder, where);
            const auto module = known;
            if (walk.used.insert(folder).second) Composer::trim(*module);
            auto access = submodule_access(walk.access, walk.root, where);
            access.timeout = std::max(std::chrono::duration_cast<std::chrono::milliseconds>(
                                          walk.deadline - std::chrono::steady_clock::now()),
                                      std::chrono::milliseconds{1});
            auto found = module->fetch({.commit = commit->hex()}, access, walk.stop);
            composer.fill(path, module, fill(*module, std::move(found), walk, depth + 1));
        } catch (const Error& error) {
            throw error.within("submodule '" + path + "'");
        }
    }
    return composer.revision();
}

}  // namespace kled::gitops::git
