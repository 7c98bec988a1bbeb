// One run, against a real repository on disk.
#include "gitops/image/update.h"

#include "base/error.h"
#include "base/file.h"
#include "crypto/pgp.h"
#include "gitops/git/testing.h"
#include "gitops/git/tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

namespace kled::gitops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string marked = "image: app:1 # {\"$imagepolicy\": \"apps:app\"}\n";
const std::string set = "image: example.org/app:2 # {\"$imagepolicy\": \"apps:app\"}\n";

class ImageUpdateTest : public ::testing::Test {
protected:
    ImageUpdateTest() {
        order.mirror = std::make_shared<git::Mirror>(directory.path() / "mirror", remote.url());
        order.access.local_repositories = true;
        order.checkout.branch = "main";
        order.elected = {{"apps:app", {.name = "example.org/app", .tag = "2", .digest = {}}}};
        order.ns = "apps";
        order.name = "images";
        order.author = {.name = "Bot", .email = "bot@example.org"};
        order.time = 1'700'000'000;
    }
    ImageUpdated run() { return update_images(order, stop.get_token()); }
    std::string failure() {
        try {
            static_cast<void>(run());
        } catch (const Error& error) {
            return error.what();
        }
        return "nothing was thrown";
    }
    std::string tip(const std::string& branch) {
        git::Mirror other{directory.path() / "other", remote.url()};
        return other.fetch({.branch = branch}, order.access, {}).commit.hex();
    }
    std::string content(const std::string& branch, const std::string& path) {
        git::Mirror other{directory.path() / "other", remote.url()};
        const auto revision = other.fetch({.branch = branch}, order.access, {});
        return git::Tree{other, revision}.read(path);
    }

    git::testing::Repository remote;
    TemporaryDirectory directory;
    std::stop_source stop;
    ImageUpdate order;
};

TEST_F(ImageUpdateTest, PushesWhatIsSetBelowItsPathOnly) {
    remote.commit({{"apps/a.yaml", marked}, {"other/a.yaml", marked}, {"apps/notes.txt", marked}});
    order.path = "./apps";
    order.message_template = "{{ range $file, $_ := .Changed.FileChanges }}{{ $file }}{{ end }}";
    const auto updated = run();
    EXPECT_EQ(updated.message, "a.yaml");
    EXPECT_EQ(updated.where, "branch 'main'");
    EXPECT_EQ(updated.commit, tip("main"));
    EXPECT_EQ(content("main", "apps/a.yaml"), set);
    EXPECT_EQ(content("main", "other/a.yaml"), marked);
    EXPECT_EQ(content("main", "apps/notes.txt"), marked);
    EXPECT_EQ(run().commit, "") << "nothing is left to do";
    EXPECT_EQ(updated.commit, tip("main"));
}

TEST_F(ImageUpdateTest, KnowsTheRevisionItHasSeen) {
    remote.commit({{"a.yaml", marked}});
    order.known_revision = "main@sha1:" + tip("main");
    EXPECT_FALSE(run().looked);
    order.known_revision += "0";
    EXPECT_TRUE(run().looked);
}

TEST_F(ImageUpdateTest, MakesABranchAnewFromTheOtherOneAndOnlyWhenItDiffers) {
    remote.commit({{"a.yaml", marked}, {"b", "1"}});
    order.push_branch = "images";
    const auto first = run();
    EXPECT_EQ(first.commit, tip("images"));
    EXPECT_EQ(content("main", "a.yaml"), marked);
    order.time += 60;
    EXPECT_EQ(run().commit, "") << "the branch has it";
    EXPECT_EQ(first.commit, tip("images"));
    remote.commit({{"a.yaml", marked}, {"b", "2"}});
    const auto second = run();
    EXPECT_EQ(second.commit, tip("images"));
    EXPECT_EQ(content("images", "b"), "2");
    EXPECT_EQ(content("images", "a.yaml"), set);
}

TEST_F(ImageUpdateTest, PushesToWhatARefspecNamesToo) {
    remote.commit({{"a.yaml", marked}});
    order.push_refspec = "refs/heads/main:refs/heads/auto";
    const auto updated = run();
    EXPECT_EQ(updated.where, "branch 'main' and using refspec 'refs/heads/main:refs/heads/auto'");
    EXPECT_EQ(updated.commit, tip("auto"));
    EXPECT_EQ(updated.commit, tip("main"));
}

