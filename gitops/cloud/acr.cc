#include "gitops/cloud/acr.h"

#include "base/encoding.h"
#include "base/error.h"
#include "gitops/cloud/token_endpoint.h"
#include "kube/object.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

namespace kled::gitops::cloud {

namespace {

constexpr std::chrono::hours life{3};
// Whom a registry takes a refresh token from.
constexpr std::string_view nobody = "00000000-0000-0000-0000-000000000000";

/// `exp` of a JSON Web Token (RFC 7519 §4.1.4), whose signature is not ours to check.
std::optional<WallTime> end_of(std::string_view token, WallTime now) {
    const auto first = token.find('.');
    if (first == std::string_view::npos) return std::nullopt;
    const auto second = token.find('.', first + 1);
    if (second == std::string_view::npos) return std::nullopt;
    const auto claims = from_base64url(token.substr(first + 1, second - first - 1));
    if (!claims) return std::nullopt;
    const auto value = kube::parse_json(*claims, 32);
    const auto* end = value.is_object() ? value.get_object().if_contains("exp") : nullptr;
    if (end == nullptr || !end->is_int64() || end->get_int64() <= 0) return std::nullopt;
    const std::int64_t latest = std::chrono::system_clock::to_time_t(now + life);
    return std::chrono::system_clock::from_time_t(std::min(end->get_int64(), latest));
}

}  // namespace

bool is_acr(std::string_view host) {
    constexpr std::array<std::string_view, 3> domains{".azurecr.io", ".azurecr.cn", ".azurecr.us"};
    for (const auto domain : domains) {
        if (!host.ends_with(domain)) continue;
        const auto name = host.substr(0, host.size() - domain.size());
        return !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
            return std::isalnum(c) != 0 || c == '-' || c == '.';
        });
    }
    return false;
}

net::Request acr_exchange(const std::string& host, const Secret& entra_token) {
    auto request =
        form_request("/oauth2/exchange", {{"grant_type", "access_token"},
                                          {"service", host},
                                          {"access_token", std::string{entra_token.reveal()}}});
    request.headers.set("Accept", "application/json");
    return request;
}

RegistryLogin read_acr_login(std::string_view body, WallTime now) {
    const Error none{ErrorKind::invalid, "the answer of the registry holds no refresh token"};
    RegistryLogin login;
    try {
        const auto answer = kube::parse_json(body, 32);
        if (!answer.is_object()) throw none;
        const auto token = kube::find_string(answer.get_object(), {"refresh_token"});
        const auto end = is_header_value(token) ? end_of(token, now) : std::nullopt;
        if (!end) throw none;
        login.user = nobody;
        login.password = std::make_shared<const Secret>(std::string{token});
        login.expires = *end;
    } catch (const Error&) {  // no word of it: a token may be in it
        throw none;
    }
    return login;
}

}  // namespace kled::gitops::cloud
