#include "edge/outbox.h"

#include "base/error.h"

#include <gtest/gtest.h>

#include <vector>

namespace kled::edge {
namespace {

using Sent = std::vector<std::string>;
using std::chrono::seconds;

constexpr Clock::time_point start{};

/// Payloads in the order a connected pump would send them at `now`.
Sent drain(Outbox& outbox, Clock::time_point now = start) {
    Sent sent;
    while (auto due = outbox.next(now)) sent.push_back(due->message.payload);
    return sent;
}

TEST(Outbox, ResendsTheUnacknowledgedBeforeTheNewWhenTheConnectionIsLost) {
    Outbox outbox{{}};
    outbox.push({"t", "a"});
    outbox.push({"t", "b"});
    const auto a = outbox.next(start)->sequence;
    drain(outbox);
    outbox.acknowledge(a);
    outbox.connection_lost();
    outbox.push({"t", "c"});
    EXPECT_EQ(drain(outbox), (Sent{"b", "c"}));
}

TEST(Outbox, RefusesWhatWouldPassItsLimitAndStaysAsItWas) {
    Outbox outbox{{.bytes = 3}};
    outbox.push({"t", "a"});
    try {
        outbox.push({"t", "b"});
        FAIL() << "the fourth byte was accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::exhausted);
        EXPECT_STREQ(error.what(), "outbox: t needs 2 bytes, 1 are free");
    }
    EXPECT_EQ(drain(outbox), Sent{"a"});
}

TEST(Outbox, HoldsBackWhatTheBrokerWouldNotTakeYet) {
    Outbox outbox{{.in_flight = 2}};
    for (const auto* payload : {"a", "b", "c"}) outbox.push({"t", payload});
    const auto a = outbox.next(start)->sequence;
    EXPECT_EQ(drain(outbox), Sent{"b"});
    outbox.acknowledge(a);
    EXPECT_EQ(drain(outbox), Sent{"c"});
}

TEST(Outbox, DropsTheExpiredAndFreesTheirBytes) {
    Outbox outbox{{.bytes = 4}};
    outbox.push({.topic = "t", .payload = "a", .expires_at = start + seconds{1}});
    outbox.push({"t", "b"});
    EXPECT_EQ(drain(outbox, start + seconds{1}), Sent{"b"});
    EXPECT_EQ(outbox.free(), 2U);
}

TEST(Outbox, ALateDuplicateOfAnAcknowledgementChangesNothing) {
    Outbox outbox{{}};
    outbox.push({"t", "a"});
    const auto a = outbox.next(start)->sequence;
    outbox.connection_lost();
    outbox.acknowledge(a);  // of the connection before: the message is waiting again
    EXPECT_EQ(drain(outbox), Sent{"a"});
    outbox.acknowledge(a);
    outbox.acknowledge(a);
    EXPECT_EQ(drain(outbox), Sent{});
}

}  // namespace
}  // namespace kled::edge
