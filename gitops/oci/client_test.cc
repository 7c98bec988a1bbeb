// Pulls from a real registry, and from servers that do what no registry should.
#include "gitops/oci/client.h"

#include "base/encoding.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/run.h"
#include "base/task_group.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "net/http_server.h"
#include "tests/support/push.h"
#include "tests/support/registry.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

namespace kled::gitops::oci {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

std::shared_ptr<const Secret> secret(std::string text) {
    return std::make_shared<const Secret>(std::move(text));
}

std::shared_ptr<const Secret> login(const std::string& host, const std::string& user,
                                    const std::string& password) {
    return secret(R"({"auths":{")" + host + R"(":{"username":")" + user + R"(","password":")" +
                  password + R"("}}})");
}

std::string digest_of(std::string_view bytes) { return "sha256:" + crypto::sha256_hex(bytes); }

std::string manifest_of(const std::string& layer) {
    return R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
           R"("config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":")" +
           digest_of("{}") + R"(","size":2},"layers":[{"mediaType":"application/x","digest":")" +
           digest_of(layer) + R"(","size":)" + std::to_string(layer.size()) + "}]}";
}

/// Answers as a test says, or never.
class Server {
public:
    using Answer = std::function<std::optional<net::Response>(const net::Request&)>;

    Server(asio::io_context& loop, TaskGroup& tasks, Answer answer,
           std::optional<net::ServerTls> tls)
        : answer_{std::move(answer)} {
        net::ServerOptions options;
        scheme_ = tls ? "https://" : "http://";
        options.tls = std::move(tls);
        server_.emplace(loop.get_executor(), std::move(options),
                        [this](net::Request request, const net::Peer&, net::ResponseWriter& out) {
                            return serve(std::move(request), out);
                        });
        tasks.spawn(server_->run());
    }

    [[nodiscard]] std::string host() const {
        return "127.0.0.1:" + std::to_string(server_->port());
    }
    [[nodiscard]] std::string url() const { return scheme_ + host(); }

    std::vector<net::Request> seen;

private:
    asio::awaitable<void> serve(net::Request request, net::ResponseWriter& out) {
        seen.push_back(request);
        auto response = answer_(request);
        if (response) {
            co_await out.respond(*std::move(response));
        } else {
            co_await out.closed();
        }
    }

    Answer answer_;
    std::string scheme_;
    std::optional<net::HttpServer> server_;
};

net::Response answer(unsigned status, std::string body = {}, net::Headers headers = {}) {
    net::Response response;
    response.status = status;
    response.headers = std::move(headers);
    response.body = std::move(body);
    return response;
}

asio::awaitable<std::string> read_blob(Client& client, Reference repository, Descriptor blob,
                                       RegistryAccess access) {
    std::string all;
    const Client::Sink sink = [&all](std::string bytes) -> asio::awaitable<void> {
        all += bytes;
        co_return;
    };
    co_await client.blob(std::move(repository), std::move(blob), std::move(access), sink);
    co_return all;
}

class OciClient : public ::testing::Test {
protected:
    OciClient() { access.insecure = true; }
    ~OciClient() override {
        tasks.cancel();
        loop.restart();
        loop.run();
    }
    OciClient(const OciClient&) = delete;
    OciClient& operator=(const OciClient&) = delete;

    Server& serve(Server::Answer answer, std::optional<net::ServerTls> tls = {}) {
        return servers.emplace_back(loop, tasks, std::move(answer), std::move(tls));
    }
    template <typename T>
    T sync(asio::awaitable<T> task) {
        std::optional<T> value;
        std::exception_ptr error;
        bool done = false;
        asio::co_spawn(loop, std::move(task), [&](std::exception_ptr e, T v) {
            error = std::move(e);
            if (!error) value.emplace(std::move(v));
            done = true;
        });
        loop.restart();
        while (!done) loop.run_one();
        if (error) std::rethrow_exception(error);
        return *std::move(value);
    }
    template <typename T>
    std::string failure(asio::awaitable<T> task) {
        try {
            sync(std::move(task));
        } catch (const Error& error) {
            return std::string{to_string(error.kind())} + ": " + error.what();
        }
        return "none";
    }
    static Reference at(const std::string& host, const std::string& rest = "/team/app") {
        return Reference::parse(host + rest);
    }

