#include "kube/https_transport.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "kube/object.h"
#include "net/http_client.h"

#include <unistd.h>

#include <utility>

namespace kled::kube {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr auto file_check_interval = 10s;  // kubelet renews a token an hour before its end
constexpr auto exec_timeout = 60s;
constexpr auto exec_early = 10s;  // a credential this near to its end is not used

/// Re-reads a file when it was replaced.
class Watched {
public:
    Watched() = default;
    explicit Watched(Material material) : material_{std::move(material)} { text_ = material_.text; }
    /// True when there is something new.
    bool look() {
        if (material_.text || material_.file.empty()) return false;
        std::error_code error;
        const auto written = fs::last_write_time(material_.file, error);
        if (!error && text_ && written == written_) return false;
        // A missing file keeps what was read before: it is being replaced.
        if (error && text_) return false;
        auto now = std::make_shared<const Secret>(read_file(material_.file, 1U << 20U));
        // A second write within the clock's granularity leaves the time as it is, so the time of
        // a young file tells nothing: it is read again at the next look.
        const bool settled = !error && fs::file_time_type::clock::now() - written > 1s;
        written_ = settled ? written : fs::file_time_type::min();
        if (text_ && text_->reveal() == now->reveal()) return false;
        text_ = std::move(now);
        return true;
    }
    [[nodiscard]] const std::shared_ptr<const Secret>& text() const noexcept { return text_; }

private:
    Material material_;
    std::shared_ptr<const Secret> text_;
    fs::file_time_type written_;
};

std::string_view trimmed(std::string_view text) {
    constexpr auto* blank = " \t\r\n";
    const auto first = text.find_first_not_of(blank);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

/// What an exec plugin gave.
struct ExecCredential {
    std::shared_ptr<const Secret> token;
    std::string certificate_pem;
    std::shared_ptr<const Secret> key_pem;
    std::optional<WallTime> expires;
};

Command exec_command(const ExecPlugin& plugin, const ClusterAccess& access) {
    json::object spec;
    spec["interactive"] = false;
    if (plugin.provide_cluster_info) {
        auto& cluster = spec["cluster"].emplace_object();
        cluster["server"] = access.server.scheme + "://" + access.server.host + ":" +
                            access.server.port + access.server.target;
        if (access.insecure) cluster["insecure-skip-tls-verify"] = true;
        if (!access.tls_server_name.empty()) cluster["tls-server-name"] = access.tls_server_name;
        if (!access.proxy.empty()) cluster["proxy-url"] = access.proxy;
        Watched ca{access.ca};
        ca.look();
        if (ca.text()) cluster["certificate-authority-data"] = to_base64(ca.text()->reveal());
    }
    json::object info;
    info["apiVersion"] = plugin.api_version;
    info["kind"] = "ExecCredential";
    info["spec"] = std::move(spec);

    Command command;
    command.argv = plugin.argv;
    for (char** entry = environ; *entry != nullptr; ++entry) command.env.emplace_back(*entry);
    for (const auto& [name, value] : plugin.env) command.env.push_back(name + "=" + value);
    command.env.push_back("KUBERNETES_EXEC_INFO=" + to_json(info));
    return command;
}

ExecCredential parse_exec_credential(const ExecPlugin& plugin, std::string_view output) {
    const auto value = parse_json(output);
    const auto* const fields = value.if_object();
    if (fields == nullptr || find_string(*fields, {"kind"}) != "ExecCredential" ||
        find_string(*fields, {"apiVersion"}) != plugin.api_version)
        throw Error{ErrorKind::invalid, "did not print an ExecCredential of " + plugin.api_version};
    ExecCredential credential;
    const auto secret = [&](std::string_view name) -> std::shared_ptr<const Secret> {
        const auto text = find_string(*fields, {"status", name});
        return text.empty() ? nullptr : std::make_shared<const Secret>(std::string{text});
    };
    credential.token = secret("token");
    credential.key_pem = secret("clientKeyData");
    credential.certificate_pem = find_string(*fields, {"status", "clientCertificateData"});
    if (const auto until = find_string(*fields, {"status", "expirationTimestamp"}); !until.empty())
        credential.expires = parse_rfc3339(until);
    if (!credential.token && credential.certificate_pem.empty())
        throw Error{ErrorKind::invalid, "printed neither a token nor a certificate"};
    return credential;
}

}  // namespace

struct HttpsTransport::Impl {
    Impl(asio::any_io_executor e, ClusterAccess a)
        : executor{std::move(e)},
          access{std::move(a)},
          ca{access.ca},
          certificate{access.certificate},
          key{access.key},
          token{access.token} {
        prefix = access.server.target;
        prefix.resize(prefix.find('?') == std::string::npos ? prefix.size() : prefix.find('?'));
        while (prefix.ends_with('/')) prefix.pop_back();
    }

