// Git's smart HTTP protocol, version 0 (gitprotocol-http(5)), on net::HttpClient.
#include "base/encoding.h"
#include "base/error.h"
#include "gitops/git/mirror.h"
#include "gitops/git/transport.h"
#include "net/http_client.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace kled::gitops::git {

namespace asio = boost::asio;

namespace {

constexpr int redirect_limit = 5;
constexpr std::size_t error_text_limit = 300;
const std::string references = "/info/refs";

/// Drives coroutines to their end on the calling thread, within the limits of a transfer.
class Loop {
public:
    explicit Loop(Transfer& transfer) : transfer_{transfer} {}

    template <typename T>
    T wait(asio::awaitable<T> task) {
        transfer_.check_limits();
        asio::cancellation_signal cancel;
        std::optional<T> value;
        std::exception_ptr error;
        bool done = false;
        asio::co_spawn(context_, std::move(task),
                       asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr e, T v) {
                           error = std::move(e);
                           if (!error) value.emplace(std::move(v));
                           done = true;
                       }));
        context_.restart();
        const std::stop_callback on_stop{
            transfer_.stop, [this] { asio::post(context_, [] {}); }};  // wakes the loop to look
        bool cancelled = false;
        while (!done) {
            if (cancelled) {
                context_.run_one();
                continue;
            }
            context_.run_one_until(transfer_.deadline);
            const bool late = std::chrono::steady_clock::now() >= transfer_.deadline;
            if (!done && (late || transfer_.stop.stop_requested())) {
                cancelled = true;
                cancel.emit(asio::cancellation_type::terminal);
            }
        }
        if (cancelled) transfer_.check_limits();
        if (error) std::rethrow_exception(error);
        return std::move(*value);
    }

    [[nodiscard]] asio::any_io_executor executor() { return context_.get_executor(); }

private:
    Transfer& transfer_;
    asio::io_context context_{1};
};

std::string origin_of(const net::Url& url) {
    return url.scheme + "://" + url.host + ":" + url.port;
}

/// One repository on one server; after the first answer redirects are settled.
class HttpSubtransport : public Subtransport {
public:
    explicit HttpSubtransport(Transfer& transfer) : transfer_{transfer}, loop_{transfer} {}

    std::shared_ptr<Stream> open(const std::string& url, git_smart_service_t service) override;
    void close() override { client_.reset(); }

    /// GET or POST below the repository; the answer is a stream with status 200.
    net::StreamResponse exchange(bool discovery, const std::string& service, std::string body);
    std::optional<std::string> next(net::BodyStream& body) { return loop_.wait(body.next()); }

private:
    void connect(std::string_view url);
    net::Request request(bool discovery, const std::string& service, const std::string& body) const;
    [[noreturn]] void refuse(net::StreamResponse& response, const std::string& where);
    /// Takes `location` as the repository's address from now on.
    void follow(std::string_view location);

    Transfer& transfer_;
    Loop loop_;
    std::string given_origin_;  // credentials and the certificate are shown here only
    net::Url url_;              // target without trailing '/'
    std::optional<net::HttpClient> client_;
};

class HttpStream : public Stream {
public:
    HttpStream(HttpSubtransport& owner, std::string service, bool discovery)
        : owner_{owner}, service_{std::move(service)}, discovery_{discovery} {}

    std::size_t read(char* buffer, std::size_t size) override {
        if (!answer_) answer_ = owner_.exchange(discovery_, service_, std::move(request_));
        while (offset_ == piece_.size()) {
            auto next = owner_.next(*answer_->body);
            if (!next) return 0;
            piece_ = std::move(*next);
            offset_ = 0;
        }
        const auto count = std::min(size, piece_.size() - offset_);
        piece_.copy(buffer, count, offset_);
        offset_ += count;
        return count;
    }

    void write(std::string_view bytes) override { request_ += bytes; }

private:
    HttpSubtransport& owner_;
    std::string service_;  // "git-upload-pack", "git-receive-pack"
    bool discovery_;
    std::string request_;
    std::optional<net::StreamResponse> answer_;
    std::string piece_;
    std::size_t offset_ = 0;
};

std::shared_ptr<Stream> HttpSubtransport::open(const std::string& url,
                                               git_smart_service_t service) {
    const bool discovery = lists_references(service);
    if (discovery) {
        given_origin_ = origin_of(net::parse_url(url));
        connect(url);
    }
    return std::make_shared<HttpStream>(*this, program_of(service), discovery);
}

