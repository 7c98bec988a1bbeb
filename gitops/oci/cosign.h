/// Signatures that cosign made with a key (sigstore/cosign, specs/SIGNATURE_SPEC.md, and since
/// version 3 specs/BUNDLE_SPEC.md): pure.
#pragma once

#include "crypto/public_key.h"
#include "gitops/oci/manifest.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kled::gitops::oci {

/// The tag, in the artifact's repository, of an image whose layers are the signatures of `digest`.
[[nodiscard]] std::string signature_tag(std::string_view digest);

/// One of them: what was signed is the layer's blob.
struct CosignSignature {
    static constexpr std::uint64_t payload_limit = 64U << 10U;  ///< bytes

    Descriptor payload;
    std::string signature;  ///< raw bytes

    /// Those of `manifest` that can be read.
    [[nodiscard]] static std::vector<CosignSignature> all_in(const Manifest& manifest);
    /// Whether one of `keys` signed `bytes`, and these are about `digest`.
    [[nodiscard]] bool is_good(std::string_view bytes, std::string_view digest,
                               const std::vector<crypto::PublicKey>& keys) const;
};

/// The tag of the list of what refers to `digest`, where the registry keeps none itself (OCI
/// distribution specification v1.1, "Referrers Tag Schema").
[[nodiscard]] std::string referrers_tag(std::string_view digest);

/// One blob with a statement about what was signed, and its signatures.
struct SigstoreBundle {
    static constexpr std::uint64_t size_limit = 1U << 20U;  ///< bytes

    /// Those among what refers to an artifact: manifests, whose first layer each is.
    [[nodiscard]] static std::vector<Descriptor> all_in(const Manifest& referrers);
    /// Whether `bytes` are one in which one of `keys` says that `digest` is signed (DSSE v1 with an
    /// in-toto statement of the predicate type https://sigstore.dev/cosign/sign/v1).
    [[nodiscard]] static bool is_good(std::string_view bytes, std::string_view digest,
                                      const std::vector<crypto::PublicKey>& keys);
};

}  // namespace kled::gitops::oci
