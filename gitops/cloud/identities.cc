#include "gitops/cloud/identities.h"

#include "base/error.h"
#include "base/file.h"
#include "gitops/cloud/pod_identity.h"
#include "gitops/cloud/token_endpoint.h"
#include "gitops/cloud/web_identity.h"
#include "gitops/destinations.h"
#include "kube/token_request.h"

#include <chrono>
#include <cstdlib>
#include <utility>

namespace kled::gitops::cloud {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

const kube::GroupVersionKind account_kind{.group = "", .version = "v1", .kind = "ServiceAccount"};
/// What is handed out lasts for what it is asked for.
constexpr auto spare = 5min;
constexpr std::size_t known_limit = 1000;
constexpr auto assertion_life = 10min;  // it is exchanged at once
constexpr std::size_t file_limit = 1U << 20U;
const std::string field = "spec.serviceAccountName: ";

std::string trimmed(std::string text) {
    constexpr auto* blank = " \t\r\n";
    text.erase(text.find_last_not_of(blank) + 1);
    text.erase(0, text.find_first_not_of(blank));
    return text;
}

/// What is known by `key` and still good; nullptr: nothing.
template <typename T>
const T* look_up(std::map<std::string, T>& known, const std::string& key, WallTime now) {
    std::erase_if(known, [&](const auto& item) { return item.second.expires - spare <= now; });
    const auto found = known.find(key);
    return found == known.end() ? nullptr : &found->second;
}

template <typename T>
void keep(std::map<std::string, T>& known, const std::string& key, const T& value) {
    if (known.size() >= known_limit) known.clear();
    known.insert_or_assign(key, value);
}

std::string joined(std::initializer_list<std::string_view> parts) {
    std::string all;
    for (const auto part : parts) all += std::to_string(part.size()) + ":" + std::string{part};
    return all;
}

Error refused(const net::Url& endpoint, const std::string& who, unsigned status,
              const std::string& why) {
    const bool transient = status == 429 || status >= 500;
    return {transient ? ErrorKind::unavailable : ErrorKind::denied,
            endpoint.host + ": " + who + ": status " + std::to_string(status) +
                (why.empty() ? "" : ": " + why)};
}

std::string account_name(const GitRepository& repository) {
    return std::string{repository.object.ns()} + "/" + repository.service_account;
}

/// Who has the identity; empty: this program.
std::string whose(const GitRepository& repository) {
    return repository.service_account.empty() ? std::string{} : account_name(repository);
}

asio::awaitable<kube::Object> account_of(kube::Client& client, const GitRepository& repository) {
    const std::string ns{repository.object.ns()};
    auto account = co_await client.get(account_kind, ns, repository.service_account);
    if (!account) {
        throw Error{ErrorKind::not_found,
                    field + "ServiceAccount " + account_name(repository) + " does not exist"};
    }
    co_return std::move(*account);
}

Error without_annotation(const GitRepository& repository, const std::string& name,
                         const std::string& why) {
    return {ErrorKind::invalid, field + "ServiceAccount " + account_name(repository) +
                                    ": metadata.annotations[" + name + "] " + why};
}

}  // namespace

std::string environment(const std::string& name) {
    const char* const value = std::getenv(name.c_str());
    return value == nullptr ? std::string{} : std::string{value};
}

Identities::Assertion Identities::token_of(const std::string& file_variable) const {
    try {
        const auto file = variables_(file_variable);
        return std::make_shared<const Secret>(trimmed(read_file(file, file_limit)));
    } catch (const Error& error) {
        throw error.within(file_variable);
    }
}

