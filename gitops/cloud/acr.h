/// Azure's registries: a refresh token of the registry for one of Microsoft Entra (Azure Container
/// Registry, "Authentication with a registry's OAuth2 endpoints"). No clock, no I/O.
#pragma once

#include "gitops/cloud/registry_login.h"
#include "net/http.h"

#include <string>
#include <string_view>

namespace kled::gitops::cloud {

/// Of tokens that registries exchange, in all of Azure's clouds.
inline constexpr std::string_view acr_scope = "https://containerregistry.azure.net/.default";

[[nodiscard]] bool is_acr(std::string_view host);

[[nodiscard]] net::Request acr_exchange(const std::string& host, const Secret& entra_token);
/// Of an answer with status 200. Error(invalid) when it holds no token.
[[nodiscard]] RegistryLogin read_acr_login(std::string_view body, WallTime now);

}  // namespace kled::gitops::cloud
