#include "gitops/source/artifacts.h"

#include "base/error.h"
#include "base/file.h"
#include "crypto/hash.h"
#include "gitops/git/testing.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace kled::gitops {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using ::testing::UnorderedElementsAre;

/// Remembers the answer.
class Answer : public net::ResponseWriter {
public:
    asio::awaitable<void> respond(net::Response response) override {
        answer = std::move(response);
        co_return;
    }
    asio::awaitable<void> begin(unsigned status, net::Headers headers) override {
        answer.status = status;
        answer.headers = std::move(headers);
        co_return;
    }
    asio::awaitable<void> write(std::string_view bytes) override {
        answer.body += bytes;
        co_return;
    }
    asio::awaitable<void> closed() override { co_return; }

    net::Response answer;
};

class ArtifactsTest : public ::testing::Test {
protected:
    ArtifactsTest() { artifacts->advertise("http://kled:9790/"); }
    ~ArtifactsTest() override { pool.join(); }

    git::Revision fetch(const git::testing::Files& files) {
        remote.commit(files);
        git::Access access;
        access.local_repositories = true;
        return mirror.fetch({.branch = "main"}, access, {});
    }
    Artifact store(const git::Revision& revision) {
        return artifacts->store({"flux-system", "fleet"}, mirror, revision, {});
    }
    net::Response ask(const std::string& target, const std::string& method = "GET",
                      const std::string& etag = "") {
        net::Request request;
        request.method = method;
        request.target = target;
        if (!etag.empty()) request.headers.set("If-None-Match", etag);
        Answer out;
        const auto handler = artifact_handler(artifacts, pool);
        asio::io_context loop;
        auto done =
            asio::co_spawn(loop, handler(std::move(request), net::Peer{}, out), asio::use_future);
        loop.run();
        done.get();
        return out.answer;
    }
    std::vector<std::string> files() {
        std::vector<std::string> names;
        const auto place = directory.path() / "artifacts/gitrepository/flux-system/fleet";
        for (const auto& entry : fs::directory_iterator{place})
            names.push_back(entry.path().filename());
        return names;
    }

    git::testing::Repository remote;
    TemporaryDirectory directory;
    git::Mirror mirror{directory.path() / "mirror", remote.url()};
    ThreadPool pool{1};
    std::shared_ptr<Artifacts> artifacts =
        std::make_shared<Artifacts>(directory.path() / "artifacts");
};

