/// For tests: what `cosign sign --key` of version 3 pushes.
#pragma once

#include "base/encoding.h"
#include "crypto/testing_signer.h"

#include <string>

namespace kled::gitops::testing {

/// `digest` is "sha256:<hex>".
inline std::string sigstore_bundle(
    const crypto::testing::Signer& signer, const std::string& digest,
    const std::string& predicate = "https://sigstore.dev/cosign/sign/v1") {
    const std::string type = "application/vnd.in-toto+json";
    const auto statement =
        R"({"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":")" +
        digest.substr(7) + R"("},"annotations":{}}],"predicateType":")" + predicate +
        R"(","predicate":{}})";
    const auto said = "DSSEv1 " + std::to_string(type.size()) + " " + type + " " +
                      std::to_string(statement.size()) + " " + statement;
    return R"({"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",)"
           R"("verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":{"payload":")" +
           to_base64(statement) + R"(","payloadType":")" + type + R"(","signatures":[{"sig":")" +
           to_base64(signer.sign(said)) + R"("}]}})";
}

}  // namespace kled::gitops::testing
