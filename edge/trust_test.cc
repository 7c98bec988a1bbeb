#include "edge/trust.h"

#include "base/error.h"
#include "edge/bundle.h"

#include <gtest/gtest.h>

namespace kled::edge {
namespace {

using std::chrono::hours;

const WallTime now = WallTime{std::chrono::seconds{1'795'000'000}};

/// The keys of a fleet and what one of its devices believes.
struct Fleet {
    crypto::SigningKey delivery = crypto::SigningKey::generate();
    crypto::SigningKey hub = crypto::SigningKey::generate();
    HubCertificate certificate =
        certify_hub(delivery, "lab", hub.verifying_key(), now + hours{24 * 365});
    Trust trust{"lab", "d1", delivery.verifying_key()};

    [[nodiscard]] Assignment assignment() const {
        return {.fleet = "lab",
                .device = "d1",
                .at = {1, 5},
                .document = {std::string(64, 'd'), 100, 50},
                .secrets = std::nullopt,
                .not_before = now,
                .expires = now + hours{1}};
    }
    [[nodiscard]] std::string payload() const {
        return sign_assignment(assignment(), hub, certificate);
    }
};

std::string why(const std::function<void()>& work) {
    try {
        work();
    } catch (const Error& error) {
        return error.what();
    }
    return "accepted";
}

TEST(Assignment, OfTheHubIsAcceptedAndReadBack) {
    const Fleet fleet;
    auto given = fleet.assignment();
    given.secrets = BlobRef{std::string(64, 'e'), 7, 9};
    const auto read =
        verify_assignment(sign_assignment(given, fleet.hub, fleet.certificate), fleet.trust, now);
    EXPECT_EQ(read.at, (Position{1, 5}));
    EXPECT_EQ(read.document, given.document);
    EXPECT_EQ(read.secrets, given.secrets);
}

TEST(RenewalAnswer, IsTheHubsForThisDeviceOrRefused) {
    const Fleet fleet;
    const auto payload = sign_renewal("lab", "d1", "PEM", fleet.hub, fleet.certificate);
    EXPECT_EQ(verify_renewal(payload, fleet.trust), "PEM");
    const auto refused = [&fleet](const std::string& text) {
        return why([&] { (void)verify_renewal(text, fleet.trust); });
    };
    EXPECT_NE(refused(sign_renewal("lab", "d2", "PEM", fleet.hub, fleet.certificate))
                  .find("for device d2"),
              std::string::npos);
    const auto thief = crypto::SigningKey::generate();
    EXPECT_NE(refused(sign_renewal("lab", "d1", "PEM", thief, fleet.certificate))
                  .find("not by the hub's key"),
              std::string::npos);
    // What the hub signs for one purpose serves no other.
    EXPECT_NE(refused(fleet.payload()), "accepted");
    auto other = payload;
    other.replace(other.find("PEM"), 3, "MEP");
    EXPECT_NE(refused(other), "accepted");
}

TEST(Assignment, WithAnyByteChangedIsRefused) {
    const Fleet fleet;
    const auto payload = fleet.payload();
    for (std::size_t i = 0; i < payload.size(); ++i) {
        auto forged = payload;
        forged[i] = static_cast<char>(forged[i] ^ 1);
        try {
            const auto read = verify_assignment(forged, fleet.trust, now);
            // A change that leaves the value as it was (the last base64 digit has spare bits).
            EXPECT_EQ(read.at, fleet.assignment().at);
            EXPECT_EQ(read.document, fleet.assignment().document);
        } catch (const Error&) {
        }
    }
}

TEST(Assignment, ByAKeyThatTheDeliveryKeyDidNotCertifyIsRefused) {
    const Fleet fleet;
    const auto thief = crypto::SigningKey::generate();
    EXPECT_NE(why([&] {
                  (void)verify_assignment(
                      sign_assignment(fleet.assignment(), thief, fleet.certificate), fleet.trust,
                      now);
              }).find("its signature is not by the hub's key"),
              std::string::npos);
    const auto own = certify_hub(thief, "lab", thief.verifying_key(), now + hours{1});
    EXPECT_NE(why([&] {
                  (void)verify_assignment(sign_assignment(fleet.assignment(), thief, own),
                                          fleet.trust, now);
              }).find("is not certified by delivery key"),
              std::string::npos);
    const auto other =
        certify_hub(fleet.delivery, "other", fleet.hub.verifying_key(), now + hours{1});
    EXPECT_NE(why([&] {
                  (void)verify_assignment(sign_assignment(fleet.assignment(), fleet.hub, other),
                                          fleet.trust, now);
              }).find("for fleet lab"),
              std::string::npos);
}

TEST(Assignment, ForAnotherDeviceIsRefused) {
    const Fleet fleet;
    auto other = fleet.assignment();
    other.device = "d2";
    EXPECT_EQ(why([&] {
                  (void)verify_assignment(sign_assignment(other, fleet.hub, fleet.certificate),
                                          fleet.trust, now);
              }),
              "assignment refused: it is for device d2 of fleet lab");
}

TEST(Assignment, IsJudgedByTheClockOnlyWhereTheClockIsBelieved) {
    const Fleet fleet;
    const auto payload = fleet.payload();
    EXPECT_NE(why([&] {
                  (void)verify_assignment(payload, fleet.trust, now + hours{2});
              }).find("it expired at"),
              std::string::npos);
    EXPECT_NE(why([&] {
                  (void)verify_assignment(payload, fleet.trust, now - hours{2});
              }).find("not valid before"),
              std::string::npos);
    EXPECT_EQ(verify_assignment(payload, fleet.trust, std::nullopt).at, (Position{1, 5}));
}

TEST(Assignment, FieldsOfANewerHubAreCoveredByTheSignature) {
    const Fleet fleet;
    auto payload = fleet.payload();
    payload.insert(1, R"("colour":"red",)");
    EXPECT_NE(why([&] {
                  (void)verify_assignment(payload, fleet.trust, now);
              }).find("its signature is not by"),
              std::string::npos);
}

// --- bundles

kube::LoadedObject object(std::string_view text) {
    return {kube::Object::from(kube::parse_json(text)), {}};
}

const auto config =
    object(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"k":"v"}})");
const auto secret =
    object(R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"n"},)"
           R"("data":{"a":"c2VzYW1l"},"stringData":{"b":"open"}})");

