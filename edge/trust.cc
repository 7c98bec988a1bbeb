#include "edge/trust.h"

#include "base/encoding.h"
#include "base/error.h"
#include "edge/fields.h"
#include "edge/names.h"
#include "kube/object.h"

#include <cassert>

namespace kled::edge {

namespace {

constexpr std::size_t key_bytes = 32;
constexpr std::size_t signature_bytes = 64;
constexpr std::uint64_t year_2200 = 7'258'118'400;

std::string statement(std::string_view kind, json::object fields) {
    return std::string{kind} + "\n" + kube::to_canonical_json(json::value(std::move(fields)));
}

std::int64_t seconds_of(WallTime time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

WallTime read_time(const Fields& fields, std::string_view key) {
    return WallTime{std::chrono::seconds{fields.number(key, year_2200)}};
}

std::string hub_statement(std::string_view fleet, std::string_view key, WallTime not_after) {
    return statement(
        "kled hub key v1",
        {{"fleet", fleet}, {"key", to_base64(key)}, {"not_after", seconds_of(not_after)}});
}

std::string bundle_statement(std::string_view fleet, std::string_view deployment,
                             std::string_view revision, std::string_view digest) {
    return statement(
        "kled bundle v1",
        {{"fleet", fleet}, {"deployment", deployment}, {"revision", revision}, {"digest", digest}});
}

json::object write(const BlobRef& blob) {
    return {{"digest", blob.digest}, {"size", blob.size}, {"wire", blob.wire}};
}

[[noreturn]] void deny(std::string_view what, const std::string& why) {
    throw Error{ErrorKind::denied, std::string{what} + " refused: " + why};
}

json::object write(const HubCertificate& certificate) {
    return {{"key", to_base64(certificate.key)},
            {"not_after", seconds_of(certificate.not_after)},
            {"sig", to_base64(certificate.signature)}};
}

/// Signs all that is in `message`, which names `certificate` as its hub.
std::string sign(std::string_view kind, json::object message, const crypto::SigningKey& hub,
                 const HubCertificate& certificate) {
    message["hub"] = write(certificate);
    message["sig"] = to_base64(hub.sign(statement(kind, message)));
    return kube::to_canonical_json(json::value(std::move(message)));
}

/// When the hub's key expires; denied unless it is certified and has signed all of `message`, also
/// the fields that a newer hub adds.
WallTime check_signed(std::string_view what, std::string_view kind, const json::object& message,
                      const Fields& fields, const Trust& trust) {
    const auto hub = fields.object("hub");
    const auto hub_key = hub.bytes("key", key_bytes);
    const auto hub_not_after = read_time(hub, "not_after");
    if (!trust.delivery.verify(hub_statement(trust.fleet, hub_key, hub_not_after),
                               hub.bytes("sig", signature_bytes)))
        deny(what, "the hub's key is not certified by delivery key " + trust.delivery.id() +
                       " for fleet " + trust.fleet);
    const auto signature = fields.bytes("sig", signature_bytes);
    auto signed_part = message;
    signed_part.erase("sig");
    const auto key = crypto::VerifyingKey::from_raw(hub_key);
    if (!key.verify(statement(kind, std::move(signed_part)), signature))
        deny(what, "its signature is not by the hub's key " + key.id());
    return hub_not_after;
}

constexpr std::string_view assignment_kind = "kled assignment v1";
constexpr std::string_view renewal_kind = "kled device certificate v1";
constexpr std::size_t renewal_limit = 16U << 10U;

}  // namespace

BlobRef read_blob_ref(const Fields& fields) {
    return {.digest = fields.digest("digest"),
            .size = fields.number("size", blob_limit),
            .wire = fields.number("wire", blob_limit)};
}

HubCertificate certify_hub(const crypto::SigningKey& delivery, std::string_view fleet,
                           const crypto::VerifyingKey& hub, WallTime not_after) {
    return {.key = hub.raw(),
            .not_after = not_after,
            .signature = delivery.sign(hub_statement(fleet, hub.raw(), not_after))};
}

std::string sign_assignment(const Assignment& assignment, const crypto::SigningKey& hub,
                            const HubCertificate& certificate) {
    json::object message{
        {"fleet", assignment.fleet},
        {"device", assignment.device},
        {"epoch", assignment.at.epoch},
        {"gen", assignment.at.gen},
        {"chunk_size", chunk_bytes},
        {"chunks", assignment.document.chunks()},
        {"not_before", seconds_of(assignment.not_before)},
        {"exp", seconds_of(assignment.expires)},
    };
    for (auto& field : write(assignment.document)) message[field.key()] = field.value();
    if (assignment.secrets) message["secrets"] = write(*assignment.secrets);
    auto payload = sign(assignment_kind, std::move(message), hub, certificate);
    assert(payload.size() <= pointer_limit);
    return payload;
}

Assignment verify_assignment(std::string_view payload, const Trust& trust,
                             std::optional<WallTime> now) {
    const auto message = parse_message("desired", payload, pointer_limit);
    const Fields fields{message, "desired"};
    const auto hub_not_after = check_signed("assignment", assignment_kind, message, fields, trust);

    Assignment assignment{
        .fleet = fields.text("fleet", 64),
        .device = fields.text("device", 64),
        .at = {.epoch = fields.number("epoch"), .gen = fields.number("gen")},
        .document = read_blob_ref(fields),
        .secrets = std::nullopt,
        .not_before = read_time(fields, "not_before"),
        .expires = read_time(fields, "exp"),
    };
    if (fields.has("secrets")) assignment.secrets = read_blob_ref(fields.object("secrets"));
    if (fields.number("chunk_size") != chunk_bytes)
        fields.fail("chunk_size", "must be " + std::to_string(chunk_bytes));
    if (assignment.fleet != trust.fleet || assignment.device != trust.device)
        deny("assignment",
             "it is for device " + assignment.device + " of fleet " + assignment.fleet);
    if (now && *now > hub_not_after)
        deny("assignment", "the hub's key expired at " + to_rfc3339(hub_not_after));
    if (now && *now < assignment.not_before)
        deny("assignment", "it is not valid before " + to_rfc3339(assignment.not_before));
    if (now && *now > assignment.expires)
        deny("assignment", "it expired at " + to_rfc3339(assignment.expires));
    return assignment;
}

std::string sign_renewal(std::string_view fleet, std::string_view device,
                         std::string_view certificate_pem, const crypto::SigningKey& hub,
                         const HubCertificate& certificate) {
    return sign(renewal_kind,
                {{"fleet", fleet}, {"device", device}, {"certificate", certificate_pem}}, hub,
                certificate);
}

std::string verify_renewal(std::string_view payload, const Trust& trust) {
    const auto message = parse_message("certificate", payload, renewal_limit);
    const Fields fields{message, "certificate"};
    static_cast<void>(check_signed("certificate", renewal_kind, message, fields, trust));
    const auto fleet = fields.text("fleet", 64);
    const auto device = fields.text("device", 64);
    if (fleet != trust.fleet || device != trust.device)
        deny("certificate", "it is for device " + device + " of fleet " + fleet);
    return fields.text("certificate", renewal_limit);
}

std::string sign_bundle(const crypto::SigningKey& delivery, std::string_view fleet,
                        std::string_view deployment, std::string_view revision,
                        std::string_view digest) {
    return delivery.sign(bundle_statement(fleet, deployment, revision, digest));
}

bool verify_bundle(const crypto::VerifyingKey& delivery, std::string_view fleet,
                   std::string_view deployment, std::string_view revision, std::string_view digest,
                   std::string_view signature) noexcept {
    return delivery.verify(bundle_statement(fleet, deployment, revision, digest), signature);
}

}  // namespace kled::edge
