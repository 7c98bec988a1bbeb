#include "gitops/cloud/pod_identity.h"

#include "base/error.h"
#include "gitops/cloud/bearer.h"
#include "gitops/cloud/token_endpoint.h"
#include "kube/object.h"

#include <array>

namespace kled::gitops::cloud {

namespace {

constexpr std::array<std::string_view, 3> agents{"169.254.170.23", "fd00:ec2::23", "169.254.170.2"};

}  // namespace

net::Url agent_endpoint(std::string_view url) {
    return token_endpoint(url, "AWS_CONTAINER_CREDENTIALS_FULL_URI", agents);
}

net::Request agent_request(const net::Url& endpoint, const Secret& token) {
    if (!is_header_value(token.reveal())) {
        throw Error{ErrorKind::invalid,
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE holds no token of one line"};
    }
    net::Request request;
    request.method = "GET";
    request.target = endpoint.target.empty() ? "/" : endpoint.target;
    request.headers.set("Authorization", std::string{token.reveal()});
    request.headers.set("Accept", "application/json");
    return request;
}

AwsCredentials read_agent_credentials(std::string_view body) {
    const Error none{ErrorKind::invalid,
                     "the answer of the pod identity agent holds no credentials"};
    const auto fields = fields_of_answer(body, none);
    const auto key = kube::find_string(fields, {"AccessKeyId"});
    const auto secret = kube::find_string(fields, {"SecretAccessKey"});
    const auto session = kube::find_string(fields, {"Token"});
    const auto expires = parse_rfc3339(kube::find_string(fields, {"Expiration"}));
    if (!is_header_value(key) || !is_header_value(secret) || !is_header_value(session) || !expires)
        throw none;
    AwsCredentials credentials;
    credentials.keys.access_key = key;
    credentials.keys.secret_key = std::make_shared<const Secret>(std::string{secret});
    credentials.session_token = std::make_shared<const Secret>(std::string{session});
    credentials.expires = *expires;
    return credentials;
}

std::string agent_refusal(std::string_view body) {
    try {
        const auto answer = kube::parse_json(body, 32);
        const auto* const fields = answer.if_object();
        if (fields == nullptr) return {};
        return refusal(kube::find_string(*fields, {"code"}),
                       kube::find_string(*fields, {"message"}));
    } catch (const Error&) {  // EKS says it as text
        return one_line(body);
    }
}

}  // namespace kled::gitops::cloud
