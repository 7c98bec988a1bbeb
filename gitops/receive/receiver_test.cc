#include "gitops/receive/receiver.h"

#include "crypto/hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view key = "a shared secret";
const std::string push =
    R"({"ref": "refs/heads/main", "repository": {"clone_url": "https://host/o/r.git", "ssh_url": "git@host:o/r.git"}})";

net::Request hook(const std::string& path, const std::string& header, const std::string& value,
                  const std::string& body = push) {
    net::Request request;
    request.method = "POST";
    request.target = path;
    request.headers.set(header, value);
    request.body = body;
    return request;
}

std::string sign(std::string_view algorithm, const std::string& body = push) {
    return std::string{algorithm} + "=" + crypto::hmac_hex(algorithm, key, body);
}

TEST(Webhook, LooksWhereTheBodySays) {
    const auto verdict =
        judge_webhook(hook("/hook/github", "X-Hub-Signature-256", sign("sha256")), key);
    EXPECT_EQ(verdict.status, 200U);
    EXPECT_TRUE(verdict.look);
    EXPECT_THAT(verdict.urls, ElementsAre("https://host/o/r.git", "git@host:o/r.git"));
}

TEST(Webhook, OfAnyProgramMayCarryAnyBody) {
    const auto verdict = judge_webhook(
        hook("/hook/generic", "X-Signature", sign("sha512", "deployed!"), "deployed!"), key);
    EXPECT_TRUE(verdict.look);
    EXPECT_THAT(verdict.urls, IsEmpty());
}

TEST(Webhook, IsRefusedWithoutTheRightSignature) {
    const auto good = sign("sha256");
    auto altered = good;
    altered.back() = altered.back() == '0' ? '1' : '0';
    for (const auto& value :
         {std::string{}, std::string{"sha256="}, std::string{"sha256"}, altered,
          good.substr(0, good.size() - 1), "md5=" + good.substr(7), good.substr(7)}) {
        const auto verdict = judge_webhook(hook("/hook/github", "X-Hub-Signature-256", value), key);
        EXPECT_EQ(verdict.status, 401U) << value;
        EXPECT_FALSE(verdict.look);
    }
    EXPECT_EQ(judge_webhook(hook("/hook/github", "X-Signature", good), key).status, 401U)
        << "another header";
    EXPECT_EQ(
        judge_webhook(hook("/hook/github", "X-Hub-Signature-256", good, push + " "), key).status,
        401U);
    EXPECT_EQ(judge_webhook(hook("/hook/github", "X-Hub-Signature-256",
                                 "sha256=" + crypto::hmac_hex("sha256", "", push)),
                            "")
                  .status,
              401U)
        << "no secret is no key";
}

TEST(Webhook, AnswersAPingWithoutLooking) {
    auto request = hook("/hook/github", "X-Hub-Signature-256", sign("sha256"));
    request.headers.set("X-GitHub-Event", "ping");
    const auto verdict = judge_webhook(request, key);
    EXPECT_EQ(verdict.status, 200U);
    EXPECT_FALSE(verdict.look);
}

TEST(Webhook, IsAPostToAKnownPath) {
    EXPECT_EQ(judge_webhook(hook("/hook/other", "X-Signature", sign("sha256")), key).status, 404U);
    auto request = hook("/hook/generic", "X-Signature", sign("sha256"));
    request.method = "GET";
    EXPECT_EQ(judge_webhook(request, key).status, 405U);
}

}  // namespace
}  // namespace kled::gitops