void HttpSubtransport::connect(std::string_view url) {
    url_ = net::parse_url(url);
    while (url_.target.ends_with('/')) url_.target.pop_back();
    const auto& access = transfer_.access;
    net::ClientOptions options;
    options.tls.ca_pem = access.ca_pem;
    if (origin_of(url_) == given_origin_) {
        options.tls.certificate_pem = access.certificate_pem;
        options.tls.key_pem = access.key_pem;
    }
    options.timeout = access.timeout;
    options.gap_timeout = access.timeout;
    options.proxy = access.proxy;
    options.user_agent = "git/kled";  // some servers speak the smart protocol to git/… only
    client_.emplace(loop_.executor(), url_, std::move(options));
}

net::Request HttpSubtransport::request(bool discovery, const std::string& service,
                                       const std::string& body) const {
    net::Request result;
    result.method = discovery ? "GET" : "POST";
    result.target =
        url_.target + (discovery ? references + ("?service=" + service) : "/" + service);
    result.body = body;
    if (!discovery) {
        result.headers.set("Content-Type", "application/x-" + service + "-request");
        result.headers.set("Accept", "application/x-" + service + "-result");
    }
    if (origin_of(url_) != given_origin_) return result;
    const auto& access = transfer_.access;
    if (access.bearer_token) {
        result.headers.set("Authorization", "Bearer " + std::string{access.bearer_token->reveal()});
    } else if (access.password || !access.user.empty()) {
        const std::string password{access.password ? access.password->reveal() : ""};
        result.headers.set("Authorization", "Basic " + to_base64(access.user + ":" + password));
    } else if (!url_.user.empty()) {
        result.headers.set("Authorization", "Basic " + to_base64(url_.user + ":" + url_.password));
    }
    return result;
}

net::StreamResponse HttpSubtransport::exchange(bool discovery, const std::string& service,
                                               std::string body) {
    for (int redirects = 0;; ++redirects) {
        auto response = loop_.wait(client_->open(request(discovery, service, body)));
        const auto where = url_.host + url_.target;
        const bool redirect = response.status == 301 || response.status == 302 ||
                              response.status == 307 || response.status == 308;
        if (redirect && discovery && redirects < redirect_limit) {
            follow(response.headers.get("Location"));
            continue;
        }
        if (response.status != 200) refuse(response, where);
        const auto type = response.headers.get("Content-Type");
        const auto expected =
            "application/x-" + service + (discovery ? "-advertisement" : "-result");
        if (!type.starts_with(expected)) {
            throw Error{ErrorKind::invalid,
                        where + " is no Git server that kled can read: it answers '" +
                            std::string{type} + "'"};
        }
        return response;
    }
}

void HttpSubtransport::follow(std::string_view location) {
    std::string target{location};
    if (target.starts_with('/')) target = origin_of(url_) + target;
    const auto end = target.rfind(references);
    if (end == std::string::npos) {
        throw Error{ErrorKind::invalid, url_.host + url_.target + " redirects to '" + target +
                                            "', which is no Git repository"};
    }
    target.resize(end);
    const bool safe =
        target.starts_with("https://") || (url_.scheme == "http" && target.starts_with("http://"));
    if (!safe) {  // a socket of this machine is a URL too
        throw Error{ErrorKind::denied,
                    url_.host + " redirects from " + url_.scheme + " to '" + target + "'"};
    }
    connect(target);
}

void HttpSubtransport::refuse(net::StreamResponse& response, const std::string& where) {
    std::string text;
    while (text.size() < error_text_limit) {
        auto piece = next(*response.body);
        if (!piece) break;
        text += *piece;
    }
    text = text.substr(0, std::min(text.find_first_of("\r\n"), error_text_limit));
    const auto status = response.status;
    auto kind = ErrorKind::unavailable;
    std::string what = "the server answered " + std::to_string(status);
    if (status == 401 || status == 403) {
        kind = ErrorKind::denied;
        what = status == 401 ? "the server asks for other credentials (401)"
                             : "the server refuses access (403)";
    } else if (status == 404 || status == 410) {
        kind = ErrorKind::not_found;
        what = "there is no such repository, or it is hidden without credentials (" +
               std::to_string(status) + ")";
    }
    const bool readable = !text.empty() && text.front() != '<';
    throw Error{kind, where + ": " + what + (readable ? ": " + text : "")};
}

}  // namespace

std::unique_ptr<Subtransport> make_http_subtransport(Transfer& transfer) {
    return std::make_unique<HttpSubtransport>(transfer);
}

}  // namespace kled::gitops::git
