/// Whether an artifact was signed by somebody who is trusted (OCIRepository, spec.verify).
#pragma once

#include "crypto/public_key.h"
#include "gitops/oci/client.h"
#include "gitops/source/oci_repository.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

#include <string>
#include <vector>

namespace kled::gitops {

/// Those whose signatures count: one is enough.
struct ArtifactKeys {
    std::string secret;  ///< "ns/name": for messages
    std::vector<crypto::PublicKey> keys;
    std::string fingerprint;  ///< of them all, whatever their order

    /// The keys of `spec.verify.secretRef` whose names end in ".pub". Error(not_found) when the
    /// Secret is not there, Error(invalid) when it has none, or one that is none.
    static boost::asio::awaitable<ArtifactKeys> read(kube::Client& client, std::string ns,
                                                     std::string secret);

    /// Returns when one of them signed the artifact of `digest` in `repository`, as cosign does.
    /// Error(denied) when none did; else errors as those of oci::Client. It outlives the call.
    boost::asio::awaitable<void> verify(oci::Client& client, oci::Reference repository,
                                        RegistryAccess access, std::string digest) const;
};

}  // namespace kled::gitops
