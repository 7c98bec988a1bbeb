/// AWS CodeCommit over https: a Git user and a password that are made of AWS credentials, as the
/// helper of Amazon's command line makes them. No clock, no I/O.
#pragma once

#include "base/clock.h"
#include "gitops/cloud/aws.h"
#include "gitops/git/access.h"

#include <string>
#include <string_view>

namespace kled::gitops::cloud {

/// One repository.
struct CodeCommit {
    std::string host;
    std::string region;
    std::string path;  ///< "/v1/repos/shop"

    /// Error(invalid) when `url` is none: a session token is shown to its host.
    [[nodiscard]] static CodeCommit from_url(std::string_view url);

    /// Signature Version 4 over the method "GIT", the path and the host; good for some minutes.
    void sign(const AwsCredentials& credentials, WallTime now, git::Access& access) const;
};

}  // namespace kled::gitops::cloud
