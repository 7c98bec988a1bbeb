#include "gitops/cloud/aws.h"

#include "crypto/hash.h"

#include <algorithm>
#include <cctype>
#include <cstddef>

namespace kled::gitops::cloud {

namespace {

constexpr std::size_t longest_region = 32;

std::string lower(std::string_view text) {
    std::string result{text};
    std::ranges::transform(result, result.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return result;
}

}  // namespace

bool is_aws_region(std::string_view text) {
    const auto last = text.rfind('-');
    if (text.size() > longest_region || last == std::string_view::npos) return false;
    const auto number = text.substr(last + 1);
    const auto words = text.substr(0, last);
    const auto is_digit = [](unsigned char c) { return std::isdigit(c) != 0; };
    const auto is_word = [](unsigned char c) { return std::islower(c) != 0 || c == '-'; };
    return !number.empty() && std::ranges::all_of(number, is_digit) &&
           std::ranges::all_of(words, is_word) && words.find('-') != std::string_view::npos &&
           words.front() != '-' && words.back() != '-';
}

std::string aws_domain(std::string_view region) {
    if (region.starts_with("cn-")) return "amazonaws.com.cn";
    return region.starts_with("eusc-") ? "amazonaws.eu" : "amazonaws.com";
}

void sign_aws(net::Request& request, const AwsService& service, const AwsCredentials& credentials,
              WallTime now) {
    const s3::Scope scope{
        .date = s3::amz_date(now), .region = service.region, .service = service.name};
    request.headers.set("Host", service.host);
    request.headers.set("X-Amz-Date", scope.date);
    if (credentials.session_token) {
        request.headers.set("X-Amz-Security-Token",
                            std::string{credentials.session_token->reveal()});
    }
    s3::Signable signable;
    signable.method = request.method;
    signable.path = request.target;
    signable.payload_sha256 = crypto::sha256_hex(request.body);
    for (const auto& [name, value] : request.headers)
        signable.headers.emplace_back(lower(name), value);
    request.headers.set("Authorization", s3::authorization(signable, scope, credentials.keys));
}

}  // namespace kled::gitops::cloud
