/// Who may say what a device runs. The delivery key (Ed25519; it may live apart from the hub) signs
/// bundles and certifies the hub's key for one fleet; the hub's key signs assignments: "device D
/// runs document X as generation G". So the hub assigns and rolls back unattended, and neither a
/// stolen broker nor a stolen hub can invent content. Each signature is over the canonical JSON of
/// what it says, behind a line that names the kind of statement.
#pragma once

#include "base/clock.h"
#include "crypto/sign.h"
#include "edge/protocol.h"

#include <optional>
#include <string>
#include <string_view>

namespace kled::edge {

class Fields;

/// What an agent knows since its enrolment.
struct Trust {
    std::string fleet{};
    std::string device{};
    crypto::VerifyingKey delivery;
};

/// "This key is the hub's, for this fleet, until then", by the delivery key.
struct HubCertificate {
    std::string key{};  ///< raw, 32 bytes
    WallTime not_after{};
    std::string signature{};
};
[[nodiscard]] HubCertificate certify_hub(const crypto::SigningKey& delivery, std::string_view fleet,
                                         const crypto::VerifyingKey& hub, WallTime not_after);

/// The payload of dn/desired. `expires` limits accepting it, never running it.
struct Assignment {
    std::string fleet{};
    std::string device{};
    Position at{};
    BlobRef document{};
    std::optional<BlobRef> secrets{};  ///< sealed to this device for this generation
    WallTime not_before{};
    WallTime expires{};
};
/// At most `pointer_limit` bytes.
[[nodiscard]] std::string sign_assignment(const Assignment& assignment,
                                          const crypto::SigningKey& hub,
                                          const HubCertificate& certificate);
/// Error(invalid) for what is not an assignment, Error(denied) for one that does not come from the
/// hub, is for another device, or is out of its time. `now`: nullopt where the device's clock is
/// not to be believed, or the assignment was accepted before; times are then not judged.
[[nodiscard]] Assignment verify_assignment(std::string_view payload, const Trust& trust,
                                           std::optional<WallTime> now);

/// "This bundle is revision R of deployment D in fleet F", by the delivery key.
[[nodiscard]] std::string sign_bundle(const crypto::SigningKey& delivery, std::string_view fleet,
                                      std::string_view deployment, std::string_view revision,
                                      std::string_view digest);
[[nodiscard]] bool verify_bundle(const crypto::VerifyingKey& delivery, std::string_view fleet,
                                 std::string_view deployment, std::string_view revision,
                                 std::string_view digest, std::string_view signature) noexcept;

/// The payload of dn/certificate: "this is the certificate of device D in fleet F", by the hub's
/// key. It opens nothing without the device's own key; signed, so that nobody on the way can put a
/// useless one in its place.
[[nodiscard]] std::string sign_renewal(std::string_view fleet, std::string_view device,
                                       std::string_view certificate_pem,
                                       const crypto::SigningKey& hub,
                                       const HubCertificate& certificate);
/// The PEM in it. Error(invalid|denied) as `verify_assignment`; the device's clock is not asked.
[[nodiscard]] std::string verify_renewal(std::string_view payload, const Trust& trust);

/// From {digest, size, wire}.
[[nodiscard]] BlobRef read_blob_ref(const Fields& fields);

}  // namespace kled::edge
