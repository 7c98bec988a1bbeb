#include "gitops/cloud/entra.h"

#include "base/error.h"
#include "gitops/cloud/token_endpoint.h"

#include <algorithm>
#include <cctype>

namespace kled::gitops::cloud {

namespace {

constexpr std::size_t longest_id = 128;

}  // namespace

void check_devops_url(std::string_view url) {
    const auto parsed = net::parse_url(url);
    const std::string_view host = parsed.host;
    const bool devops = host == "dev.azure.com" || (host.ends_with(".visualstudio.com") &&
                                                    host.size() > sizeof(".visualstudio.com") - 1);
    if (parsed.scheme != "https" || parsed.port != "443" || !devops || !parsed.password.empty()) {
        throw Error{ErrorKind::invalid,
                    "is no repository of Azure DevOps: "
                    "https://dev.azure.com/ORGANISATION/PROJECT/_git/NAME"};
    }
}

bool is_entra_id(std::string_view text) {
    return !text.empty() && text.size() <= longest_id && text.front() != '.' &&
           std::ranges::all_of(
               text, [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '.'; });
}

net::Request entra_token(const std::string& base, const std::string& tenant,
                         const std::string& client, const std::string& scope,
                         const Secret& assertion) {
    auto request = form_request(
        base + "/" + tenant + "/oauth2/v2.0/token",
        {{"client_id", client},
         {"scope", scope},
         {"grant_type", "client_credentials"},
         {"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
         {"client_assertion", std::string{assertion.reveal()}}});
    request.headers.set("Accept", "application/json");
    return request;
}

}  // namespace kled::gitops::cloud
