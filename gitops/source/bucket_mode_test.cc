// A Bucket in a cluster: from the objects of an S3 server to those of the API. The server here is
// for faults and counts; tests/e2e/bucket.py has a real one, which looks at signatures.
#include "base/signal.h"
#include "crypto/hash.h"
#include "gitops/git/libgit2.h"
#include "gitops/testing/cluster_world.h"
#include "net/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

namespace kled::gitops {
namespace {

namespace asio = boost::asio;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

/// One bucket, two keys a page.
class FakeS3 {
public:
    explicit FakeS3(const asio::any_io_executor& executor)
        : server_{executor, net::ServerOptions{},
                  [this](net::Request request, const net::Peer&, net::ResponseWriter& out) {
                      return answer(std::move(request), out);
                  }},
          released_{executor} {}

    asio::awaitable<void> run() { return server_.run(); }
    [[nodiscard]] std::string endpoint() const {
        return "127.0.0.1:" + std::to_string(server_.port());
    }
    void put(const std::string& key, const std::string& content) {
        const std::scoped_lock lock{mutex_};
        objects_[key] = content;
    }
    void remove(const std::string& key) {
        const std::scoped_lock lock{mutex_};
        objects_.erase(key);
    }
    /// Listed, and not there when it is asked for.
    void ghost(const std::string& key) {
        const std::scoped_lock lock{mutex_};
        ghost_ = key;
    }
    /// What the server calls the version of a key, whatever is in it.
    void call(const std::string& key, const std::string& etag) {
        const std::scoped_lock lock{mutex_};
        named_[key] = etag;
    }
    /// Page after page, with nothing on them.
    void never_end() {
        const std::scoped_lock lock{mutex_};
        endless_ = true;
    }
    /// Answers wait for release().
    void hold() { held_ = true; }
    asio::awaitable<void> release() {
        held_ = false;
        released_.notify();
        co_return;
    }
    [[nodiscard]] bool is_waiting() const { return waiting_; }
    [[nodiscard]] int lists() const { return lists_; }
    void keys_a_page(int count) {
        const std::scoped_lock lock{mutex_};
        page_ = count;
    }
    void answer_first(std::vector<unsigned> with) {
        const std::scoped_lock lock{mutex_};
        failures_ = std::move(with);
    }
    /// The keys that were read since the last call, but for .sourceignore.
    std::vector<std::string> read() {
        const std::scoped_lock lock{mutex_};
        auto keys = std::exchange(read_, {});
        std::ranges::sort(keys);
        return keys;
    }
    bool was_signed() {
        const std::scoped_lock lock{mutex_};
        return signed_;
    }
    static std::string etag(const std::string& content) {
        return crypto::sha256_hex(content).substr(0, 32);
    }

private:
    std::string version(const std::string& key, const std::string& content) {
        const auto named = named_.find(key);
        return named == named_.end() ? etag(content) : named->second;
    }
    asio::awaitable<void> answer(net::Request request, net::ResponseWriter& out) {
        if (held_) {
            waiting_ = true;
            co_await released_.wait();
        }
        net::Response response;
        {
            const std::scoped_lock lock{mutex_};
            signed_ = request.headers.get("Authorization").starts_with("AWS4-HMAC-SHA256 ");
            if (!failures_.empty()) {
                response.status = failures_.front();
                failures_.erase(failures_.begin());
                response.body =
                    "<Error><Code>SlowDown</Code><Message>Less, please.</Message></Error>";
            } else {
                fill(net::parse_target(request.target), response);
            }
        }
        co_await out.respond(std::move(response));
    }
    void fill(const net::Target& target, net::Response& response) {
        const std::string bucket = "/fleet/";
        if (!target.path.starts_with(bucket)) {
            response.status = 404;
            response.body =
                "<Error><Code>NoSuchBucket</Code><Message>There is none.</Message></Error>";
            return;
        }
        const auto key = target.path.substr(bucket.size());
        if (key.empty()) {
            list(target, response);
            return;
        }
        const auto found = objects_.find(key);
        if (found == objects_.end() || key == ghost_) {
            response.status = 404;
            response.body = "<Error><Code>NoSuchKey</Code></Error>";
            return;
        }
        if (key != ".sourceignore") read_.push_back(key);
        response.headers.set("ETag", '"' + version(key, found->second) + '"');
        response.body = found->second;
    }
    void list(const net::Target& target, net::Response& response) {
        ++lists_;
        if (endless_) {
            response.body =
                "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>" +
                std::to_string(lists_) + "</NextContinuationToken></ListBucketResult>";
            return;
        }
        const auto prefix = target.parameter("prefix").value_or("");
        const auto token = target.parameter("continuation-token");
        auto at = token ? objects_.upper_bound(std::string{*token}) : objects_.begin();
        std::string body;
        int count = 0;
        for (; at != objects_.end() && count < page_; ++at) {
            if (!at->first.starts_with(prefix)) continue;
            body += "<Contents><Key>" + net::percent_encode(at->first) + "</Key><ETag>&quot;" +
                    version(at->first, at->second) + "&quot;</ETag><Size>" +
                    std::to_string(at->second.size()) + "</Size></Contents>";
            ++count;
        }
        const bool more = at != objects_.end();
        if (more)
            body += "<NextContinuationToken>" + std::prev(at)->first + "</NextContinuationToken>";
        response.body = "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>" +
                        std::string{more ? "true" : "false"} + "</IsTruncated>" + body +
                        "</ListBucketResult>";
    }

