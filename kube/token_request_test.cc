#include "kube/token_request.h"

#include "base/error.h"
#include "kube/object.h"

#include <gtest/gtest.h>

namespace kled::kube {
namespace {

using namespace std::chrono_literals;

const WallTime now = *parse_rfc3339("2026-11-29T10:00:00Z");

TokenRequest asked() {
    TokenRequest request;
    request.ns = "flux-system";
    request.account = "deployer";
    return request;
}

std::string answer(const std::string& token, const std::string& until) {
    return R"({"kind":"TokenRequest","status":{"token":")" + token +
           R"(","expirationTimestamp":")" + until + R"("}})";
}

std::string refused(const std::string& body) {
    try {
        (void)read_issued_token(body, now);
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return error.what();
    }
    return "accepted";
}

TEST(TokenRequest, IsThatOfKubernetes) {
    auto request = asked();
    request.audiences = {"https://far:6443", "b"};
    const auto http = request.http();
    EXPECT_EQ(http.method, "POST");
    EXPECT_EQ(http.target, "/api/v1/namespaces/flux-system/serviceaccounts/deployer/token");
    EXPECT_EQ(http.headers.get("Content-Type"), "application/json");
    EXPECT_EQ(
        http.body,
        R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":["https://far:6443","b"],"expirationSeconds":3600}})");
    EXPECT_EQ(asked().http().body,
              R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest",)"
              R"("spec":{"expirationSeconds":3600}})")
        << "the server's own audience";
}

TEST(TokenRequest, NeverLeavesItsPath) {
    auto request = asked();
    request.account = "../secrets?x";
    EXPECT_EQ(request.http().target,
              "/api/v1/namespaces/flux-system/serviceaccounts/..%2Fsecrets%3Fx/token");
}

TEST(IssuedToken, IsExchangedFiveMinutesBeforeItsEnd) {
    const auto token = read_issued_token(answer("abc.def", "2026-11-29T11:00:00Z"), now);
    EXPECT_EQ(token.text->reveal(), "abc.def");
    EXPECT_FALSE(token.due(now));
    EXPECT_FALSE(token.due(now + 55min - 1s));
    EXPECT_TRUE(token.due(now + 55min));
    EXPECT_FALSE(token.over(now + 60min - 1s));
    EXPECT_TRUE(token.over(now + 60min));
}

TEST(IssuedToken, OfAShortLifeIsExchangedAtHalfOfIt) {
    const auto token = read_issued_token(answer("t", "2026-11-29T10:04:00Z"), now);
    EXPECT_FALSE(token.due(now + 2min - 1s));
    EXPECT_TRUE(token.due(now + 2min));
    EXPECT_TRUE(read_issued_token(answer("t", "2026-11-29T10:00:00Z"), now).due(now));
}

TEST(IssuedToken, IsNothingButOne) {
    EXPECT_EQ(refused("token"), "the server's answer is no TokenRequest");
    const std::string none = "the server's answer holds no token with an end";
    for (const auto& body :
         {std::string{"[]"}, std::string{"{}"}, std::string{R"({"status":{"token":"abc"}})"},
          answer("", "2026-11-29T11:00:00Z"), answer("abc", "soon"),
          answer(R"(a\r\nX-Other: b)", "2026-11-29T11:00:00Z"),
          answer(std::string(100'000, 'a'), "2026-11-29T11:00:00Z")}) {
        EXPECT_EQ(refused(body), none) << body.substr(0, 100);
    }
}

}  // namespace
}  // namespace kled::kube
