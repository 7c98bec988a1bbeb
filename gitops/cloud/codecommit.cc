#include "gitops/cloud/codecommit.h"

#include "base/error.h"
#include "net/http.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace kled::gitops::cloud {

namespace {

constexpr std::string_view repositories = "/v1/repos/";

bool all_of(std::string_view text, std::string_view others) {
    return !text.empty() && std::ranges::all_of(text, [&](unsigned char c) {
        return std::isalnum(c) != 0 || others.find(static_cast<char>(c)) != std::string_view::npos;
    });
}

/// Of "git-codecommit.eu-west-1.amazonaws.com", of its FIPS form and of an endpoint in a VPC;
/// empty: it is another host.
std::string region_of(std::string_view host) {
    constexpr std::array<std::string_view, 2> services{"git-codecommit.", "git-codecommit-fips."};
    constexpr std::array<std::string_view, 5> domains{"amazonaws.com", "amazonaws.com.cn",
                                                      "amazonaws.eu", "vpce.amazonaws.com",
                                                      "vpce.amazonaws.com.cn"};
    if (host.starts_with("vpce-")) {
        const auto dot = host.find('.');
        if (dot == std::string_view::npos) return {};
        host.remove_prefix(dot + 1);
    }
    for (const auto service : services) {
        if (!host.starts_with(service)) continue;
        const auto rest = host.substr(service.size());
        const auto dot = rest.find('.');
        if (dot == std::string_view::npos || !is_aws_region(rest.substr(0, dot))) return {};
        const bool known = std::ranges::find(domains, rest.substr(dot + 1)) != domains.end();
        return known ? std::string{rest.substr(0, dot)} : std::string{};
    }
    return {};
}

}  // namespace

CodeCommit CodeCommit::from_url(std::string_view url) {
    const auto parsed = net::parse_url(url);
    CodeCommit repository;
    repository.host = parsed.host;
    std::ranges::transform(repository.host, repository.host.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    repository.region = region_of(repository.host);
    repository.path = parsed.target;
    while (repository.path.ends_with('/')) repository.path.pop_back();
    const auto name = repository.path.starts_with(repositories)
                          ? std::string_view{repository.path}.substr(repositories.size())
                          : std::string_view{};
    if (parsed.scheme != "https" || parsed.port != "443" || !parsed.user.empty() ||
        repository.region.empty() || !all_of(name, "._-")) {
        throw Error{ErrorKind::invalid,
                    "is no repository of CodeCommit: "
                    "https://git-codecommit.REGION.amazonaws.com/v1/repos/NAME"};
    }
    return repository;
}

void CodeCommit::sign(const AwsCredentials& credentials, WallTime now, git::Access& access) const {
    s3::Signable request;
    request.method = "GIT";
    request.path = path;
    request.headers.emplace_back("host", host);
    s3::Scope scope;
    scope.date = s3::amz_date(now);
    scope.date.pop_back();  // "Z" is in the password and not in what is signed
    scope.region = region;
    scope.service = "codecommit";
    const auto header = s3::authorization(request, scope, credentials.keys);
    access.user = credentials.keys.access_key;
    if (credentials.session_token)
        access.user += "%" + std::string{credentials.session_token->reveal()};
    access.password =
        std::make_shared<const Secret>(scope.date + "Z" + header.substr(header.rfind('=') + 1));
    access.bearer_token = nullptr;
}

}  // namespace kled::gitops::cloud