    net::HttpServer server_;
    std::mutex mutex_;
    std::map<std::string, std::string> objects_;
    std::string ghost_;
    int page_ = 2;
    std::vector<unsigned> failures_;
    std::vector<std::string> read_;
    bool signed_ = false;
    std::map<std::string, std::string> named_;
    bool endless_ = false;
    std::atomic<int> lists_ = 0;
    std::atomic<bool> held_ = false;
    std::atomic<bool> waiting_ = false;
    Signal released_;
};

class BucketMode : public ::testing::Test {
protected:
    BucketMode() {
        s3.emplace(world.executor());
        s3->put("apps/web.yaml", testing::ClusterWorld::web());
        s3->put("apps/a.yaml", testing::ClusterWorld::config("a", "1"));
        s3->put("apps/b.yaml", testing::ClusterWorld::config("b", "1"));
    }
    ~BucketMode() override {
        world.stop_reconciler();
        s3.reset();
    }
    void start(Reconciler::Options options = {}) {
        world.start_cluster(std::move(options));
        world.beside(s3->run());
    }
    void apply_bucket(const std::string& more = "", const std::string& name = "fleet",
                      const FakeS3* at = nullptr) {
        world.apply(
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: Bucket\nmetadata: {name: "
            "store, namespace: default}\nspec:\n  endpoint: " +
            (at == nullptr ? *s3 : *at).endpoint() + "\n  bucketName: " + name +
            "\n  interval: 10m\n  insecure: true\n" + more);
    }
    void apply_kustomization(const std::string& annotations = "{}", const std::string& more = "") {
        world.apply(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: "
            "apps, namespace: default, annotations: " +
            annotations +
            "}\nspec:\n  interval: 10m\n  retryInterval: 1s\n  path: apps\n  prune: true\n"
            "  sourceRef: {kind: Bucket, name: store}\n" +
            more);
    }
    std::optional<kube::Object> bucket() {
        return world.get("source.toolkit.fluxcd.io/v1", "Bucket", "default", "store");
    }
    std::string of_bucket(std::initializer_list<std::string_view> path) {
        const auto object = bucket();
        return object ? std::string{kube::find_string(object->fields(), path)} : "absent";
    }
    /// Until the condition has this reason; what it says then.
    std::string says(const std::string& type, const std::string& reason) {
        std::string message;
        const bool so = world.eventually([&] {
            const auto object = bucket();
            const auto conditions = Conditions::from_status(object ? object->status() : nullptr);
            const auto* condition = conditions.find(type);
            if (condition == nullptr) return false;
            message = condition->message;
            return condition->reason == reason;
        });
        return so ? message : "(never " + reason + ") " + message;
    }
    bool ready() {
        return says("Ready", "Succeeded").starts_with("stored artifact: revision 'sha256:");
    }
    /// Takes an object's content from what is kept on disk; false: it is not there.
    bool lose(const std::string& content) {
        git_oid oid{};
        git_odb_hash(&oid, content.data(), content.size(), GIT_OBJECT_BLOB);
        const auto name = git::from_git(oid).hex();
        const auto cache = world.directory.path() / "cache";
        for (const auto& file : std::filesystem::recursive_directory_iterator{cache}) {
            if (file.path().parent_path().filename() == name.substr(0, 2) &&
                file.path().filename() == name.substr(2))
                return std::filesystem::remove(file.path());
        }
        return false;
    }
    bool has(const std::string& name, const std::string& value) {
        return world.eventually([&] { return world.value(name) == value; });
    }

    testing::ClusterWorld world;
    std::optional<FakeS3> s3;
};

TEST_F(BucketMode, ObjectsAreDeployedAndOnlyWhatChangedIsReadAgain) {
    start();
    apply_bucket();
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    EXPECT_TRUE(has("b", "1"));
    EXPECT_THAT(s3->read(), ElementsAre("apps/a.yaml", "apps/b.yaml", "apps/web.yaml"));
    std::string lines;
    for (const auto& [key, content] : {std::pair{"apps/a.yaml", world.config("a", "1")},
                                       std::pair{"apps/b.yaml", world.config("b", "1")},
                                       std::pair{"apps/web.yaml", world.web()}})
        lines += std::string{key} + " " + FakeS3::etag(content) + "\n";
    EXPECT_TRUE(ready());
    EXPECT_EQ(of_bucket({"status", "artifact", "revision"}), "sha256:" + crypto::sha256_hex(lines));
    EXPECT_EQ(says("ArtifactInStorage", "Succeeded"), says("Ready", "Succeeded"));
    EXPECT_FALSE(s3->was_signed());

    s3->put("apps/a.yaml", world.config("a", "2"));
    s3->remove("apps/b.yaml");
    EXPECT_TRUE(world.reconciled("bucket/store"));
    EXPECT_TRUE(has("a", "2"));
    EXPECT_TRUE(has("b", "absent"));
    EXPECT_THAT(s3->read(), ElementsAre("apps/a.yaml"));
    EXPECT_TRUE(world.reconciled("bucket/store"));
    EXPECT_THAT(s3->read(), IsEmpty());
}

TEST_F(BucketMode, WhatWasFetchedIsThereAfterARestartAlsoWithoutTheServer) {
    start();
    apply_bucket("  timeout: 3s\n");
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    EXPECT_TRUE(ready());
    world.stop_reconciler();
    (void)s3->read();
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: web}\n"
        "data: {k: 'drift'}\n");
    world.start_cluster();  // and no server
    EXPECT_THAT(says("FetchFailed", "BucketOperationFailed"), HasSubstr("127.0.0.1"));
    EXPECT_TRUE(world.reconciled("ks/apps"));
    EXPECT_TRUE(has("a", "1"));
    world.stop_reconciler();
    start();
    EXPECT_TRUE(ready());
    EXPECT_THAT(s3->read(), IsEmpty());
}

TEST_F(BucketMode, WhatIsLostOfTheCacheWhileItRunsIsFetchedAgain) {
    start();
    apply_bucket();
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    EXPECT_TRUE(ready());
    (void)s3->read();
    ASSERT_TRUE(lose(world.config("a", "1")));
    apply_kustomization("{}", "  namePrefix: x-\n");
    EXPECT_TRUE(has("x-a", "1"));
    EXPECT_THAT(s3->read(), ElementsAre("apps/a.yaml", "apps/b.yaml", "apps/web.yaml"));
}

TEST_F(BucketMode, WhatWasReadIsNotReadAgainWhenItCouldNotBeStored) {
    start();
    apply_bucket();
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    EXPECT_TRUE(ready());
    (void)s3->read();
    // As on a full disk: content can be written, and the revision cannot.
    const auto in_the_way =
        world.directory.path() / "cache/default_store+Bucket/refs/kled/imported/000000000002.lock";
    write_file_atomic(in_the_way, "");
    s3->put("apps/a.yaml", world.config("a", "2"));
    s3->put("apps/c.yaml", world.config("c", "1"));
    EXPECT_TRUE(world.reconciled("bucket/store"));
    EXPECT_THAT(says("Ready", "BucketOperationFailed"), HasSubstr("git cache"));
    EXPECT_THAT(s3->read(), ElementsAre("apps/a.yaml", "apps/c.yaml"));
    EXPECT_TRUE(world.reconciled("bucket/store"));
    EXPECT_THAT(s3->read(), IsEmpty());
    // One that went meanwhile is read, and only that.
    ASSERT_TRUE(lose(world.config("c", "1")));
    EXPECT_TRUE(world.reconciled("bucket/store"));
    std::filesystem::remove(in_the_way);
    EXPECT_TRUE(world.reconciled("bucket/store"));
    EXPECT_THAT(s3->read(), ElementsAre("apps/c.yaml"));
    EXPECT_TRUE(has("a", "2"));
    EXPECT_TRUE(has("c", "1"));
}

TEST_F(BucketMode, WhatIsFrozenIsKeptHoweverManyComeAfterIt) {
    start();
    apply_bucket();
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    apply_kustomization(
        "{gitops.kled.io/deploy-windows: \"[{schedule: '0 0 1 1 *', duration: 1m}]\"}");
    EXPECT_TRUE(world.reconciled("ks/apps"));
    const auto revisions = [&](int from) {
        for (int i = from; i < from + 12; ++i) {
            s3->put("apps/a.yaml", world.config("a", std::to_string(i)));
            EXPECT_TRUE(world.reconciled("bucket/store"));
        }
    };
    const auto drifts_back = [&] {
        world.apply(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: web}\n"
            "data: {k: 'drift'}\n");
        return world.reconciled("ks/apps") && has("a", "1");
    };
    revisions(2);
    EXPECT_TRUE(drifts_back());
    world.stop_reconciler();
    start();
    EXPECT_TRUE(ready());
    EXPECT_TRUE(drifts_back()) << "also after a restart";
    revisions(20);
    EXPECT_TRUE(drifts_back());
    apply_kustomization();
    EXPECT_TRUE(has("a", "31"));
}

