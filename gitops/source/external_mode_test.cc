// An ExternalArtifact in a cluster: from the status that its controller writes, and an archive
// behind HTTP, to the objects of the API.
#include "crypto/hash.h"
#include "gitops/git/gzip.h"
#include "gitops/testing/cluster_world.h"
#include "net/http_server.h"
#include "tests/support/tar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

namespace kled::gitops {
namespace {

namespace asio = boost::asio;
using ::testing::HasSubstr;

const std::string source_api = "source.toolkit.fluxcd.io/v1";

std::string packed(const std::string& value) {
    std::string result;
    git::GzipWriter gzip{[&](std::string_view bytes) { result += bytes; }};
    gzip.write(kled::testing::tar(
        {{.name = "apps/web.yaml", .content = testing::ClusterWorld::web()},
         {.name = "apps/a.yaml", .content = testing::ClusterWorld::config("a", value)}}));
    gzip.finish();
    return result;
}

std::string digest_of(const std::string& bytes) { return "sha256:" + crypto::sha256_hex(bytes); }

/// Files by path; a path that is not there is led to "/" and then to itself.
class FileServer {
public:
    explicit FileServer(const asio::any_io_executor& executor)
        : server_{executor, net::ServerOptions{},
                  [this](net::Request request, const net::Peer&, net::ResponseWriter& out) {
                      return answer(std::move(request), out);
                  }} {}

    asio::awaitable<void> run() { return server_.run(); }
    [[nodiscard]] std::string url() const {
        return "http://127.0.0.1:" + std::to_string(server_.port());
    }
    void put(const std::string& path, const std::string& content, unsigned status = 200) {
        const std::scoped_lock lock{mutex_};
        files_[path] = {status, content};
    }
    int asked() {
        const std::scoped_lock lock{mutex_};
        return std::exchange(asked_, 0);
    }

private:
    asio::awaitable<void> answer(net::Request request, net::ResponseWriter& out) {
        net::Response response;
        {
            const std::scoped_lock lock{mutex_};
            ++asked_;
            const auto found = files_.find(request.target);
            response.status = found == files_.end() ? 404 : found->second.first;
            if (response.status == 302) {
                response.headers.set("Location", found->second.second);
            } else if (response.status == 200) {
                response.body = found->second.second;
            }
        }
        co_await out.respond(std::move(response));
    }

    net::HttpServer server_;
    std::mutex mutex_;
    std::map<std::string, std::pair<unsigned, std::string>> files_;
    int asked_ = 0;
};

class ExternalMode : public ::testing::Test {
protected:
    ExternalMode() {
        server.emplace(world.executor());
        world.apply("apiVersion: " + source_api +
                    "\nkind: ExternalArtifact\nmetadata: {name: made, namespace: default, "
                    "finalizers: [example.org/theirs]}\nspec:\n"
                    "  sourceRef: {kind: ArtifactGenerator, name: made}\n");
        world.apply(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: "
            "apps, namespace: default}\nspec:\n  interval: 10m\n  retryInterval: 1s\n"
            "  path: apps\n  prune: true\n  sourceRef: {kind: ExternalArtifact, name: made}\n");
    }
    ~ExternalMode() override {
        world.stop_reconciler();
        server.reset();
    }
    void start() {
        world.start_cluster();
        world.beside(server->run());
    }
    /// As its controller does it.
    void say(const std::string& path, const std::string& revision, const std::string& digest,
             std::int64_t size) {
        auto object = *world.get(source_api, "ExternalArtifact", "default", "made");
        kube::json::object artifact;
        artifact["url"] = server->url() + path;
        artifact["path"] = path;
        artifact["revision"] = revision;
        artifact["digest"] = digest;
        artifact["size"] = size;
        artifact["lastUpdateTime"] = "2026-01-01T00:00:00Z";
        kube::json::object status;
        status["artifact"] = std::move(artifact);
        object.fields()["status"] = std::move(status);
        world.sync(world.client().update_status(object));
    }
    void say(const std::string& path, const std::string& revision, const std::string& bytes) {
        say(path, revision, digest_of(bytes), static_cast<std::int64_t>(bytes.size()));
    }
    bool has(const std::string& value) {
        return world.eventually([&] { return world.value("a") == value; });
    }
    bool applied(const std::string& revision) {
        return world.eventually(
            [&] { return summarise(*world.kustomization("apps")).revision == revision; });
    }
    std::string trouble(const std::string& text) {
        std::string message;
        const bool so = world.eventually([&] {
            message = world.says("apps", "Ready", "ArtifactFailed");
            return message.find(text) != std::string::npos;
        });
        return so ? message : "(never) " + message;
    }