    /// Reads what changed, and makes the client anew if its TLS did.
    asio::awaitable<std::shared_ptr<net::HttpClient>> prepare(bool refused) {
        bool changed = std::exchange(rebuild, false) || !client;
        const auto now = SteadyTime::clock::now();
        if (refused || now >= next_look) {
            for (auto* one : {&ca, &certificate, &key}) changed |= one->look();
            token.look();
            next_look = now + file_check_interval;
        }
        if (access.exec) {
            const bool over = credential && credential->expires &&
                              *credential->expires < WallTime::clock::now() + exec_early;
            if (!credential || over || refused) {
                const bool renewed = co_await run_plugin();
                changed = changed || renewed;
            }
        }
        if (changed) {
            try {
                client = std::make_shared<net::HttpClient>(executor, access.server, options());
            } catch (const Error& error) {
                // Certificate and key are two files: between their renewals they do not match.
                if (!client) throw error.within(access.source);
                log::warn("kube", "renewed credentials are not usable yet; the old ones stay",
                          {{"source", access.source}, {"error", error.what()}});
                rebuild = true;
            }
        }
        co_return client;
    }

    /// True when the certificate is another one.
    asio::awaitable<bool> run_plugin() {
        const auto& plugin = *access.exec;
        const auto context = "credential plugin " + plugin.argv.front();
        const auto before = credential ? credential->certificate_pem : std::string{};
        try {
            auto command = exec_command(plugin, access);
            const auto result = co_await run(std::move(command), std::string(), exec_timeout);
            if (result.status != 0) {
                throw Error{ErrorKind::denied, "exit status " + std::to_string(result.status) +
                                                   ": " +
                                                   std::string{trimmed(result.err).substr(0, 500)}};
            }
            credential = parse_exec_credential(plugin, result.out);
        } catch (const Error& error) {
            const auto hint = error.kind() == ErrorKind::not_found && !plugin.install_hint.empty()
                                  ? "\n" + plugin.install_hint
                                  : std::string{};
            throw Error{ErrorKind::denied, context + ": " + error.what() + hint};
        }
        co_return credential->certificate_pem != before;
    }

    [[nodiscard]] net::ClientOptions options() const {
        net::ClientOptions o;
        o.timeout = 60s;        // kube-apiserver ends its own work after as long
        o.gap_timeout = 15min;  // a watch may be silent; a peer that is gone is told by TCP
        o.proxy = access.proxy;
        if (ca.text()) o.tls.ca_pem = ca.text()->reveal();
        o.tls.server_name = access.tls_server_name;
        o.tls.insecure = access.insecure;
        if (certificate.text()) {
            o.tls.certificate_pem = certificate.text()->reveal();
            o.tls.key_pem = key.text();
        } else if (credential && !credential->certificate_pem.empty()) {
            o.tls.certificate_pem = credential->certificate_pem;
            o.tls.key_pem = credential->key_pem;
        }
        return o;
    }

    [[nodiscard]] net::Request authorized(const net::Request& request) const {
        auto sent = request;
        sent.target = prefix + sent.target;
        std::shared_ptr<const Secret> bearer = token.text();
        if (!bearer && credential) bearer = credential->token;
        if (bearer) {
            sent.headers.set("Authorization", "Bearer " + std::string{trimmed(bearer->reveal())});
        } else if (!access.user.empty()) {
            const std::string password{access.password ? access.password->reveal() : ""};
            sent.headers.set("Authorization", "Basic " + to_base64(access.user + ":" + password));
        }
        return sent;
    }

    /// A 401 may mean that our credential ended early.
    [[nodiscard]] bool can_renew() const noexcept {
        return access.exec.has_value() || !access.token.file.empty();
    }

    asio::any_io_executor executor;
    ClusterAccess access;
    Watched ca;
    Watched certificate;
    Watched key;
    Watched token;
    std::string prefix;
    std::optional<ExecCredential> credential;
    std::shared_ptr<net::HttpClient> client;
    bool rebuild = false;
    SteadyTime next_look = SteadyTime::min();
};

HttpsTransport::HttpsTransport(asio::any_io_executor executor, ClusterAccess access)
    : impl_{std::make_unique<Impl>(std::move(executor), std::move(access))} {}
HttpsTransport::~HttpsTransport() = default;

asio::awaitable<net::Response> HttpsTransport::send(net::Request request) {
    auto client = co_await impl_->prepare(false);
    auto response = co_await client->send(impl_->authorized(request));
    if (response.status != 401 || !impl_->can_renew()) co_return response;
    client = co_await impl_->prepare(true);
    co_return co_await client->send(impl_->authorized(request));
}

asio::awaitable<net::StreamResponse> HttpsTransport::open(net::Request request) {
    auto client = co_await impl_->prepare(false);
    auto response = co_await client->open(impl_->authorized(request));
    if (response.status != 401 || !impl_->can_renew()) co_return response;
    client = co_await impl_->prepare(true);
    co_return co_await client->open(impl_->authorized(request));
}

}  // namespace kled::kube