    asio::io_context loop{1};
    TaskGroup tasks{loop.get_executor()};
    std::deque<Server> servers;
    Client client{loop.get_executor()};
    RegistryAccess access;
};

/// A registry that wants a token, and the server that has it.
struct Bearer {
    std::string url{};
    int tokens = 0;
    bool accepts = true;
    std::string oldest = "token-1";

    std::optional<net::Response> operator()(const net::Request& request) {
        if (request.target.starts_with("/token")) {
            const auto shown = request.headers.get("Authorization");
            if (shown != "Basic " + to_base64("u:p")) return answer(401);
            return answer(
                200, R"({"token":"token-)" + std::to_string(++tokens) + R"(","expires_in":300})");
        }
        const std::string shown{request.headers.get("Authorization")};
        if (accepts && shown.starts_with("Bearer ") && shown.substr(7) >= oldest)
            return answer(200, R"({"tags":["1.0"]})");
        return answer(401, R"({"errors":[{"code":"UNAUTHORIZED","message":"no"}]})",
                      {{"WWW-Authenticate", "Bearer realm=\"" + url + "/token\",service=\"s p\""}});
    }
};

TEST_F(OciClient, FetchesATokenOnceAndAgainWhenItIsRefused) {
    const auto bearer = std::make_shared<Bearer>();
    auto& server = serve([bearer](const net::Request& request) { return (*bearer)(request); });
    bearer->url = server.url();
    access.docker_config = login(server.host(), "u", "p");
    const std::vector<std::string> tags{"1.0"};
    EXPECT_EQ(sync(client.tags(at(server.host()), access)), tags);
    ASSERT_EQ(server.seen.size(), 3U);
    EXPECT_EQ(server.seen[0].headers.get("Authorization"), "") << "shown unasked";
    EXPECT_EQ(server.seen[1].target, "/token?service=s%20p&scope=repository%3Ateam%2Fapp%3Apull");
    EXPECT_EQ(sync(client.tags(at(server.host()), access)), tags);
    EXPECT_EQ(server.seen.size(), 4U);
    bearer->oldest = "token-2";
    EXPECT_EQ(sync(client.tags(at(server.host()), access)), tags);
    EXPECT_EQ(bearer->tokens, 2);

    EXPECT_EQ(sync(client.tags(at(server.host(), "/team/other"), access)), tags);
    EXPECT_EQ(bearer->tokens, 3) << "a token is of one repository";
    access.docker_config = login(server.host(), "u", "wrong");
    EXPECT_THAT(failure(client.tags(at(server.host()), access)),
                StartsWith("denied: " + server.host() + "/team/app: token server"))
        << "whoever has other credentials gets no token of these";
}

TEST_F(OciClient, AsksNoMoreThanTwiceWhenNothingHelps) {
    const auto bearer = std::make_shared<Bearer>();
    bearer->accepts = false;
    auto& server = serve([bearer](const net::Request& request) { return (*bearer)(request); });
    bearer->url = server.url();
    access.docker_config = login(server.host(), "u", "p");
    EXPECT_EQ(failure(client.tags(at(server.host()), access)),
              "denied: " + server.host() +
                  "/team/app: the registry asks for other credentials (401): UNAUTHORIZED: no");
    EXPECT_EQ(server.seen.size(), 3U);
    EXPECT_EQ(failure(client.tags(at(server.host()), access)).substr(0, 6), "denied");
    EXPECT_EQ(server.seen.size(), 6U);
}

