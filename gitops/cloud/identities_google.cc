// Tokens of Google for accounts that one of its workload identity pools trusts.
#include "base/error.h"
#include "gitops/cloud/applicant.h"
#include "gitops/cloud/google.h"
#include "gitops/cloud/identities.h"

#include <utility>

namespace kled::gitops::cloud {

namespace asio = boost::asio;

asio::awaitable<BearerToken> Identities::google(kube::Client& client, Applicant who) {
    resolve(who);
    if (who.service_account.empty()) {
        throw Error{ErrorKind::invalid,
                    "spec.provider gcp: kledd has no identity there: name a serviceAccountName"};
    }
    const auto account = co_await account_of(client, who);
    constexpr std::string_view provider_key = "gcp.auth.fluxcd.io/workload-identity-provider";
    constexpr std::string_view email_key = "iam.gke.io/gcp-service-account";
    const std::string provider{account.annotation(provider_key)};
    const std::string email{account.annotation(email_key)};
    if (!is_workload_provider(provider)) throw bad_annotation(who, provider_key, "names none");
    if (!email.empty() && !is_google_account(email))
        throw bad_annotation(who, email_key, "names none");
    const auto key = joined({"google", provider, email, key_of(who)});
    if (const auto* known = bearers_.find(key, WallTime::clock::now())) co_return *known;
    const auto reach = who.reach;
    const auto subject = who.field + " " + account_name(who);
    const auto proof =
        co_await assertion(client, std::move(who), google_audience(provider), std::string{});
    const auto sts = net::parse_url(google_sts);
    auto request = federated_token(provider, *proof);
    const auto asked_at = WallTime::clock::now();
    auto answer = co_await send(sts, std::move(request), reach);
    if (answer.status != 200)
        throw refused(sts.host, subject, answer.status, json_refusal(answer.body));
    auto token = read_bearer(answer.body, asked_at, "Google");
    wipe(answer.body);
    if (!email.empty()) {
        const auto credentials = net::parse_url(google_credentials);
        auto as = account_token(email, *token.text);
        auto second = co_await send(credentials, std::move(as), reach);
        if (second.status != 200)
            throw refused(credentials.host, email, second.status, json_refusal(second.body));
        token = read_account_token(second.body, asked_at);
        wipe(second.body);
    }
    bearers_.put(key, token);
    co_return token;
}

}  // namespace kled::gitops::cloud
