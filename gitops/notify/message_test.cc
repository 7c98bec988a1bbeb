#include "gitops/notify/message.h"

#include "base/error.h"
#include "gitops/notify/commit_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Notification notification(bool error = false) {
    return {.api_version = "kustomize.toolkit.fluxcd.io/v1",
            .kind = "Kustomization",
            .ns = "team",
            .name = "apps",
            .uid = "u-1",
            .error = error,
            .time = {},
            .reason = error ? "HealthCheckFailed" : "ReconciliationSucceeded",
            .message = "it is so",
            .metadata = {{"revision", "main@sha1:" + std::string(40, 'a')}, {"summary", "prod"}}};
}
Provider provider(const std::string& type) {
    Provider result;
    result.type = type;
    result.channel = "#ops";
    result.object.metadata()["uid"] = "0c9c2e41-8a5e-4f2e-9a53-6d1f2b3c4d5e";
    return result;
}
ProviderAccess access(const std::string& address, const std::string& token = "s3cret") {
    ProviderAccess result;
    result.address = address;
    if (!token.empty()) result.token = std::make_shared<const Secret>(std::string{token});
    return result;
}
const std::string hook = "https://hooks.example:8443/a/b?c=d";

TEST(Message, GenericIsTheEvent) {
    auto reach = access(hook);
    reach.headers = {{"Authorization", "Bearer x"}};
    const auto message = message_for(provider("generic"), reach, notification());
    EXPECT_EQ(message.url.host, "hooks.example");
    EXPECT_EQ(message.url.port, "8443");
    EXPECT_EQ(message.request.method, "POST");
    EXPECT_EQ(message.request.target, "/a/b?c=d");
    EXPECT_EQ(message.request.headers.get("gotk-component"), "kustomize-controller");
    EXPECT_EQ(message.request.headers.get("Authorization"), "Bearer x");
    EXPECT_EQ(message.request.headers.get("Content-Type"), "application/json");
    EXPECT_FALSE(message.request.headers.has("X-Signature"));
    EXPECT_EQ(message.request.body, kube::to_json(kube::json::value(notification().to_json())));
}

TEST(Message, HmacSignsTheBody) {
    // printf '%s' '{…}' | openssl dgst -sha256 -hmac s3cret gives the same.
    const auto message = message_for(provider("generic-hmac"), access(hook), notification());
    const auto signature = message.request.headers.get("X-Signature");
    EXPECT_TRUE(signature.starts_with("sha256="));
    EXPECT_EQ(signature.size(), 7U + 64U);
    EXPECT_THROW(
        static_cast<void>(message_for(provider("generic-hmac"), access(hook, ""), notification())),
        Error);
}

TEST(Message, SlackHasOneAttachment) {
    const auto message = message_for(provider("slack"), access(hook), notification(true));
    EXPECT_EQ(message.request.headers.get("Authorization"), "Bearer s3cret");
    EXPECT_EQ(
        message.request.body,
        R"({"channel":"#ops","username":"kustomize-controller","icon_url":"","icon_emoji":"",)"
        R"("attachments":[{"color":"danger","author_name":"kustomization/apps.team",)"
        R"("text":"it is so","mrkdwn_in":["text"],"fields":[{"title":"revision","value":)"
        R"("main@sha1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","short":false},)"
        R"({"title":"summary","value":"prod","short":false}]}]})");
    const auto anonymous = message_for(provider("slack"), access(hook, ""), notification());
    EXPECT_FALSE(anonymous.request.headers.has("Authorization"));
    EXPECT_THAT(anonymous.request.body, HasSubstr(R"("color":"good")"));
}

TEST(Message, SlacksApiSaysNoWith200) {
    const auto slack = provider("slack");
    const auto at = access("https://slack.com/api/chat.postMessage");
    net::Response response;
    response.body = R"({"ok":true})";
    EXPECT_FALSE(refused_by(slack, at, response));
    response.body = R"({"ok":false,"error":"channel_not_found"})";
    EXPECT_EQ(refused_by(slack, at, response), "Slack says channel_not_found");
    response.body = "<html>";
    EXPECT_TRUE(refused_by(slack, at, response));
    EXPECT_FALSE(refused_by(slack, access(hook), response));
    EXPECT_FALSE(refused_by(provider("generic"), at, response));
}