TEST_F(OciClient, ShowsCredentialsNowhereElse) {
    auto& storage = serve([](const net::Request&) { return answer(200, "bytes"); });
    auto& server = serve([&storage](const net::Request& request) {
        if (request.headers.get("Authorization").empty())
            return answer(401, "", {{"WWW-Authenticate", "Basic realm=x"}});
        return answer(307, "", {{"Location", storage.url() + "/a?signature=b"}});
    });
    access.docker_config = login(server.host(), "u", "p");
    const Descriptor blob{.media_type = {}, .digest = digest_of("bytes"), .size = 5};
    EXPECT_EQ(sync(read_blob(client, at(server.host()), blob, access)), "bytes");
    ASSERT_EQ(storage.seen.size(), 1U);
    EXPECT_EQ(storage.seen[0].target, "/a?signature=b");
    EXPECT_FALSE(storage.seen[0].headers.has("Authorization"));
}

TEST_F(OciClient, IsNotLedInCircles) {
    auto& server = serve([](const net::Request& request) {
        return answer(302, "", {{"Location", request.target + "x"}});
    });
    EXPECT_THAT(failure(client.manifest(at(server.host()), access)),
                HasSubstr("redirects without end"));
    EXPECT_EQ(server.seen.size(), 6U);
}

TEST_F(OciClient, FollowsPagesOfOneServerUntilTheyEnd) {
    auto& server = serve([](const net::Request& request) {
        if (request.target.find("last=b") == std::string::npos) {
            return answer(200, R"({"tags":["a","b"]})",
                          {{"Link", R"(</v2/team/app/tags/list?last=b>; rel="next")"}});
        }
        return answer(200, R"({"tags":["c"]})");
    });
    EXPECT_EQ(sync(client.tags(at(server.host()), access)),
              (std::vector<std::string>{"a", "b", "c"}));
}

TEST_F(OciClient, EndsWhereTagsDoNot) {
    const auto count = std::make_shared<int>(0);
    auto& server = serve([count](const net::Request&) {
        return answer(200, R"({"tags":["a"]})",
                      {{"Link", "</v2/team/app/tags/list?last=" + std::to_string(++*count) +
                                    R"(>; rel="next")"}});
    });
    Client::Limits few;
    few.pages = 20;
    Client impatient{loop.get_executor(), few};
    EXPECT_THAT(failure(impatient.tags(at(server.host()), access)), StartsWith("exhausted: "));
    EXPECT_EQ(server.seen.size(), 20U);
    Client::Limits small;
    small.tags = 100;
    Client frugal{loop.get_executor(), small};
    EXPECT_THAT(failure(frugal.tags(at(server.host()), access)), StartsWith("exhausted: "));
    EXPECT_LT(server.seen.size(), 30U);

    auto& circle = serve([](const net::Request&) {
        return answer(200, R"({"tags":["a"]})",
                      {{"Link", R"(</v2/team/app/tags/list?n=1000>; rel="next")"}});
    });
    EXPECT_THAT(failure(client.tags(at(circle.host()), access)), StartsWith("exhausted: "));
    EXPECT_EQ(circle.seen.size(), 1U);
}

TEST_F(OciClient, TakesNoPageFromAnotherServer) {
    auto& other = serve([](const net::Request&) { return answer(200, R"({"tags":["evil"]})"); });
    auto& server = serve([&other](const net::Request&) {
        return answer(200, R"({"tags":["a"]})",
                      {{"Link", "<" + other.url() + R"(/v2/team/app/tags/list>; rel="next")"}});
    });
    EXPECT_THAT(failure(client.tags(at(server.host()), access)), StartsWith("denied: "));
    EXPECT_TRUE(other.seen.empty());
}