TEST_F(ArtifactsTest, ServesWhatItStored) {
    const auto revision = fetch({{"a.yaml", std::string(400'000, 'a')}});
    const auto artifact = store(revision);
    EXPECT_EQ(artifact.path,
              "gitrepository/flux-system/fleet/" + revision.commit.hex() + ".tar.gz");
    EXPECT_EQ(artifact.url, "http://kled:9790/" + artifact.path);
    EXPECT_TRUE(artifacts->has(artifact));

    const auto got = ask("/" + artifact.path);
    EXPECT_EQ(got.status, 200U);
    EXPECT_EQ(got.body.size(), artifact.size);
    EXPECT_EQ("sha256:" + crypto::sha256_hex(got.body), artifact.digest);
    EXPECT_EQ(ask("/gitrepository/flux-system/fleet/latest.tar.gz").body, got.body);

    const std::string etag{got.headers.get("ETag")};
    EXPECT_EQ(ask("/" + artifact.path, "GET", etag).status, 304U);
    EXPECT_EQ(ask("/" + artifact.path, "GET", "\"other\"").status, 200U);
    const auto head = ask("/" + artifact.path, "HEAD");
    EXPECT_EQ(head.headers.get("Content-Length"), std::to_string(artifact.size));
    EXPECT_EQ(head.body, "");
    EXPECT_EQ(ask("/" + artifact.path, "DELETE").status, 405U);
}

TEST_F(ArtifactsTest, RulesThatChangeMakeAnotherArchiveOfTheCommit) {
    auto revision = fetch({{"a.yaml", "a"}, {"b.yaml", "b"}});
    const auto all = store(revision);
    const std::string etag{ask("/" + all.path).headers.get("ETag")};
    revision.ignore = "b.yaml";
    const auto some = store(revision);
    EXPECT_EQ(some.path, all.path);
    EXPECT_NE(some.digest, all.digest);
    EXPECT_EQ(ask("/" + some.path, "GET", etag).status, 200U);
}

TEST_F(ArtifactsTest, NamesNothingElse) {
    const auto artifact = store(fetch({{"a.yaml", "a"}}));
    write_file_atomic(directory.path() / "artifacts/secret.tar.gz", "secret");
    const std::string place = "/gitrepository/flux-system/fleet/";
    const std::string commit(40, '0');
    const std::vector<std::string> paths{"/",
                                         "/gitrepository",
                                         place,
                                         place + "..",
                                         place + "../../../secret.tar.gz",
                                         place + "%2e%2e/%2e%2e/%2e%2e/secret.tar.gz",
                                         place + "..%2f..%2f..%2fsecret.tar.gz",
                                         place + commit + ".tar.gz",
                                         "/gitrepository/../secret.tar.gz/latest.tar.gz",
                                         "/gitrepository/flux-system//latest.tar.gz",
                                         "/gitrepository/Flux/fleet/latest.tar.gz",
                                         "/" + artifact.path + "/",
                                         "//" + artifact.path};
    for (const auto& path : paths) EXPECT_EQ(ask(path).status, 404U) << path;
    EXPECT_THROW(ask(place + "%00" + commit + ".tar.gz"), Error);
    // A link that someone put there leads nowhere.
    const auto folder = directory.path() / "artifacts/gitrepository/flux-system/fleet";
    fs::create_symlink("../../../secret.tar.gz", folder / (commit + ".tar.gz"));
    EXPECT_EQ(ask(place + commit + ".tar.gz").status, 404U);
    fs::remove(folder / "latest.tar.gz");
    fs::create_symlink("../../../secret.tar.gz", folder / "latest.tar.gz");
    EXPECT_EQ(ask(place + "latest.tar.gz").status, 404U);
    EXPECT_THROW((void)artifacts->store({"..", "x"}, mirror, {}, {}), Error);
}

TEST_F(ArtifactsTest, KeepsTheOneBeforeAndNoMore) {
    const auto one = fetch({{"a", "1"}});
    store(one);
    const auto two = fetch({{"a", "2"}});
    store(two);
    const auto three = fetch({{"a", "3"}});
    store(three);
    store(three);
    EXPECT_THAT(files(), UnorderedElementsAre(two.commit.hex() + ".tar.gz",
                                              three.commit.hex() + ".tar.gz", "latest.tar.gz"));
    artifacts->keep_only({{"flux-system", "fleet"}}, {"GitRepository"});
    EXPECT_EQ(files().size(), 3U);
    artifacts->keep_only({{"flux-system", "other"}}, {"Bucket", "OCIRepository"});
    EXPECT_EQ(files().size(), 3U) << "of a kind that cannot be listed";
    artifacts->keep_only({{"flux-system", "other"}}, {"GitRepository"});
    EXPECT_EQ(ask("/gitrepository/flux-system/fleet/latest.tar.gz").status, 404U);
}

TEST_F(ArtifactsTest, WhatFailsLeavesTheOldOneAndNoRest) {
    const auto good = store(fetch({{"a", "1"}}));
    auto bad = fetch({{"a", "2"}});
    bad.tree = {};
    EXPECT_THROW(store(bad), Error);
    std::stop_source stop;
    stop.request_stop();
    EXPECT_ANY_THROW((void)artifacts->store({"flux-system", "fleet"}, mirror, fetch({{"a", "3"}}),
                                            stop.get_token()));
    EXPECT_TRUE(artifacts->has(good));
    EXPECT_EQ(files().size(), 2U);
    artifacts->remove({"flux-system", "fleet"});
    EXPECT_FALSE(artifacts->has(good));
}

}  // namespace
}  // namespace kled::gitops