    testing::ClusterWorld world;
    std::optional<FileServer> server;
};

TEST_F(ExternalMode, ItsArchiveIsDeployedAndFetchedWhenTheDigestIsAnother) {
    start();
    EXPECT_EQ(trouble("has no revision yet"), "ExternalArtifact default/made has no revision yet");
    const auto one = packed("1");
    server->put("/one.tar.gz", one);
    say("/one.tar.gz", "latest@" + digest_of(one), one);
    EXPECT_TRUE(has("1"));
    EXPECT_TRUE(applied("latest@" + digest_of(one)));
    EXPECT_EQ(server->asked(), 1);
    say("/elsewhere.tar.gz", "v1@" + digest_of(one), one);
    EXPECT_TRUE(applied("v1@" + digest_of(one))) << "the same under another name";
    EXPECT_EQ(server->asked(), 0);
    const auto two = packed("2");
    server->put("/two.tar.gz", "/real.tar.gz", 302);
    server->put("/real.tar.gz", two);
    say("/two.tar.gz", "latest@" + digest_of(two), two);
    EXPECT_TRUE(has("2"));
    const auto object = world.get(source_api, "ExternalArtifact", "default", "made");
    ASSERT_TRUE(object);
    EXPECT_EQ(object->status()->size(), 1U) << "nothing of ours is written to it";
    EXPECT_EQ(kube::to_json(*kube::find(object->fields(), {"metadata", "finalizers"})),
              R"(["example.org/theirs"])");
    // A pin by the digest of one that was fetched.
    world.annotate_object("ks/apps", {{"gitops.kled.io/revision", digest_of(one)}});
    EXPECT_TRUE(has("1"));
}

TEST_F(ExternalMode, APinMayBeTheCommitThatARevisionNames) {
    start();
    const std::string commit(40, 'c');
    const auto one = packed("1");
    server->put("/one.tar.gz", one);
    say("/one.tar.gz", "main@sha1:" + commit, one);
    EXPECT_TRUE(has("1"));
    const auto two = packed("2");
    server->put("/two.tar.gz", two);
    say("/two.tar.gz", "main@sha1:" + std::string(40, 'd'), two);
    EXPECT_TRUE(has("2"));
    world.annotate_object("ks/apps", {{"gitops.kled.io/revision", commit}});
    EXPECT_TRUE(has("1"));
}

TEST_F(ExternalMode, WhatIsWrongIsSaidAndTheLastGoodOneStays) {
    start();
    const auto one = packed("1");
    server->put("/one.tar.gz", one);
    say("/one.tar.gz", "one", one);
    EXPECT_TRUE(has("1"));
    const auto two = packed("2");
    server->put("/two.tar.gz", two);
    say("/two.tar.gz", "two", digest_of("other"), static_cast<std::int64_t>(two.size()));
    EXPECT_THAT(trouble("is not what its digest says"),
                HasSubstr("ExternalArtifact default/made: " + server->url() + "/two.tar.gz: "));
    EXPECT_EQ(world.value("a"), "1");
    say("/two.tar.gz", "two", digest_of(two), 10);
    EXPECT_THAT(trouble("more than 10 bytes"), HasSubstr("which its status says"));
    say("/absent.tar.gz", "two", two);
    EXPECT_THAT(trouble("404"), HasSubstr("the server answered 404"));
    server->put("/circle", "/circle", 302);
    say("/circle", "two", two);
    EXPECT_THAT(trouble("redirects"), HasSubstr("redirects without end"));
    server->put("/plain", "no archive");
    say("/plain", "two", "no archive");
    EXPECT_THAT(trouble("gzip"), HasSubstr("is no gzip"));
    say("/two.tar.gz", "two\nlines", two);
    EXPECT_THAT(trouble("revision"), HasSubstr("status.artifact.revision: is no short line"));
    bool told = false;
    for (const auto& event : world.events())
        told |= event.warning && event.about.kind() == "ExternalArtifact" &&
                event.message.find("is not what its digest says") != std::string::npos;
    EXPECT_TRUE(told);
    EXPECT_EQ(world.value("a"), "1");
    say("/two.tar.gz", "two", two);
    EXPECT_TRUE(has("2"));
    EXPECT_TRUE(applied("two"));
}

TEST_F(ExternalMode, WhatWasFetchedIsThereAfterARestartAlsoWithoutTheServer) {
    start();
    const auto one = packed("1");
    server->put("/one.tar.gz", one);
    say("/one.tar.gz", "one", one);
    EXPECT_TRUE(has("1"));
    world.stop_reconciler();
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: web}\n"
        "data: {k: 'drift'}\n");
    world.start_cluster();  // and no server
    EXPECT_TRUE(has("1"));
}

}  // namespace
}  // namespace kled::gitops