TEST(Bundle, HasOneDigestWhateverTheOrderOfItsObjects) {
    const auto one = make_bundle("n/app", {config, secret}, "key");
    const auto two = make_bundle("n/app", {secret, config}, "key");
    EXPECT_EQ(one.blob.ref, two.blob.ref);
    EXPECT_NE(one.blob.ref.digest, make_bundle("n/app", {config}, "key").blob.ref.digest);
    EXPECT_EQ(parse_bundle(unpack(one.blob.wire, one.blob.ref), "n/app").size(), 2U);
}

TEST(Bundle, HoldsNoValueOfASecret) {
    const auto bundle = make_bundle("n/app", {secret}, "key");
    const auto plain = unpack(bundle.blob.wire, bundle.blob.ref);
    for (const auto* value : {"sesame", "c2VzYW1l", "open", "b3Blbg=="})
        EXPECT_EQ(plain.find(value), std::string::npos) << value;
    // Without the key the commitment cannot be tried out; with it, a changed value shows.
    EXPECT_NE(make_bundle("n/app", {secret}, "other").blob.ref.digest, bundle.blob.ref.digest);
}

TEST(Blob, WhoseBytesAreNotWhatWasAnnouncedIsRefused) {
    auto blob = pack("some content, some content, some content");
    EXPECT_EQ(unpack(blob.wire, blob.ref).size(), blob.ref.size);
    auto bent = blob;
    bent.wire[bent.wire.size() / 2] = static_cast<char>(bent.wire[bent.wire.size() / 2] ^ 4);
    EXPECT_NE(why([&] { (void)unpack(bent.wire, bent.ref); }), "accepted");
    auto small = blob.ref;
    small.size = 3;
    EXPECT_NE(why([&] { (void)unpack(blob.wire, small); }), "accepted");
    auto huge = blob.ref;
    huge.size = blob_limit + 1;
    EXPECT_NE(why([&] { (void)unpack(blob.wire, huge); }), "accepted");
    EXPECT_NE(why([&] { (void)pack(std::string(blob_limit + 1, 'x')); }), "accepted");
}

