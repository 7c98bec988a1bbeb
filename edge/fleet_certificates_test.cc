/// Certificates that end, and devices that leave.
#include "base/file.h"
#include "crypto/x509.h"
#include "tests/support/fleet_of_one.h"

namespace kled::edge {
namespace {

namespace fs = std::filesystem;

crypto::CertificateInfo certificate_of(const Site& site, const std::string& device) {
    return crypto::read_certificate(read_file(site.state(device) / "device.crt"));
}

asio::awaitable<void> short_certificates(Site& site) {
    Fleet fleet{site, co_await asio::this_coro::executor, 8s};
    co_await fleet.begin();
    const auto first = certificate_of(site, "d1");
    co_await eventually("the certificate is renewed",
                        [&] { return certificate_of(site, "d1").serial_hex != first.serial_hex; });
    EXPECT_LT(std::chrono::system_clock::now(), first.not_after);
    EXPECT_EQ(certificate_of(site, "d1").key_id, first.key_id);
    co_await eventually("the first one has ended",
                        [&] { return std::chrono::system_clock::now() > first.not_after + 1s; });
    // Whoever connects now needs one that is valid.
    site.broker().kill();
    site.broker().start();
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    co_await fleet.end();
}

TEST(Fleet, ADeviceGoesOnBeyondTheEndOfItsFirstCertificate) {
    Site site;
    run_to_end(short_certificates(site));
}

asio::awaitable<void> short_key(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop, 24h, 2s};
    co_await fleet.begin();
    const auto first = std::chrono::system_clock::now();
    co_await eventually("what the hub began with is over",
                        [&] { return std::chrono::system_clock::now() > first + 3s; });
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    co_await fleet.end();
}

TEST(Fleet, AHubGoesOnBeyondTheEndOfItsFirstCertificate) {
    Site site;
    run_to_end(short_key(site));
}

asio::awaitable<void> no_answer(Site& site) {
    Fleet fleet{site, co_await asio::this_coro::executor, 8s};
    co_await fleet.begin();
    const auto first = certificate_of(site, "d1");
    // Nobody answers when it is time; what runs and the connection go on with the old one.
    co_await fleet.stop_hub();
    co_await eventually("two thirds of its life are over", [&] {
        return std::chrono::system_clock::now() >
               first.not_before + (first.not_after - first.not_before) * 7 / 10;
    });
    EXPECT_EQ(certificate_of(site, "d1").serial_hex, first.serial_hex);
    fleet.start_hub(8s);
    co_await eventually("it is renewed when there is a hub again",
                        [&] { return certificate_of(site, "d1").serial_hex != first.serial_hex; });
    co_await fleet.runs("one");
    co_await fleet.end();
}

TEST(Fleet, ACertificateThatCouldNotBeRenewedIsAskedForAgain) {
    Site site;
    run_to_end(no_answer(site));
}

asio::awaitable<void> removal(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop};
    note_broker(site.hub_options().state, site.broker().pid());
    co_await fleet.begin();
    const auto tls = load_identity(site.state("d1")).tls;
    const auto port = site.broker().port();
    const auto before = co_await refused(fleet, port, tls);
    EXPECT_EQ(before, "");
    co_await eventually("it is shown", [&] { return fleet.shown.nodes.contains("d1"); });

    const auto gone = co_await (*fleet.hub)->remove("d1", false);
    EXPECT_EQ(gone.broker, "");
    EXPECT_FALSE((*fleet.hub)->devices().contains("d1"));
    co_await eventually("its connection has ended", [&] {
        return read_status(site.state("d1")).find("offline") != std::string::npos;
    });
    co_await eventually("it is shown no more", [&] { return !fleet.shown.nodes.contains("d1"); });
    const auto after = co_await refused(fleet, port, tls);
    EXPECT_NE(after, "") << "its certificate still opens the broker";
    // Also after a restart of the hub, and of a broker with these files.
    co_await fleet.stop_hub();
    site.broker().kill();
    site.broker().start();
    fleet.start_hub();
    EXPECT_FALSE((*fleet.hub)->devices().contains("d1"));
    const auto later = co_await refused(fleet, port, tls);
    EXPECT_NE(later, "");
    note_broker(site.hub_options().state, site.broker().pid());

    // With a new token it is a device again.
    co_await fleet.stop_agent();
    Labels labels;
    co_await enrol(**fleet.hub, site.state("d1"), "d1", std::move(labels));
    fleet.start_agent();
    co_await fleet.deliver("two");
    co_await fleet.runs("two");
    co_await fleet.end();
}

TEST(Fleet, ADeviceThatIsRemovedIsShutOutAtOnceUntilItJoinsAgain) {
    Site site;
    run_to_end(removal(site));
}

asio::awaitable<void> removal_offline(Site& site) {
    const auto loop = co_await asio::this_coro::executor;
    Fleet fleet{site, loop};
    co_await fleet.begin();
    co_await fleet.stop_agent();
    co_await eventually("it is offline", [&] { return !fleet.device().online; });
    std::string why;
    try {
        (void)co_await (*fleet.hub)->remove("d1", false);
    } catch (const Error& error) {
        why = error.what();
    }
    EXPECT_NE(why.find("--force"), std::string::npos) << why;
    EXPECT_TRUE((*fleet.hub)->devices().contains("d1"));
    const auto gone = co_await (*fleet.hub)->remove("d1", true);
    EXPECT_NE(gone.broker.find("restart it"), std::string::npos) << "nobody noted the broker";
    EXPECT_FALSE((*fleet.hub)->devices().contains("d1"));
    // What ran there is nobody's now.
    ::kill(std::atoi(lines(fleet.out).c_str()), SIGKILL);
    co_await fleet.end();
}

TEST(Fleet, ADeviceThatIsOfflineIsRemovedByForceOnly) {
    Site site;
    run_to_end(removal_offline(site));
}

asio::awaitable<void> deleted_node(Site& site) {
    Fleet fleet{site, co_await asio::this_coro::executor};
    co_await fleet.begin();
    co_await eventually("it is shown", [&] { return fleet.shown.nodes.contains("d1"); });
    fleet.shown.nodes.clear();
    (*fleet.hub)->show_again("d1");
    co_await eventually("it is shown again", [&] { return fleet.shown.nodes.contains("d1"); });
    (*fleet.hub)->show_again("nobody");
    co_await fleet.end();
}

TEST(Fleet, AnEdgeNodeThatSomebodyDeletedIsMadeAgain) {
    Site site;
    run_to_end(deleted_node(site));
}

TEST(Pki, IsNotMadeBesideADatabaseThatIsAHubs) {
    const TemporaryDirectory folder{"kled-pki"};
    const auto state = folder.path() / "edge";
    make_directories(state);
    write_file_atomic(state / "hub.db", "");
    EXPECT_THROW(Pki{state}, Error);
    BrokerOptions options;
    options.state = state;
    EXPECT_THROW((void)write_broker_files(options), Error);
    fs::remove(state / "hub.db");
    // Somebody gave the agent's state for the hub's.
    write_file_atomic(folder.path() / "agent.json", "{}");
    EXPECT_THROW((void)write_broker_files(options), Error);
    fs::remove(folder.path() / "agent.json");
    EXPECT_FALSE(Pki::exists(state));
    EXPECT_TRUE(fs::exists(write_broker_files(options)));
    EXPECT_TRUE(Pki::exists(state));
}

}  // namespace
}  // namespace kled::edge
