#include "gitops/git/libgit2.h"

#include "base/encoding.h"
#include "base/error.h"

#include <algorithm>
#include <string>

namespace kled::gitops::git {

namespace {

ErrorKind kind_of(int code) {
    switch (code) {
        case GIT_ENOTFOUND: return ErrorKind::not_found;
        case GIT_EAUTH:
        case GIT_ECERTIFICATE:
        case GIT_EOWNER: return ErrorKind::denied;
        case GIT_EINVALIDSPEC:
        case GIT_EINVALID: return ErrorKind::invalid;
        default: break;
    }
    if (is_of_machine(code)) return ErrorKind::exhausted;
    return ErrorKind::unavailable;
}

}  // namespace

bool is_of_machine(int code) noexcept {
    const auto* error = code < 0 && code != GIT_ENOTFOUND ? git_error_last() : nullptr;
    return error != nullptr && (error->klass == GIT_ERROR_OS || error->klass == GIT_ERROR_NOMEMORY);
}

std::string Oid::hex() const {
    return to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::optional<Oid> Oid::parse(std::string_view text) {
    Oid oid;
    if (text.size() != 2 * oid.bytes.size()) return std::nullopt;
    const auto raw = from_hex(text);
    if (!raw) return std::nullopt;
    std::ranges::transform(*raw, oid.bytes.begin(),
                           [](char c) { return static_cast<unsigned char>(c); });
    return oid;
}

std::string Reference::to_string() const {
    if (!any.empty()) return any == "HEAD" ? "HEAD" : "branch or tag '" + any + "'";
    if (!commit.empty()) return "commit " + commit;
    if (!name.empty()) return "reference '" + name + "'";
    if (!semver.empty()) return "a tag in the range '" + semver + "'";
    if (!tag.empty()) return "tag '" + tag + "'";
    return "branch '" + (branch.empty() ? "master" : branch) + "'";
}

void initialise() {
    static const bool once = [] {
        git_libgit2_init();
        // A build reads each object about once: what the library keeps is memory for nothing.
        git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, static_cast<ssize_t>(1U << 20U));
        git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, static_cast<size_t>(1U << 20U));
        git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, static_cast<size_t>(32U << 20U));
        git_libgit2_opts(GIT_OPT_SET_MWINDOW_FILE_LIMIT, static_cast<size_t>(64));
        // We read objects and never run what a repository names: its owner does not matter.
        git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
        for (const int level : {GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM,
                                GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL}) {
            git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
        }
        return true;
    }();
    static_cast<void>(once);
}

void check(int code, std::string_view context) {
    if (code >= 0) return;
    const auto* error = git_error_last();
    const std::string what = error != nullptr && error->message != nullptr
                                 ? error->message
                                 : "error " + std::to_string(code);
    throw Error{kind_of(code), what}.within(context);
}

Oid from_git(const git_oid& oid) noexcept {
    Oid result;
    std::ranges::copy(oid.id, result.bytes.begin());
    return result;
}

git_oid to_git(const Oid& oid) noexcept {
    git_oid result{};
    std::ranges::copy(oid.bytes, result.id);
    return result;
}

}  // namespace kled::gitops::git
