#include "gitops/cloud/registry_login.h"

#include "base/encoding.h"
#include "base/error.h"
#include "crypto/hash.h"
#include "gitops/cloud/acr.h"
#include "gitops/cloud/applicant.h"
#include "gitops/cloud/ecr.h"
#include "kube/object.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace kled::gitops::cloud {

namespace asio = boost::asio;

namespace {

/// Artifact Registry ("europe-west1-docker.pkg.dev") and what was Container Registry ("eu.gcr.io").
bool is_google_registry(std::string_view host) {
    const auto is_label = [](std::string_view text) {
        return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
            return std::isalnum(c) != 0 || c == '-';
        });
    };
    if (host == "gcr.io") return true;
    for (const std::string_view end : {".gcr.io", "-docker.pkg.dev"}) {
        if (host.ends_with(end)) return is_label(host.substr(0, host.size() - end.size()));
    }
    return false;
}

net::Url https(const std::string& host) { return net::parse_url("https://" + host); }

}  // namespace

bool has_registries(std::string_view cloud) {
    return cloud == "aws" || cloud == "azure" || cloud == "gcp";
}

void check_registry(std::string_view cloud, std::string_view host) {
    if (cloud == "aws" && !ecr_of(host)) {
        throw Error{ErrorKind::invalid,
                    "is no registry of Amazon: ACCOUNT.dkr.ecr.REGION.amazonaws.com or "
                    "public.ecr.aws"};
    }
    if (cloud == "azure" && !is_acr(host))
        throw Error{ErrorKind::invalid, "is no registry of Azure: NAME.azurecr.io"};
    if (cloud == "gcp" && !is_google_registry(host))
        throw Error{ErrorKind::invalid,
                    "is no registry of Google: LOCATION-docker.pkg.dev or gcr.io"};
}

Secret RegistryLogin::docker_config(const std::string& host) const {
    auto plain = user + ":" + std::string{password->reveal()};
    auto auth = to_base64(plain);
    wipe(plain);
    // Neither a host nor base64 has what JSON would escape.
    auto text = R"({"auths":{")" + host + R"(":{"auth":")" + auth + R"("}}})";
    wipe(auth);
    return Secret{std::move(text)};
}

asio::awaitable<RegistryLogin> RegistryLogins::amazon(kube::Client& client, Applicant who,
                                                      std::string host) {
    const auto api = *ecr_of(host);
    const auto reach = who.reach;
    const auto credentials = co_await identities_.amazon(client, std::move(who), api.region);
    const auto key = joined({"aws", credentials.keys.access_key, api.host});
    if (const auto* known = known_.find(key, WallTime::clock::now())) co_return *known;
    const auto now = WallTime::clock::now();
    auto request = ecr_request(api, credentials, now);
    auto answer = co_await identities_.send(https(api.host), std::move(request), reach);
    if (answer.status != 200) {
        throw refused(api.host, "a password for " + host, answer.status, json_refusal(answer.body));
    }
    auto login = read_ecr_login(answer.body, now);
    wipe(answer.body);
    // No longer than who it was handed out to.
    login.expires = std::min(login.expires, credentials.expires);
    known_.put(key, login);
    co_return login;
}

asio::awaitable<RegistryLogin> RegistryLogins::azure(kube::Client& client, Applicant who,
                                                     std::string host) {
    const auto reach = who.reach;
    std::string scope{acr_scope};
    const auto token = co_await identities_.azure(client, std::move(who), std::move(scope));
    const auto key = joined({"azure", crypto::sha256_hex(token.text->reveal()), host});
    if (const auto* known = known_.find(key, WallTime::clock::now())) co_return *known;
    const auto now = WallTime::clock::now();
    auto request = acr_exchange(host, *token.text);
    auto answer = co_await identities_.send(https(host), std::move(request), reach);
    if (answer.status != 200)
        throw refused(host, "the exchange of a token", answer.status, json_refusal(answer.body));
    auto login = read_acr_login(answer.body, now);
    wipe(answer.body);
    known_.put(key, login);
    co_return login;
}

asio::awaitable<RegistryLogin> RegistryLogins::login(kube::Client& client, Applicant who,
                                                     std::string cloud, std::string host) {
    check_registry(cloud, host);
    if (cloud == "aws") co_return co_await amazon(client, std::move(who), std::move(host));
    if (cloud == "azure") co_return co_await azure(client, std::move(who), std::move(host));
    if (cloud != "gcp") throw Error{ErrorKind::invalid, cloud + " has no registries"};
    const auto token = co_await identities_.google(client, std::move(who));
    const RegistryLogin login{
        .user = "oauth2accesstoken", .password = token.text, .expires = token.expires};
    co_return login;
}

}  // namespace kled::gitops::cloud
