#include "gitops/git/signed.h"

#include "base/error.h"
#include "gitops/git/libgit2.h"
#include "gitops/git/mirror_impl.h"

#include <array>
#include <string_view>

namespace kled::gitops::git {

namespace {

using TagPtr = std::unique_ptr<git_tag, Freed<git_tag_free>>;
using OdbObjectPtr = std::unique_ptr<git_odb_object, Freed<git_odb_object_free>>;

class Buffer {
public:
    Buffer() = default;
    ~Buffer() { git_buf_dispose(&raw_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    [[nodiscard]] git_buf* raw() { return &raw_; }
    [[nodiscard]] std::string text() const { return {raw_.ptr, raw_.size}; }

private:
    git_buf raw_{};
};

Opened opened(Mirror& mirror) {
    Opened result{mirror, {}};
    if (!result.repository) {
        throw Error{ErrorKind::unavailable,
                    "the cache of " + printable_url(mirror.url()) + " is not there"};
    }
    return result;
}

/// Where the signature begins that ends a tag; npos: there is none.
std::size_t signature_in(std::string_view tag) {
    constexpr std::array<std::string_view, 4> begins{
        "-----BEGIN SSH SIGNATURE-----", "-----BEGIN PGP SIGNATURE-----",
        "-----BEGIN PGP MESSAGE-----", "-----BEGIN SIGNED MESSAGE-----"};
    std::size_t last = std::string_view::npos;
    for (std::size_t line = 0; line < tag.size();) {
        for (const auto begin : begins)
            if (tag.substr(line).starts_with(begin)) last = line;
        const auto end = tag.find('\n', line);
        if (end == std::string_view::npos) break;
        line = end + 1;
    }
    return last;
}

}  // namespace

std::optional<Signed> signed_commit(Mirror& mirror, const Oid& commit) {
    const auto place = opened(mirror);
    Buffer signature;
    Buffer payload;
    auto oid = to_git(commit);
    const int code = git_commit_extract_signature(signature.raw(), payload.raw(),
                                                  place.repository.get(), &oid, nullptr);
    if (code == GIT_ENOTFOUND) return std::nullopt;
    check(code, "commit " + commit.hex());
    return Signed{.signature = signature.text(), .payload = payload.text()};
}

std::optional<Signed> signed_tag(Mirror& mirror, const std::string& name, const Oid& commit) {
    const auto place = opened(mirror);
    git_oid oid{};
    const auto reference = "refs/kled/tags/" + name;
    if (git_reference_name_to_id(&oid, place.repository.get(), reference.c_str()) < 0)
        return std::nullopt;
    git_tag* raw_tag = nullptr;
    if (git_tag_lookup(&raw_tag, place.repository.get(), &oid) < 0) return std::nullopt;
    const TagPtr tag{raw_tag};
    if (name != git_tag_name(raw_tag)) {
        throw Error{ErrorKind::denied,
                    "what stands there is the tag '" + std::string{git_tag_name(raw_tag)} + "'"};
    }
    git_object* raw_target = nullptr;
    check(git_tag_peel(&raw_target, raw_tag), "tag " + name);
    const ObjectPtr target{raw_target};
    if (from_git(*git_object_id(raw_target)) != commit)
        throw Error{ErrorKind::denied, "it leads to another commit"};
    git_odb_object* raw = nullptr;
    check(git_odb_read(&raw, place.odb.get(), &oid), "tag " + name);
    const OdbObjectPtr object{raw};
    const std::string_view text{static_cast<const char*>(git_odb_object_data(raw)),
                                git_odb_object_size(raw)};
    const auto at = signature_in(text);
    if (at == std::string_view::npos) return std::nullopt;
    return Signed{.signature = std::string{text.substr(at)},
                  .payload = std::string{text.substr(0, at)}};
}

}  // namespace kled::gitops::git