asio::awaitable<AwsCredentials> Identities::of_pod(std::chrono::milliseconds timeout) {
    const auto endpoint = agent_endpoint(variables_("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
    const auto who =
        joined({"pod", endpoint.scheme, endpoint.host, endpoint.port, endpoint.target});
    if (const auto* known = look_up(amazon_, who, WallTime::clock::now())) co_return *known;
    const auto token = token_of("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    // The agent is on this node: no proxy leads there.
    const Reach reach{.proxy = {}, .timeout = timeout};
    auto answer = co_await ask(loop_, endpoint, agent_request(endpoint, *token), reach);
    if (answer.status != 200) {
        throw refused(endpoint, "the identity of this pod", answer.status,
                      agent_refusal(answer.body));
    }
    auto credentials = read_agent_credentials(answer.body);
    wipe(answer.body);
    keep(amazon_, who, credentials);
    co_return credentials;
}

asio::awaitable<Identities::Assertion> Identities::assertion(kube::Client& client,
                                                             const GitRepository& repository,
                                                             std::string audience,
                                                             std::string file_variable) {
    if (repository.service_account.empty()) co_return token_of(file_variable);
    if (!co_await runs_controllers(client.transport())) {
        throw Error{ErrorKind::invalid,
                    field + "the embedded API issues no tokens for service accounts"};
    }
    kube::TokenRequest asked;
    asked.ns = repository.object.ns();
    asked.account = repository.service_account;
    asked.audiences.push_back(std::move(audience));
    asked.lifetime = assertion_life;
    try {
        const auto token = co_await kube::request_token(client.transport(), asked);
        co_return token.text;
    } catch (const Error& error) {
        throw Error{error.kind(), field + error.what()};
    }
}

asio::awaitable<AwsCredentials> Identities::amazon(kube::Client& client,
                                                   const GitRepository& repository,
                                                   const CodeCommit& at,
                                                   const git::Access& access) {
    std::string role;
    std::string session;
    auto region = at.region;
    if (repository.service_account.empty()) {
        if (auto key = variables_("AWS_ACCESS_KEY_ID"),
            secret = variables_("AWS_SECRET_ACCESS_KEY");
            !key.empty() && !secret.empty()) {
            AwsCredentials own;
            own.keys.access_key = std::move(key);
            own.keys.secret_key = std::make_shared<const Secret>(std::move(secret));
            if (auto token = variables_("AWS_SESSION_TOKEN"); !token.empty())
                own.session_token = std::make_shared<const Secret>(std::move(token));
            co_return own;
        }
        role = variables_("AWS_ROLE_ARN");
        if (role.empty() || variables_("AWS_WEB_IDENTITY_TOKEN_FILE").empty()) {
            if (!variables_("AWS_CONTAINER_CREDENTIALS_FULL_URI").empty())
                co_return co_await of_pod(access.timeout);
            throw Error{ErrorKind::invalid,
                        "spec.provider aws: kledd has no identity there: set AWS_ACCESS_KEY_ID and "
                        "AWS_SECRET_ACCESS_KEY, or AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, "
                        "or AWS_CONTAINER_CREDENTIALS_FULL_URI and "
                        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, or name a serviceAccountName"};
        }
        if (!is_role_arn(role)) throw Error{ErrorKind::invalid, "AWS_ROLE_ARN is no role"};
        session = session_name(variables_("AWS_ROLE_SESSION_NAME"));
        if (auto own = variables_("AWS_REGION"); !own.empty()) region = std::move(own);
    } else {
        const std::string annotation = "eks.amazonaws.com/role-arn";
        const auto account = co_await account_of(client, repository);
        role = account.annotation(annotation);
        if (!is_role_arn(role)) throw without_annotation(repository, annotation, "names no role");
        session = session_name(repository.service_account + "." +
                               std::string{repository.object.ns()} + ".kled.io");
    }
    const auto given = variables_("AWS_ENDPOINT_URL_STS");
    const auto endpoint = token_endpoint(given.empty() ? sts_endpoint(region) : given,
                                         given.empty() ? "AWS_REGION" : "AWS_ENDPOINT_URL_STS");
    const auto who =
        joined({role, session, whose(repository), endpoint.host, endpoint.port, endpoint.target});
    if (const auto* known = look_up(amazon_, who, WallTime::clock::now())) co_return *known;
    const auto token =
        co_await assertion(client, repository, "sts.amazonaws.com", "AWS_WEB_IDENTITY_TOKEN_FILE");
    const Reach reach{.proxy = access.proxy, .timeout = access.timeout};
    auto request = assume_role(endpoint.target + "/", role, session, *token);
    auto answer = co_await ask(loop_, endpoint, std::move(request), reach);
    if (answer.status != 200)
        throw refused(endpoint, role, answer.status, sts_refusal(answer.body));
    auto credentials = read_assumed_role(answer.body);
    wipe(answer.body);
    keep(amazon_, who, credentials);
    co_return credentials;
}

asio::awaitable<BearerToken> Identities::azure(kube::Client& client,
                                               const GitRepository& repository,
                                               const git::Access& access) {
    std::string tenant;
    std::string application;
    if (repository.service_account.empty()) {
        tenant = variables_("AZURE_TENANT_ID");
        application = variables_("AZURE_CLIENT_ID");
        if (tenant.empty() || application.empty() ||
            variables_("AZURE_FEDERATED_TOKEN_FILE").empty()) {
            throw Error{ErrorKind::invalid,
                        "spec.provider azure: kledd has no identity there: set AZURE_TENANT_ID, "
                        "AZURE_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE, or name a "
                        "serviceAccountName"};
        }
        if (!is_entra_id(tenant)) throw Error{ErrorKind::invalid, "AZURE_TENANT_ID is no id"};
    } else {
        const auto account = co_await account_of(client, repository);
        const std::string tenant_key = "azure.workload.identity/tenant-id";
        const std::string client_key = "azure.workload.identity/client-id";
        tenant = account.annotation(tenant_key);
        application = account.annotation(client_key);
        if (!is_entra_id(tenant)) throw without_annotation(repository, tenant_key, "names none");
        if (!is_entra_id(application))
            throw without_annotation(repository, client_key, "names none");
    }
    const auto given = variables_("AZURE_AUTHORITY_HOST");
    const auto endpoint = token_endpoint(given.empty() ? std::string{entra_authority} : given,
                                         "AZURE_AUTHORITY_HOST");
    const auto who = joined(
        {tenant, application, whose(repository), endpoint.host, endpoint.port, endpoint.target});
    if (const auto* known = look_up(azure_, who, WallTime::clock::now())) co_return *known;
    const auto proof = co_await assertion(client, repository, "api://AzureADTokenExchange",
                                          "AZURE_FEDERATED_TOKEN_FILE");
    const Reach reach{.proxy = access.proxy, .timeout = access.timeout};
    auto request = entra_token(endpoint.target, tenant, application, *proof);
    const auto asked_at = WallTime::clock::now();
    auto answer = co_await ask(loop_, endpoint, std::move(request), reach);
    if (answer.status != 200) {
        throw refused(endpoint, "application " + application, answer.status,
                      entra_refusal(answer.body));
    }
    auto token = read_entra_token(answer.body, asked_at);
    wipe(answer.body);
    keep(azure_, who, token);
    co_return token;
}

asio::awaitable<void> Identities::sign_in(kube::Client& client, const GitRepository& repository,
                                          git::Access& access) {
    if (repository.cloud == "aws") {
        const auto at = CodeCommit::from_url(repository.url);
        const auto credentials = co_await amazon(client, repository, at, access);
        at.sign(credentials, WallTime::clock::now(), access);
    } else if (repository.cloud == "azure") {
        check_devops_url(repository.url);
        const auto token = co_await azure(client, repository, access);
        access.bearer_token = token.text;
    }
}

}  // namespace kled::gitops::cloud