TEST_F(BucketMode, PatternsAndAPrefixLeaveObjectsOut) {
    s3->put(".sourceignore", "/apps/b.yaml\n");
    s3->put("apps/broken.yaml", "{{");
    s3->put("other/x.yaml", "{{");
    s3->put("../evil", "x");
    start();
    apply_bucket("  prefix: apps/\n  ignore: '*/broken.yaml'\n");
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    EXPECT_THAT(s3->read(), ElementsAre("apps/a.yaml", "apps/web.yaml"));
    EXPECT_EQ(world.value("b"), "absent");
    EXPECT_TRUE(ready());
    EXPECT_EQ(of_bucket({"status", "observedIgnore"}), "*/broken.yaml");
}

TEST_F(BucketMode, HostileKeysStopIt) {
    s3->put("apps/../../evil", "x");
    start();
    apply_bucket();
    EXPECT_THAT(says("Ready", "BucketOperationFailed"),
                HasSubstr("object 'apps/../../evil' is no path"));
    s3->remove("apps/../../evil");
    s3->put("apps", "a file");
    EXPECT_TRUE(world.reconciled("bucket/store"));
    EXPECT_THAT(says("Ready", "BucketOperationFailed"), HasSubstr("while 'apps' is an object"));
    s3->remove("apps");
    EXPECT_TRUE(world.reconciled("bucket/store"));
    EXPECT_TRUE(ready());
    EXPECT_EQ(Conditions::from_status(bucket()->status()).find("FetchFailed"), nullptr);
}

