/// Who means ill: other devices, strangers, a stolen broker, garbage.
#include "base/file.h"
#include "base/metrics.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "edge/bundle.h"
#include "edge/names.h"
#include "tests/support/fleet_of_one.h"

namespace kled::edge {
namespace {

namespace fs = std::filesystem;

asio::awaitable<void> other_devices_certificate(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop};
    co_await fleet.begin();
    Labels labels;
    co_await enrol(**fleet.hub, site.state("d2"), "d2", std::move(labels));
    const auto d2 = *load_identity(site.state("d2")).tls;
    const auto port = site.broker().port();
    const auto hello = fleet.device().hello;

    // d2 subscribes to all there is, under the name of d1 and of the hub.
    Client thief{loop, fleet.pool, port, "d1", d2};
    const std::vector<std::string> filters{"#", "kled/v1/lab/#", "kled/v1/lab/d/d1/#",
                                           "kled/v1/lab/d/d2/dn/#"};
    co_await thief.connect(filters);
    Client second{loop, fleet.pool, port, std::string{hub_user} + ":lab", d2};
    co_await second.connect(nothing);

    // And says that d1 is another, is broken, is gone; that it is the hub; that d1 has to run this.
    Report forged{.session = {.counter = 1'000'000, .id = "thief"}, .seq = 1};
    forged.conditions.push_back({.type = "Forged"});
    const std::string d1 = "kled/v1/lab/d/d1/";
    co_await thief.say(d1 + "up/report", to_json(forged));
    const State gone{.online = false, .session = {.counter = 1'000'000, .id = "thief"}};
    co_await thief.say(d1 + "up/state", to_json(gone), true);
    const HubNotice notice{.epoch = 1, .incarnation = "thief"};
    co_await thief.say("kled/v1/lab/hub", to_json(notice), true);
    co_await thief.say(d1 + "dn/desired", "{}", true);
    // What d2 says of itself is heard, so all before it was dealt with.
    Report own{.session = {.counter = 7, .id = "d2"}, .seq = 3};
    co_await thief.say("kled/v1/lab/d/d2/up/report", to_json(own));
    co_await eventually("the hub hears d2", [&] { return fleet.device("d2").report.seq == 3; });

    EXPECT_EQ(fleet.condition("Forged"), "");
    EXPECT_NE(fleet.device().session.id, "thief");
    EXPECT_TRUE(fleet.device().online);
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    EXPECT_EQ(fleet.condition("AssignmentRefused"), "") << "d1 heard d2";
    EXPECT_EQ(fleet.device().hello, hello) << "d1 was thrown off the broker";
    co_await eventually("d2 hears what is for d2",
                        [&] { return thief.heard_below("kled/v1/lab/d/d2/dn/desired"); });
    EXPECT_FALSE(thief.heard_below(d1)) << "d2 heard what was for d1";
    co_await thief.stop();
    co_await second.stop();
    co_await fleet.end();
}

TEST(Hostile, ACertificateOpensTheTopicsOfItsOwnDeviceOnly) {
    Site site;
    run_to_end(other_devices_certificate(site));
}

asio::awaitable<void> strangers(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop};
    co_await fleet.begin();
    // A certificate of the same name, by another fleet's CA.
    const auto state = site.path() / "elsewhere";
    Pki elsewhere{state};
    const auto keys = prepare_keys(state / "d1", "d1");
    write_file_atomic(state / "d1" / "device.crt",
                      elsewhere.certify_device(keys.request, "d1", 24h));
    MqttTls other{.ca = site.state("d1") / "broker-ca.crt",
                  .certificate = state / "d1" / "device.crt",
                  .key = state / "d1" / "device.key"};
    const auto port = site.broker().port();
    const auto by_another = co_await refused(fleet, port, other);
    EXPECT_NE(by_another, "");
    const auto own = load_identity(site.state("d1")).tls;
    const auto by_its_own = co_await refused(fleet, port, own);
    EXPECT_EQ(by_its_own, "");
    // A broker with another CA is not spoken to.
    auto deceived = *own;
    deceived.ca = state / "pki" / "servers" / "ca.crt";
    const auto deceiver = co_await refused(fleet, port, deceived);
    EXPECT_NE(deceiver, "");
    co_await fleet.end();
}

