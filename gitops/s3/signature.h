/// AWS Signature Version 4 in the header Authorization, or in a URL (AWS IAM User Guide, "Create a
/// signed AWS API request"; Amazon S3 API Reference, "Authenticating Requests"). No clock, no I/O.
#pragma once

#include "base/clock.h"
#include "base/secret.h"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kled::gitops::s3 {

struct Credentials {
    std::string access_key;
    std::shared_ptr<const Secret> secret_key;
};

/// What of a request is signed.
struct Signable {
    std::string method = "GET";
    std::string path =
        "/";  ///< percent-encoded as it is sent; S3 encodes once and normalises nothing
    std::vector<std::pair<std::string, std::string>> query{};  ///< decoded
    /// All that count, with `host` among them and names in lower case.
    std::vector<std::pair<std::string, std::string>> headers{};
    std::string payload_sha256{};  ///< hex; the header x-amz-content-sha256 of S3 says the same
};

struct Scope {
    std::string date;  ///< "20130524T000000Z": the header x-amz-date
    std::string region;
    std::string service = "s3";
};

[[nodiscard]] std::string amz_date(WallTime time);
[[nodiscard]] std::string canonical_request(const Signable& request);
/// The header's value.
[[nodiscard]] std::string authorization(const Signable& request, const Scope& scope,
                                        const Credentials& credentials);

/// The query of a URL that anybody may ask in place of whoever signed it, for `life`: that of
/// `request` with what says so. `session_token` belongs to the credentials; null: there is none.
[[nodiscard]] std::string presigned_query(Signable request, const Scope& scope,
                                          const Credentials& credentials,
                                          const Secret* session_token, std::chrono::seconds life);

/// `text` percent-encoded but for RFC 3986's unreserved characters and '/'.
[[nodiscard]] std::string encode_path(std::string_view text);
/// "a=b&c=d", in the order that is signed.
[[nodiscard]] std::string encode_query(
    const std::vector<std::pair<std::string, std::string>>& query);

}  // namespace kled::gitops::s3
