/// Flux's Bucket: a source whose files are the objects of an S3 server.
#pragma once

#include "gitops/cloud/identities.h"
#include "gitops/objects/api.h"
#include "gitops/s3/client.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

#include <string>
#include <vector>

namespace kled::gitops {

struct Bucket {
    kube::Object object;
    s3::Location location;
    std::string prefix;  ///< of the keys; they keep it
    std::string ignore;  ///< patterns of keys that are no part of it
    std::string secret_name;
    /// "aws": it is read with the identity of `service_account` there; empty: with what the Secret
    /// has, or as anybody.
    std::string cloud;
    std::string service_account;
    std::string cert_secret_name;
    std::string proxy_secret_name;
    Duration interval{};
    Duration timeout{60'000};
    bool suspend = false;
    std::vector<Unsupported> unsupported;

    /// Error(invalid) "spec.endpoint: …".
    static Bucket from_object(kube::Object object);
    /// "https://endpoint/bucket": for messages, and which cache it is.
    [[nodiscard]] std::string url() const;
};

/// Reads `spec.secretRef` (Flux's keys: accesskey, secretkey), `spec.certSecretRef` (ca.crt,
/// tls.crt, tls.key) and `spec.proxySecretRef` (address, username, password). Error(not_found) when
/// a Secret is not there, Error(invalid) when it cannot be used; also those of cloud::Identities.
boost::asio::awaitable<s3::Access> read_access(kube::Client& client, cloud::Identities& identities,
                                               const Bucket& bucket);

}  // namespace kled::gitops