TEST_F(BucketMode, PatternsThatTakeLongHoldNobodyElseBack) {
    std::string pattern;
    for (int i = 0; i < 45; ++i) pattern += "*a";
    std::string patterns;
    for (int i = 0; i < 9'900; ++i) patterns += pattern + "b\n";
    s3->put(".sourceignore", patterns);
    for (int i = 0; i < 500; ++i) s3->put(std::string(200, 'a') + std::to_string(i), "x");
    s3->keys_a_page(1'000);
    start();
    apply_bucket("  timeout: 1s\n");
    // Said by the same loop that reads the list.
    EXPECT_THAT(says("Ready", "BucketOperationFailed"), HasSubstr("no answer within 1s"));
}

TEST_F(BucketMode, AServerThatIsBusyIsAskedAgainAndOneThatRefusesIsQuoted) {
    s3->answer_first({503, 500});
    s3->ghost("apps/b.yaml");
    start();
    apply_bucket();
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    EXPECT_EQ(world.value("b"), "absent") << "it went since it was listed";
    apply_bucket("", "other");
    EXPECT_EQ(says("Ready", "BucketOperationFailed"),
              s3->endpoint() +
                  ": object '.sourceignore' of bucket 'other': the server answered 404 "
                  "NoSuchBucket: There is none.");
    EXPECT_EQ(world.value("a"), "1");
}

TEST_F(BucketMode, AListWithoutEndIsCalledThat) {
    s3->never_end();
    start();
    apply_bucket("  timeout: 1s\n");
    EXPECT_THAT(says("Ready", "BucketOperationFailed"),
                MatchesRegex("http://127.0.0.1:.*/fleet: the list of its objects has no end yet "
                             "after 1s and [0-9]+ pages, 0 objects"));
}

TEST_F(BucketMode, AnotherBucketsVersionsSayNothing) {
    FakeS3 other{world.executor()};
    for (auto* server : {&*s3, &other}) {
        server->call("apps/web.yaml", "1");
        server->call("apps/a.yaml", "1");
        server->call("apps/b.yaml", "1");
    }
    other.put("apps/web.yaml", testing::ClusterWorld::web());
    other.put("apps/a.yaml", testing::ClusterWorld::config("a", "2"));
    other.put("apps/b.yaml", testing::ClusterWorld::config("b", "2"));
    start();
    world.beside(other.run());
    apply_bucket();
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    EXPECT_TRUE(has("b", "1"));
    apply_bucket("", "none");
    EXPECT_THAT(says("FetchFailed", "BucketOperationFailed"), HasSubstr("NoSuchBucket"));
    world.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: web}\n"
        "data: {k: 'drift'}\n");
    EXPECT_TRUE(world.reconciled("ks/apps"));
    EXPECT_TRUE(has("a", "1")) << "what there was goes on";
    apply_bucket("", "fleet", &other);
    EXPECT_TRUE(has("a", "2"));
    EXPECT_TRUE(has("b", "2"));
    EXPECT_TRUE(ready());
    world.stop_reconciler();
}

