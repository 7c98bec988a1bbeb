#include "apiserver/server.h"

#include "apiserver/api.h"
#include "apiserver/definitions.h"
#include "apiserver/in_process.h"
#include "apiserver/namespaces.h"
#include "base/encoding.h"
#include "base/file.h"
#include "base/log.h"
#include "base/task_group.h"
#include "crypto/x509.h"
#include "net/http_server.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <utility>

namespace kled::api {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::hours server_lifetime{24 * 90};
constexpr std::chrono::hours admin_lifetime{24 * 365};
constexpr std::chrono::hours renewal{24 * 30};

std::string bracketed(const std::string& host) {
    return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

std::string kubeconfig(const std::string& url, const std::string& ca_pem,
                       const crypto::Credential& admin) {
    std::string text =
        "apiVersion: v1\n"
        "kind: Config\n"
        "clusters:\n"
        "- name: kled\n"
        "  cluster:\n"
        "    server: ";
    text += url + "\n    certificate-authority-data: " + to_base64(ca_pem);
    text +=
        "\n"
        "users:\n"
        "- name: admin\n"
        "  user:\n"
        "    client-certificate-data: ";
    text += to_base64(admin.certificate_pem) + "\n    client-key-data: ";
    auto key = to_base64(admin.key_pem.reveal());
    text += key;
    wipe(key);
    text +=
        "\n"
        "contexts:\n"
        "- name: kled\n"
        "  context:\n"
        "    cluster: kled\n"
        "    user: admin\n"
        "current-context: kled\n";
    return text;
}

std::optional<User> user_of(const net::Peer& peer) {
    if (!peer.certificate || peer.certificate->common_name.empty()) return std::nullopt;
    User user;
    user.name = peer.certificate->common_name;
    user.groups = peer.certificate->organizations;
    user.groups.emplace_back("system:authenticated");
    return user;
}

/// Lines as they come, until the watch ends or the client is gone.
asio::awaitable<void> pump(net::BodyStream& stream, net::ResponseWriter& out) {
    try {
        while (auto piece = co_await stream.next()) co_await out.write(*piece);
    } catch (const Error&) {
        // The peer went away in the middle of a line: nobody is left to be told.
    }
}

asio::awaitable<void> send(Answer answer, net::ResponseWriter& out) {
    if (!answer.stream) {
        net::Response response;
        response.status = answer.status;
        response.headers = std::move(answer.headers);
        response.body = std::move(answer.body);
        co_await out.respond(std::move(response));
        co_return;
    }
    using asio::experimental::awaitable_operators::operator||;
    co_await out.begin(answer.status, std::move(answer.headers));
    co_await (pump(*answer.stream, out) || out.closed());
}

}  // namespace

struct ApiServer::Impl {
    Impl(asio::any_io_executor on, Options given);

    asio::awaitable<void> run();
    asio::awaitable<void> serve();
    asio::awaitable<void> handle(net::Request request, const net::Peer& peer,
                                 net::ResponseWriter& out);
    asio::awaitable<void> renew();
    net::ServerTls server_tls() const;
    void write_kubeconfig() const;