TEST_F(OciClient, BelievesNoBlobThatIsNotItsDigest) {
    const auto body = std::make_shared<std::string>();
    auto& server = serve([body](const net::Request&) { return answer(200, *body); });
    const Descriptor blob{.media_type = {}, .digest = digest_of("bytes"), .size = 5};
    *body = "bytes";
    EXPECT_EQ(sync(read_blob(client, at(server.host()), blob, access)), "bytes");
    *body = "bites";
    EXPECT_THAT(failure(read_blob(client, at(server.host()), blob, access)),
                HasSubstr("is not what its digest says"));
    *body = "byte";
    EXPECT_THAT(failure(read_blob(client, at(server.host()), blob, access)),
                StartsWith("invalid: "));
    *body = std::string(1U << 20U, 'x');
    EXPECT_THAT(failure(read_blob(client, at(server.host()), blob, access)),
                StartsWith("exhausted: "));
}

TEST_F(OciClient, BelievesNoManifestThatIsNotItsDigestOrTooLarge) {
    const auto body = std::make_shared<std::string>(manifest_of("layer"));
    auto& server = serve([body](const net::Request&) {
        return answer(200, *body,
                      {{"Content-Type", "application/vnd.oci.image.manifest.v1+json"},
                       {"Docker-Content-Digest", digest_of(manifest_of("layer"))}});
    });
    EXPECT_EQ(sync(client.manifest(at(server.host()), access)).digest,
              digest_of(manifest_of("layer")));
    *body = manifest_of("other");
    EXPECT_THAT(failure(client.manifest(at(server.host()), access)), StartsWith("invalid: "));
    const auto pinned = at(server.host(), "/team/app@" + digest_of(manifest_of("layer")));
    EXPECT_THAT(failure(client.manifest(pinned, access)), StartsWith("invalid: "));
    *body = std::string((4U << 20U) + 1, ' ');
    EXPECT_THAT(failure(client.manifest(at(server.host()), access)), StartsWith("exhausted: "));
}

TEST_F(OciClient, AsksForTheManifestWhereHeadSaysNoDigest) {
    auto& server = serve([](const net::Request&) {
        return answer(200, manifest_of("layer"), {{"Docker-Content-Digest", "sha256:../../x"}});
    });
    EXPECT_EQ(sync(client.digest(at(server.host()), access)), digest_of(manifest_of("layer")));
    EXPECT_EQ(server.seen.size(), 2U);
}

TEST_F(OciClient, DoesNotWaitForever) {
    auto& server = serve([](const net::Request&) { return std::nullopt; });
    access.timeout = 200ms;
    EXPECT_THAT(failure(client.tags(at(server.host()), access)), StartsWith("unavailable: "));
}

class OciClientTls : public OciClient {
protected:
    OciClientTls() : ca{crypto::CertificateAuthority::open(directory.path() / "ca", "test")} {
        access.insecure = false;
        access.ca_pem = ca.certificate_pem();
        crypto::Issue issue;
        issue.subject.common_name = "127.0.0.1";
        issue.names = {"127.0.0.1"};
        issue.server = true;
        auto made = ca.issue(issue);
        tls.certificate_pem = made.certificate_pem;
        tls.key_pem = std::make_shared<const Secret>(std::move(made.key_pem));
    }

    TemporaryDirectory directory{"kled-oci"};
    crypto::CertificateAuthority ca;
    net::ServerTls tls;
};

TEST_F(OciClientTls, ShowsItsCertificateToTheRegistryAlone) {
    auto asking = tls;
    asking.client_ca_pem = ca.certificate_pem();
    asking.require_client_certificate = true;
    auto& storage = serve([](const net::Request&) { return answer(200, "bytes"); }, asking);
    auto& server = serve(
        [&storage](const net::Request& request) {
            if (request.target.find("/blobs/") != std::string::npos)
                return answer(307, "", {{"Location", storage.url() + "/a"}});
            return answer(200, R"({"tags":["1.0"]})");
        },
        asking);
    crypto::Issue issue;
    issue.subject.common_name = "us";
    auto ours = ca.issue(issue);
    access.certificate_pem = ours.certificate_pem;
    access.key_pem = std::make_shared<const Secret>(std::move(ours.key_pem));
    EXPECT_EQ(sync(client.tags(at(server.host()), access)), std::vector<std::string>{"1.0"});
    const Descriptor blob{.media_type = {}, .digest = digest_of("bytes"), .size = 5};
    EXPECT_THAT(failure(read_blob(client, at(server.host()), blob, access)),
                HasSubstr("does not accept our certificate"));
    EXPECT_TRUE(storage.seen.empty());
}