TEST(Hostile, ACertificateOfAnotherFleetOpensNothing) {
    Site site;
    run_to_end(strangers(site));
}

asio::awaitable<void> forged_renewals(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop};
    co_await fleet.begin();
    const auto before = read_file(site.state("d1") / "device.crt");
    Client broker{loop, fleet.pool, site.broker().port(), "thief", hub_certificate(site)};
    co_await broker.connect(nothing);
    // A certificate that the CA did give, but that the hub did not send.
    const Pki pki{site.hub_options().state};
    const auto keys = prepare_keys(site.state("d1"), "d1");
    const auto pem = pki.certify_device(keys.request, "d1", 24h);
    const auto thief = crypto::SigningKey::generate();
    const auto certificate =
        certify_hub(thief, "lab", thief.verifying_key(), std::chrono::system_clock::now() + 24h);
    const auto answer = down_topic("lab", "d1", "certificate");
    co_await broker.say(answer, sign_renewal("lab", "d1", pem, thief, certificate));
    const std::vector<std::string> others{"{", pem, "{}"};
    for (const auto& payload : others) co_await broker.say(answer, payload);
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    EXPECT_EQ(read_file(site.state("d1") / "device.crt"), before);
    co_await broker.stop();
    co_await fleet.end();
}

TEST(Hostile, AStolenBrokerCannotReplaceACertificate) {
    Site site;
    run_to_end(forged_renewals(site));
}

TEST(Hostile, ACertificateIsRenewedForItsOwnNameAndKeyOnly) {
    const Site site;
    const auto state = site.hub_options().state;
    const Pki pki{state};
    const auto d1 = prepare_keys(site.state("d1"), "d1");
    const auto d2 = prepare_keys(site.state("d2"), "d2");
    const auto present = pki.certify_device(d1.request, "d1", 1h);
    const auto renewed = crypto::read_certificate(pki.renew_device(present, d1.request, "d1", 2h));
    EXPECT_EQ(renewed.common_name, "d1");
    EXPECT_EQ(renewed.key_id, crypto::read_certificate(present).key_id);

    const auto why = [&](const std::string& shown, const std::string& request,
                         const std::string& name) -> std::string {
        try {
            return pki.renew_device(shown, request, name, 1h);
        } catch (const Error& error) {
            return error.what();
        }
    };
    const auto refused = [](const std::string& answer, const std::string& part) {
        EXPECT_NE(answer.find(part), std::string::npos) << answer;
    };
    refused(why(present, d1.request, "d2"), "is of \"d1\"");
    refused(why(present, d2.request, "d1"), "not signed by the key of the certificate shown");
    refused(why("nonsense", d1.request, "d1"), "not a PEM certificate");
    const Pki elsewhere{site.path() / "elsewhere"};
    refused(why(elsewhere.certify_device(d1.request, "d1", 1h), d1.request, "d1"),
            "not one of this CA");
    refused(why(pki.certify_device(d1.request, "d1", 0s), d1.request, "d1"), "expired at");
    refused(why(pki.device_ca_pem(), d1.request, "d1"), "a CA's");
    const std::vector<std::string> serials{crypto::read_certificate(present).serial_hex};
    EXPECT_TRUE(pki.shut_out(serials, {}));
    refused(why(present, d1.request, "d1"), "is revoked");
}

