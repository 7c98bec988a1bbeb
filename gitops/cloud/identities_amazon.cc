// Credentials of AWS: of the process, of its pod, and of roles that it or an account may assume.
#include "base/error.h"
#include "gitops/cloud/applicant.h"
#include "gitops/cloud/identities.h"
#include "gitops/cloud/pod_identity.h"
#include "gitops/cloud/web_identity.h"

#include <utility>

namespace kled::gitops::cloud {

namespace asio = boost::asio;

asio::awaitable<AwsCredentials> Identities::of_pod(Applicant who) {
    const auto endpoint = agent_endpoint(variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
    const auto key =
        joined({"pod", endpoint.scheme, endpoint.host, endpoint.port, endpoint.target});
    if (const auto* known = amazon_.find(key, WallTime::clock::now())) co_return *known;
    const auto token = token_of("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    auto reach = who.reach;
    reach.proxy.clear();  // the agent is on this node: no proxy leads there
    auto request = agent_request(endpoint, *token);
    auto answer = co_await send(endpoint, std::move(request), std::move(reach));
    if (answer.status != 200) {
        throw refused(endpoint.host, "the identity of this pod", answer.status,
                      agent_refusal(answer.body));
    }
    auto credentials = read_agent_credentials(answer.body);
    wipe(answer.body);
    amazon_.put(key, credentials);
    co_return credentials;
}

asio::awaitable<Identities::Role> Identities::role_of(kube::Client& client, Applicant who,
                                                      std::string region) {
    Role role;
    role.region = std::move(region);
    if (who.service_account.empty()) {
        role.arn = variable("AWS_ROLE_ARN");
        if (!is_role_arn(role.arn)) throw Error{ErrorKind::invalid, "AWS_ROLE_ARN is no role"};
        role.session = session_name(variable("AWS_ROLE_SESSION_NAME"));
        if (auto own = variable("AWS_REGION"); !own.empty()) role.region = std::move(own);
    } else {
        constexpr std::string_view annotation = "eks.amazonaws.com/role-arn";
        const auto account = co_await account_of(client, who);
        role.arn = account.annotation(annotation);
        if (!is_role_arn(role.arn)) throw bad_annotation(who, annotation, "names no role");
        role.session = session_name(who.service_account + "." + who.ns + ".kled.io");
    }
    co_return role;
}

asio::awaitable<AwsCredentials> Identities::assume(kube::Client& client, Applicant who, Role role) {
    const auto given = variable("AWS_ENDPOINT_URL_STS");
    const auto endpoint = token_endpoint(given.empty() ? sts_endpoint(role.region) : given,
                                         given.empty() ? "AWS_REGION" : "AWS_ENDPOINT_URL_STS");
    const auto key = joined(
        {role.arn, role.session, key_of(who), endpoint.host, endpoint.port, endpoint.target});
    if (const auto* known = amazon_.find(key, WallTime::clock::now())) co_return *known;
    const auto reach = who.reach;
    const auto token = co_await assertion(client, std::move(who), "sts.amazonaws.com",
                                          "AWS_WEB_IDENTITY_TOKEN_FILE");
    auto request = assume_role(endpoint.target + "/", role.arn, role.session, *token);
    auto answer = co_await send(endpoint, std::move(request), reach);
    if (answer.status != 200)
        throw refused(endpoint.host, role.arn, answer.status, sts_refusal(answer.body));
    auto credentials = read_assumed_role(answer.body);
    wipe(answer.body);
    amazon_.put(key, credentials);
    co_return credentials;
}

asio::awaitable<AwsCredentials> Identities::amazon(kube::Client& client, Applicant who,
                                                   std::string region) {
    resolve(who);
    if (who.service_account.empty()) {
        if (auto key = variable("AWS_ACCESS_KEY_ID"), secret = variable("AWS_SECRET_ACCESS_KEY");
            !key.empty() && !secret.empty()) {
            AwsCredentials own;
            own.keys.access_key = std::move(key);
            own.keys.secret_key = std::make_shared<const Secret>(std::move(secret));
            if (auto token = variable("AWS_SESSION_TOKEN"); !token.empty())
                own.session_token = std::make_shared<const Secret>(std::move(token));
            co_return own;
        }
        if (variable("AWS_ROLE_ARN").empty() || variable("AWS_WEB_IDENTITY_TOKEN_FILE").empty()) {
            if (!variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").empty())
                co_return co_await of_pod(std::move(who));
            throw Error{ErrorKind::invalid,
                        "spec.provider aws: kledd has no identity there: set AWS_ACCESS_KEY_ID and "
                        "AWS_SECRET_ACCESS_KEY, or AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, "
                        "or AWS_CONTAINER_CREDENTIALS_FULL_URI and "
                        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, or name a serviceAccountName"};
        }
    }
    auto role = co_await role_of(client, who, std::move(region));
    co_return co_await assume(client, std::move(who), std::move(role));
}

}  // namespace kled::gitops::cloud
