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

[[noreturn]] void deny(const std::string& why) {
    throw Error{ErrorKind::denied, "assignment refused: " + why};
}

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
        {"hub",
         {{"key", to_base64(certificate.key)},
          {"not_after", seconds_of(certificate.not_after)},
          {"sig", to_base64(certificate.signature)}}},
    };
    for (auto& field : write(assignment.document)) message[field.key()] = field.value();
    if (assignment.secrets) message["secrets"] = write(*assignment.secrets);
    message["sig"] = to_base64(hub.sign(statement("kled assignment v1", message)));
    auto payload = kube::to_canonical_json(json::value(std::move(message)));
    assert(payload.size() <= pointer_limit);
    return payload;
}

Assignment verify_assignment(std::string_view payload, const Trust& trust,
                             std::optional<WallTime> now) {
    auto message = parse_message("desired", payload, pointer_limit);
    const Fields fields{message, "desired"};
    const auto hub = fields.object("hub");
    const auto hub_key = hub.bytes("key", key_bytes);
    const auto hub_not_after = read_time(hub, "not_after");
    if (!trust.delivery.verify(hub_statement(trust.fleet, hub_key, hub_not_after),
                               hub.bytes("sig", signature_bytes)))
        deny("the hub's key is not certified by delivery key " + trust.delivery.id() +
             " for fleet " + trust.fleet);

    // The signature covers all other fields, also those a newer hub adds.
    const auto signature = fields.bytes("sig", signature_bytes);
    auto signed_part = message;
    signed_part.erase("sig");
    const auto key = crypto::VerifyingKey::from_raw(hub_key);
    if (!key.verify(statement("kled assignment v1", std::move(signed_part)), signature))
        deny("its signature is not by the hub's key " + key.id());

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
        deny("it is for device " + assignment.device + " of fleet " + assignment.fleet);
    if (now && *now > hub_not_after) deny("the hub's key expired at " + to_rfc3339(hub_not_after));
    if (now && *now < assignment.not_before)
        deny("it is not valid before " + to_rfc3339(assignment.not_before));
    if (now && *now > assignment.expires) deny("it expired at " + to_rfc3339(assignment.expires));
    return assignment;
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
