/// The two certificate authorities of an edge hub and the files made from them, below
/// `<state>/pki`. Devices (and the hub itself) are certified by one CA, which is all the broker
/// trusts its clients by; the broker and the enrolment listener by the other.
#pragma once

#include "base/offload.h"
#include "crypto/x509.h"
#include "edge/mqtt_session.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace kled::edge {

class Pki {
public:
    /// Opens or makes both CAs; hub and broker may do so at the same time. Error(conflict) where
    /// they are gone but the hub's database is there.
    explicit Pki(const std::filesystem::path& state);

    [[nodiscard]] const std::string& server_ca_pem() const noexcept;
    [[nodiscard]] const std::string& device_ca_pem() const noexcept;
    /// Whether `<state>/pki` has both CAs.
    [[nodiscard]] static bool exists(const std::filesystem::path& state);

    /// A certificate with CN = device for the key in the request. The name was checked.
    [[nodiscard]] std::string certify_device(std::string_view request_pem, std::string_view device,
                                             std::chrono::seconds lifetime) const;
    /// The same for a device that shows its `present` certificate. Error(denied) unless that is
    /// valid, not revoked, of this name, and the request is signed by its key.
    [[nodiscard]] std::string renew_device(std::string_view present_pem,
                                           std::string_view request_pem, std::string_view device,
                                           std::chrono::seconds lifetime) const;
    /// The hub's own certificate for the broker, made anew at each start.
    [[nodiscard]] MqttTls hub_client() const;
    /// Who is shut out from the next `update_broker_access` or start of the broker on: certificates
    /// by serial (hex), added to `<state>/pki/revoked`, and devices by name, which are all of
    /// `<state>/pki/removed`; one a line.
    /// False: they were so before.
    [[nodiscard]] bool shut_out(const std::vector<std::string>& serials,
                                const std::vector<std::string>& devices) const;
    /// Over the serials in `revoked`.
    [[nodiscard]] std::string crl() const;
    /// For a server reached under `names` (DNS names and addresses).
    [[nodiscard]] crypto::Credential server(const std::vector<std::string>& names) const;

private:
    std::filesystem::path directory_;
    crypto::CertificateAuthority devices_;
    crypto::CertificateAuthority servers_;
};

struct BrokerOptions {
    std::filesystem::path state;     ///< the hub's
    std::string host = "127.0.0.1";  ///< address to listen on
    std::uint16_t port = 8883;
    std::vector<std::string> names{};  ///< under which devices reach it, beside `host`
    std::string user{};                ///< that mosquitto runs as; empty: ours
};

/// Writes `<state>/broker/{mosquitto.conf,acl,*.crt,*.key,crl.pem}` and gives the path of the
/// first: `mosquitto -c` with it is the broker of the fleet. It keeps nothing on disk.
/// Error(conflict) where there are no CAs but a hub's database or an agent's state: another folder
/// is meant, or the CAs were lost.
[[nodiscard]] std::filesystem::path write_broker_files(const BrokerOptions& options);

/// Writes who is shut out into the files of the broker and tells it to read them. Empty: done;
/// else why the broker does not know yet ("no broker runs on …").
[[nodiscard]] std::string update_broker_access(const std::filesystem::path& state);

/// Writes `<state>/broker/pid`: the broker is, or will be by exec, the process `pid`.
void note_broker(const std::filesystem::path& state, int pid);

}  // namespace kled::edge
