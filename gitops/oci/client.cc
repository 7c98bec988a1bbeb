#include "gitops/oci/client.h"

#include "base/encoding.h"
#include "base/error.h"
#include "base/timeout.h"
#include "crypto/hash.h"
#include "gitops/oci/docker_config.h"
#include "gitops/oci/redirect.h"
#include "net/http_client.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace kled::gitops::oci {

namespace asio = boost::asio;

namespace {

constexpr std::size_t small_answer = 256U << 10U;  // of a token server, or of a failure
constexpr std::size_t page_tags = 1'000;

/// All of a body; Error(exhausted) past `limit`.
asio::awaitable<std::string> read_all(std::unique_ptr<net::BodyStream> body, std::size_t limit,
                                      std::string what) {
    std::string all;
    while (auto piece = co_await body->next()) {
        if (piece->size() > limit - all.size()) {
            throw Error{ErrorKind::exhausted,
                        what + " has more than " + std::to_string(limit) + " bytes"};
        }
        all += *piece;
    }
    co_return all;
}

Error failure_of(unsigned status, const std::string& said) {
    const auto text = [&](const std::string& what) {
        return what + " (" + std::to_string(status) + ")" + (said.empty() ? "" : ": " + said);
    };
    switch (status) {
        case 401: return {ErrorKind::denied, text("the registry asks for other credentials")};
        case 403: return {ErrorKind::denied, text("the registry refuses access")};
        case 404:
            return {ErrorKind::not_found,
                    text("there is no such thing, or it is hidden without credentials")};
        case 429: return {ErrorKind::unavailable, text("the registry is asked too often")};
        default: return {ErrorKind::unavailable, text("the registry answered")};
    }
}

}  // namespace

/// One call: connections, and how the registry was satisfied.
class Client::Session {
public:
    Session(Client& client, const Reference& reference, RegistryAccess access)
        : client_{client}, reference_{reference}, access_{std::move(access)} {
        registry_ =
            net::parse_url((access_.insecure ? "http://" : "https://") + reference_.api_host());
        if (access_.docker_config) {
            credentials_ =
                find_credentials(*access_.docker_config, reference_.host, reference_.repository);
        }
        token_key_ = origin_of(registry_) + "\n" + reference_.repository + "\n" + shown();
        if (credentials_ && credentials_->registry_token) {
            bearer_ = credentials_->registry_token;
        } else {
            bearer_ = client_.tokens_.find(token_key_, SteadyTime::clock::now());
            remembered_ = bearer_ != nullptr;
        }
    }

    asio::awaitable<std::vector<std::string>> tags();
    asio::awaitable<std::string> digest();
    asio::awaitable<Found> manifest();
    asio::awaitable<Manifest> referrers();
    asio::awaitable<void> blob(Descriptor blob, const Sink& sink);

private:
    struct Answer {
        net::Url url;  ///< that of the last request
        net::StreamResponse response;
    };

    /// Who asks, as far as whoever hands out tokens can tell, and over which way: nobody is given
    /// what another one got.
    [[nodiscard]] std::string shown() const {
        const auto digest = [](std::string_view text) { return crypto::sha256_hex(text) + "\n"; };
        return digest(access_.docker_config ? access_.docker_config->reveal() : "") +
               digest(access_.certificate_pem) + digest(access_.ca_pem) + digest(access_.proxy);
    }
    [[nodiscard]] std::string path(const std::string& below) const {
        return "/v2/" + reference_.repository + below;
    }
    net::HttpClient& client_for(const net::Url& url, bool show_certificate);
    /// Status 200, after redirects and credentials. Error otherwise.
    asio::awaitable<Answer> ask(std::string method, std::string target, std::string accept);
    [[nodiscard]] net::Request request(const std::string& method, const net::Url& url,
                                       const std::string& accept) const;
    /// So that the next request is accepted. Error(denied) when nothing is left to show.
    asio::awaitable<void> satisfy(std::string challenge);
    asio::awaitable<void> fetch_token(Challenge challenge);

