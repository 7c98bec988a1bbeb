/// What has to do with all services of Amazon: credentials, regions, and requests that are signed
/// (AWS IAM User Guide, "Create a signed AWS API request"). No clock, no I/O.
#pragma once

#include "base/clock.h"
#include "base/secret.h"
#include "gitops/s3/signature.h"
#include "net/http.h"

#include <memory>
#include <string>
#include <string_view>

namespace kled::gitops::cloud {

struct AwsCredentials {
    s3::Credentials keys;
    std::shared_ptr<const Secret> session_token;  ///< null: of a user, they do not expire
    WallTime expires = WallTime::max();
};

/// "eu-west-1", "us-gov-west-1". Other words may be names of other people's hosts: below
/// "s3.amazonaws.com" are the buckets.
[[nodiscard]] bool is_aws_region(std::string_view text);
/// Where the hosts of a region's services are: "amazonaws.com", of China and of the sovereign cloud
/// another.
[[nodiscard]] std::string aws_domain(std::string_view region);

/// Whose API is asked.
struct AwsService {
    std::string host;
    std::string region;
    std::string name;  ///< as it is signed: "ecr"
};
/// Sets Host and what Signature Version 4 asks for, over all headers and the body that `request`
/// has now. Its target has no query, and nothing in it that would have to be encoded.
void sign_aws(net::Request& request, const AwsService& service, const AwsCredentials& credentials,
              WallTime now);

}  // namespace kled::gitops::cloud
