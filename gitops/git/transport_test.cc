// Fetches and pushes over real transports: Git's own CGI program behind our HTTP server, and a real
// sshd.
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/run.h"
#include "base/task_group.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "gitops/git/change.h"
#include "gitops/git/mirror.h"
#include "gitops/git/testing.h"
#include "gitops/git/tree.h"
#include "net/http_server.h"

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace kled::gitops::git {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

std::shared_ptr<const Secret> secret(std::string text) {
    return std::make_shared<const Secret>(std::move(text));
}

/// An HTTP server on a thread of its own, with one handler.
class Server {
public:
    explicit Server(net::Handler handler, std::optional<net::ServerTls> tls = {}) {
        net::ServerOptions options;
        options.tls = std::move(tls);
        server_.emplace(loop_.get_executor(), std::move(options), std::move(handler));
        tasks_.spawn(server_->run());
        thread_ = std::thread{[this] { loop_.run(); }};
    }
    ~Server() {
        asio::post(loop_, [this] { tasks_.cancel(); });
        thread_.join();
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    [[nodiscard]] std::string port() const { return std::to_string(server_->port()); }

private:
    asio::io_context loop_{1};
    std::optional<net::HttpServer> server_;
    TaskGroup tasks_{loop_.get_executor()};
    std::thread thread_;
};

/// git-http-backend(1) as a web server runs it.
class Backend {
public:
    explicit Backend(std::filesystem::path root) : root_{std::move(root)} {}

    asio::awaitable<void> operator()(net::Request request, const net::Peer&,
                                     net::ResponseWriter& out) {
        ++requests;
        authorization = request.headers.get("Authorization");
        const auto question = request.target.find('?');
        Command command;
        command.argv = {"/usr/lib/git-core/git-http-backend"};
        command.env = {
            "GIT_PROJECT_ROOT=" + root_.string(),
            "GIT_HTTP_EXPORT_ALL=1",
            "GIT_CONFIG_COUNT=3",
            "GIT_CONFIG_KEY_0=safe.directory",
            "GIT_CONFIG_VALUE_0=*",
            "GIT_CONFIG_KEY_1=http.receivepack",
            "GIT_CONFIG_VALUE_1=true",
            "GIT_CONFIG_KEY_2=receive.advertisePushOptions",
            "GIT_CONFIG_VALUE_2=true",
            "PATH=/usr/bin:/bin",
            "REQUEST_METHOD=" + request.method,
            "PATH_INFO=" + request.target.substr(0, question),
            "QUERY_STRING=" +
                (question == std::string::npos ? "" : request.target.substr(question + 1)),
            "CONTENT_TYPE=" + std::string{request.headers.get("Content-Type")}};
        const auto done = co_await kled::run(command, request.body, 20s, 64U << 20U);
        net::Response response;
        const auto split = done.out.find("\r\n\r\n");
        for (std::size_t at = 0; at < split;) {
            const auto end = done.out.find("\r\n", at);
            const auto line = done.out.substr(at, end - at);
            const auto colon = line.find(": ");
            if (line.starts_with("Status: ")) {
                response.status = static_cast<unsigned>(std::stoi(line.substr(8)));
            } else {
                response.headers.set(line.substr(0, colon), line.substr(colon + 2));
            }
            at = end + 2;
        }
        response.body = done.out.substr(split + 4);
        co_await out.respond(std::move(response));
    }

    std::atomic<int> requests = 0;
    std::string authorization;  ///< of the last request

private:
    std::filesystem::path root_;
};

asio::awaitable<void> answer(net::ResponseWriter& out, unsigned status, net::Headers headers,
                             std::string body) {
    net::Response response;
    response.status = status;
    response.headers = std::move(headers);
    response.body = std::move(body);
    co_await out.respond(std::move(response));
}

class TransportTest : public ::testing::Test {
protected:
    Revision fetch(const std::string& url) {
        mirror.emplace(directory.path() / "mirror", url);
        return mirror->fetch({.branch = "main"}, access, stop.get_token());
    }
    std::pair<ErrorKind, std::string> failure(const std::string& url) {
        try {
            static_cast<void>(fetch(url));
        } catch (const Error& error) {
            return {error.kind(), error.what()};
        }
        return {ErrorKind::internal, "nothing was thrown"};
    }
    /// `a` of `base` becomes `text`, and that the tip of `push.reference`. The commit.
    std::string push(const Revision& base, const std::string& text, const Push& push) {
        Change change{*mirror, base};
        change.commit({{"a", text}}, "set\n", {.name = "Bot", .email = "bot@example.org"}, 1);
        change.send(push, access, stop.get_token());
        return change.id().hex();
    }
    std::pair<ErrorKind, std::string> push_failure(const Revision& base, const Push& push) {
        try {
            this->push(base, "mine", push);
        } catch (const Error& error) {
            return {error.kind(), error.what()};
        }
        return {ErrorKind::internal, "nothing was thrown"};
    }
    void hook(const std::string& name, const std::string& script) const {
        const auto file = remote.path() / "hooks" / name;
        make_directories(file.parent_path());
        write_file_atomic(file, "#!/bin/sh\n" + script, 0755);
    }
    std::string content(const Revision& revision, const std::string& path) {
        return Tree{*mirror, revision}.read(path);
    }

    net::Handler git() {
        return [this](net::Request request, const net::Peer& peer, net::ResponseWriter& out) {
            return backend(std::move(request), peer, out);
        };
    }

    testing::Repository remote;
    Backend backend{remote.path().parent_path()};
    TemporaryDirectory directory;
    std::optional<Mirror> mirror;
    std::stop_source stop;
    Access access = [] {
        Access a;
        a.timeout = 20s;
        return a;
    }();
};

using HttpTransport = TransportTest;
using SshTransport = TransportTest;

TEST_F(HttpTransport, FetchesAndThenOnlyWhatIsNew) {
    const Server server{git()};
    const auto url = "http://127.0.0.1:" + server.port() + "/repository.git";
    remote.commit({{"a", "1"}, {"b", std::string(100'000, 'x')}});
    EXPECT_EQ(content(fetch(url), "a"), "1");
    for (int i = 2; i < 40; ++i) remote.commit({{"a", std::to_string(i)}, {"b", "small"}});
    EXPECT_EQ(content(fetch(url), "a"), "39");
    const auto before = backend.requests.load();
    EXPECT_EQ(content(fetch(url), "a"), "39");
    EXPECT_EQ(backend.requests - before, 1) << "nothing is new: the list of references is all";
}

TEST_F(HttpTransport, FetchesACommitThatNoBranchLeadsToAnyMore) {
    const Server server{git()};
    const auto url = "http://127.0.0.1:" + server.port() + "/repository.git";
    const auto lost = remote.commit({{"a", "lost"}});
    remote.replace({{"a", "new"}});
    EXPECT_EQ(content(fetch(url), "a"), "new");
    const auto oid = *Oid::parse(lost);
    EXPECT_EQ(mirror->find(oid, "main"), std::nullopt);
    const auto by_id = [&]() -> std::string {
        try {
            return content(mirror->fetch_commit(oid, "main", access, stop.get_token()), "a");
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::not_found) << error.what();
            return error.what();
        }
    };
    EXPECT_NE(by_id().find("cannot fetch a specific object"), std::string::npos) << by_id();
    const auto config = remote.path() / "config";
    write_file_atomic(config, read_file(config) + "[uploadpack]\n\tallowAnySHA1InWant = true\n");
    EXPECT_EQ(by_id(), "lost");
    EXPECT_TRUE(mirror->find(oid, "main"));
    EXPECT_EQ(content(mirror->fetch({.branch = "main"}, access, stop.get_token()), "a"), "new");
    std::string unknown;
    try {
        static_cast<void>(mirror->fetch_commit(*Oid::parse(std::string(40, '1')), "main", access,
                                               stop.get_token()));
    } catch (const Error& error) {
        unknown = error.what();
    }
    EXPECT_NE(unknown.find(std::string(40, '1')), std::string::npos) << unknown;
    EXPECT_EQ(by_id(), "lost");
}

TEST_F(HttpTransport, KeepsOfCommitsHadByTheirIdTheLastAndThoseInUse) {
    const auto config = remote.path() / "config";
    write_file_atomic(config, read_file(config) + "[uploadpack]\n\tallowAnySHA1InWant = true\n");
    const Server server{git()};
    std::vector<Oid> lost;
    for (int i = 0; i < 13; ++i)
        lost.push_back(*Oid::parse(remote.replace({{"a", std::to_string(i)}})));
    remote.replace({{"a", "new"}});
    fetch("http://127.0.0.1:" + server.port() + "/repository.git");
    const auto in_use = [&](const Oid& one) { return one == lost.front(); };
    for (const auto& one : lost)
        static_cast<void>(mirror->fetch_commit(one, "main", access, stop.get_token(), in_use));
    std::set<std::string> kept;
    for (const auto& entry : std::filesystem::directory_iterator{directory.path() / "mirror" /
                                                                 "refs" / "kled" / "commits"})
        kept.insert(read_file(entry.path()).substr(0, 40));
    std::set<std::string> wanted{lost.front().hex()};
    for (std::size_t i = 3; i < lost.size(); ++i) wanted.insert(lost[i].hex());
    EXPECT_EQ(kept, wanted);
}

TEST_F(HttpTransport, ShowsItsCredentialsAndNeverInAMessage) {
    remote.commit({{"a", "1"}});
    const Server server{
        [this](net::Request request, const net::Peer& peer, net::ResponseWriter& out) {
            if (request.headers.get("Authorization") == "Basic bWU6c2VjcmV0")
                return backend(std::move(request), peer, out);
            return answer(out, 401, {{"WWW-Authenticate", "Basic"}}, "no");
        }};
    const auto url = "http://127.0.0.1:" + server.port() + "/repository.git";
    EXPECT_EQ(failure(url).first, ErrorKind::denied);
    access.user = "me";
    access.password = secret("wrong");
    const auto refused = failure(url);
    EXPECT_EQ(refused.first, ErrorKind::denied);
    EXPECT_EQ(refused.second.find("wrong"), std::string::npos);
    access.password = secret("secret");
    EXPECT_EQ(content(fetch(url), "a"), "1");
    access.user.clear();
    access.password.reset();
    EXPECT_EQ(
        content(fetch("http://me:secret@127.0.0.1:" + server.port() + "/repository.git"), "a"),
        "1");
}

TEST_F(HttpTransport, FollowsARedirectWithoutItsCredentials) {
    remote.commit({{"a", "1"}});
    const Server real{git()};
    const Server moved{[&](net::Request request, const net::Peer&, net::ResponseWriter& out) {
        return answer(out, 301,
                      {{"Location", "http://127.0.0.1:" + real.port() + "/repository.git" +
                                        request.target.substr(4)}},
                      "");
    }};
    access.bearer_token = secret("token");
    EXPECT_EQ(content(fetch("http://127.0.0.1:" + moved.port() + "/old"), "a"), "1");
    EXPECT_EQ(backend.authorization, "") << "another host";
}

TEST_F(HttpTransport, IsNotLedToASocketOfThisMachine) {
    const Server moved{[](net::Request, const net::Peer&, net::ResponseWriter& out) {
        return answer(out, 301, {{"Location", "unix:/run/some.socket/info/refs"}}, "");
    }};
    const auto why = failure("http://127.0.0.1:" + moved.port() + "/repository.git");
    EXPECT_EQ(why.first, ErrorKind::denied);
    EXPECT_NE(why.second.find("redirects from http to 'unix:/run/some.socket'"), std::string::npos)
        << why.second;
}

TEST_F(HttpTransport, SaysWhatTheServerIsNot) {
    const Server server{[](net::Request request, const net::Peer&, net::ResponseWriter& out) {
        if (request.target.starts_with("/none")) return answer(out, 404, {}, "not here\n");
        if (request.target.starts_with("/broken")) return answer(out, 500, {}, "<html>");
        if (request.target.starts_with("/garbage"))
            return answer(out, 200,
                          {{"Content-Type", "application/x-git-upload-pack-advertisement"}},
                          "garbage\xff");
        return answer(out, 200, {{"Content-Type", "text/html"}}, "hello");
    }};
    const auto url = "http://127.0.0.1:" + server.port();
    EXPECT_EQ(failure(url + "/none").first, ErrorKind::not_found);
    EXPECT_EQ(failure(url + "/broken").first, ErrorKind::unavailable);
    EXPECT_EQ(failure(url + "/page").first, ErrorKind::invalid);
    EXPECT_EQ(failure(url + "/garbage").first, ErrorKind::unavailable);
}

TEST_F(HttpTransport, PushesAndTellsWhatStandsInTheWay) {
    const Server server{git()};
    const auto url = "http://127.0.0.1:" + server.port() + "/repository.git";
    remote.commit({{"a", "1"}, {"b", std::string(100'000, 'x')}});
    const auto base = fetch(url);
    const auto pushed = push(base, "2", {.reference = "refs/heads/main"});
    EXPECT_EQ(content(fetch(url), "a"), "2");
    EXPECT_EQ(fetch(url).commit.hex(), pushed);
    EXPECT_EQ(push_failure(base, {.reference = "refs/heads/main"}).first, ErrorKind::conflict);
    EXPECT_EQ(fetch(url).commit.hex(), pushed) << "nothing of others is lost";
    push(base, "3", {.reference = "refs/heads/images", .force = true});
    push(base, "4", {.reference = "refs/heads/images", .force = true});
    EXPECT_EQ(content(mirror->fetch({.branch = "images"}, access, {}), "a"), "4");

    hook("pre-receive", "echo \"$GIT_PUSH_OPTION_0\" > pushed-with\n");
    push(fetch(url), "5", {.reference = "refs/heads/main", .options = {"ci.skip"}});
    EXPECT_EQ(read_file(remote.path() / "pushed-with"), "ci.skip\n");
    hook("pre-receive", "echo no pushes on Sundays >&2\nexit 1\n");
    const auto refused = push_failure(fetch(url), {.reference = "refs/heads/main"});
    EXPECT_EQ(refused.first, ErrorKind::denied);
    EXPECT_NE(refused.second.find("no pushes on Sundays"), std::string::npos) << refused.second;
}

TEST_F(HttpTransport, MovesABranchToACommitThatIsKnown) {
    const Server server{git()};
    const auto url = "http://127.0.0.1:" + server.port() + "/repository.git";
    const auto first = remote.commit({{"a", "1"}});
    const auto second = remote.commit({{"a", "2"}, {"b", std::string(100'000, 'x')}});
    fetch(url);
    const auto move = [&](const std::string& commit, const std::string& to) {
        return push_commit(*mirror, *Oid::parse(commit), to, {.reference = "refs/heads/production"},
                           access, stop.get_token());
    };
    const auto failed = [&](const std::string& commit, const std::string& to) {
        try {
            move(commit, to);
        } catch (const Error& error) {
            return std::pair{error.kind(), std::string{error.what()}};
        }
        return std::pair{ErrorKind::internal, std::string{"nothing was thrown"}};
    };
    const auto tip = [&] {
        return mirror->fetch({.branch = "production"}, access, {}).commit.hex();
    };
    EXPECT_TRUE(move(first, url)) << "the branch begins";
    EXPECT_EQ(tip(), first);
    EXPECT_TRUE(move(second, url)) << "all of which is there already";
    EXPECT_EQ(tip(), second);
    EXPECT_FALSE(move(second, url));
    const auto back = failed(first, url);
    EXPECT_EQ(back.first, ErrorKind::conflict);
    EXPECT_NE(back.second.find("refs/heads/production is at " + second +
                               ", which is no ancestor of " + first),
              std::string::npos)
        << back.second;
    const auto theirs = remote.commit({{"a", "by hand"}}, "production");
    const auto third = remote.commit({{"a", "3"}});
    fetch(url);
    EXPECT_EQ(failed(third, url).first, ErrorKind::conflict);
    EXPECT_EQ(tip(), theirs) << "nothing of others is lost";
    EXPECT_EQ(failed(std::string(40, 'a'), url).first, ErrorKind::unavailable);
    hook("pre-receive", "echo this branch is protected >&2\nexit 1\n");
    EXPECT_EQ(push_failure(fetch(url), {.reference = "refs/heads/x"}).first, ErrorKind::denied);

    // Another server, which lacks what came since.
    run_to_end(kled::run(
        {.argv = {"git", "clone", "-q", "--bare", "--branch", "main", "--single-branch",
                  remote.path().string(), (remote.path().parent_path() / "other.git").string()}},
        "", 20s));
    const auto fourth = remote.commit({{"a", "4"}, {"deep/c", std::string(50'000, 'y')}});
    fetch(url);
    const auto other = "http://127.0.0.1:" + server.port() + "/other.git";
    EXPECT_TRUE(move(fourth, other));
    Mirror there{directory.path() / "there", other};
    const auto arrived = there.fetch({.branch = "production"}, access, stop.get_token());
    EXPECT_EQ(arrived.commit.hex(), fourth);
    EXPECT_EQ((Tree{there, arrived}.read("deep/c")), std::string(50'000, 'y'));
}

TEST_F(HttpTransport, PushesWithItsCredentialsAndNeverInAMessage) {
    remote.commit({{"a", "1"}});
    const Server server{
        [this](net::Request request, const net::Peer& peer, net::ResponseWriter& out) {
            const bool reads = request.target.find("git-upload-pack") != std::string::npos;
            if (reads || request.headers.get("Authorization") == "Basic bWU6c2VjcmV0")
                return backend(std::move(request), peer, out);
            return answer(out, 403, {}, "read only");
        }};
    access.user = "me";
    access.password = secret("wrong");
    const auto url = "http://127.0.0.1:" + server.port() + "/repository.git";
    const auto base = fetch(url);
    const auto refused = push_failure(base, {.reference = "refs/heads/main"});
    EXPECT_EQ(refused.first, ErrorKind::denied);
    EXPECT_EQ(refused.second.find("wrong"), std::string::npos);
    access.password = secret("secret");
    push(base, "2", {.reference = "refs/heads/main"});
    EXPECT_EQ(content(fetch(url), "a"), "2");
}

TEST_F(HttpTransport, StopsAtTheLimits) {
    const Server server{git()};
    const auto url = "http://127.0.0.1:" + server.port() + "/repository.git";
    remote.commit({{"big", crypto::random_bytes(3U << 20U)}});
    access.transfer_limit = 1U << 20U;
    EXPECT_EQ(failure(url).first, ErrorKind::exhausted);
}

TEST_F(HttpTransport, DoesNotWaitForASilentServer) {
    const Server server{
        [](net::Request, const net::Peer&, net::ResponseWriter& out) { return out.closed(); }};
    const auto url = "http://127.0.0.1:" + server.port() + "/repository.git";
    access.timeout = 200ms;
    EXPECT_EQ(failure(url).first, ErrorKind::unavailable);
    access.timeout = 60s;
    std::thread impatient{[this] { stop.request_stop(); }};
    EXPECT_THROW(static_cast<void>(fetch(url)), boost::system::system_error);
    impatient.join();
}

TEST_F(HttpTransport, TrustsTheAuthorityOfTheRepositoryAlone) {
    remote.commit({{"a", "1"}});
    const auto ca = crypto::CertificateAuthority::open(directory.path() / "ca", "test");
    crypto::Issue issue;
    issue.subject.common_name = "127.0.0.1";
    issue.names = {"127.0.0.1"};
    issue.server = true;
    auto server_certificate = ca.issue(issue);
    crypto::Issue client;
    client.subject.common_name = "kled";
    auto client_certificate = ca.issue(client);
    net::ServerTls tls;
    tls.certificate_pem = server_certificate.certificate_pem;
    tls.key_pem = std::make_shared<const Secret>(std::move(server_certificate.key_pem));
    tls.client_ca_pem = ca.certificate_pem();
    tls.require_client_certificate = true;
    const Server server{git(), tls};
    const auto url = "https://127.0.0.1:" + server.port() + "/repository.git";
    EXPECT_EQ(failure(url).first, ErrorKind::denied);
    access.ca_pem = ca.certificate_pem();
    EXPECT_NE(failure(url).second, "nothing was thrown") << "no client certificate";
    access.certificate_pem = client_certificate.certificate_pem;
    access.key_pem = std::make_shared<const Secret>(std::move(client_certificate.key_pem));
    EXPECT_EQ(content(fetch(url), "a"), "1");

    const Server moved{[&](net::Request request, const net::Peer&, net::ResponseWriter& out) {
                           return answer(out, 301, {{"Location", url + request.target.substr(4)}},
                                         "");
                       },
                       tls};
    EXPECT_NE(failure("https://127.0.0.1:" + moved.port() + "/old").second, "nothing was thrown")
        << "a server that it leads to is not shown the certificate";
}

/// A port that was free a moment ago.
unsigned free_port() {
    asio::io_context loop;
    asio::ip::tcp::acceptor acceptor{loop, {asio::ip::address_v4::loopback(), 0}};
    return acceptor.local_endpoint().port();
}

/// sshd(8) for one user with one key.
class SshServer {
public:
    explicit SshServer(const std::filesystem::path& directory)
        : directory_{directory}, port_{free_port()} {
        make_directories(directory, 0700);
        for (const auto* name : {"host", "client", "stranger"}) {
            run_to_end(kled::run({.argv = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                                           (directory / name).string()}},
                                 "", 20s));
        }
        std::filesystem::copy_file(directory / "client.pub", directory / "authorized_keys");
        write_file_atomic(
            directory / "sshd_config",
            "Port " + std::to_string(port_) + "\nListenAddress 127.0.0.1\nHostKey " +
                (directory / "host").string() + "\nAuthorizedKeysFile " +
                (directory / "authorized_keys").string() +
                "\nStrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\n"
                "KbdInteractiveAuthentication no\nPermitRootLogin yes\n");
        make_directories("/run/sshd");
        Process::Options options;
        options.pipe_stderr = true;
        process_ = Process::start(
            {.argv = {"/usr/sbin/sshd", "-D", "-e", "-f", (directory / "sshd_config").string()}},
            options);
        wait_until_it_listens();
    }
    [[nodiscard]] std::string key(const std::string& name) const {
        return read_file(directory_ / name);
    }
    [[nodiscard]] std::string known_hosts() const {
        return "[127.0.0.1]:" + std::to_string(port_) + " " + key("host.pub");
    }
    [[nodiscard]] std::string url(const std::filesystem::path& path) const {
        return "ssh://" + std::string{::getenv("USER") == nullptr ? "root" : ::getenv("USER")} +
               "@127.0.0.1:" + std::to_string(port_) + path.string();
    }

private:
    void wait_until_it_listens() const {
        asio::io_context loop;
        for (int i = 0; i < 200; ++i) {
            asio::ip::tcp::socket socket{loop};
            boost::system::error_code error;
            socket.connect({asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(port_)},
                           error);
            if (!error) return;
            std::this_thread::sleep_for(20ms);
        }
    }
    std::filesystem::path directory_;
    unsigned port_;
    std::optional<Process> process_;
};

TEST_F(SshTransport, FetchesAndPushesWithItsOwnKeyAndKnownHosts) {
    if (!std::filesystem::exists("/usr/sbin/sshd") || ::geteuid() != 0)
        GTEST_SKIP() << "SKIPPED: needs sshd and root";
    const SshServer server{directory.path() / "ssh"};
    access.ssh_identity = secret(server.key("client"));
    access.known_hosts = server.known_hosts();
    remote.commit({{"a", "1"}});
    EXPECT_EQ(content(fetch(server.url(remote.path())), "a"), "1");
    for (int i = 2; i < 20; ++i) remote.commit({{"a", std::to_string(i)}});
    EXPECT_EQ(content(fetch(server.url(remote.path())), "a"), "19");

    const auto base = fetch(server.url(remote.path()));
    push(base, "20", {.reference = "refs/heads/main"});
    EXPECT_EQ(content(fetch(server.url(remote.path())), "a"), "20");
    EXPECT_EQ(push_failure(base, {.reference = "refs/heads/main"}).first, ErrorKind::conflict);
    const auto tip = fetch(server.url(remote.path())).commit;
    const auto move = [&] {
        return push_commit(*mirror, tip, server.url(remote.path()),
                           {.reference = "refs/heads/production"}, access, stop.get_token());
    };
    EXPECT_TRUE(move());
    EXPECT_FALSE(move());
    EXPECT_EQ(mirror->fetch({.branch = "production"}, access, {}).commit, tip);
    hook("update", "echo not you >&2\nexit 1\n");
    const auto refused =
        push_failure(fetch(server.url(remote.path())), {.reference = "refs/heads/main"});
    EXPECT_EQ(refused.first, ErrorKind::denied);
    EXPECT_NE(refused.second.find("not you"), std::string::npos) << refused.second;

    EXPECT_EQ(failure(server.url(remote.path() / "none")).first, ErrorKind::not_found);
    access.known_hosts = "[127.0.0.1]:1 " + server.key("host.pub");
    EXPECT_EQ(failure(server.url(remote.path())).first, ErrorKind::denied) << "an unknown host";
    access.known_hosts = server.known_hosts();
    access.ssh_identity = secret(server.key("stranger"));
    EXPECT_EQ(failure(server.url(remote.path())).first, ErrorKind::denied)
        << "a key it does not know";
}

TEST_F(SshTransport, TakesNoNameForAnOption) {
    access.ssh_identity = secret("x");
    access.known_hosts = "x";
    EXPECT_EQ(failure("ssh://-oProxyCommand=touch%20x/y").first, ErrorKind::invalid);
    EXPECT_EQ(failure("ssh://-l@host/y").first, ErrorKind::invalid);
    EXPECT_EQ(failure("ssh://host:22x/y").first, ErrorKind::invalid);
    EXPECT_EQ(failure("ssh://host").first, ErrorKind::invalid);
}

}  // namespace
}  // namespace kled::gitops::git
