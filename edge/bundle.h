/// What is delivered. A *bundle* holds the objects of one deployment, as canonical JSON; a
/// *document* lists the bundles a device runs; *sealed secrets* go apart, because TLS ends at the
/// broker: in a bundle a Secret has, in place of its values, a commitment
/// HMAC-SHA-256(salt, values), whose salt is sealed with the values. So the delivery key's
/// signature covers the values, and the broker can neither read nor guess them.
#pragma once

#include "base/secret.h"
#include "crypto/seal.h"
#include "edge/protocol.h"
#include "edge/trust.h"
#include "kube/object.h"

#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace kled::edge {

namespace json = boost::json;

/// Compressed bytes and what they are when plain.
struct Blob {
    BlobRef ref{};
    std::string wire{};
};
/// Error(exhausted) when the plain bytes pass `blob_limit`.
[[nodiscard]] Blob pack(std::string_view plain);
/// The plain bytes, whose size and digest are checked. Error(invalid) names what differs.
[[nodiscard]] std::string unpack(std::string_view wire, const BlobRef& ref);

/// The values of one Secret with the salt of its commitment, as canonical JSON.
struct SecretValues {
    std::string ns{};
    std::string name{};
    Secret json{};  ///< {data, salt}
};

struct Bundle {
    std::string deployment{};  ///< "namespace/name"
    Blob blob{};
    std::vector<SecretValues> secrets{};
};
/// Equal objects and key give equal bytes, whatever the order of the objects. `commitment_key` is a
/// secret of the delivery side. Error(invalid) for a Secret whose data is not base64,
/// Error(exhausted) over `blob_limit`.
[[nodiscard]] Bundle make_bundle(std::string_view deployment,
                                 const std::vector<kube::LoadedObject>& objects,
                                 std::string_view commitment_key);

/// The objects of a bundle as unpacked; Error(invalid) when it is not one, or another deployment's.
[[nodiscard]] std::vector<kube::Object> parse_bundle(std::string_view plain,
                                                     std::string_view deployment);

struct BundleRef {
    std::string deployment{};
    std::string revision{};  ///< "main@sha1:…"
    BlobRef blob{};
    std::string signature{};  ///< sign_bundle
};
struct Document {
    std::vector<BundleRef> bundles{};  ///< by deployment
};
[[nodiscard]] std::string to_json(const Document& document);
/// Error(invalid) when it is none, Error(denied) when a bundle's signature is not the delivery
/// key's.
[[nodiscard]] Document parse_document(std::string_view plain, const Trust& trust);

/// Names a Secret on a device: deployment, namespace, name.
using SecretKey = std::tuple<std::string, std::string, std::string>;

struct Sealable {
    std::string deployment{};
    std::string ns{};
    std::string name{};
    Secret json{};  ///< SecretValues::json
};
/// Each sealed for itself to the device's key, bound to device, position and name.
[[nodiscard]] Blob seal_secrets(const std::vector<Sealable>& secrets, std::string_view device,
                                const Position& at, const crypto::Recipient& recipient);

/// Values by key of Secret.data, decoded.
using OpenedSecret = std::map<std::string, Secret, std::less<>>;
using OpenedSecrets = std::map<SecretKey, OpenedSecret>;

/// Error(denied): sealed for another device, generation or name, or altered.
[[nodiscard]] std::map<SecretKey, Secret> open_secrets(std::string_view plain,
                                                       std::string_view device, const Position& at,
                                                       const crypto::Identity& identity);
/// Checks one against the commitment in its Secret object, and decodes it. Error(denied).
[[nodiscard]] OpenedSecret check_secret(const Secret& json, const kube::Object& object);

}  // namespace kled::edge
