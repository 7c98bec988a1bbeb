// Tokens of Microsoft Entra for applications that trust this program or an account.
#include "base/error.h"
#include "gitops/cloud/applicant.h"
#include "gitops/cloud/entra.h"
#include "gitops/cloud/identities.h"

#include <utility>

namespace kled::gitops::cloud {

namespace asio = boost::asio;

asio::awaitable<BearerToken> Identities::azure(kube::Client& client, Applicant who,
                                               std::string scope) {
    resolve(who);
    std::string tenant;
    std::string application;
    if (who.service_account.empty()) {
        tenant = variable("AZURE_TENANT_ID");
        application = variable("AZURE_CLIENT_ID");
        if (tenant.empty() || application.empty() ||
            variable("AZURE_FEDERATED_TOKEN_FILE").empty()) {
            throw Error{ErrorKind::invalid,
                        "spec.provider azure: kledd has no identity there: set AZURE_TENANT_ID, "
                        "AZURE_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE, or name a "
                        "serviceAccountName"};
        }
        if (!is_entra_id(tenant)) throw Error{ErrorKind::invalid, "AZURE_TENANT_ID is no id"};
    } else {
        const auto account = co_await account_of(client, who);
        constexpr std::string_view tenant_key = "azure.workload.identity/tenant-id";
        constexpr std::string_view client_key = "azure.workload.identity/client-id";
        tenant = account.annotation(tenant_key);
        application = account.annotation(client_key);
        if (!is_entra_id(tenant)) throw bad_annotation(who, tenant_key, "names none");
        if (!is_entra_id(application)) throw bad_annotation(who, client_key, "names none");
    }
    const auto given = variable("AZURE_AUTHORITY_HOST");
    const auto endpoint = token_endpoint(given.empty() ? std::string{entra_authority} : given,
                                         "AZURE_AUTHORITY_HOST");
    const auto key = joined({"azure", tenant, application, scope, key_of(who), endpoint.host,
                             endpoint.port, endpoint.target});
    if (const auto* known = bearers_.find(key, WallTime::clock::now())) co_return *known;
    const auto reach = who.reach;
    const auto proof = co_await assertion(client, std::move(who), "api://AzureADTokenExchange",
                                          "AZURE_FEDERATED_TOKEN_FILE");
    auto request = entra_token(endpoint.target, tenant, application, scope, *proof);
    const auto asked_at = WallTime::clock::now();
    auto answer = co_await send(endpoint, std::move(request), reach);
    if (answer.status != 200) {
        throw refused(endpoint.host, "application " + application, answer.status,
                      json_refusal(answer.body));
    }
    auto token = read_bearer(answer.body, asked_at, "Entra");
    wipe(answer.body);
    bearers_.put(key, token);
    co_return token;
}

}  // namespace kled::gitops::cloud
