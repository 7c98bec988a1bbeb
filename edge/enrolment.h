/// How a device joins a fleet: a token that works once, and what is said with it over HTTPS.
#pragma once

#include "base/secret.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace kled::edge {

/// What `kled edge token create` prints, "kled1.<base64url of JSON>".
struct EnrolmentToken {
    std::string server;  ///< "https://host:port" of the hub's enrolment listener
    std::string ca;   ///< SHA-256 of its CA's PEM, hex: who answers must have a certificate of it
    Secret secret{};  ///< 32 random bytes, hex
    std::string device{};  ///< whom it is for; empty: the device chooses
};
[[nodiscard]] std::string to_text(const EnrolmentToken& token);
/// Error(invalid); the text is in no message.
[[nodiscard]] EnrolmentToken parse_token(std::string_view text);

inline constexpr std::string_view enrolment_ca_path = "/v1/ca";       ///< GET: the CA, PEM
inline constexpr std::string_view enrolment_join_path = "/v1/enrol";  ///< POST: EnrolmentRequest

struct EnrolmentRequest {
    Secret secret;          ///< of the token
    std::string device;     ///< the name it asks for
    std::string request;    ///< PKCS#10, PEM
    std::string recipient;  ///< "age1…": its secrets are sealed to this
};
[[nodiscard]] Secret to_json(const EnrolmentRequest& request);
[[nodiscard]] EnrolmentRequest parse_enrolment_request(std::string_view body);

struct EnrolmentAnswer {
    std::string fleet;
    std::string device;
    std::string certificate;  ///< PEM, CN = device
    std::string broker_ca;    ///< PEM
    std::string broker_host;
    std::uint16_t broker_port = 8883;
    std::string delivery_key;  ///< raw, 32 bytes
};
[[nodiscard]] std::string to_json(const EnrolmentAnswer& answer);
[[nodiscard]] EnrolmentAnswer parse_enrolment_answer(std::string_view body);

/// The payload of up/renew: a device asks for a new certificate in place of `certificate`, with a
/// request signed by the key of that one.
struct RenewalRequest {
    std::string certificate;  ///< that it has, PEM
    std::string request;      ///< PKCS#10, PEM
};
[[nodiscard]] std::string to_json(const RenewalRequest& request);
[[nodiscard]] RenewalRequest parse_renewal_request(std::string_view payload);

}  // namespace kled::edge
