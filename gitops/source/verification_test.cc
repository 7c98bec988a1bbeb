#include "gitops/source/verification.h"

#include "base/error.h"
#include "base/file.h"
#include "gitops/git/testing.h"
#include "gitops/git/testing_signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace kled::gitops {
namespace {

using git::testing::Signer;
using ::testing::HasSubstr;

class VerificationTest : public ::testing::Test {
protected:
    VerificationTest() { wanted.keys.add("# who may\n" + alice.public_key() + " alice\n"); }

    git::testing::Repository::Sign by(const Signer& signer, const std::string& use = "git") {
        return [&signer, use](const std::string& payload) { return signer.sign(payload, use); };
    }
    Verified looked_at(const git::Reference& reference, bool head, bool tag) {
        git::Access access;
        access.local_repositories = true;
        const auto revision = mirror.fetch(reference, access, {});
        wanted.head = head;
        wanted.tag = tag;
        return verify(mirror, reference, revision, wanted);
    }
    Verified head() { return looked_at({.branch = "main"}, true, false); }
    Verified tag(const std::string& name) { return looked_at({.tag = name}, false, true); }

    Signer alice;
    Signer mallory;
    Verification wanted;
    git::testing::Repository remote;
    TemporaryDirectory directory;
    git::Mirror mirror{directory.path() / "mirror", remote.url()};
};

TEST_F(VerificationTest, ACommitCountsWhenSomeoneTrustedSignedIt) {
    const auto commit = remote.signed_commit({{"a", "1"}}, by(alice));
    const auto good = head();
    EXPECT_TRUE(good.good) << good.message;
    EXPECT_EQ(good.reason, "Succeeded");
    EXPECT_THAT(good.message,
                HasSubstr("verified signature of\n\t- commit '" + commit + "' with key 'SHA256:"));

    remote.signed_commit({{"a", "2"}}, by(mallory));
    const auto other = head();
    EXPECT_FALSE(other.good);
    EXPECT_EQ(other.reason, "InvalidCommitSignature");
    EXPECT_THAT(other.message, HasSubstr("is none of those that may sign"));

    remote.commit({{"a", "3"}});
    EXPECT_THAT(head().message, HasSubstr("it is not signed"));
    remote.signed_commit({{"a", "4"}}, by(alice, "file"));
    EXPECT_THAT(head().message, HasSubstr("made for something else"));
    remote.signed_commit({{"a", "5"}},
                         [this](const std::string&) { return alice.sign("another commit"); });
    EXPECT_THAT(head().message, HasSubstr("does not fit"));
    remote.signed_commit({{"a", "6"}}, [](const std::string&) {
        return "-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n";
    });
    EXPECT_THAT(head().message, HasSubstr("those that may sign are SSH keys"));
}

TEST_F(VerificationTest, ATagCountsByItself) {
    const auto commit = remote.commit({{"a", "1"}});
    remote.signed_tag("v1.0.0", commit, by(alice));
    const auto good = tag("v1.0.0");
    EXPECT_TRUE(good.good) << good.message;
    EXPECT_THAT(good.message, HasSubstr("- tag 'v1.0.0' with key 'SHA256:"));
    EXPECT_TRUE(looked_at({.semver = "1.x"}, false, true).good);
    EXPECT_TRUE(looked_at({.name = "refs/tags/v1.0.0"}, false, true).good);
    EXPECT_EQ(looked_at({.tag = "v1.0.0"}, true, true).reason, "InvalidCommitSignature");

    remote.signed_tag("v1.0.1", commit, by(mallory));
    EXPECT_EQ(tag("v1.0.1").reason, "InvalidGitTagSignature");
    remote.tag("light", commit);
    EXPECT_THAT(tag("light").message, HasSubstr("it is not signed"));
    remote.annotated_tag("plain", commit);
    EXPECT_THAT(tag("plain").message, HasSubstr("it is not signed"));
    EXPECT_EQ(looked_at({.branch = "main"}, false, true).reason, "InvalidVerificationMode");
    EXPECT_EQ(looked_at({.commit = commit}, false, true).reason, "InvalidVerificationMode");
}

TEST_F(VerificationTest, WhatGitItselfSignedCounts) {
    const auto place = directory.path() / "real";
    std::filesystem::create_directory(place);
    const auto in = "cd '" + place.string() + "' && export GIT_CONFIG_GLOBAL=/dev/null " +
                    "GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@x " +
                    "GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@x && ";
    const std::string sign = "git -c gpg.format=ssh -c user.signingkey=key ";
    const auto done =
        std::system((in +
                     "ssh-keygen -q -t ecdsa -N '' -f key && git init -q -b main . && "
                     "echo 1 > a && git add a && " +
                     sign + "commit -q -S -m one && " + sign + "tag -s v1 -m v1")
                        .c_str());
    ASSERT_EQ(done, 0);
    git::Mirror real{directory.path() / "real-mirror", "file://" + place.string()};
    git::Access access;
    access.local_repositories = true;
    const auto revision = real.fetch({.tag = "v1"}, access, {});
    wanted.head = wanted.tag = true;
    EXPECT_FALSE(verify(real, {.tag = "v1"}, revision, wanted).good);
    wanted.keys.add(read_file(place / "key.pub"));
    const auto verdict = verify(real, {.tag = "v1"}, revision, wanted);
    EXPECT_TRUE(verdict.good) << verdict.message;
}

TEST_F(VerificationTest, AnOlderTagDoesNotStandForANewerOne) {
    const auto old = remote.commit({{"a", "1"}});
    // The signature is good, of the tag v1, which somebody put in the place of v2.
    remote.signed_tag("v2", old, by(alice), "v1");
    const auto verdict = tag("v2");
    EXPECT_FALSE(verdict.good);
    EXPECT_THAT(verdict.message, HasSubstr("what stands there is the tag 'v1'"));
}

TEST_F(VerificationTest, WhatGpgSignedCounts) {
    const auto place = directory.path() / "gpg";
    std::filesystem::create_directory(place);
    const auto keys = std::filesystem::absolute(KLED_SOURCE_DIR "/crypto/testdata/pgp");
    const auto in = "cd '" + place.string() +
                    "' && export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 "
                    "GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@x GIT_COMMITTER_NAME=a "
                    "GIT_COMMITTER_EMAIL=a@x GNUPGHOME=$PWD/.gnupg && ";
    const auto run = [&](const std::string& command) {
        return std::system((in + command).c_str());
    };
    ASSERT_EQ(run("mkdir -m 700 .gnupg && gpg --batch --quiet --import '" + keys.string() +
                  "/curve.asc' && git init -q -b main . && echo 1 > a && git add a && "
                  "git -c user.signingkey=curve@test commit -q -S -m one && "
                  "git -c user.signingkey=curve@test tag -s v1 -m v1 && "
                  "gpgconf --kill all"),
              0);
    git::Mirror real{directory.path() / "gpg-mirror", "file://" + place.string()};
    git::Access access;
    access.local_repositories = true;
    const git::Reference reference{.tag = "v1"};
    const auto revision = real.fetch(reference, access, {});
    wanted.head = wanted.tag = true;
    EXPECT_THAT(verify(real, reference, revision, wanted).message,
                HasSubstr("those that may sign are SSH keys"));
    wanted.pgp.emplace();
    wanted.pgp->add(read_file(keys / "rsa.asc"));
    EXPECT_THAT(verify(real, reference, revision, wanted).message, HasSubstr("by another key"));
    wanted.pgp->add(read_file(keys / "public.asc"));
    auto fingerprint = read_file(keys / "curve.fingerprint");
    fingerprint.pop_back();
    const auto good = verify(real, reference, revision, wanted);
    EXPECT_TRUE(good.good) << good.message;
    EXPECT_THAT(good.message, HasSubstr("- tag 'v1' with key '" + fingerprint + "'"));
    EXPECT_THAT(good.message, HasSubstr(revision.commit.hex() + "' with key '" + fingerprint));
}

}  // namespace
}  // namespace kled::gitops
