/// Buckets of Amazon that are read with an identity there (`provider: aws` of a Bucket): no Secret
/// holds a key.
#pragma once

#include "gitops/cloud/identities.h"
#include "gitops/s3/client.h"

#include <boost/asio/awaitable.hpp>

namespace kled::gitops::cloud {

/// Error(invalid) when it is no S3 of Amazon's over https: a session token is shown to it.
void check_bucket(const s3::Location& location);

/// Makes `access`, whose proxy and timeout it uses, sign as `who` is to Amazon. Errors as of
/// Identities.
boost::asio::awaitable<void> sign_in(Identities& identities, kube::Client& client, Applicant who,
                                     s3::Location location, s3::Access& access);

}  // namespace kled::gitops::cloud
