#include "gitops/git/receive_pack.h"

#include "base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

namespace kled::gitops::git {
namespace {

using ::testing::HasSubstr;

const std::string one(40, '1');
const std::string two(40, '2');

/// Reads `text` a few bytes at a time.
PacketReader packets_of(std::string text) {
    auto rest = std::make_shared<std::string>(std::move(text));
    return PacketReader{[rest](char* buffer, std::size_t size) {
        const auto count = std::min({size, rest->size(), std::size_t{7}});
        rest->copy(buffer, count);
        rest->erase(0, count);
        return count;
    }};
}

Advertisement advertised(const std::string& text, bool announced = false) {
    auto packets = packets_of(text);
    return Advertisement::read(packets, announced);
}

Advertisement server_with(std::set<std::string> capabilities) {
    Advertisement server;
    server.capabilities = std::move(capabilities);
    return server;
}

std::pair<ErrorKind, std::string> failure(const std::function<void()>& work) {
    try {
        work();
    } catch (const Error& error) {
        return {error.kind(), error.what()};
    }
    return {ErrorKind::internal, "nothing was thrown"};
}

std::pair<ErrorKind, std::string> report(const std::string& text,
                                         std::set<std::string> capabilities = {}) {
    return failure([&] {
        auto packets = packets_of(text);
        read_report(packets, server_with(std::move(capabilities)), "refs/heads/main");
    });
}

TEST(ReceivePack, ReadsWhatAServerHas) {
    const auto list = packet(one + " refs/heads/main" + std::string(1, '\0') +
                             "report-status side-band-64k object-format=sha1\n") +
                      packet(two + " refs/tags/v1\n") + "0000";
    const auto server = advertised(list);
    EXPECT_EQ(server.references.at("refs/heads/main").hex(), one);
    EXPECT_EQ(server.references.at("refs/tags/v1").hex(), two);
    EXPECT_TRUE(server.capabilities.contains("side-band-64k"));
    EXPECT_EQ(advertised(packet("# service=git-receive-pack\n") + "0000" + list, true).references,
              server.references);
}

TEST(ReceivePack, ReadsThatARepositoryIsEmpty) {
    const auto server = advertised(packet(std::string(40, '0') + " capabilities^{}" +
                                          std::string(1, '\0') + "push-options\n") +
                                   "0000");
    EXPECT_TRUE(server.references.empty());
    EXPECT_TRUE(server.capabilities.contains("push-options"));
}

TEST(ReceivePack, RefusesWhatIsNotGitsProtocol) {
    for (const std::string text :
         {"", "00", "zzzz", "0001", "0003", "ffff", "0010short", "0008abcd0000"}) {
        EXPECT_NE(failure([&] { static_cast<void>(advertised(text)); }).second,
                  "nothing was thrown")
            << text;
    }
    EXPECT_THAT(failure([] { static_cast<void>(advertised(packet("ERR no\x1b[31m such\n"))); }),
                ::testing::Pair(ErrorKind::denied, "the server says: no [31m such"));
    EXPECT_EQ(failure([] { static_cast<void>(advertised("0000", true)); }).first,
              ErrorKind::invalid);
    EXPECT_THAT(
        failure([] {
            static_cast<void>(advertised(
                packet(one + " refs/heads/main" + std::string(1, '\0') + "object-format=sha256\n") +
                "0000"));
        }).second,
        HasSubstr("SHA-1"));
}

TEST(ReceivePack, AsksForOneReferenceAndSendsOptions) {
    const ReferenceUpdate update{
        .name = "refs/heads/main", .from = *Oid::parse(one), .to = *Oid::parse(two)};
    const auto plain = push_request(server_with({"side-band-64k"}), update, {});
    EXPECT_THAT(plain, HasSubstr(one + " " + two + " refs/heads/main"));
    EXPECT_THAT(plain, HasSubstr("report-status agent=git/kled side-band-64k"));
    EXPECT_TRUE(plain.ends_with("0000"));
    EXPECT_THAT(push_request(server_with({"push-options"}), update, {"ci.skip", "a=b"}),
                HasSubstr(" push-options0000000bci.skip0007a=b0000"));
    EXPECT_EQ(failure([&] {
                  static_cast<void>(push_request(server_with({}), update, {"ci.skip"}));
              }).first,
              ErrorKind::invalid);
    EXPECT_EQ(failure([&] {
                  static_cast<void>(push_request(server_with({"push-options"}), update, {"a\nb"}));
              }).first,
              ErrorKind::invalid);
}

TEST(ReceivePack, SaysWhatBecameOfIt) {
    const auto good = packet("unpack ok\n") + packet("ok refs/heads/main\n") + "0000";
    EXPECT_EQ(report(good).second, "nothing was thrown");
    EXPECT_EQ(report(packet(std::string(1, '\1') + good) + "0000", {"side-band-64k"}).second,
              "nothing was thrown");
    EXPECT_EQ(report(packet("unpack ok\n") + packet("ng refs/heads/main non-fast-forward\n")).first,
              ErrorKind::conflict);
    const auto hook =
        report(packet("\2no pushes on Sundays\n") +
                   packet(std::string(1, '\1') + packet("unpack ok\n") +
                          packet("ng refs/heads/main pre-receive hook declined\n") + "0000") +
                   "0000",
               {"side-band-64k"});
    EXPECT_EQ(hook.first, ErrorKind::denied);
    EXPECT_EQ(hook.second,
              "the server does not change refs/heads/main: pre-receive hook declined (no pushes on "
              "Sundays)");
    EXPECT_EQ(report(packet("unpack index-pack abnormal exit\n")).first, ErrorKind::unavailable);
    EXPECT_EQ(report("").first, ErrorKind::unavailable);
    EXPECT_EQ(report(packet("unpack ok\n") + packet("ok refs/heads/other\n") + "0000").first,
              ErrorKind::unavailable);
    EXPECT_EQ(report(packet("\3gone\n"), {"side-band-64k"}).first, ErrorKind::denied);
    EXPECT_EQ(report(packet("\7what\n"), {"side-band-64k"}).first, ErrorKind::invalid);
}

}  // namespace
}  // namespace kled::gitops::git
