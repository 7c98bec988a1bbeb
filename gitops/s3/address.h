/// Where the requests for a bucket go.
#pragma once

#include <string>

namespace kled::gitops::s3 {

struct Location {
    std::string endpoint{};  ///< "host" or "host:port"
    std::string bucket{};
    std::string region{};   ///< empty: what the endpoint says, else us-east-1
    bool insecure = false;  ///< http
};

/// The bucket in the host's name where the endpoint is known to want that (Amazon, Google, Alibaba
/// Cloud), else in the path; which is what minio-go, and so Flux, does.
struct Address {
    std::string origin;  ///< "https://bucket.s3.eu-west-1.amazonaws.com"
    std::string host;    ///< the header Host
    std::string path;    ///< before a key: "/" or "/bucket/"
    std::string region;

    /// Error(invalid) for an endpoint or a bucket that is no such name.
    static Address of(const Location& location);

    bool operator==(const Address&) const = default;
};

}  // namespace kled::gitops::s3