TEST(Document, WithABundleTheDeliveryKeyDidNotSignIsRefused) {
    const Fleet fleet;
    const auto bundle = make_bundle("n/app", {config}, "key");
    Document document{
        {{"n/app", "main@sha1:1", bundle.blob.ref,
          sign_bundle(fleet.delivery, "lab", "n/app", "main@sha1:1", bundle.blob.ref.digest)}}};
    EXPECT_EQ(parse_document(to_json(document), fleet.trust).bundles.at(0).revision, "main@sha1:1");
    document.bundles[0].revision = "main@sha1:2";
    EXPECT_NE(why([&] {
                  (void)parse_document(to_json(document), fleet.trust);
              }).find("is not signed by delivery key"),
              std::string::npos);
}

struct SealedFor {
    crypto::Identity identity = crypto::Identity::generate();
    Bundle bundle = make_bundle("n/app", {secret}, "key");
    std::string plain;

    explicit SealedFor(Position at) {
        std::vector<Sealable> secrets;
        secrets.push_back({"n/app", "n", "s", bundle.secrets.at(0).json.clone()});
        const auto blob = seal_secrets(secrets, "d1", at, identity.recipient());
        plain = unpack(blob.wire, blob.ref);
    }
};

TEST(Secrets, OpenOnTheirDeviceAndMatchTheirCommitment) {
    const SealedFor sealed{{1, 5}};
    const auto opened = open_secrets(sealed.plain, "d1", {1, 5}, sealed.identity);
    const auto object =
        parse_bundle(unpack(sealed.bundle.blob.wire, sealed.bundle.blob.ref), "n/app").at(0);
    const auto values = check_secret(opened.at({"n/app", "n", "s"}), object);
    EXPECT_EQ(values.at("a").reveal(), "sesame");
    EXPECT_EQ(values.at("b").reveal(), "open");
}

TEST(Secrets, AreBoundToDeviceAndGeneration) {
    const SealedFor sealed{{1, 5}};
    EXPECT_EQ(sealed.plain.find("sesame"), std::string::npos);
    EXPECT_NE(why([&] {
                  (void)open_secrets(sealed.plain, "d1", {1, 6}, sealed.identity);
              }).find("another device, generation"),
              std::string::npos);
    EXPECT_NE(why([&] {
                  (void)open_secrets(sealed.plain, "d2", {1, 5}, sealed.identity);
              }).find("another device, generation"),
              std::string::npos);
    EXPECT_NE(
        why([&] { (void)open_secrets(sealed.plain, "d1", {1, 5}, crypto::Identity::generate()); }),
        "accepted");
}

TEST(Secrets, ValuesTheDeliveryKeyDidNotSignAreRefused) {
    const SealedFor sealed{{1, 5}};
    auto other = make_bundle(
        "n/app",
        {object(
            R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"n"},"data":{"a":"eA=="}})")},
        "thief");
    const auto object =
        parse_bundle(unpack(sealed.bundle.blob.wire, sealed.bundle.blob.ref), "n/app").at(0);
    EXPECT_NE(why([&] {
                  (void)check_secret(other.secrets.at(0).json, object);
              }).find("are not those the delivery key signed"),
              std::string::npos);
}

}  // namespace
}  // namespace kled::edge