TEST(Message, TeamsHasACardAndAnOlderOne) {
    const auto card = message_for(provider("msteams"), access(hook), notification(true));
    EXPECT_FALSE(card.request.headers.has("Authorization"));
    EXPECT_THAT(
        card.request.body,
        HasSubstr(
            R"("items":[{"type":"TextBlock","text":"kustomization/apps.team","size":"large",)"
            R"("weight":"bolder","wrap":true},{"type":"TextBlock","text":"it is so",)"
            R"("color":"attention","wrap":true},{"type":"FactSet","facts":[{"title":"summary",)"
            R"("value":"prod"},{"title":"revision",)"));
    const auto older =
        message_for(provider("msteams"), access("https://x.webhook.office.com/y"), notification());
    EXPECT_THAT(older.request.body, HasSubstr(R"({"@type":"MessageCard")"));
    EXPECT_THAT(older.request.body, HasSubstr(R"("themeColor":"0076D7")"));
}

TEST(Message, AlertmanagerHasLabels) {
    auto reach = access(hook, "");
    reach.user = "me";
    reach.password = std::make_shared<const Secret>("pw");
    const auto message = message_for(provider("alertmanager"), reach, notification(true));
    EXPECT_EQ(message.request.headers.get("Authorization"), "Basic bWU6cHc=");
    EXPECT_EQ(message.request.body,
              R"([{"status":"firing","labels":{"revision":)"
              R"("main@sha1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",)"
              R"("alertname":"FluxKustomizationHealthcheckfailed","severity":"error",)"
              R"("reason":"HealthCheckFailed","kind":"Kustomization","name":"apps",)"
              R"("namespace":"team","reportingcontroller":"kustomize-controller"},)"
              R"("annotations":{"message":"it is so","summary":"prod"},)"
              R"("startsAt":"1970-01-01T00:00:00Z"}])");
}

TEST(Message, AnAddressThatIsNoneIsNotQuoted) {
    for (const std::string address :
         {"", "s3cret-address", "ftp://s3cret/x", "https://s3cret:port/x", "https://"}) {
        try {
            static_cast<void>(message_for(provider("slack"), access(address), notification()));
            ADD_FAILURE() << address;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::invalid);
            EXPECT_THAT(error.what(), Not(HasSubstr("s3cret")));
        }
    }
}

TEST(Message, SecretsAreTakenOutOfTexts) {
    auto reach = access("https://hooks.example/T0/secret", "t0ken");
    reach.headers = {{"X-Key", "k3y-of-mine"}};
    EXPECT_EQ(reach.redacted("at https://hooks.example/T0/secret with t0ken t0ken, k3y-of-mine"),
              "at ***** with ***** *****, *****");
}