    Client& client_;
    Reference reference_;
    RegistryAccess access_;
    net::Url registry_;
    std::optional<Credentials> credentials_;
    std::string token_key_;
    std::shared_ptr<const Secret> bearer_;
    bool remembered_ = false;  ///< bearer_ is of an earlier call
    bool basic_ = false;
    bool asked_ = false;  ///< what there is was shown
    std::map<std::string, net::HttpClient> connections_;
};

net::HttpClient& Client::Session::client_for(const net::Url& url, bool show_certificate) {
    const auto key = origin_of(url);
    const auto found = connections_.find(key);
    if (found != connections_.end()) return found->second;
    net::ClientOptions options;
    options.tls.ca_pem = access_.ca_pem;
    if (show_certificate) {
        options.tls.certificate_pem = access_.certificate_pem;
        options.tls.key_pem = access_.key_pem;
    }
    options.timeout = access_.timeout;
    options.gap_timeout = access_.timeout;
    options.proxy = access_.proxy;
    return connections_.try_emplace(key, client_.loop_, url, std::move(options)).first->second;
}

net::Request Client::Session::request(const std::string& method, const net::Url& url,
                                      const std::string& accept) const {
    net::Request result;
    result.method = method;
    result.target = url.target;
    if (!accept.empty()) result.headers.set("Accept", accept);
    if (origin_of(url) != origin_of(registry_)) return result;
    if (bearer_) {
        result.headers.set("Authorization", "Bearer " + std::string{bearer_->reveal()});
    } else if (basic_) {
        result.headers.set("Authorization",
                           "Basic " + to_base64(credentials_->user + ":" +
                                                std::string{credentials_->password->reveal()}));
    }
    return result;
}

asio::awaitable<Client::Session::Answer> Client::Session::ask(std::string method,
                                                              std::string target,
                                                              std::string accept) {
    auto url = registry_;
    url.target = target;
    int redirects = 0;
    while (true) {
        const bool own = origin_of(url) == origin_of(registry_);
        auto wanted = request(method, url, accept);
        auto response = co_await client_for(url, own).open(std::move(wanted));
        if (response.status == 200) {
            Answer answer{.url = std::move(url), .response = std::move(response)};
            co_return answer;
        }
        std::string location{response.headers.get("Location")};
        if (is_redirect(response.status) && !location.empty()) {
            if (++redirects > client_.limits_.redirects)
                throw Error{ErrorKind::unavailable, "redirects without end"};
            url = redirected(url, location);
            continue;
        }
        // Several fields are one list (RFC 9110 §5.3).
        std::string challenges;
        for (const auto& [name, value] : response.headers) {
            if (name.size() == 16 &&
                std::ranges::equal(name, std::string_view{"www-authenticate"},
                                   [](char a, char b) { return (a | 0x20) == (b | 0x20); }))
                challenges += (challenges.empty() ? "" : ", ") + value;
        }
        const auto status = response.status;
        auto body = co_await read_all(std::move(response.body), small_answer, "an error's text");
        if (status != 401 || !own || (asked_ && !remembered_))
            throw failure_of(status, error_text(body));
        co_await satisfy(std::move(challenges));
        redirects = 0;
        url = registry_;
        url.target = target;
    }
}

asio::awaitable<void> Client::Session::satisfy(std::string challenge) {
    if (std::exchange(remembered_, false)) client_.tokens_.drop(token_key_);
    bearer_ = nullptr;
    asked_ = true;
    const auto challenges = parse_challenges(challenge);
    const auto by = [&](std::string_view scheme) {
        return std::ranges::find(challenges, scheme, &Challenge::scheme);
    };
    const bool basic = by("basic") != challenges.end();
    if (credentials_ && credentials_->registry_token)
        throw Error{ErrorKind::denied, "the registry does not accept the `registrytoken`"};
    if (const auto bearer = by("bearer"); bearer != challenges.end()) {
        auto chosen = *bearer;
        co_await fetch_token(std::move(chosen));
    } else if (basic && credentials_ && credentials_->password) {
        basic_ = true;
    } else if (basic) {
        throw Error{
            ErrorKind::denied,
            "the registry asks for credentials; secretRef gives none for " + reference_.host};
    } else {
        throw Error{ErrorKind::denied,
                    "the registry asks for credentials in a way that is not known here "
                    "(neither Bearer nor Basic)"};
    }
}

