/// What building a deployment object needs from the cluster beside the files of its revision.
#pragma once

#include "gitops/objects/api.h"
#include "gitops/transform/sops.h"
#include "gitops/transform/substitute.h"
#include "kube/client.h"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <memory>
#include <optional>

namespace kled::gitops {

struct Inputs {
    std::optional<Variables> variables;    ///< nullopt: nothing is substituted
    std::shared_ptr<const SopsKeys> keys;  ///< null: nothing is decrypted
    /// What of both no message may hold; never null.
    std::shared_ptr<Redactions> redactions = std::make_shared<Redactions>();
    std::uint64_t digest = 0;  ///< of all that is above: another one needs another build

    bool operator==(const Inputs& other) const { return digest == other.digest; }
};

/// spec.postBuild.substituteFrom, in order, under spec.postBuild.substitute, and the age keys in
/// spec.decryption.secretRef. Error(not_found) names what does not exist and is not optional,
/// Error(invalid) a value that is not base64 or no key.
boost::asio::awaitable<Inputs> read_inputs(kube::Client& client, const Deployment& deployment);

}  // namespace kled::gitops