/// What a broken or hostile program says.
std::vector<std::string> garbage() {
    std::string deep;
    for (int i = 0; i < 20'000; ++i) deep += "[{\"a\":";
    return {
        "",
        "{",
        "null",
        "[]",
        "{}",
        std::string{"\0\xff\xfe{}", 5},
        crypto::random_bytes(1'000),
        std::string(250'000, '{'),
        deep,
        R"({"session":{"counter":18446744073709551615,"id":"x"},"seq":18446744073709551615,"online":true})",
        R"({"session":{"counter":-1,"id":7},"seq":1e400,"protocol":{"min":9,"max":1}})",
        R"({"digest":"../../../../etc/passwd","have":[[0,99999999999]],"window":4294967296})",
        R"({"digest":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","have":[[0,18446744073709551615],[18446744073709551615,18446744073709551615]],"window":8})",
    };
}

asio::awaitable<void> garbage_everywhere(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop};
    co_await fleet.begin();
    Labels labels;
    co_await enrol(**fleet.hub, site.state("d2"), "d2", std::move(labels));
    auto& refused = metrics::registry().counter("kled_edge_messages_refused_total", "");
    const auto refused_before = refused.value();

    Client device{loop, fleet.pool, site.broker().port(), "x", load_identity(site.state("d2")).tls};
    co_await device.connect(nothing);
    Client broker{loop, fleet.pool, site.broker().port(), "y", hub_certificate(site)};
    co_await broker.connect(nothing);
    for (const auto& payload : garbage()) {
        for (const auto* leaf : {"hello", "state", "report", "get", "", "nothing", "hello/hello"})
            co_await device.say(std::string{"kled/v1/lab/d/d2/up/"} + leaf, payload);
        for (const auto* leaf :
             {"desired", "ack", "blob/", "blob/x.1", "nothing", "twin/x", "job/1"})
            co_await broker.say(std::string{"kled/v1/lab/d/d1/dn/"} + leaf, payload);
        co_await broker.say("kled/v1/lab/hub", payload);
        co_await broker.say("kled/v1/lab/d/nobody/up/hello", payload);
        co_await broker.say("kled/v1/lab/d/kled:hub/up/hello", payload);
    }
    co_await eventually("the hub says what it did not understand",
                        [&] { return refused.value() > refused_before + 40; });
    co_await eventually("the device says what it did not understand", [&] {
        return fleet.condition("AssignmentRefused").starts_with("NotUnderstood: ") &&
               fleet.condition("MessageRefused").starts_with("NotUnderstood: ");
    });
    // Both go on.
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    co_await eventually("and nothing is left of it", [&] {
        return fleet.condition("AssignmentRefused").empty() &&
               fleet.condition("MessageRefused").empty();
    });
    EXPECT_EQ(count(lines(fleet.out), "\n"), 2U) << lines(fleet.out);

    // The device in whose name it was said is none the worse when it says who it is.
    Running<Agent> agent{loop, fleet.pool, load_identity(site.state("d2")),
                         site.agent_options("d2")};
    co_await eventually("d2 is healthy", [&] {
        return fleet.device("d2").report.observed == fleet.device("d2").at &&
               fleet.device("d2").report.phase == Phase::healthy;
    });
    co_await device.stop();
    co_await broker.stop();
    co_await clear(**fleet.hub, fleet.out);
    co_await agent.stop();
    co_await fleet.end();
}

TEST(Hostile, GarbageOnEveryTopicIsRefusedAndSaid) {
    Site site;
    run_to_end(garbage_everywhere(site));
}

asio::awaitable<void> stolen_broker(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop};
    Client recorder{loop, fleet.pool, site.broker().port(), "recorder", hub_certificate(site)};
    const std::vector<std::string> all{"kled/v1/#"};
    co_await recorder.connect(all);
    co_await fleet.begin();
    const auto desired = down_topic("lab", "d1", "desired");
    const auto last_pointer = [&] {
        std::string last;
        for (const auto& [topic, payload] : recorder.heard)
            if (topic == desired) last = payload;
        return last;
    };
    const auto first = last_pointer();
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    const auto trust = Trust{"lab", "d1", load_identity(site.state("d1")).delivery};
    auto assignment = verify_assignment(last_pointer(), trust, std::nullopt);

    // An old assignment again, and one that says more than was signed.
    co_await recorder.say(desired, first, true);
    auto changed = last_pointer();
    const auto at = changed.find("\"gen\":") + 6;
    changed.insert(at, "9");
    co_await recorder.say(desired, changed, true);
    co_await eventually("the device refuses it", [&] {
        return fleet.condition("AssignmentRefused").starts_with("NotTrusted: ");
    });
    // A key that the delivery key did not certify.
    const auto thief = crypto::SigningKey::generate();
    assignment.at.gen += 5;
    co_await recorder.say(
        desired,
        sign_assignment(assignment, thief,
                        certify_hub(thief, "lab", thief.verifying_key(), assignment.expires)),
        true);
    // Content of the thief's under a digest that the device asks for.
    const auto digest = assignment.document.digest;
    co_await recorder.say(down_topic("lab", "d1", chunk_leaf(digest, 0)), "not what it says");
    co_await eventually("the device refuses it", [&] {
        return fleet.condition("AssignmentRefused").find("is not certified") != std::string::npos;
    });
    EXPECT_EQ(count(lines(fleet.out), "\n"), 2U) << lines(fleet.out);
    co_await fleet.deliver("three");
    co_await fleet.runs("three");
    EXPECT_EQ(fleet.condition("AssignmentRefused"), "");
    EXPECT_EQ(count(lines(fleet.out), "\n"), 3U) << lines(fleet.out);
    co_await recorder.stop();
    co_await fleet.end();
}

