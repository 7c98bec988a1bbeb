/// AWS credentials of a pod, from the agent that its node has for that (AWS SDKs Reference Guide,
/// "Container credential provider"; EKS Pod Identity). No clock, no I/O.
#pragma once

#include "base/secret.h"
#include "gitops/cloud/aws.h"
#include "net/http.h"

#include <string>
#include <string_view>

namespace kled::gitops::cloud {

/// Of AWS_CONTAINER_CREDENTIALS_FULL_URI: https, or http on this machine or at the addresses of the
/// agents of EKS and ECS, which no router forwards. Error(invalid): it is none of these.
[[nodiscard]] net::Url agent_endpoint(std::string_view url);

/// `token` is what the pod has to show. Error(invalid): it does not fit into a header.
[[nodiscard]] net::Request agent_request(const net::Url& endpoint, const Secret& token);

/// Of an answer with status 200. Error(invalid) when it holds no credentials.
[[nodiscard]] AwsCredentials read_agent_credentials(std::string_view body);
/// "AccessDenied: …" of another answer; empty: it does not say. Never throws.
[[nodiscard]] std::string agent_refusal(std::string_view body);

}  // namespace kled::gitops::cloud
