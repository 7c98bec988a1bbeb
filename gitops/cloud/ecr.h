/// Amazon's registries: a password for AWS credentials (Amazon ECR API Reference,
/// "GetAuthorizationToken"). No clock, no I/O.
#pragma once

#include "gitops/cloud/aws.h"
#include "gitops/cloud/registry_login.h"
#include "net/http.h"

#include <optional>
#include <string>
#include <string_view>

namespace kled::gitops::cloud {

/// Which API hands out passwords for a registry: its host is the API's.
/// nullopt: `host` is no registry of Amazon's.
[[nodiscard]] std::optional<AwsService> ecr_of(std::string_view host);

[[nodiscard]] net::Request ecr_request(const AwsService& api, const AwsCredentials& credentials,
                                       WallTime now);
/// Of an answer with status 200. Error(invalid) when it holds no password.
[[nodiscard]] RegistryLogin read_ecr_login(std::string_view body, WallTime now);

}  // namespace kled::gitops::cloud
