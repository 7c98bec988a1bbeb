#include "gitops/cloud/entra.h"

#include "base/error.h"

#include <gtest/gtest.h>

namespace kled::gitops::cloud {
namespace {

bool is_devops(const std::string& url) {
    try {
        check_devops_url(url);
        return true;
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return false;
    }
}

TEST(AzureDevOps, IsKnownByItsHost) {
    for (const auto* url : {"https://dev.azure.com/org/project/_git/repo",
                            "https://org@dev.azure.com/org/project/_git/repo",
                            "https://org.visualstudio.com/project/_git/repo"})
        EXPECT_TRUE(is_devops(url)) << url;
    for (const auto* url :
         {"http://dev.azure.com/org/project/_git/repo", "https://dev.azure.com.example.org/x",
          "https://.visualstudio.com/x", "https://visualstudio.com/x", "https://github.com/x",
          "https://u:p@dev.azure.com/x", "https://dev.azure.com:8443/x", "ssh://dev.azure.com/x"})
        EXPECT_FALSE(is_devops(url)) << url;
}

/// As the page of Microsoft on client credentials has a request with a federated credential, with
/// the scope of Azure DevOps.
TEST(Entra, IsAskedWithAnAssertion) {
    const Secret assertion{"a.b"};
    const auto request =
        entra_token("", "a8990e1f-ff32-408a-9f8e-78d3b9139b95",
                    "97e0a5b7-d745-40b6-94fe-5f77d35c6e05", std::string{devops_scope}, assertion);
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.target, "/a8990e1f-ff32-408a-9f8e-78d3b9139b95/oauth2/v2.0/token");
    EXPECT_EQ(request.body,
              "client_id=97e0a5b7-d745-40b6-94fe-5f77d35c6e05"
              "&scope=499b84ac-1321-427f-aa17-267ca6975798%2F.default"
              "&grant_type=client_credentials"
              "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-"
              "bearer&client_assertion=a.b");
}

TEST(Entra, HasIdsThatStayInTheirPath) {
    EXPECT_TRUE(is_entra_id("97e0a5b7-d745-40b6-94fe-5f77d35c6e05"));
    EXPECT_TRUE(is_entra_id("contoso.onmicrosoft.com"));
    for (const auto* id : {"", "..", "a/b", "a?b", "a b", "a%2f"}) EXPECT_FALSE(is_entra_id(id));
}

}  // namespace
}  // namespace kled::gitops::cloud