TEST_F(OciClientTls, HasATokenForThoseWhoShowTheSameCertificate) {
    std::string url;
    auto& server = serve(
        [&url](const net::Request& request) {
            if (request.target.starts_with("/token"))
                return answer(200, R"({"token":"t","expires_in":300})");
            if (request.headers.get("Authorization") == "Bearer t")
                return answer(200, R"({"tags":["1.0"]})");
            return answer(401, "", {{"WWW-Authenticate", "Bearer realm=\"" + url + "/token\""}});
        },
        tls);
    url = server.url();
    crypto::Issue issue;
    issue.subject.common_name = "us";
    auto ours = ca.issue(issue);
    auto with = access;
    with.certificate_pem = ours.certificate_pem;
    with.key_pem = std::make_shared<const Secret>(std::move(ours.key_pem));
    sync(client.tags(at(server.host()), with));
    ASSERT_EQ(server.seen.size(), 3U);
    sync(client.tags(at(server.host()), with));
    EXPECT_EQ(server.seen.size(), 4U) << "it is remembered";
    sync(client.tags(at(server.host()), access));
    ASSERT_EQ(server.seen.size(), 7U);
    EXPECT_EQ(server.seen[4].headers.get("Authorization"), "");
}

TEST_F(OciClientTls, LeavesHttpsForNothing) {
    auto& plain = serve([](const net::Request&) { return answer(200, R"({"token":"t"})"); });
    auto& server = serve(
        [&plain](const net::Request& request) {
            if (request.target.find("/blobs/") != std::string::npos)
                return answer(307, "", {{"Location", plain.url() + "/a"}});
            return answer(401, "",
                          {{"WWW-Authenticate", "Bearer realm=\"" + plain.url() + "/token\""}});
        },
        tls);
    access.docker_config = login(server.host(), "u", "p");
    EXPECT_THAT(failure(client.tags(at(server.host()), access)),
                HasSubstr("credentials are shown over https only"));
    const Descriptor blob{.media_type = {}, .digest = digest_of("bytes"), .size = 5};
    EXPECT_THAT(failure(read_blob(client, at(server.host()), blob, access)),
                HasSubstr("redirects from https"));
    EXPECT_TRUE(plain.seen.empty());
}

/// A real one.
class OciRegistry : public OciClient {
protected:
    void SetUp() override {
        if (kled::testing::Registry::program().empty())
            GTEST_SKIP() << "docker-registry is not installed";
        // Pushed to one that asks nobody, then kept by another.
        const kled::testing::Registry open{storage()};
        for (const auto* tag : {"1.0", "1.1"})
            run_to_end(kled::testing::push(open.host(), "team/app", tag, artifact));
    }
    [[nodiscard]] std::filesystem::path storage() const { return directory.path() / "storage"; }

    const kled::testing::OciArtifact artifact{{{"layer", "application/x"}}};

    void pulls_all(const std::string& host) {
        EXPECT_THAT(sync(client.tags(at(host), access)), UnorderedElementsAre("1.0", "1.1"));
        const auto tagged = at(host, "/team/app:1.1");
        EXPECT_EQ(sync(client.digest(tagged, access)), artifact.digest());
        const auto found = sync(client.manifest(tagged, access));
        EXPECT_EQ(found.digest, artifact.digest());
        ASSERT_EQ(found.manifest.layers.size(), 1U);
        EXPECT_EQ(sync(read_blob(client, tagged, found.manifest.layers[0], access)), "layer");
        EXPECT_THAT(failure(client.manifest(at(host, "/team/app:9"), access)),
                    StartsWith("not found: "));
    }