asio::awaitable<void> Client::Session::fetch_token(Challenge challenge) {
    const auto url = [&] {
        try {
            return resolve(registry_, challenge.parameter("realm"));
        } catch (const Error& error) {
            throw error.within("token server");
        }
    }();
    if (url.scheme != "https" && !access_.insecure) {
        throw Error{ErrorKind::denied, "token server http://" + url.host + ":" + url.port +
                                           ": credentials are shown over https only"};
    }
    auto scope = challenge.parameter("scope");
    if (scope.empty()) scope = "repository:" + reference_.repository + ":pull";
    const auto service = challenge.parameter("service");
    auto query = "service=" + net::percent_encode(service) + "&scope=" + net::percent_encode(scope);
    net::Request wanted;
    wanted.target = url.target;
    const bool refresh = credentials_ && credentials_->identity_token;
    if (refresh) {
        wanted.method = "POST";
        wanted.headers.set("Content-Type", "application/x-www-form-urlencoded");
        wanted.body = "grant_type=refresh_token&client_id=kled&" + query + "&refresh_token=" +
                      net::percent_encode(credentials_->identity_token->reveal());
    } else {
        wanted.target += (url.target.find('?') == std::string::npos ? "?" : "&") + query;
        if (credentials_ && credentials_->password) {
            wanted.headers.set("Authorization",
                               "Basic " + to_base64(credentials_->user + ":" +
                                                    std::string{credentials_->password->reveal()}));
        }
    }
    const auto where = "token server " + url.host;
    const auto now = SteadyTime::clock::now();
    auto response = co_await client_for(url, true).open(std::move(wanted));
    const auto status = response.status;
    auto body = co_await read_all(std::move(response.body), small_answer, where + ": its answer");
    if (status != 200) {
        const bool denied = status == 400 || status == 401 || status == 403;
        const auto said = error_text(body);
        throw Error{
            denied ? ErrorKind::denied : ErrorKind::unavailable,
            where + " answered " + std::to_string(status) + (said.empty() ? "" : ": ") + said};
    }
    try {
        const auto token = parse_token(body);
        client_.tokens_.put(token_key_, token, now);
        bearer_ = token.value;
    } catch (const Error& error) {
        throw error.within(where);
    }
}

asio::awaitable<std::vector<std::string>> Client::Session::tags() {
    std::vector<std::string> all;
    auto target = path("/tags/list?n=" + std::to_string(page_tags));
    auto left = client_.limits_.tags;
    for (std::size_t page = 0; page < client_.limits_.pages; ++page) {
        const std::string json{"application/json"};
        auto answer = co_await ask("GET", target, json);
        const auto link = next_link(answer.response.headers.get("Link"));
        auto body = co_await read_all(std::move(answer.response.body), left, "the list of tags");
        left -= body.size();
        auto some = parse_tags(body);
        std::ranges::move(some, std::back_inserter(all));
        if (link.empty()) co_return all;
        const auto next = resolve(answer.url, link);
        if (origin_of(next) != origin_of(registry_)) {
            throw Error{ErrorKind::denied,
                        "the next page of tags would be at another server, " + next.host};
        }
        if (next.target == target) break;
        target = next.target;
    }
    throw Error{ErrorKind::exhausted, "the pages of tags do not end"};
}

asio::awaitable<std::string> Client::Session::digest() {
    const auto& name = reference_.tag;
    auto answer = co_await ask("HEAD", path("/manifests/" + name), std::string{manifest_types});
    const std::string said{answer.response.headers.get("Docker-Content-Digest")};
    if (is_digest(said)) co_return said;
    const auto found = co_await manifest();
    co_return found.digest;
}

