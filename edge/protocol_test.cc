#include "edge/protocol.h"

#include "base/error.h"
#include "edge/names.h"

#include <gtest/gtest.h>

namespace kled::edge {
namespace {

using std::chrono::milliseconds;

const std::string digest(64, 'a');

std::string why(const std::function<void()>& work) {
    try {
        work();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return error.what();
    }
    return "accepted";
}

TEST(Names, AreLabelsAndNeitherHubNorAll) {
    check_name("device", "press-4");
    EXPECT_EQ(why([] { check_name("device", "hub"); }), "device \"hub\": the name is reserved");
    EXPECT_EQ(why([] { check_name("device", "kled:hub"); }).substr(0, 18), "device \"kled:hub\":");
    for (const auto* bad : {"", "-a", "a-", "A", "a/b", "a+b", "a#", "a.b", "all"})
        EXPECT_NE(why([bad] { check_name("device", bad); }), "accepted") << bad;
    EXPECT_NE(why([] { check_name("device", std::string(64, 'a')); }), "accepted");
}

TEST(Topics, AreReadBackAsTheyAreMade) {
    EXPECT_EQ(down_topic("f", "d1", "desired"), "kled/v1/f/d/d1/dn/desired");
    const auto topic = up_topic("f", "d1", "report");
    const auto up = parse_up_topic("f", topic);
    ASSERT_TRUE(up);
    EXPECT_EQ(up->device, "d1");
    EXPECT_EQ(up->leaf, "report");
    EXPECT_EQ(parse_down_topic("f", "d1", "kled/v1/f/d/d1/dn/blob/x.3"), "blob/x.3");
}

TEST(Topics, OfAnotherFleetDeviceOrDirectionAreNotOurs) {
    EXPECT_FALSE(parse_up_topic("f", "kled/v1/g/d/d1/up/report"));
    EXPECT_FALSE(parse_up_topic("f", "kled/v1/f/d/d1/dn/report"));
    EXPECT_FALSE(parse_up_topic("f", "kled/v1/f/d/d1/up/"));
    EXPECT_FALSE(parse_up_topic("f", "kled/v1/f/d//up/x"));
    EXPECT_FALSE(parse_up_topic("f", "kled/v1/f/d/hub/up/x"));
    EXPECT_FALSE(parse_down_topic("f", "d1", "kled/v1/f/d/d11/dn/desired"));
}

TEST(Protocol, MessagesAreReadBackAsTheyAreWritten) {
    Hello hello{.agent = "0.1.0",
                .arch = "x86_64",
                .boot_id = "b",
                .session = {7, "s"},
                .seq = 2,
                .have = {3, 4},
                .digest = digest,
                .clock = {.mono = milliseconds{5}, .synced = true}};
    const auto read = parse_hello(to_json(hello));
    EXPECT_EQ(read.session, hello.session);
    EXPECT_EQ(read.have, hello.have);
    EXPECT_EQ(read.digest, digest);
    EXPECT_EQ(read.clock.mono, milliseconds{5});
    EXPECT_TRUE(read.clock.synced);

    Report report{.session = {7, "s"},
                  .seq = 9,
                  .stored = {1, 2},
                  .observed = {1, 1},
                  .digest = digest,
                  .phase = Phase::rolled_back};
    report.conditions.push_back({"DiskFull", true, "NoSpace", "12 bytes are free"});
    report.workloads.push_back({"Deployment", "ns", "web", "ns/app", "Running", true, 3, "ok"});
    const auto again = parse_report(to_json(report));
    EXPECT_EQ(again.conditions, report.conditions);
    EXPECT_EQ(again.workloads, report.workloads);
    EXPECT_EQ(again.phase, Phase::rolled_back);
    EXPECT_EQ(again.stored, report.stored);

    const auto get = parse_get(to_json(Get{.digest = digest, .have = {{0, 3}}, .window = 8}));
    EXPECT_EQ(get.have, (std::vector<std::pair<std::size_t, std::size_t>>{{0, 3}}));
    EXPECT_TRUE(parse_state(to_json(State{.online = true, .session = {1, "s"}})).online);
    EXPECT_EQ(parse_ack(to_json(Ack{.session = {1, "s"}, .hello = 2, .seq = 3})).seq, 3U);
    EXPECT_EQ(parse_hub_notice(to_json(HubNotice{4, "i", milliseconds{50}})).spread,
              milliseconds{50});
}

TEST(Protocol, SaysWhatIsWrongWithAMessageAndWhere) {
    EXPECT_EQ(why([] { (void)parse_hello("[]"); }), "hello: not a JSON object");
    EXPECT_EQ(why([] { (void)parse_hello("{}"); }), "hello.protocol: is missing");
    EXPECT_EQ(why([] { (void)parse_ack(R"({"session":{"counter":-1,"id":""}})"); }),
              "ack.session.counter: must be a whole number from 0");
    const auto longer =
        std::string{R"({"session":{"counter":1,"id":")"} + std::string(65, 'x') + "\"}}";
    EXPECT_EQ(why([&] { (void)parse_ack(longer); }), "ack.session.id: longer than 64 bytes");
    EXPECT_EQ(why([] { (void)parse_get(R"({"digest":"XYZ"})"); }),
              "get.digest: must be 64 lower-case hex digits");
    EXPECT_EQ(why([] { (void)parse_get(R"({"digest":")" + digest + R"(","have":[[0,99999]]})"); }),
              "get.have: a number is out of range");
    EXPECT_EQ(why([] { (void)parse_get(R"({"digest":")" + digest + R"(","window":9})"); }),
              "get.window: must be at most 8");
    EXPECT_NE(why([] { (void)parse_report(std::string(message_limit + 1, ' ')); }), "accepted");
}

TEST(Protocol, AReportIsCutToItsLimitAndStaysReadable) {
    Report report{.session = {1, "s"}, .seq = 1};
    for (int i = 0; i < 1000; ++i)
        report.workloads.push_back({.kind = "Deployment",
                                    .name = "w" + std::to_string(i),
                                    .phase = "Failed",
                                    .message = std::string(3000, '\x01')});
    const auto text = to_json(report);
    EXPECT_LE(text.size(), message_limit);
    EXPECT_GT(parse_report(text).workloads.size(), 10U);
}

TEST(Protocol, AMessageIsCutBetweenCharacters) {
    Report report{.session = {1, "s"}, .seq = 1};
    std::string umlauts;
    for (int i = 0; i < 600; ++i) umlauts += "x\xC3\xA4";
    report.conditions.push_back({"A", true, "B", umlauts});
    EXPECT_LE(parse_report(to_json(report)).conditions[0].message.size(), 1024U);
}

TEST(Protocol, FieldsOfANewerMinorVersionAreLeftAlone) {
    EXPECT_EQ(parse_hello(R"({"protocol":{"min":1,"max":2},"agent":"0.2.0","colour":["new"],)"
                          R"("session":{"counter":1,"id":"s","x":{}},"seq":1})")
                  .protocol.max,
              2U);
}

TEST(Protocol, TheHighestVersionBothSpeakIsSpoken) {
    EXPECT_EQ(common_protocol({1, 1}, {1, 2}), 1U);
    EXPECT_EQ(common_protocol({1, 3}, {2, 4}), 3U);
    EXPECT_EQ(common_protocol({1, 1}, {2, 3}), std::nullopt);
}

TEST(Protocol, ChunkNamesAreReadStrictly) {
    const auto leaf = chunk_leaf(digest, 17);
    const auto name = parse_chunk_leaf(leaf);
    ASSERT_TRUE(name);
    EXPECT_EQ(name->digest, digest);
    EXPECT_EQ(name->index, 17U);
    for (const auto& bad :
         {std::string{"blob/"}, "blob/" + digest, "blob/" + digest + ".", "blob/" + digest + ".-1",
          "blob/" + digest + ".1x", "job/" + digest + ".1"})
        EXPECT_FALSE(parse_chunk_leaf(bad)) << bad;
}

}  // namespace
}  // namespace kled::edge
