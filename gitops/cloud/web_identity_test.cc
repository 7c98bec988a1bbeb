#include "gitops/cloud/web_identity.h"

#include "base/error.h"

#include <gtest/gtest.h>

namespace kled::gitops::cloud {
namespace {

/// After the example of the AWS STS API Reference.
constexpr std::string_view answer = R"(
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>amzn1.account.AF6RHO7KZU5XRVQJGXK6HB56KR2A</SubjectFromWebIdentityToken>
    <Audience>client.5498841531868486423.1548@apps.example.com</Audience>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::123456789012:assumed-role/FederatedWebIdentityRole/app1</Arn>
      <AssumedRoleId>AROACLKWSDQRAOEXAMPLE:app1</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <SessionToken>AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE</SessionToken>
      <SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY</SecretAccessKey>
      <Expiration>2014-10-24T23:00:23Z</Expiration>
      <AccessKeyId>ASgeIAIOSFODNN7EXAMPLE</AccessKeyId>
    </Credentials>
    <SourceIdentity>SourceIdentityValue</SourceIdentity>
    <Provider>www.amazon.com</Provider>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata>
    <RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId>
  </ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>)";

bool holds_credentials(std::string_view xml) {
    try {
        (void)read_assumed_role(xml);
        return true;
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "the answer of STS holds no credentials");
        return false;
    }
}

std::string with(std::string text, const std::string& what, const std::string& instead) {
    const auto at = text.find(what);
    EXPECT_NE(at, std::string::npos);
    return text.replace(at, what.size(), instead);
}

TEST(WebIdentity, IsShownToTheRegionsService) {
    EXPECT_EQ(sts_endpoint("eu-west-1"), "https://sts.eu-west-1.amazonaws.com");
    EXPECT_EQ(sts_endpoint("cn-north-1"), "https://sts.cn-north-1.amazonaws.com.cn");
    const Secret token{"a.b+c"};
    const auto request = assume_role("/", "arn:aws:iam::123456789012:role/git", "app1", token);
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.body,
              "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A"
              "123456789012%3Arole%2Fgit&RoleSessionName=app1&WebIdentityToken=a.b%2Bc");
}

TEST(WebIdentity, IsOfARole) {
    for (const auto* role : {"arn:aws:iam::123456789012:role/git",
                             "arn:aws-cn:iam::1:role/path/git", "arn:aws-us-gov:iam::1:role/a"})
        EXPECT_TRUE(is_role_arn(role)) << role;
    for (const auto* other :
         {"", "role", "arn:aws:iam::123456789012:user/git", "arn:aws:iam::123456789012:role/",
          "arn:aws:iam::x:role/git", "arn:aws:iam:::role/git", "arn:aws:iam::1:role/a\nb",
          "arn:aws/x:iam::1:role/a"})
        EXPECT_FALSE(is_role_arn(other)) << other;
}

TEST(WebIdentity, NamesItsSession) {
    EXPECT_EQ(session_name("deployer.web.kled.io"), "deployer.web.kled.io");
    EXPECT_EQ(session_name("a b/c"), "a-b-c");
    EXPECT_EQ(session_name(""), "kled");
    EXPECT_EQ(session_name(std::string(100, 'a')).size(), 64U);
}

TEST(WebIdentity, BringsCredentials) {
    const auto credentials = read_assumed_role(answer);
    EXPECT_EQ(credentials.keys.access_key, "ASgeIAIOSFODNN7EXAMPLE");
    EXPECT_EQ(credentials.keys.secret_key->reveal(), "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY");
    EXPECT_EQ(credentials.session_token->reveal(),
              "AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE");
    EXPECT_EQ(to_rfc3339(credentials.expires), "2014-10-24T23:00:23Z");
}

TEST(WebIdentity, BringsNothingElse) {
    const std::string good{answer};
    EXPECT_TRUE(holds_credentials(good));
    for (const auto& bad :
         {std::string{}, std::string{"{}"}, std::string{"<html/>"},
          with(good, "<Credentials>", "<Other>"), with(good, "2014-10-24", "soon"),
          with(good, "ASgeIAIOSFODNN7EXAMPLE", ""), with(good, "ASgeIA", "A&#13;&#10;B"),
          with(good, "wJalrX", " "), good.substr(0, good.size() - 10)})
        EXPECT_FALSE(holds_credentials(bad)) << bad;
    // Of another element, wherever it stands.
    EXPECT_FALSE(holds_credentials(with(with(good, "<Credentials>", "<AssumedRoleUser>"),
                                        "</Credentials>", "</AssumedRoleUser>")));
}

TEST(WebIdentity, IsRefusedInWords) {
    EXPECT_EQ(sts_refusal(R"(<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error><Type>Sender</Type><Code>AccessDenied</Code>
  <Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error>
  <RequestId>x</RequestId></ErrorResponse>)"),
              "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity");
    EXPECT_EQ(sts_refusal("<html>proxy</html>"), "");
    EXPECT_EQ(sts_refusal("no"), "");
}

}  // namespace
}  // namespace kled::gitops::cloud