TEST(CommitStatus, IsAskedForAndSetInTheHostsWords) {
    const std::string commit(40, 'a');
    const auto github = commit_status_for(provider("github"),
                                          access("https://github.com/org/app.git"), notification());
    ASSERT_TRUE(github);
    EXPECT_EQ(github->list.url.host, "api.github.com");
    EXPECT_EQ(github->list.request.target,
              "/repos/org/app/commits/" + commit + "/statuses?per_page=50");
    EXPECT_EQ(github->create.request.target, "/repos/org/app/statuses/" + commit);
    EXPECT_EQ(github->create.request.headers.get("Authorization"), "Bearer s3cret");
    EXPECT_EQ(github->create.request.body,
              R"({"state":"success","context":"kustomization/apps/0c9c2e41",)"
              R"("description":"reconciliation succeeded"})");

    const auto enterprise = commit_status_for(
        provider("github"), access("ssh://git@git.example:22/org/app"), notification(true));
    EXPECT_EQ(enterprise->create.url.host, "git.example");
    EXPECT_EQ(enterprise->create.url.scheme, "https");
    EXPECT_EQ(enterprise->create.url.port, "443");
    EXPECT_EQ(enterprise->create.request.target, "/api/v3/repos/org/app/statuses/" + commit);
    EXPECT_EQ(enterprise->state, "failure");
    EXPECT_EQ(enterprise->description, "health check failed");

    const auto gitlab = commit_status_for(
        provider("gitlab"), access("git@git.example:group/sub/app.git"), notification(true));
    EXPECT_EQ(gitlab->list.request.target,
              "/api/v4/projects/group%2Fsub%2Fapp/repository/commits/" + commit +
                  "/statuses?name=kustomization%2Fapps%2F0c9c2e41");
    EXPECT_EQ(gitlab->create.request.target,
              "/api/v4/projects/group%2Fsub%2Fapp/statuses/" + commit);
    EXPECT_EQ(gitlab->create.request.headers.get("PRIVATE-TOKEN"), "s3cret");
    EXPECT_THAT(gitlab->create.request.body, HasSubstr(R"("state":"failed","name":)"));

    const auto gitea = commit_status_for(provider("gitea"),
                                         access("http://git.example:3000/org/app"), notification());
    EXPECT_EQ(gitea->create.url.port, "3000");
    EXPECT_EQ(gitea->create.request.target, "/api/v1/repos/org/app/statuses/" + commit);
    EXPECT_EQ(gitea->create.request.headers.get("Authorization"), "token s3cret");
}

TEST(CommitStatus, IsOfACommitThatIsDone) {
    const auto at = access("https://github.com/org/app");
    auto going_on = notification();
    going_on.reason = "Progressing";
    EXPECT_FALSE(commit_status_for(provider("github"), at, going_on));
    EXPECT_EQ(commit_status_for(provider("gitea"), at, going_on)->state, "pending");
    auto artifact = notification();
    artifact.metadata["revision"] = "1.0.0@sha256:" + std::string(64, 'c');
    artifact.metadata["originRevision"] = "main@sha1:" + std::string(40, 'b');
    EXPECT_EQ(commit_status_for(provider("github"), at, artifact)->create.request.target,
              "/repos/org/app/statuses/" + std::string(40, 'b'));
    auto without = notification();
    without.metadata.erase("revision");
    EXPECT_FALSE(commit_status_for(provider("github"), at, without));
    without.metadata["revision"] = "main@sha1:../../x";
    EXPECT_FALSE(commit_status_for(provider("github"), at, without));
    for (const std::string address :
         {"https://github.com", "https://github.com/org", "https://github.com/a/b/c", "org/app",
          "https://github.com/org/app?x=y", "file:///org/app", ""})
        EXPECT_THROW(static_cast<void>(
                         commit_status_for(provider("github"), access(address), notification())),
                     Error)
            << address;
    EXPECT_THROW(static_cast<void>(commit_status_for(
                     provider("github"), access("https://github.com/org/app", ""), notification())),
                 Error);
}

TEST(CommitStatus, TheLatestOfItsNameCounts) {
    const auto github = provider("github");
    const auto status =
        *commit_status_for(github, access("https://github.com/org/app"), notification());
    const auto item = [](const std::string& state, const std::string& name) {
        return R"({"state":")" + state + R"(","status":")" + state + R"(","name":")" + name +
               R"(","context":")" + name + R"(","description":"reconciliation succeeded"})";
    };
    const auto ours = "kustomization/apps/0c9c2e41";
    EXPECT_TRUE(has_status(github, status,
                           "[" + item("failure", "other") + "," + item("success", ours) + "]"));
    EXPECT_FALSE(has_status(github, status,
                            "[" + item("failure", ours) + "," + item("success", ours) + "]"));
    EXPECT_TRUE(has_status(provider("gitlab"), status, "[" + item("success", ours) + "]"));
    EXPECT_TRUE(has_status(provider("gitea"), status, "[" + item("success", ours) + "]"));
    for (const std::string bad : {"", "[]", "{}", "[1, null]", "<html>"})
        EXPECT_FALSE(has_status(github, status, bad)) << bad;
}

}  // namespace
}  // namespace kled::gitops
