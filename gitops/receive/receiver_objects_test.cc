#include "gitops/receive/receiver_objects.h"

#include "base/error.h"
#include "crypto/hash.h"
#include "kube/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

constexpr std::string_view token = "a token";
const std::string body = R"({"ref": "refs/heads/main"})";

Receiver receiver(const std::string& type, const std::string& more = "") {
    return Receiver::from_object(
        kube::Object::from(kube::parse_yaml("apiVersion: notification.toolkit.fluxcd.io/v1\n"
                                            "kind: Receiver\n"
                                            "metadata: {name: push, namespace: flux-system}\n"
                                            "spec:\n  secretRef: {name: webhook}\n  type: " +
                                            type + "\n" + more)));
}

using Given = std::vector<std::pair<std::string, std::string>>;

bool accepts(const Receiver& one, const Given& headers, std::string_view known = token) {
    net::Request request;
    request.method = "POST";
    request.body = body;
    for (const auto& [name, value] : headers) request.headers.set(name, value);
    return !refusal(one, known, request);
}

std::string hmac(std::string_view algorithm) { return crypto::hmac_hex(algorithm, token, body); }

TEST(ReceiverObject, HasThePathThatFluxGivesIt) {
    // printf '%s' 'a tokenpushflux-system' | sha256sum
    EXPECT_EQ(webhook_path(receiver("generic").object, token),
              "/hook/" + crypto::sha256_hex("a tokenpushflux-system"));
}

TEST(ReceiverObject, LetsInByTheRulesOfItsType) {
    const struct {
        std::string type;
        Given good;
        Given bad;
    } cases[]{
        {"generic-hmac",
         {{"X-Signature", "sha1=" + hmac("sha1")}},
         {{"X-Signature", hmac("sha1")}}},
        {"generic-hmac",
         {{"X-Signature", "sha512=" + hmac("sha512")}},
         {{"X-Signature", "sha512=" + hmac("sha256")}}},
        {"github", {{"X-Hub-Signature-256", "sha256=" + hmac("sha256")}}, {}},
        {"github",
         {{"X-Hub-Signature", "sha1=" + hmac("sha1")}},
         // The better one counts where both are there.
         {{"X-Hub-Signature-256", "sha256=00"}, {"X-Hub-Signature", "sha1=" + hmac("sha1")}}},
        {"gitea", {{"X-Gitea-Signature", hmac("sha256")}}, {{"X-Gitea-Signature", "00"}}},
        {"gitea", {{"X-Hub-Signature-256", "sha256=" + hmac("sha256")}}, {}},
        {"gitlab", {{"X-Gitlab-Token", "a token"}}, {{"X-Gitlab-Token", "a toke"}}},
        {"gitlab", {{"X-Gitlab-Token", "a token"}}, {{"X-Hub-Signature", "a token"}}},
        {"bitbucket", {{"X-Hub-Signature", "sha256=" + hmac("sha256")}}, {}},
        {"harbor", {{"Authorization", "a token"}}, {{"Authorization", "Bearer a token"}}},
        {"nexus",
         {{"X-Nexus-Webhook-Signature", hmac("sha1")}},
         {{"X-Nexus-Webhook-Signature", hmac("sha256")}}},
    };
    for (const auto& [type, good, bad] : cases) {
        const auto one = receiver(type);
        EXPECT_TRUE(accepts(one, good)) << type;
        EXPECT_FALSE(accepts(one, good, "another")) << type;
        EXPECT_FALSE(accepts(one, bad)) << type;
    }
    for (const auto* type : {"generic", "quay", "dockerhub", "acr"})
        EXPECT_TRUE(accepts(receiver(type), {})) << type;
}

TEST(ReceiverObject, IsAboutItsEventsAlone) {
    const std::string signature = "sha256=" + hmac("sha256");
    const auto github = receiver("github", "  events: [ping, push]\n");
    const auto event = [&](const std::string& name) {
        return Given{{"X-Hub-Signature-256", signature}, {"X-GitHub-Event", name}};
    };
    EXPECT_TRUE(accepts(github, event("push")));
    EXPECT_TRUE(accepts(github, event("Push")));
    EXPECT_FALSE(accepts(github, event("pull_request")));
    EXPECT_FALSE(accepts(github, {{"X-Hub-Signature-256", signature}}));
    EXPECT_TRUE(accepts(receiver("gitlab", "  events: [Push Hook]\n"),
                        {{"X-Gitlab-Token", "a token"}, {"X-Gitlab-Event", "Push Hook"}}));
    EXPECT_FALSE(accepts(receiver("bitbucket", "  events: ['repo:refs_changed']\n"),
                         {{"X-Hub-Signature", signature}, {"X-Event-Key", "pr:opened"}}));
    // A generic one has no events to choose from.
    EXPECT_TRUE(accepts(receiver("generic", "  events: [push]\n"), {}));
}

TEST(ReceiverObject, SaysWhatItCannotDo) {
    EXPECT_THROW(receiver("generic", "  resources: [{kind: Widget, name: a}]\n"), Error);
    EXPECT_THROW(receiver("generic", "  resources: [{kind: GitRepository, name: '*'}]\n"), Error);
    EXPECT_THROW(receiver("generic", "  resources: [{kind: GitRepository}]\n"), Error);
    EXPECT_EQ(receiver("gcr").unsupported.size(), 1U);
    EXPECT_EQ(receiver("generic", "  resourceFilter: 'true'\n").unsupported.size(), 1U);
}

}  // namespace
}  // namespace kled::gitops
