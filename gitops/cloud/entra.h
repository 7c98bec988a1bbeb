/// Workload identity of Azure: a bearer token of Microsoft Entra for an assertion of somebody whom
/// an application trusts (RFC 7521, RFC 7523; client credentials). No clock, no I/O.
#pragma once

#include "base/secret.h"
#include "net/http.h"

#include <string>
#include <string_view>

namespace kled::gitops::cloud {

/// The scope of Azure DevOps, everywhere the same.
inline constexpr std::string_view devops_scope = "499b84ac-1321-427f-aa17-267ca6975798/.default";
inline constexpr std::string_view entra_authority = "https://login.microsoftonline.com";

/// Error(invalid) when `url` is none of Azure DevOps: a token is shown to its host.
void check_devops_url(std::string_view url);

/// Whether it may stand in a path: the id of a tenant or of an application, or a tenant's domain.
[[nodiscard]] bool is_entra_id(std::string_view text);

/// `base`: the target of the authority.
[[nodiscard]] net::Request entra_token(const std::string& base, const std::string& tenant,
                                       const std::string& client, const std::string& scope,
                                       const Secret& assertion);

}  // namespace kled::gitops::cloud