TEST_F(ImageUpdateTest, NamesTheFieldThatDoesNotFit) {
    remote.commit({{"a.yaml", marked}});
    order.push_refspec = "+HEAD:refs/heads/x";
    EXPECT_THAT(failure(), StartsWith("spec.git.push.refspec: "));
    order.push_refspec = ":refs/heads/x";
    EXPECT_THAT(failure(), StartsWith("spec.git.push.refspec: "));
    order.push_refspec = "other:refs/heads/x";
    EXPECT_THAT(failure(), StartsWith("spec.git.push.refspec: "));
    order.push_refspec.clear();
    order.push_branch = "a..b";
    EXPECT_THAT(failure(), StartsWith("spec.git.push.branch: "));
    order.push_branch.clear();
    order.message_template = "{{ .None }}";
    EXPECT_THAT(failure(), StartsWith("spec.git.commit.messageTemplate: line 1: "));
    order.message_template.clear();
    order.author.name = "a\nparent b";
    EXPECT_THAT(failure(), StartsWith("spec.git.commit.author: "));
    order.author.name = "a <b>";
    EXPECT_THAT(failure(), StartsWith("spec.git.commit.author: "));
    order.author.name = "Bot";
    order.path = "none";
    EXPECT_THAT(failure(), HasSubstr("there is no 'none'"));
    order.path.clear();
    order.checkout = {.tag = "v1"};
    EXPECT_THAT(failure(), StartsWith("spec.git.push.branch: is required"));
}

TEST_F(ImageUpdateTest, SignsSoThatGitItselfSaysItHolds) {
    const auto keys = std::filesystem::absolute(KLED_SOURCE_DIR "/crypto/testdata/pgp");
    const auto in = "cd '" + directory.path().string() +
                    "' && export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 "
                    "GNUPGHOME=$PWD/.gnupg && ";
    const auto run_shell = [&](const std::string& command) {
        return std::system((in + command).c_str());
    };
    remote.commit({{"a.yaml", marked}});
    order.push_branch = "images";
    const auto unsigned_commit = run().commit;
    ASSERT_EQ(unsigned_commit, tip("images"));
    const auto verify = "git -C '" + remote.path().string() + "' verify-commit images 2>&1";
    ASSERT_EQ(run_shell("mkdir -m 700 .gnupg && gpg --batch --quiet --import '" + keys.string() +
                        "/subkey-public.asc'"),
              0);
    EXPECT_NE(run_shell(verify), 0) << "it is not signed";
    const auto signer = std::make_shared<crypto::PgpKeys>();
    signer->add(read_file(keys / "subkey.asc"), Secret{"secret"});
    order.sign = [signer](std::string_view payload) { return signer->sign(payload); };
    order.message_template = "Ünï\n\ntwo";
    const auto signed_commit = run().commit;
    EXPECT_NE(signed_commit, "") << "the one that is not signed does not do";
    EXPECT_EQ(signed_commit, tip("images"));
    EXPECT_EQ(run_shell(verify), 0);
    EXPECT_EQ(content("images", "a.yaml"), set);
    EXPECT_EQ(run().commit, "") << "it is there, and signed";
    run_shell("gpgconf --kill all");
}

TEST_F(ImageUpdateTest, EndsAtItsLimits) {
    remote.commit({{"a/a.yaml", marked}, {"b/a.yaml", marked}, {"c/notes.yaml", "x: y\n"}});
    const auto before = tip("main");
    order.read_limit = 2 * marked.size();
    EXPECT_THAT(failure(), HasSubstr("the files that are read have more than "));
    order.read_limit = 3 * marked.size();
    order.change_limit = 2 * set.size() - 1;
    EXPECT_THAT(failure(), HasSubstr("the files that are to be changed have more than "));
    EXPECT_EQ(tip("main"), before);
    order.change_limit = 2 * set.size();
    const auto updated = run();
    EXPECT_EQ(updated.commit, tip("main"));
    EXPECT_NE(updated.commit, before);
}

TEST_F(ImageUpdateTest, LeavesHostileFilesAlone) {
    remote.commit({{"a.yaml", marked},
                   {"large.yaml", marked + std::string(image_file_limit, '#')},
                   {"chart.yaml", "{{ if }}\n" + marked},
                   {"binary.yaml", marked + std::string("\0\xff", 2)},
                   {"out.yaml", git::testing::File::link("/etc/passwd")}});
    const auto updated = run();
    EXPECT_EQ(content("main", "a.yaml"), set);
    EXPECT_THAT(updated.remarks, ElementsAre(StartsWith("binary.yaml"), StartsWith("chart.yaml"),
                                             StartsWith("large.yaml")));
}

}  // namespace
}  // namespace kled::gitops
