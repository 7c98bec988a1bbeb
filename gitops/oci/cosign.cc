#include "gitops/oci/cosign.h"

#include "base/encoding.h"
#include "base/error.h"
#include "kube/object.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

namespace kled::gitops::oci {

namespace {

constexpr std::string_view simple_signing = "application/vnd.dev.cosign.simplesigning.v1+json";
constexpr std::string_view annotation = "dev.cosignproject.cosign/signature";
constexpr std::string_view payload_type = "cosign container image signature";
constexpr std::string_view bundle_type = "application/vnd.dev.sigstore.bundle.";
constexpr std::string_view statement_type = "application/vnd.in-toto+json";
constexpr std::string_view predicate_type = "https://sigstore.dev/cosign/sign/v1";
constexpr std::size_t json_depth = 32;

using Keys = std::vector<crypto::PublicKey>;

bool is_by_one_of(const Keys& keys, std::string_view bytes, std::string_view signature) {
    return std::ranges::any_of(keys, [&](const auto& key) { return key.verify(bytes, signature); });
}

/// What is signed in the place of a payload (DSSE v1, "PAE").
std::string authenticated(std::string_view type, std::string_view payload) {
    std::string text = "DSSEv1";
    for (const auto part : {type, payload})
        text += " " + std::to_string(part.size()) + " " + std::string{part};
    return text;
}

bool states(std::string_view statement, std::string_view digest) {
    const auto value = kube::parse_json(statement, json_depth);
    const auto* fields = value.if_object();
    if (fields == nullptr || kube::find_string(*fields, {"predicateType"}) != predicate_type)
        return false;
    const auto* subjects = fields->if_contains("subject");
    constexpr std::string_view algorithm = "sha256:";
    return subjects != nullptr && subjects->is_array() && digest.starts_with(algorithm) &&
           std::ranges::any_of(subjects->get_array(), [&](const auto& subject) {
               return subject.is_object() &&
                      kube::find_string(subject.get_object(), {"digest", "sha256"}) ==
                          digest.substr(algorithm.size());
           });
}

/// Who signs the payload says which artifact he means by its digest; by which name it went is not
/// looked at, here as there.
bool is_about(std::string_view payload, std::string_view digest) {
    try {
        const auto value = kube::parse_json(payload, json_depth);
        const auto* fields = value.if_object();
        return fields != nullptr &&
               kube::find_string(*fields, {"critical", "type"}) == payload_type &&
               kube::find_string(*fields, {"critical", "image", "docker-manifest-digest"}) ==
                   digest;
    } catch (const Error&) {
        return false;
    }
}

}  // namespace

std::string signature_tag(std::string_view digest) { return referrers_tag(digest) + ".sig"; }

std::vector<CosignSignature> CosignSignature::all_in(const Manifest& manifest) {
    std::vector<CosignSignature> result;
    if (manifest.index) return result;
    for (const auto& layer : manifest.layers) {
        const auto found = layer.annotations.find(std::string{annotation});
        if (layer.media_type != simple_signing || layer.size > payload_limit ||
            found == layer.annotations.end())
            continue;
        auto signature = from_base64(found->second);
        if (signature) result.push_back({.payload = layer, .signature = *std::move(signature)});
    }
    return result;
}

bool CosignSignature::is_good(std::string_view bytes, std::string_view digest,
                              const Keys& keys) const {
    return is_about(bytes, digest) && is_by_one_of(keys, bytes, signature);
}

std::string referrers_tag(std::string_view digest) {
    std::string tag{digest};
    std::ranges::replace(tag, ':', '-');
    return tag;
}

std::vector<Descriptor> SigstoreBundle::all_in(const Manifest& referrers) {
    std::vector<Descriptor> result;
    if (!referrers.index) return result;
    std::ranges::copy_if(referrers.layers, std::back_inserter(result), [](const auto& one) {
        return one.artifact_type.starts_with(bundle_type);
    });
    return result;
}

bool SigstoreBundle::is_good(std::string_view bytes, std::string_view digest, const Keys& keys) {
    try {
        const auto value = kube::parse_json(bytes, json_depth);
        const auto* fields = value.if_object();
        const auto* found = fields == nullptr ? nullptr : fields->if_contains("dsseEnvelope");
        if (found == nullptr || !found->is_object()) return false;
        const auto& envelope = found->get_object();
        const auto statement = from_base64(kube::find_string(envelope, {"payload"}));
        const auto* signatures = envelope.if_contains("signatures");
        if (kube::find_string(envelope, {"payloadType"}) != statement_type || !statement ||
            signatures == nullptr || !signatures->is_array())
            return false;
        const auto said = authenticated(statement_type, *statement);
        const bool ours = std::ranges::any_of(signatures->get_array(), [&](const auto& one) {
            const auto signature = one.is_object()
                                       ? from_base64(kube::find_string(one.get_object(), {"sig"}))
                                       : std::nullopt;
            return signature && is_by_one_of(keys, said, *signature);
        });
        return ours && states(*statement, digest);
    } catch (const Error&) {  // it is no such thing
        return false;
    }
}

}  // namespace kled::gitops::oci
