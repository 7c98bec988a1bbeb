#include "gitops/s3/address.h"

#include "base/error.h"
#include "net/http.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace kled::gitops::s3 {

namespace {

bool is_host(std::string_view text) {
    return !text.empty() && text.size() <= 253 && std::ranges::all_of(text, [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
    });
}

bool is_ipv6(std::string_view text) {
    return text.size() > 4 && text.starts_with('[') && text.ends_with(']') &&
           std::ranges::all_of(text.substr(1, text.size() - 2), [](unsigned char c) {
               return std::isxdigit(c) != 0 || c == ':' || c == '.';
           });
}

/// What S3 accepts today, and what it once did: nothing that could become another path or host.
bool is_bucket(std::string_view text) {
    return text.size() >= 3 && text.size() <= 255 && text.find("..") == std::string_view::npos &&
           text.front() != '.' && std::ranges::all_of(text, [](unsigned char c) {
               return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
           });
}

bool is_below(std::string_view host, std::string_view domain) {
    return host == domain || (host.ends_with(domain) && host.size() > domain.size() &&
                              host[host.size() - domain.size() - 1] == '.');
}

bool is_amazon(std::string_view host) {
    return is_below(host, "amazonaws.com") || is_below(host, "amazonaws.com.cn");
}

bool in_host(std::string_view host) {
    return is_amazon(host) || host == "storage.googleapis.com" || is_below(host, "aliyuncs.com");
}

/// Of "s3.eu-west-1.amazonaws.com" and "s3.dualstack.eu-west-1.amazonaws.com".
std::string region_in(std::string_view host) {
    if (!is_amazon(host) || !host.starts_with("s3.")) return {};
    host.remove_prefix(3);
    if (host.starts_with("dualstack.")) host.remove_prefix(10);
    const auto part = host.substr(0, host.find('.'));
    return part == "amazonaws" ? std::string{} : std::string{part};
}

}  // namespace

Address Address::of(const Location& location) {
    const auto& endpoint = location.endpoint;
    const Error bad{
        ErrorKind::invalid,
        "the endpoint '" + endpoint +
            "' is neither host nor host:port (no scheme, no path; `insecure: true` is http)"};
    if (!is_bucket(location.bucket))
        throw Error{ErrorKind::invalid, "'" + location.bucket + "' is no name of a bucket"};
    if (!std::ranges::all_of(location.region, [](unsigned char c) {
            return std::isalnum(c) != 0 || c == '-' || c == '_';
        }))
        throw Error{ErrorKind::invalid, "'" + location.region + "' is no name of a region"};
    const std::string scheme = location.insecure ? "http" : "https";
    auto host = endpoint.substr(
        0, endpoint.find(']') == std::string::npos ? endpoint.rfind(':') : endpoint.find(']') + 1);
    auto port = endpoint.substr(host.size());
    if (!is_host(host) && !is_ipv6(host)) throw bad;
    if (!port.empty()) {
        const auto digits = port.substr(1);
        if (port.front() != ':' || digits.empty() || digits.size() > 5 ||
            !std::ranges::all_of(digits, [](unsigned char c) { return std::isdigit(c) != 0; }) ||
            std::stoul(digits) == 0 || std::stoul(digits) > 65'535)
            throw bad;
        if (digits == (location.insecure ? "80" : "443")) port.clear();
    }
    std::ranges::transform(host, host.begin(), [](unsigned char c) { return std::tolower(c); });
    Address result;
    result.region = location.region.empty() ? region_in(host) : location.region;
    if (result.region.empty()) result.region = "us-east-1";
    // One endpoint of Amazon's answers for no other region.
    if (host == "s3.amazonaws.com" && result.region != "us-east-1")
        host = "s3." + result.region + ".amazonaws.com";
    // A certificate for *.domain does not cover a name with a dot of its own.
    const bool dotted = location.bucket.find('.') != std::string::npos;
    const bool named = in_host(host) && !(dotted && !location.insecure) &&
                       location.bucket.find('_') == std::string::npos;
    if (named) host = location.bucket + "." + host;
    result.host = host + port;
    result.origin = scheme + "://" + result.host;
    result.path = named ? "/" : "/" + location.bucket + "/";
    return result;
}

}  // namespace kled::gitops::s3
