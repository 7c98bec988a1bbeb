#include "net/http.h"

#include "base/error.h"

#include <gtest/gtest.h>

#include <string>

namespace kled::net {
namespace {

std::string refusal(std::string_view url) {
    try {
        (void)parse_url(url);
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return error.what();
    }
    return "accepted";
}

TEST(Headers, NamesCompareWithoutCase) {
    Headers headers{{"Content-Type", "text/plain"}, {"X-A", "1"}};
    headers.add("x-a", "2");
    EXPECT_EQ(headers.get("content-type"), "text/plain");
    EXPECT_EQ(headers.get("X-A"), "1");
    headers.set("X-a", "3");
    EXPECT_EQ(std::distance(headers.begin(), headers.end()), 2);
    headers.remove("CONTENT-TYPE");
    EXPECT_FALSE(headers.has("Content-Type"));
}

TEST(Target, PathAndQueryAreDecoded) {
    const auto target = parse_target("/a%20b/c+d?labelSelector=app%3Dweb%2Cx&watch&q=a+b&&empty=");
    EXPECT_EQ(target.path, "/a b/c+d");
    EXPECT_EQ(target.parameter("labelSelector"), "app=web,x");
    EXPECT_EQ(target.parameter("watch"), "");
    EXPECT_EQ(target.parameter("q"), "a b");
    EXPECT_EQ(target.parameter("empty"), "");
    EXPECT_EQ(target.parameter("absent"), std::nullopt);
    EXPECT_EQ(target.query.size(), 4U);
}

TEST(Target, BadEscapesAreRefused) {
    for (const auto* bad : {"/%", "/%2", "/%zz", "/a?b=%4", "/%00", "/%-1"})
        EXPECT_THROW((void)parse_target(bad), Error) << bad;
}

TEST(Target, EncodingIsUndoneByDecoding) {
    const std::string text = "a b/c?d=é&~._-%";
    EXPECT_EQ(percent_encode("a/b c"), "a%2Fb%20c");
    EXPECT_EQ(parse_target("/?x=" + percent_encode(text)).parameter("x"), text);
}

TEST(Url, PartsAreTakenApart) {
    const auto url = parse_url("https://me:p%40ss@git.example.com:8443/a/b?c=d#e");
    EXPECT_EQ(url.scheme, "https");
    EXPECT_EQ(url.user, "me");
    EXPECT_EQ(url.password, "p@ss");
    EXPECT_EQ(url.host, "git.example.com");
    EXPECT_EQ(url.port, "8443");
    EXPECT_EQ(url.target, "/a/b?c=d");

    const auto v6 = parse_url("HTTP://[::1]?x");
    EXPECT_EQ(v6.scheme, "http");
    EXPECT_EQ(v6.host, "::1");
    EXPECT_EQ(v6.port, "80");
    EXPECT_EQ(v6.target, "/?x");

    const auto socket = parse_url("unix:/run/kled.sock");
    EXPECT_EQ(socket.scheme, "unix");
    EXPECT_EQ(socket.host, "/run/kled.sock");
    EXPECT_EQ(socket.target, "/");
}

TEST(Url, WhatIsWrongIsSaidWithoutThePassword) {
    EXPECT_EQ(refusal("example.com"),
              "URL 'example.com': has no scheme; write http:// or https://");
    EXPECT_EQ(refusal("https://u:secret@h:99999"), "URL 'h:99999': port '99999' is not 1 to 65535");
    EXPECT_NE(refusal("ftp://h"), "accepted");
    EXPECT_NE(refusal("https://"), "accepted");
    EXPECT_NE(refusal("https://[::1"), "accepted");
    EXPECT_NE(refusal("https://[::1]x"), "accepted");
    EXPECT_NE(refusal("https://h/a b"), "accepted");
    EXPECT_NE(refusal("https://h/\r\nX: y"), "accepted");
    EXPECT_NE(refusal("https://h:0x50/"), "accepted");
    EXPECT_NE(refusal("unix:relative"), "accepted");
}

}  // namespace
}  // namespace kled::net
