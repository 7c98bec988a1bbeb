#include "gitops/access/github_app.h"

#include "base/encoding.h"
#include "base/error.h"
#include "crypto/hash.h"
#include "crypto/rsa.h"
#include "gitops/access/client_options.h"
#include "kube/object.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <utility>

namespace kled::gitops {

namespace asio = boost::asio;
namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t answer_limit = 4U << 20U;
constexpr unsigned pages_limit = 100;
/// A token that is handed out lasts for what it is asked for.
constexpr auto spare = 5min;
constexpr std::size_t known_limit = 1000;

bool is_number(std::string_view text) {
    return !text.empty() && text.size() <= 20 &&
           std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c) != 0; });
}

bool same_login(std::string_view a, std::string_view b) {
    return std::ranges::equal(
        a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::string encoded(const json::object& part) {
    return to_base64url(kube::to_json(json::value(part)));
}

json::value parsed(std::string_view body, const char* what) {
    try {
        return kube::parse_json(body, 32);
    } catch (const Error&) {
        throw Error{ErrorKind::invalid, "GitHub's answer is no " + std::string{what}};
    }
}

/// ": Bad credentials" of an error's body; empty when it is not one.
std::string reason_in(std::string_view body) {
    constexpr std::size_t longest = 200;
    try {
        const auto answer = kube::parse_json(body, 32);
        const auto* fields = answer.if_object();
        auto text = std::string{fields ? kube::find_string(*fields, {"message"}) : ""};
        if (text.empty() || text.size() > longest ||
            std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
            return {};
        return ": " + text;
    } catch (const Error&) {
        return {};
    }
}

}  // namespace

bool GitHubApp::is_in(const SecretData& secret) { return !secret.text({"githubAppID"}).empty(); }

GitHubApp GitHubApp::from_secret(const SecretData& secret) {
    const auto bad = [&](const std::string& key, const std::string& why) {
        return Error{ErrorKind::invalid, "Secret " + secret.name() + ": " + key + " " + why};
    };
    GitHubApp app;
    app.secret = secret.name();
    app.id = secret.text({"githubAppID"});
    if (!is_number(app.id))
        throw bad("githubAppID", app.id.empty() ? "is required" : "is no number");
    app.installation = secret.text({"githubAppInstallationID"});
    app.owner = secret.text({"githubAppInstallationOwner"});
    if (app.installation.empty() == app.owner.empty())
        throw bad("githubAppInstallationID",
                  app.owner.empty() ? "or githubAppInstallationOwner is required"
                                    : "and githubAppInstallationOwner exclude each other");
    if (!app.installation.empty() && !is_number(app.installation))
        throw bad("githubAppInstallationID", "is no number");
    app.key = secret.secret({"githubAppPrivateKey"});
    if (!app.key || app.key->empty()) throw bad("githubAppPrivateKey", "is required");
    const auto base = secret.text({"githubAppBaseURL"});
    try {
        app.api = net::parse_url(base.empty() ? "https://api.github.com" : base);
    } catch (const Error&) {
        throw bad("githubAppBaseURL", "is no URL");
    }
    if (app.api.scheme != "https" && app.api.scheme != "http")
        throw bad("githubAppBaseURL", "is neither https nor http");
    while (app.api.target.ends_with('/')) app.api.target.pop_back();
    return app;
}

Secret GitHubApp::identity(WallTime now) const {
    const auto seconds = [](WallTime time) {
        return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
    };
    // GitHub's clock may be behind; ten minutes is the longest it takes.
    const auto head = encoded({{"alg", "RS256"}, {"typ", "JWT"}});
    const auto claims =
        encoded({{"iat", seconds(now - 60s)}, {"exp", seconds(now + 9min)}, {"iss", id}});
    auto text = head + "." + claims;
    try {
        text += "." + to_base64url(crypto::sign_rs256(key->reveal(), text));
    } catch (const Error& error) {
        throw error.within("Secret " + secret + ": githubAppPrivateKey");
    }
    return Secret{std::move(text)};
}

net::Request GitHubApp::installations(unsigned page, WallTime now) const {
    net::Request request;
    request.target = api.target +
                     "/app/installations?per_page=" + std::to_string(installations_per_page) +
                     "&page=" + std::to_string(page);
    request.headers.set("Accept", "application/vnd.github+json");
    request.headers.set("Authorization", "Bearer " + std::string{identity(now).reveal()});
    return request;
}

net::Request GitHubApp::token_for(const std::string& its_installation, WallTime now) const {
    auto request = installations(1, now);
    request.method = "POST";
    request.target = api.target + "/app/installations/" + its_installation + "/access_tokens";
    return request;
}

std::string GitHubApp::fingerprint() const {
    std::string text;
    for (const std::string_view part :
         {std::string_view{id}, std::string_view{installation}, std::string_view{owner},
          key->reveal(), std::string_view{api.scheme}, std::string_view{api.host},
          std::string_view{api.port}, std::string_view{api.target}}) {
        text += std::to_string(part.size()) + ":" + std::string{part};
    }
    auto digest = crypto::sha256_hex(text);
    wipe(text);
    return digest;
}

InstallationPage read_installations(std::string_view body, std::string_view owner) {
    const auto answer = parsed(body, "list of installations");
    if (!answer.is_array())
        throw Error{ErrorKind::invalid, "GitHub's answer is no list of installations"};
    InstallationPage page;
    page.last = answer.get_array().size() < installations_per_page;
    for (const auto& item : answer.get_array()) {
        if (!item.is_object()) continue;
        const auto& fields = item.get_object();
        const auto* number = fields.if_contains("id");
        if (number != nullptr && number->is_int64() && number->get_int64() > 0 &&
            same_login(kube::find_string(fields, {"account", "login"}), owner)) {
            page.id = std::to_string(number->get_int64());
        }
    }
    return page;
}

InstallationToken read_installation_token(std::string_view body) {
    const auto answer = parsed(body, "token");
    const auto* fields = answer.if_object();
    std::string token{fields == nullptr ? "" : kube::find_string(*fields, {"token"})};
    const auto expires =
        parse_rfc3339(fields == nullptr ? "" : kube::find_string(*fields, {"expires_at"}));
    if (token.empty() || !expires)
        throw Error{ErrorKind::invalid, "GitHub's answer holds no token"};
    return {.token = std::make_shared<const Secret>(std::move(token)), .expires = *expires};
}

asio::awaitable<void> GitHubApps::sign_in(const GitHubApp& app, git::Access& access) {
    const auto fingerprint = app.fingerprint();
    const auto now = std::chrono::system_clock::now();
    std::erase_if(tokens_, [&](const auto& item) { return item.second.expires - spare <= now; });
    auto known = tokens_.find(fingerprint);
    if (known == tokens_.end()) {
        auto fresh = co_await ask(app, access);
        if (tokens_.size() >= known_limit) tokens_.clear();
        known = tokens_.insert_or_assign(fingerprint, std::move(fresh)).first;
    }
    access.user = "x-access-token";
    access.password = known->second.token;
}

asio::awaitable<InstallationToken> GitHubApps::ask(const GitHubApp& app,
                                                   const git::Access& access) {
    net::HttpClient client{loop_, app.api, client_options(access, access.timeout, answer_limit)};
    const auto refused = [&](const net::Response& response) {
        const bool transient = response.status == 429 || response.status >= 500;
        const auto why = reason_in(response.body);
        return Error{transient ? ErrorKind::unavailable : ErrorKind::denied,
                     app.api.host + ": GitHub App " + app.id + ": status " +
                         std::to_string(response.status) + why};
    };
    auto installation = app.installation;
    for (unsigned page = 1; installation.empty(); ++page) {
        auto request = app.installations(page, std::chrono::system_clock::now());
        const auto response = co_await client.send(std::move(request));
        if (response.status != 200) throw refused(response);
        const auto found = read_installations(response.body, app.owner);
        if (found.id) installation = *found.id;
        if (!found.id && (found.last || page == pages_limit))
            throw Error{ErrorKind::denied, app.api.host + ": GitHub App " + app.id +
                                               " is not installed for " + app.owner};
    }
    auto request = app.token_for(installation, std::chrono::system_clock::now());
    const auto response = co_await client.send(std::move(request));
    if (response.status != 201) throw refused(response);
    co_return read_installation_token(response.body);
}

}  // namespace kled::gitops
