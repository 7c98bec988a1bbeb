#include "edge/enrolment.h"

#include "base/encoding.h"
#include "base/error.h"
#include "edge/fields.h"
#include "edge/names.h"
#include "kube/object.h"

#include <utility>

namespace kled::edge {

namespace {

constexpr std::string_view prefix = "kled1.";
constexpr std::size_t token_limit = 4096;
constexpr std::size_t body_limit = 64U << 10U;
constexpr std::size_t pem_limit = 16U << 10U;

std::string text_of(json::object object) { return kube::to_json(json::value(std::move(object))); }

}  // namespace

std::string to_text(const EnrolmentToken& token) {
    json::object fields{
        {"server", token.server}, {"ca", token.ca}, {"secret", token.secret.reveal()}};
    if (!token.device.empty()) fields["device"] = token.device;
    auto json = text_of(std::move(fields));
    auto text = std::string{prefix} + to_base64url(json);
    wipe(json);
    return text;
}

EnrolmentToken parse_token(std::string_view text) {
    const auto decoded = text.starts_with(prefix) && text.size() <= token_limit
                             ? from_base64url(text.substr(prefix.size()))
                             : std::nullopt;
    if (!decoded) {
        throw Error{ErrorKind::invalid,
                    "this is no enrolment token: `kled edge token create` prints one, beginning "
                    "with " +
                        std::string{prefix}};
    }
    const auto message = parse_message("token", *decoded, token_limit);
    const Fields fields{message, "token"};
    return {.server = fields.text("server", 300),
            .ca = fields.digest("ca"),
            .secret = Secret{fields.text("secret", 64)},
            .device = fields.text_or("device", 64, "")};
}

Secret to_json(const EnrolmentRequest& request) {
    return Secret{text_of({{"secret", request.secret.reveal()},
                           {"device", request.device},
                           {"request", request.request},
                           {"recipient", request.recipient}})};
}

EnrolmentRequest parse_enrolment_request(std::string_view body) {
    const auto message = parse_message("enrolment", body, body_limit);
    const Fields fields{message, "enrolment"};
    EnrolmentRequest request{.secret = Secret{fields.text("secret", 64)},
                             .device = fields.text("device", 64),
                             .request = fields.text("request", pem_limit),
                             .recipient = fields.text("recipient", 128)};
    check_name("device", request.device);
    return request;
}

std::string to_json(const EnrolmentAnswer& answer) {
    return text_of(
        {{"fleet", answer.fleet},
         {"device", answer.device},
         {"certificate", answer.certificate},
         {"broker",
          {{"host", answer.broker_host}, {"port", answer.broker_port}, {"ca", answer.broker_ca}}},
         {"delivery_key", to_base64(answer.delivery_key)}});
}

EnrolmentAnswer parse_enrolment_answer(std::string_view body) {
    const auto message = parse_message("enrolment", body, body_limit);
    const Fields fields{message, "enrolment"};
    const auto broker = fields.object("broker");
    return {.fleet = fields.text("fleet", 64),
            .device = fields.text("device", 64),
            .certificate = fields.text("certificate", pem_limit),
            .broker_ca = broker.text("ca", pem_limit),
            .broker_host = broker.text("host", 255),
            .broker_port = static_cast<std::uint16_t>(broker.number("port", UINT16_MAX)),
            .delivery_key = fields.bytes("delivery_key", 32)};
}

std::string to_json(const RenewalRequest& request) {
    return text_of({{"certificate", request.certificate}, {"request", request.request}});
}

RenewalRequest parse_renewal_request(std::string_view payload) {
    const auto message = parse_message("renew", payload, body_limit);
    const Fields fields{message, "renew"};
    return {.certificate = fields.text("certificate", pem_limit),
            .request = fields.text("request", pem_limit)};
}

}  // namespace kled::edge
