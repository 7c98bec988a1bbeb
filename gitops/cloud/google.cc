#include "gitops/cloud/google.h"

#include "base/error.h"
#include "gitops/cloud/bearer.h"
#include "gitops/cloud/token_endpoint.h"
#include "kube/object.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstddef>

namespace kled::gitops::cloud {

namespace {

constexpr std::size_t longest_part = 100;
constexpr std::string_view everything = "https://www.googleapis.com/auth/cloud-platform";

bool is_part(std::string_view text, std::string_view others) {
    return !text.empty() && text.size() <= longest_part &&
           std::ranges::all_of(text, [&](unsigned char c) {
               return std::isalnum(c) != 0 ||
                      others.find(static_cast<char>(c)) != std::string_view::npos;
           });
}

/// Takes `word` off the front; false: it is not there.
bool skip(std::string_view& text, std::string_view word) {
    if (!text.starts_with(word)) return false;
    text.remove_prefix(word.size());
    return true;
}

std::string_view part_of(std::string_view& text) {
    const auto part = text.substr(0, text.find('/'));
    text.remove_prefix(part.size());
    return part;
}

}  // namespace

bool is_workload_provider(std::string_view text) {
    if (!skip(text, "projects/")) return false;
    const auto project = part_of(text);
    const bool number =
        !project.empty() && project.size() <= 30 &&
        std::ranges::all_of(project, [](unsigned char c) { return std::isdigit(c) != 0; });
    if (!number || !skip(text, "/locations/global/workloadIdentityPools/")) return false;
    if (!is_part(part_of(text), "-_.") || !skip(text, "/providers/")) return false;
    return is_part(text, "-_.");
}

bool is_google_account(std::string_view text) {
    constexpr std::string_view domain = ".iam.gserviceaccount.com";
    const auto at = text.find('@');
    if (at == std::string_view::npos || !text.ends_with(domain)) return false;
    const auto name = text.substr(0, at);
    text.remove_prefix(at + 1);
    if (text.size() <= domain.size()) return false;
    text.remove_suffix(domain.size());
    return is_part(name, "-") && is_part(text, "-");
}

std::string google_audience(std::string_view provider) {
    return "//iam.googleapis.com/" + std::string{provider};
}

net::Request federated_token(const std::string& provider, const Secret& assertion) {
    auto request = form_request(
        "/v1/token", {{"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"},
                      {"audience", google_audience(provider)},
                      {"scope", std::string{everything}},
                      {"requested_token_type", "urn:ietf:params:oauth:token-type:access_token"},
                      {"subject_token_type", "urn:ietf:params:oauth:token-type:jwt"},
                      {"subject_token", std::string{assertion.reveal()}}});
    request.headers.set("Accept", "application/json");
    return request;
}

net::Request account_token(const std::string& email, const Secret& federated) {
    net::Request request;
    request.method = "POST";
    request.target = "/v1/projects/-/serviceAccounts/" + email + ":generateAccessToken";
    request.headers.set("Authorization", "Bearer " + std::string{federated.reveal()});
    request.headers.set("Content-Type", "application/json");
    request.headers.set("Accept", "application/json");
    request.body = R"({"scope":[")" + std::string{everything} + R"("],"lifetime":"3600s"})";
    return request;
}

BearerToken read_account_token(std::string_view body, WallTime now) {
    const Error none{ErrorKind::invalid, "the answer of Google holds no token"};
    const auto fields = fields_of_answer(body, none);
    const auto token = kube::find_string(fields, {"accessToken"});
    const auto expires = parse_rfc3339(kube::find_string(fields, {"expireTime"}));
    if (!is_header_value(token) || !expires) throw none;
    return {.text = std::make_shared<const Secret>(std::string{token}),
            .expires = std::min(*expires, now + std::chrono::hours{24})};
}

}  // namespace kled::gitops::cloud
