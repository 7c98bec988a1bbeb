#include "gitops/source/verification.h"

#include "base/error.h"
#include "gitops/git/signed.h"

#include <optional>
#include <string_view>

namespace kled::gitops {

namespace {

/// The tag that led to `revision`; empty: none did.
std::string tag_of(const git::Reference& reference, const git::Revision& revision) {
    constexpr std::string_view tags = "refs/tags/";
    if (!reference.commit.empty()) return {};
    if (!reference.name.empty())
        return reference.name.starts_with(tags) ? reference.name.substr(tags.size()) : "";
    if (reference.semver.empty()) return reference.tag;
    const auto at = revision.name.rfind("@sha1:");  // the range found it
    return at == std::string::npos ? std::string{} : revision.name.substr(0, at);
}

/// The key's fingerprint. Error says why not.
std::string checked(const std::optional<git::Signed>& it, const Verification& wanted) {
    if (!it) throw Error{ErrorKind::denied, "it is not signed"};
    if (it->signature.find(crypto::ssh_signature_begin) != std::string::npos)
        return wanted.keys.verify(it->signature, it->payload, "git");
    if (it->signature.find("-----BEGIN PGP SIGNATURE-----") == std::string::npos)
        throw Error{ErrorKind::denied, "it is signed neither with an SSH nor with a PGP key"};
    if (!wanted.pgp) {
        throw Error{ErrorKind::denied,
                    "it is signed with a PGP key, and those that may sign are SSH keys"};
    }
    return wanted.pgp->signer(it->payload, it->signature);
}

}  // namespace

Verified verify(git::Mirror& mirror, const git::Reference& reference, const git::Revision& revision,
                const Verification& wanted) {
    std::string message = "verified signature of";
    if (wanted.tag) {
        const auto tag = tag_of(reference, revision);
        if (tag.empty()) {
            return {.reason = "InvalidVerificationMode",
                    .message =
                        "cannot verify tag object's signature if a tag reference is not "
                        "specified"};
        }
        try {
            const auto key = checked(git::signed_tag(mirror, tag, revision.commit), wanted);
            message += "\n\t- tag '" + tag + "' with key '" + key + "'";
        } catch (const Error& error) {
            return {
                .reason = "InvalidGitTagSignature",
                .message = "signature verification of tag '" + tag + "' failed: " + error.what()};
        }
    }
    if (wanted.head) {
        const auto commit = revision.commit.hex();
        try {
            const auto key = checked(git::signed_commit(mirror, revision.commit), wanted);
            message += "\n\t- commit '" + commit + "' with key '" + key + "'";
        } catch (const Error& error) {
            return {.reason = "InvalidCommitSignature",
                    .message = "signature verification of commit '" + commit +
                               "' failed: " + error.what()};
        }
    }
    return {.good = true, .reason = "Succeeded", .message = message};
}

}  // namespace kled::gitops
