/// Workload identity federation of Google: a token of somebody whom a pool trusts, exchanged for
/// one of Google's (RFC 8693; AIP-4117). No clock, no I/O.
#pragma once

#include "base/secret.h"
#include "gitops/cloud/bearer.h"
#include "net/http.h"

#include <string>
#include <string_view>

namespace kled::gitops::cloud {

inline constexpr std::string_view google_sts = "https://sts.googleapis.com";
inline constexpr std::string_view google_credentials = "https://iamcredentials.googleapis.com";

/// "projects/1/locations/global/workloadIdentityPools/POOL/providers/NAME".
[[nodiscard]] bool is_workload_provider(std::string_view text);
/// "NAME@PROJECT.iam.gserviceaccount.com".
[[nodiscard]] bool is_google_account(std::string_view text);
/// What a token for `provider` is made for, unless the provider says otherwise.
[[nodiscard]] std::string google_audience(std::string_view provider);

/// A token of the pool, for whoever `assertion` is of.
[[nodiscard]] net::Request federated_token(const std::string& provider, const Secret& assertion);

/// A token of the service account `email`, by one that may act as it.
[[nodiscard]] net::Request account_token(const std::string& email, const Secret& federated);
/// Of an answer with status 200 to that. Error(invalid) when it holds no token.
[[nodiscard]] BearerToken read_account_token(std::string_view body, WallTime now);

}  // namespace kled::gitops::cloud