    std::string run(std::vector<std::string> argv, std::string input = {}) {
        Command command;
        command.argv = std::move(argv);
        const auto done = sync(kled::run(command, std::move(input), 20s));
        EXPECT_EQ(done.status, 0) << done.err;
        return done.out;
    }

    TemporaryDirectory directory{"kled-oci"};
};

TEST_F(OciRegistry, IsReadWithoutCredentials) {
    const kled::testing::Registry registry{storage()};
    pulls_all(registry.host());
}

TEST_F(OciRegistry, IsReadWithAPassword) {
    const auto passwords = directory.path() / "htpasswd";
    write_file_atomic(passwords,
                      "reader:$2b$04$Bv0aaUqMqspVBLTha3X.1.zElMxAcX17I.huMTD/WRSxfc5qG9elq\n");
    const kled::testing::Registry registry{
        storage(), "auth:\n  htpasswd: {realm: test, path: " + passwords.string() + "}\n"};
    access.docker_config = login(registry.host(), "reader", "open sesame");
    pulls_all(registry.host());
    access.docker_config = login(registry.host(), "reader", "open");
    EXPECT_THAT(failure(client.tags(at(registry.host()), access)),
                AllOf(StartsWith("denied: "), HasSubstr("UNAUTHORIZED")));
    access.docker_config = nullptr;
    EXPECT_THAT(failure(client.tags(at(registry.host()), access)),
                HasSubstr("secretRef gives none for " + registry.host()));
}

TEST_F(OciRegistry, IsReadWithATokenOfAnotherServer) {
    const auto key = (directory.path() / "key.pem").string();
    const auto certificate = (directory.path() / "certificate.pem").string();
    run({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
         certificate, "-subj", "/CN=token server", "-days", "2"});
    std::string x5c;
    const auto pem = read_file(certificate);
    for (std::string_view rest = pem; !rest.empty();) {
        const auto line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        if (!line.starts_with("-----")) x5c += line;
    }
    const auto now = std::time(nullptr);
    const auto part = to_base64url(R"({"typ":"JWT","alg":"RS256","x5c":[")" + x5c + R"("]})") +
                      "." +
                      to_base64url(R"({"iss":"test","sub":"u","aud":"registry","jti":"1","nbf":)" +
                                   std::to_string(now - 60) + R"(,"iat":)" + std::to_string(now) +
                                   R"(,"exp":)" + std::to_string(now + 300) +
                                   R"(,"access":[{"type":"repository","name":"team/app",)"
                                   R"("actions":["pull"]}]})");
    const auto token =
        part + "." + to_base64url(run({"openssl", "dgst", "-sha256", "-sign", key}, part));
    auto& tokens = serve([token](const net::Request& request) {
        if (request.headers.get("Authorization") != "Basic " + to_base64("u:p")) return answer(401);
        return answer(200, R"({"access_token":")" + token + R"(","expires_in":300})");
    });
    const kled::testing::Registry registry{
        storage(), "auth:\n  token: {realm: \"" + tokens.url() +
                       "/token\", service: registry, issuer: test, rootcertbundle: " + certificate +
                       "}\n"};
    access.docker_config = login(registry.host(), "u", "p");
    pulls_all(registry.host());
    EXPECT_EQ(tokens.seen.size(), 1U);
    EXPECT_EQ(tokens.seen[0].target,
              "/token?service=registry&scope=repository%3Ateam%2Fapp%3Apull");
    EXPECT_THAT(failure(client.tags(at(registry.host(), "/team/other"), access)),
                StartsWith("denied: "));
}

}  // namespace
}  // namespace kled::gitops::oci
