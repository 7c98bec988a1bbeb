#include "gitops/cloud/token_endpoint.h"

#include "base/error.h"

#include <gtest/gtest.h>

namespace kled::gitops::cloud {
namespace {

TEST(TokenEndpoint, TakesAForm) {
    const auto request = form_request("/x", {{"a", "b c"}, {"d&", "e=f/+%"}});
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.target, "/x");
    EXPECT_EQ(request.headers.get("Content-Type"), "application/x-www-form-urlencoded");
    EXPECT_EQ(request.body, "a=b%20c&d%26=e%3Df%2F%2B%25");
}

TEST(TokenEndpoint, IsWhereNobodyListens) {
    EXPECT_EQ(token_endpoint("https://host/base/", "NAME").target, "/base");
    EXPECT_EQ(token_endpoint("https://host/", "NAME").target, "");
    EXPECT_EQ(token_endpoint("http://127.0.0.1:8080", "NAME").port, "8080");
    EXPECT_EQ(token_endpoint("http://localhost", "NAME").host, "localhost");
    for (const auto* url : {"http://host", "http://127.0.0.1.example.org", "unix:/run/x", "host"}) {
        try {
            (void)token_endpoint(url, "NAME");
            ADD_FAILURE() << url;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::invalid);
            EXPECT_TRUE(std::string_view{error.what()}.starts_with("NAME ")) << error.what();
        }
    }
}

TEST(TokenEndpoint, IsQuotedInOneShortLine) {
    EXPECT_EQ(one_line("AADSTS1: no.\r\nTrace ID: x"), "AADSTS1: no.");
    EXPECT_EQ(one_line("a\tb\x1b[c"), "a b [c");
    EXPECT_EQ(one_line(std::string(1000, 'a')).size(), 300U);
}

}  // namespace
}  // namespace kled::gitops::cloud