TEST_F(BucketMode, NothingStaysOfOneThatGoesWhileItIsFetched) {
    for (int i = 0; i < 300; ++i) s3->put("more/" + std::to_string(i), "x");
    s3->hold();
    start();
    apply_bucket();
    ASSERT_TRUE(world.eventually([&] { return s3->is_waiting(); }));
    world.remove("source.toolkit.fluxcd.io/v1", "Bucket", "default", "store");
    ASSERT_TRUE(world.eventually([&] { return !bucket(); }));
    world.sync(s3->release());
    const auto cache = world.directory.path() / "cache" / "default_store+Bucket";
    ASSERT_TRUE(world.eventually([&] { return std::filesystem::exists(cache); }));
    EXPECT_TRUE(world.eventually([&] { return !std::filesystem::exists(cache); }));
}

TEST_F(BucketMode, ALookThatFindsTheSameWritesNothing) {
    start();
    apply_bucket();
    EXPECT_TRUE(ready());
    const auto look_twice = [&] {
        for (int i = 0; i < 2; ++i) {
            const auto before = s3->lists();
            world.nudge();
            EXPECT_TRUE(world.eventually([&] { return s3->lists() > before; }));
        }
    };
    look_twice();
    const auto version = of_bucket({"metadata", "resourceVersion"});
    look_twice();
    EXPECT_EQ(of_bucket({"metadata", "resourceVersion"}), version);
    s3->put("apps/../../evil", "x");
    look_twice();
    EXPECT_THAT(says("Ready", "BucketOperationFailed"), HasSubstr("is no path"));
    const auto failed = of_bucket({"metadata", "resourceVersion"});
    look_twice();
    EXPECT_EQ(of_bucket({"metadata", "resourceVersion"}), failed);
}