asio::awaitable<Client::Found> Client::Session::manifest() {
    const auto name = !reference_.digest.empty() ? reference_.digest
                      : reference_.tag.empty()   ? std::string{"latest"}
                                                 : reference_.tag;
    auto answer = co_await ask("GET", path("/manifests/" + name), std::string{manifest_types});
    const std::string type{answer.response.headers.get("Content-Type")};
    const std::string said{answer.response.headers.get("Docker-Content-Digest")};
    auto body = co_await read_all(std::move(answer.response.body), client_.limits_.manifest,
                                  "the manifest");
    Found found{.digest = "sha256:" + crypto::sha256_hex(body), .manifest = {}};
    const auto& expected = reference_.digest.empty() ? said : reference_.digest;
    if (is_digest(expected) && expected != found.digest) {
        throw Error{ErrorKind::invalid, "the manifest is not what its digest says: " + expected +
                                            " was to come, " + found.digest + " came"};
    }
    found.manifest = Manifest::parse(body, type);
    co_return found;
}

asio::awaitable<Manifest> Client::Session::referrers() {
    auto answer = co_await ask("GET", path("/referrers/" + reference_.digest),
                               "application/vnd.oci.image.index.v1+json");
    const std::string type{answer.response.headers.get("Content-Type")};
    const auto body = co_await read_all(std::move(answer.response.body), client_.limits_.manifest,
                                        "the list of referrers");
    co_return Manifest::parse(body, type);
}

asio::awaitable<void> Client::Session::blob(Descriptor blob, const Sink& sink) {
    auto answer = co_await ask("GET", path("/blobs/" + blob.digest), std::string{});
    crypto::Sha256Stream hash;
    std::uint64_t size = 0;
    while (auto piece = co_await answer.response.body->next()) {
        size += piece->size();
        if (size > blob.size) {
            throw Error{ErrorKind::exhausted, "blob " + blob.digest + " has more than the " +
                                                  std::to_string(blob.size) +
                                                  " bytes that the manifest says"};
        }
        hash.update(*piece);
        auto taking = sink(*std::move(piece));
        co_await std::move(taking);
    }
    const auto bytes = hash.finish();
    const auto came =
        "sha256:" + to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (size == blob.size && came == blob.digest) co_return;
    throw Error{ErrorKind::invalid,
                "blob " + blob.digest + " is not what its digest says: " + came + " came, " +
                    std::to_string(size) + " bytes of " + std::to_string(blob.size)};
}

asio::awaitable<std::vector<std::string>> Client::tags(Reference repository,
                                                       RegistryAccess access) {
    try {
        const auto timeout = access.timeout;
        Session session{*this, repository, std::move(access)};
        co_return co_await with_timeout(timeout, "its tags", session.tags());
    } catch (const Error& error) {
        throw error.within(repository.name());
    }
}

asio::awaitable<std::string> Client::digest(Reference reference, RegistryAccess access) {
    try {
        const auto timeout = access.timeout;
        if (reference.tag.empty()) reference.tag = "latest";
        Session session{*this, reference, std::move(access)};
        co_return co_await with_timeout(timeout, reference.tag, session.digest());
    } catch (const Error& error) {
        throw error.within(reference.name());
    }
}

asio::awaitable<Client::Found> Client::manifest(Reference reference, RegistryAccess access) {
    try {
        const auto timeout = access.timeout;
        Session session{*this, reference, std::move(access)};
        co_return co_await with_timeout(timeout, "its manifest", session.manifest());
    } catch (const Error& error) {
        throw error.within(reference.name());
    }
}

asio::awaitable<Manifest> Client::referrers(Reference reference, RegistryAccess access) {
    try {
        const auto timeout = access.timeout;
        Session session{*this, reference, std::move(access)};
        co_return co_await with_timeout(timeout, "its referrers", session.referrers());
    } catch (const Error& error) {
        throw error.within(reference.name());
    }
}

asio::awaitable<void> Client::blob(Reference repository, Descriptor blob, RegistryAccess access,
                                   Sink sink) {
    try {
        const auto timeout = access.timeout;
        Session session{*this, repository, std::move(access)};
        const auto what = "blob " + blob.digest;
        co_await with_timeout(timeout, what, session.blob(std::move(blob), sink));
    } catch (const Error& error) {
        throw error.within(repository.name());
    }
}

}  // namespace kled::gitops::oci
