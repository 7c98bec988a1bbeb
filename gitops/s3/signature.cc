#include "gitops/s3/signature.h"

#include "base/encoding.h"
#include "crypto/hash.h"
#include "net/http.h"

#include <algorithm>

namespace kled::gitops::s3 {

namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// Without the blanks at both ends, and one in place of several.
std::string trimmed(std::string_view value) {
    std::string result;
    for (const char c : value) {
        const bool blank = c == ' ' || c == '\t';
        if (blank && (result.empty() || result.back() == ' ')) continue;
        result += blank ? ' ' : c;
    }
    if (result.ends_with(' ')) result.pop_back();
    return result;
}

/// By name; values of one name keep their order.
Pairs sorted_headers(Pairs headers) {
    std::ranges::stable_sort(headers, {}, &Pairs::value_type::first);
    return headers;
}

std::string names_of(const Pairs& headers) {
    std::string names;
    std::string_view before;
    for (const auto& [name, value] : headers) {
        if (name != before) names += (names.empty() ? "" : ";") + name;
        before = name;
    }
    return names;
}

}  // namespace

std::string amz_date(WallTime time) {
    auto text = to_rfc3339(time);  // "2013-05-24T00:00:00Z"
    std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
    return text;
}

std::string encode_path(std::string_view text) {
    std::string result;
    for (;;) {
        const auto slash = text.find('/');
        result += net::percent_encode(text.substr(0, slash));
        if (slash == std::string_view::npos) return result;
        result += '/';
        text.remove_prefix(slash + 1);
    }
}

std::string encode_query(const Pairs& query) {
    Pairs encoded;
    encoded.reserve(query.size());
    for (const auto& [name, value] : query)
        encoded.emplace_back(net::percent_encode(name), net::percent_encode(value));
    std::ranges::sort(encoded);
    std::string result;
    for (const auto& [name, value] : encoded) {
        if (!result.empty()) result += '&';
        result += name;
        result += '=';
        result += value;
    }
    return result;
}

std::string canonical_request(const Signable& request) {
    const auto headers = sorted_headers(request.headers);
    std::string text =
        request.method + "\n" + request.path + "\n" + encode_query(request.query) + "\n";
    std::string_view before;
    for (const auto& [name, value] : headers) {
        if (name == before) {
            text.back() = ',';
        } else {
            text += name + ":";
        }
        text += trimmed(value) + "\n";
        before = name;
    }
    return text + "\n" + names_of(headers) + "\n" + request.payload_sha256;
}

namespace {

constexpr std::string_view algorithm = "AWS4-HMAC-SHA256";

std::string place_of(const Scope& scope) {
    return scope.date.substr(0, 8) + "/" + scope.region + "/" + scope.service + "/aws4_request";
}

std::string signature_of(const Signable& request, const Scope& scope,
                         const Credentials& credentials) {
    const auto to_sign = std::string{algorithm} + "\n" + scope.date + "\n" + place_of(scope) +
                         "\n" + crypto::sha256_hex(canonical_request(request));
    std::string key = "AWS4" + std::string{credentials.secret_key->reveal()};
    for (const auto& part :
         {scope.date.substr(0, 8), scope.region, scope.service, std::string{"aws4_request"}}) {
        auto derived = crypto::hmac_sha256(key, part);
        wipe(key);
        key = std::move(derived);
    }
    auto signature = to_hex(crypto::hmac_sha256(key, to_sign));
    wipe(key);
    return signature;
}

}  // namespace

std::string authorization(const Signable& request, const Scope& scope,
                          const Credentials& credentials) {
    return std::string{algorithm} + " Credential=" + credentials.access_key + "/" +
           place_of(scope) + ", SignedHeaders=" + names_of(sorted_headers(request.headers)) +
           ", Signature=" + signature_of(request, scope, credentials);
}

std::string presigned_query(Signable request, const Scope& scope, const Credentials& credentials,
                            const Secret* session_token, std::chrono::seconds life) {
    auto& query = request.query;
    query.emplace_back("X-Amz-Algorithm", algorithm);
    query.emplace_back("X-Amz-Credential", credentials.access_key + "/" + place_of(scope));
    query.emplace_back("X-Amz-Date", scope.date);
    query.emplace_back("X-Amz-Expires", std::to_string(life.count()));
    query.emplace_back("X-Amz-SignedHeaders", names_of(sorted_headers(request.headers)));
    if (session_token != nullptr)
        query.emplace_back("X-Amz-Security-Token", std::string{session_token->reveal()});
    return encode_query(query) + "&X-Amz-Signature=" + signature_of(request, scope, credentials);
}

}  // namespace kled::gitops::s3