TEST_F(BucketMode, SecretsAreReadStrictly) {
    start();
    apply_bucket("  secretRef: {name: keys}\n");
    EXPECT_THAT(says("Ready", "AuthenticationFailed"), HasSubstr("default/keys"));
    world.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys, namespace: default}\n"
        "stringData: {accesskey: \"a\\nb\", secretkey: s3cret}\n");
    EXPECT_TRUE(world.reconciled("bucket/store"));
    EXPECT_THAT(says("Ready", "AuthenticationFailed"), HasSubstr("accesskey and secretkey"));
    world.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys, namespace: default}\n"
        "stringData: {accesskey: ab, secretkey: s3cret}\n");
    EXPECT_TRUE(world.reconciled("bucket/store"));
    EXPECT_TRUE(ready());
    EXPECT_TRUE(s3->was_signed());
    apply_bucket("  provider: azure\n");
    EXPECT_THAT(says("Stalled", "UnsupportedField"), HasSubstr("spec.provider: azure"));
}

TEST_F(BucketMode, AKustomizationGoesBackToAnEarlierRevision) {
    start();
    apply_bucket();
    apply_kustomization();
    EXPECT_TRUE(has("a", "1"));
    EXPECT_TRUE(ready());
    const auto first = of_bucket({"status", "artifact", "revision"});
    s3->put("apps/a.yaml", world.config("a", "2"));
    EXPECT_TRUE(world.reconciled("bucket/store"));
    EXPECT_TRUE(has("a", "2"));
    world.annotate_object("ks/apps", {{"gitops.kled.io/revision", first}});
    EXPECT_TRUE(has("a", "1"));
    world.annotate_object("ks/apps",
                          {{"gitops.kled.io/revision", "sha256:" + std::string(64, '0')}});
    EXPECT_THAT(world.says("apps", "Ready", "RevisionNotFound"), HasSubstr("Bucket default/store"));
    world.annotate_object("ks/apps", {{"gitops.kled.io/revision", ""}});
    EXPECT_TRUE(has("a", "2"));
}

TEST_F(BucketMode, ItsRevisionIsServedAsAnArchive) {
    const auto artifacts = std::make_shared<Artifacts>(world.directory.path() / "artifacts");
    artifacts->advertise("http://kled");
    Reconciler::Options options;
    options.artifacts = artifacts;
    start(std::move(options));
    apply_bucket();
    EXPECT_TRUE(ready());
    const auto revision = of_bucket({"status", "artifact", "revision"});
    const auto path = "bucket/default/store/" + revision.substr(7) + ".tar.gz";
    EXPECT_EQ(of_bucket({"status", "artifact", "url"}), "http://kled/" + path);
    EXPECT_EQ(of_bucket({"status", "url"}), "http://kled/bucket/default/store/latest.tar.gz");
    const auto file = artifacts->locate("/" + path);
    ASSERT_TRUE(file);
    EXPECT_EQ("sha256:" + crypto::sha256_hex(read_file(*file)),
              of_bucket({"status", "artifact", "digest"}));
    EXPECT_TRUE(artifacts->locate("/bucket/default/store/latest.tar.gz"));
    world.remove("source.toolkit.fluxcd.io/v1", "Bucket", "default", "store");
    EXPECT_TRUE(world.eventually([&] { return !std::filesystem::exists(*file); }));
}

}  // namespace
}  // namespace kled::gitops
