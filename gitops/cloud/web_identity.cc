#include "gitops/cloud/web_identity.h"

#include "base/error.h"
#include "gitops/cloud/token_endpoint.h"
#include "gitops/s3/xml.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

namespace kled::gitops::cloud {

namespace {

using s3::XmlReader;

constexpr std::size_t longest_session = 64;
constexpr std::size_t longest_role = 2048;

}  // namespace

std::string sts_endpoint(std::string_view region) {
    return "https://sts." + std::string{region} + "." + aws_domain(region);
}

bool is_role_arn(std::string_view text) {
    constexpr std::string_view service = ":iam::";
    constexpr std::string_view role = ":role/";
    if (!text.starts_with("arn:aws") || text.size() > longest_role) return false;
    const auto account = text.find(service);
    if (account == std::string_view::npos) return false;
    const auto partition = text.substr(4, account - 4);
    const auto rest = text.substr(account + service.size());
    const auto name = rest.find(role);
    return name != std::string_view::npos && name > 0 && name + role.size() < rest.size() &&
           std::ranges::all_of(
               partition, [](unsigned char c) { return std::islower(c) != 0 || c == '-'; }) &&
           std::ranges::all_of(
               rest.substr(0, name), [](unsigned char c) { return std::isdigit(c) != 0; }) &&
           std::ranges::all_of(rest, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

std::string session_name(std::string_view text) {
    std::string name{text.substr(0, longest_session)};
    std::ranges::replace_if(
        name,
        [](unsigned char c) {
            return std::isalnum(c) == 0 &&
                   std::string_view{"_+=,.@-"}.find(static_cast<char>(c)) == std::string_view::npos;
        },
        '-');
    return name.size() < 2 ? "kled" : name;
}

net::Request assume_role(const std::string& target, const std::string& role,
                         const std::string& session, const Secret& token) {
    auto request = form_request(target, {{"Action", "AssumeRoleWithWebIdentity"},
                                         {"Version", "2011-06-15"},
                                         {"RoleArn", role},
                                         {"RoleSessionName", session},
                                         {"WebIdentityToken", std::string{token.reveal()}}});
    request.headers.set("Accept", "text/xml");
    return request;
}

AwsCredentials read_assumed_role(std::string_view xml) {
    const Error none{ErrorKind::invalid, "the answer of STS holds no credentials"};
    std::string access_key;
    std::string secret_key;
    std::string session;
    std::optional<WallTime> expires;
    try {
        XmlReader reader{xml};
        bool inside = false;
        for (auto what = reader.next(); what != XmlReader::What::end; what = reader.next()) {
            if (what == XmlReader::What::open) {
                if (reader.depth() == 3) inside = reader.name() == "Credentials";
                continue;
            }
            if (!inside || reader.depth() != 3) continue;
            if (reader.name() == "AccessKeyId") access_key = reader.text();
            if (reader.name() == "SecretAccessKey") secret_key = reader.text();
            if (reader.name() == "SessionToken") session = reader.text();
            if (reader.name() == "Expiration") expires = parse_rfc3339(reader.text());
        }
    } catch (const Error&) {  // no word of it: a secret may be in it
        throw none;
    }
    if (!is_header_value(access_key) || !is_header_value(secret_key) || !is_header_value(session) ||
        !expires)
        throw none;
    AwsCredentials credentials;
    credentials.keys.access_key = std::move(access_key);
    credentials.keys.secret_key = std::make_shared<const Secret>(std::move(secret_key));
    credentials.session_token = std::make_shared<const Secret>(std::move(session));
    credentials.expires = *expires;
    return credentials;
}

std::string sts_refusal(std::string_view body) {
    std::string code;
    std::string message;
    try {
        XmlReader reader{body};
        for (auto what = reader.next(); what != XmlReader::What::end; what = reader.next()) {
            if (what != XmlReader::What::close || reader.depth() != 2) continue;
            if (reader.name() == "Code") code = reader.text();
            if (reader.name() == "Message") message = reader.text();
        }
    } catch (const Error&) {  // a proxy's page, or nothing
        return {};
    }
    return refusal(code, message);
}

}  // namespace kled::gitops::cloud