    asio::any_io_executor executor;
    Options options;
    std::filesystem::path kubeconfig_path;
    Registry registry;
    Storage storage;
    Api api;
    Definitions definitions;
    Namespaces namespaces;
    InProcess in_process;
    crypto::CertificateAuthority ca;
    net::HttpServer http;
    std::string url;
};

namespace {
std::filesystem::path prepared(const std::filesystem::path& state) {
    make_directories(state, 0700);
    return state;
}
}  // namespace

ApiServer::Impl::Impl(asio::any_io_executor on, Options given)
    : executor{std::move(on)},
      options{std::move(given)},
      kubeconfig_path{prepared(options.state) / "admin.kubeconfig"},
      storage{executor, {.file = options.state / "api.db", .history_bytes = options.history_bytes}},
      api{executor, storage, registry, options.admission},
      definitions{executor, api},
      namespaces{executor, api},
      in_process{executor, api, User{"system:kled", {"system:masters", "system:authenticated"}}},
      ca{crypto::CertificateAuthority::open(options.state / "pki", "kled API")},
      http{executor,
           [this] {
               net::ServerOptions http_options;
               http_options.host = options.host;
               http_options.port = options.port;
               http_options.tls = server_tls();
               return http_options;
           }(),
           [this](net::Request request, const net::Peer& peer, net::ResponseWriter& out) {
               return handle(std::move(request), peer, out);
           }},
      url{"https://" +
          bracketed(options.host == "0.0.0.0" || options.host == "::" ? "127.0.0.1"
                                                                      : options.host) +
          ":" + std::to_string(http.port())} {
    write_kubeconfig();
}

net::ServerTls ApiServer::Impl::server_tls() const {
    crypto::Issue issue;
    issue.subject.common_name = "kled API";
    issue.names = {"localhost",  "127.0.0.1",          "::1",
                   "kubernetes", "kubernetes.default", "kubernetes.default.svc"};
    if (options.host != "0.0.0.0" && options.host != "::") issue.names.push_back(options.host);
    issue.names.insert(issue.names.end(), options.names.begin(), options.names.end());
    issue.server = true;
    issue.client = false;
    issue.lifetime = server_lifetime;
    auto credential = ca.issue(issue);
    net::ServerTls tls;
    tls.certificate_pem = std::move(credential.certificate_pem);
    tls.key_pem = std::make_shared<const Secret>(std::move(credential.key_pem));
    tls.client_ca_pem = ca.certificate_pem();
    return tls;
}

void ApiServer::Impl::write_kubeconfig() const {
    crypto::Issue issue;
    issue.subject.common_name = "admin";
    issue.subject.organizations = {"system:masters"};
    issue.lifetime = admin_lifetime;
    auto text = kubeconfig(url, ca.certificate_pem(), ca.issue(issue));
    write_file_atomic(kubeconfig_path, text, 0600);
    wipe(text);
}

asio::awaitable<void> ApiServer::Impl::handle(net::Request request, const net::Peer& peer,
                                              net::ResponseWriter& out) {
    auto answer = co_await api.dispatch(std::move(request), user_of(peer));
    co_await send(std::move(answer), out);
}

asio::awaitable<void> ApiServer::Impl::renew() {
    asio::steady_timer timer{executor};
    for (;;) {
        timer.expires_after(renewal);
        co_await timer.async_wait(asio::use_awaitable);
        http.reload_tls(server_tls());
        write_kubeconfig();
        log::info("api", "certificates renewed");
    }
}

asio::awaitable<void> ApiServer::Impl::serve() {
    co_await namespaces.bootstrap();
    in_process.open();
    log::info("api", "ready", {{"url", url}, {"kubeconfig", kubeconfig_path.string()}});
    co_await http.run();
}

asio::awaitable<void> ApiServer::Impl::run() {
    TaskGroup tasks{executor};
    tasks.spawn(storage.run());
    tasks.spawn(definitions.run());
    tasks.spawn(namespaces.run());
    tasks.spawn(renew());
    tasks.spawn(serve());
    std::exception_ptr failure;
    try {
        co_await even_if_cancelled;
        co_await tasks.join();
    } catch (...) {
        failure = std::current_exception();
    }
    // The caller may be cancelled already: this wait must not be.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await in_process.close();
    if (failure) std::rethrow_exception(failure);
}

ApiServer::ApiServer(asio::any_io_executor executor, Options options)
    : impl_{std::make_unique<Impl>(std::move(executor), std::move(options))} {}
ApiServer::~ApiServer() = default;

asio::awaitable<void> ApiServer::run() { return impl_->run(); }
const std::string& ApiServer::url() const noexcept { return impl_->url; }
const std::filesystem::path& ApiServer::admin_kubeconfig() const noexcept {
    return impl_->kubeconfig_path;
}
std::shared_ptr<kube::Transport> ApiServer::in_process_transport() {
    return impl_->in_process.transport();
}

}  // namespace kled::api