TEST(Hostile, AStolenBrokerCannotCommandADevice) {
    Site site;
    run_to_end(stolen_broker(site));
}

asio::awaitable<void> recording_broker(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop};
    Client recorder{loop, fleet.pool, site.broker().port(), "recorder", hub_certificate(site)};
    const std::vector<std::string> all{"#"};
    co_await recorder.connect(all);
    co_await fleet.begin();
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    EXPECT_EQ(count(lines(fleet.out), "open-sesame-two"), 1U) << "the device can read it";
    // Also what the broker keeps for those who come later.
    Client late{loop, fleet.pool, site.broker().port(), "late", hub_certificate(site)};
    co_await late.connect(all);
    co_await eventually("retained messages come",
                        [&] { return late.heard_below(down_topic("lab", "d1", "desired")); });
    auto heard = recorder.heard;
    heard.insert(heard.end(), late.heard.begin(), late.heard.end());

    // All payloads, and what they are when unpacked.
    std::string plain;
    const auto trust = Trust{"lab", "d1", load_identity(site.state("d1")).delivery};
    std::map<std::string, BlobRef> refs;
    std::map<std::string, std::string> wires;
    for (const auto& [topic, payload] : heard) {
        plain += topic + "\n" + payload + "\n";
        const auto leaf = parse_down_topic("lab", "d1", topic);
        if (!leaf) continue;
        if (const auto chunk = parse_chunk_leaf(*leaf)) wires.emplace(chunk->digest, payload);
        if (*leaf != "desired") continue;
        const auto assignment = verify_assignment(payload, trust, std::nullopt);
        refs.emplace(assignment.document.digest, assignment.document);
        refs.emplace(assignment.secrets->digest, *assignment.secrets);
    }
    const auto documents = refs;
    for (const auto& [digest, ref] : documents) {
        if (!wires.contains(digest)) continue;
        try {
            for (const auto& bundle : parse_document(unpack(wires.at(digest), ref), trust).bundles)
                refs.emplace(bundle.blob.digest, bundle.blob);
        } catch (const Error&) {
            // the secrets
        }
    }
    for (const auto& [digest, ref] : refs)
        if (wires.contains(digest)) plain += unpack(wires.at(digest), ref) + "\n";
    EXPECT_NE(plain.find("\"word\":\"two\""), std::string::npos) << "ConfigMaps are there to read";
    EXPECT_NE(plain.find("YWdlLWVuY3J5cHRpb24ub3Jn"), std::string::npos)
        << "the sealed ones are there, in base64";
    EXPECT_EQ(plain.find("open-sesame"), std::string::npos);
    EXPECT_EQ(plain.find("b3Blbi1zZXNhbWU"), std::string::npos) << "nor in base64";

    // Nor do the disks of device and hub have it, but for the keys.
    for (const auto& root : {site.state("d1"), site.hub_options().state}) {
        for (const auto& entry : fs::recursive_directory_iterator{root}) {
            if (!entry.is_regular_file() || entry.is_symlink()) continue;
            const auto bytes = read_file(entry.path(), 64U << 20U);
            EXPECT_EQ(bytes.find("open-sesame"), std::string::npos) << entry.path();
            EXPECT_EQ(bytes.find("b3Blbi1zZXNhbWU"), std::string::npos) << entry.path();
        }
    }
    co_await recorder.stop();
    co_await late.stop();
    co_await fleet.end();
}

TEST(Hostile, ARecordingBrokerHoldsNoPlainTextOfSecrets) {
    Site site;
    run_to_end(recording_broker(site));
}

}  // namespace
}  // namespace kled::edge
