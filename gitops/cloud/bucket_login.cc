#include "gitops/cloud/bucket_login.h"

#include "base/error.h"
#include "gitops/cloud/aws.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace kled::gitops::cloud {

namespace asio = boost::asio;

namespace {

/// "REGION.amazonaws.com", with the domain of that region.
bool is_regional(std::string_view host) {
    const auto region = host.substr(0, host.find('.'));
    return is_aws_region(region) && host == std::string{region} + "." + aws_domain(region);
}

/// Below these are the buckets of anybody, which no other host is among.
bool is_s3(std::string_view host) {
    if (host == "s3.amazonaws.com") return true;
    for (const std::string_view service :
         {"s3.dualstack.", "s3-fips.dualstack.", "s3.", "s3-fips."}) {
        if (host.starts_with(service)) return is_regional(host.substr(service.size()));
    }
    // "bucket.vpce-1a2b.s3.eu-west-1.vpce.amazonaws.com": in a network of the user's own.
    constexpr std::string_view inside = "bucket.vpce-";
    if (!host.starts_with(inside)) return false;
    const auto s3 = host.find('.', inside.size());
    if (s3 == std::string_view::npos || !host.substr(s3).starts_with(".s3.")) return false;
    const auto rest = host.substr(s3 + 4);
    const auto dot = rest.find('.');
    constexpr std::string_view domain = ".vpce.";
    return dot != std::string_view::npos && rest.substr(dot).starts_with(domain) &&
           is_regional(std::string{rest.substr(0, dot)} + "." +
                       std::string{rest.substr(dot + domain.size())});
}

}  // namespace

void check_bucket(const s3::Location& location) {
    std::string host = location.endpoint;
    std::ranges::transform(host, host.begin(), [](unsigned char c) {
        return static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    });
    if (host.ends_with(":443")) host.resize(host.size() - 4);
    if (location.insecure || !is_s3(host)) {
        throw Error{ErrorKind::invalid, "is no S3 of Amazon over https: s3.REGION.amazonaws.com"};
    }
}

asio::awaitable<void> sign_in(Identities& identities, kube::Client& client, Applicant who,
                              s3::Location location, s3::Access& access) {
    check_bucket(location);
    who.reach = {.proxy = access.proxy, .timeout = access.timeout};
    auto region = s3::Address::of(location).region;
    const auto credentials = co_await identities.amazon(client, std::move(who), std::move(region));
    access.credentials = credentials.keys;
    access.session_token = credentials.session_token;
}

}  // namespace kled::gitops::cloud
