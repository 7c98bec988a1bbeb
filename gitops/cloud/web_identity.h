/// AWS credentials for a token of somebody whom a role trusts (AWS STS API Reference,
/// AssumeRoleWithWebIdentity). No clock, no I/O.
#pragma once

#include "base/secret.h"
#include "gitops/cloud/aws.h"
#include "net/http.h"

#include <string>
#include <string_view>

namespace kled::gitops::cloud {

/// "https://sts.eu-west-1.amazonaws.com".
[[nodiscard]] std::string sts_endpoint(std::string_view region);

/// "arn:aws:iam::123456789012:role/name", also of the other partitions.
[[nodiscard]] bool is_role_arn(std::string_view text);

/// What STS takes as the name of a session: 2 to 64 of its characters, made of `text`.
[[nodiscard]] std::string session_name(std::string_view text);

[[nodiscard]] net::Request assume_role(const std::string& target, const std::string& role,
                                       const std::string& session, const Secret& token);

/// Of an answer with status 200. Error(invalid) when it holds no credentials.
[[nodiscard]] AwsCredentials read_assumed_role(std::string_view xml);
/// "AccessDenied: …" of another answer; empty: it does not say. Never throws.
[[nodiscard]] std::string sts_refusal(std::string_view body);

}  // namespace kled::gitops::cloud
