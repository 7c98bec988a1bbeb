#include "gitops/cloud/ecr.h"

#include "base/encoding.h"
#include "base/error.h"
#include "gitops/cloud/bearer.h"
#include "gitops/cloud/token_endpoint.h"
#include "kube/object.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <memory>

namespace kled::gitops::cloud {

namespace json = boost::json;

namespace {

constexpr std::chrono::hours life{12};

bool is_account(std::string_view text) {
    return text.size() == 12 &&
           std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c) != 0; });
}

/// Of "ACCOUNT.dkr.ecr.REGION.amazonaws.com" and its FIPS and dual-stack forms; empty: another.
std::string region_in(std::string_view host) {
    const auto account = host.substr(0, host.find('.'));
    if (!is_account(account) || account.size() == host.size()) return {};
    host.remove_prefix(account.size() + 1);
    for (const std::string_view service :
         {"dkr.ecr.", "dkr.ecr-fips.", "dkr-ecr.", "dkr-ecr-fips."}) {
        if (!host.starts_with(service)) continue;
        const auto rest = host.substr(service.size());
        std::string region{rest.substr(0, rest.find('.'))};
        if (!is_aws_region(region)) return {};
        const auto domain = rest.substr(std::min(region.size() + 1, rest.size()));
        const bool dual = service.starts_with("dkr-ecr");
        const bool known = dual ? domain == "on.aws" : domain == aws_domain(region);
        return known ? region : std::string{};
    }
    return {};
}

/// Seconds since 1970, with or without a fraction.
std::optional<WallTime> time_of(const json::value* value, WallTime now) {
    if (value == nullptr || !value->is_number()) return std::nullopt;
    const auto seconds = value->to_number<double>();
    const auto latest = std::chrono::system_clock::to_time_t(now + life);
    if (!std::isfinite(seconds) || seconds <= 0) return std::nullopt;
    return std::chrono::system_clock::from_time_t(
        static_cast<std::time_t>(std::min(seconds, static_cast<double>(latest))));
}

}  // namespace

std::optional<AwsService> ecr_of(std::string_view host) {
    AwsService api;
    if (host == "public.ecr.aws" || host == "ecr-public.aws.com") {
        api.region = "us-east-1";  // the one that hands out passwords for it
        api.name = "ecr-public";
        api.host = "api.ecr-public.us-east-1.amazonaws.com";
        return api;
    }
    api.region = region_in(host);
    if (api.region.empty()) return std::nullopt;
    api.name = "ecr";
    api.host = "api.ecr." + api.region + "." + aws_domain(api.region);
    return api;
}

net::Request ecr_request(const AwsService& api, const AwsCredentials& credentials, WallTime now) {
    net::Request request;
    request.method = "POST";
    request.target = "/";
    request.headers.set("Content-Type", "application/x-amz-json-1.1");
    request.headers.set("X-Amz-Target",
                        api.name == "ecr-public"
                            ? "SpencerFrontendService.GetAuthorizationToken"
                            : "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken");
    request.body = "{}";
    sign_aws(request, api, credentials, now);
    return request;
}

RegistryLogin read_ecr_login(std::string_view body, WallTime now) {
    const Error none{ErrorKind::invalid, "the answer of ECR holds no password"};
    const auto fields = fields_of_answer(body, none);
    const auto* data = fields.if_contains("authorizationData");
    // A list of one, but for the public registry.
    if (data != nullptr && data->is_array() && !data->get_array().empty())
        data = &data->get_array().front();
    if (data == nullptr || !data->is_object()) throw none;
    const auto token = kube::find_string(data->get_object(), {"authorizationToken"});
    const auto expires = time_of(data->get_object().if_contains("expiresAt"), now);
    if (!is_header_value(token) || !expires) throw none;
    auto plain = from_base64(token);
    const auto colon = plain ? plain->find(':') : std::string::npos;
    if (colon == std::string::npos) throw none;
    RegistryLogin login;
    login.user = plain->substr(0, colon);
    auto password = plain->substr(colon + 1);
    wipe(*plain);
    const bool good = is_header_value(login.user) && is_header_value(password);
    login.password = std::make_shared<const Secret>(std::move(password));
    login.expires = *expires;
    if (!good) throw none;
    return login;
}

}  // namespace kled::gitops::cloud
