#include "gitops/cloud/entra.h"

#include "base/error.h"
#include "gitops/cloud/token_endpoint.h"
#include "kube/object.h"

#include <algorithm>
#include <cctype>
#include <chrono>

namespace kled::gitops::cloud {

namespace json = boost::json;

namespace {

constexpr std::size_t longest_id = 128;
constexpr std::int64_t longest_life = 24L * 3600L;

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
                         const std::string& client, const Secret& assertion) {
    auto request = form_request(
        base + "/" + tenant + "/oauth2/v2.0/token",
        {{"client_id", client},
         {"scope", std::string{devops_scope}},
         {"grant_type", "client_credentials"},
         {"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
         {"client_assertion", std::string{assertion.reveal()}}});
    request.headers.set("Accept", "application/json");
    return request;
}

BearerToken read_entra_token(std::string_view body, WallTime now) {
    const Error none{ErrorKind::invalid, "the answer of Entra holds no token"};
    json::value answer;
    try {
        answer = kube::parse_json(body, 32);
    } catch (const Error&) {  // no word of it: a token may be in it
        throw none;
    }
    const auto* fields = answer.if_object();
    if (fields == nullptr) throw none;
    const auto token = kube::find_string(*fields, {"access_token"});
    const auto* life = fields->if_contains("expires_in");
    const bool good =
        is_header_value(token) && life != nullptr && life->is_int64() && life->get_int64() > 0;
    if (!good) throw none;
    const std::chrono::seconds seconds{std::min(life->get_int64(), longest_life)};
    return {.text = std::make_shared<const Secret>(std::string{token}), .expires = now + seconds};
}

std::string entra_refusal(std::string_view body) {
    try {
        const auto answer = kube::parse_json(body, 32);
        const auto* fields = answer.if_object();
        if (fields == nullptr) return {};
        return refusal(kube::find_string(*fields, {"error"}),
                       kube::find_string(*fields, {"error_description"}));
    } catch (const Error&) {  // a proxy's page, or nothing
        return {};
    }
}

}  // namespace kled::gitops::cloud
