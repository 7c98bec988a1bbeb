/// The two certificate authorities of an edge hub and the files made from them, below
/// `<state>/pki`. Devices (and the hub itself) are certified by one CA, which is all the broker
/// trusts its clients by; the broker and the enrolment listener by the other.
#pragma once

#include "base/offload.h"
#include "crypto/x509.h"
#include "edge/mqtt_session.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace kled::edge {

class Pki {
public:
    /// Opens or makes both CAs; hub and broker may do so at the same time.
    explicit Pki(const std::filesystem::path& state);

    [[nodiscard]] const std::string& server_ca_pem() const noexcept;
    [[nodiscard]] const std::string& device_ca_pem() const noexcept;
    /// A certificate with CN = device for the key in the request. The name was checked.
    [[nodiscard]] std::string certify_device(std::string_view request_pem,
                                             std::string_view device) const;
    /// The hub's own certificate for the broker, made anew at each start.
    [[nodiscard]] MqttTls hub_client() const;
    /// Refuses from the next start or SIGHUP of the broker on the certificates whose serials stand
    /// in `<state>/pki/revoked`, one a line.
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
[[nodiscard]] std::filesystem::path write_broker_files(const BrokerOptions& options);

}  // namespace kled::edge
