#include "net/wire.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace kled::net {
namespace {

using Role = MessageParser::Role;

/// Feeds `bytes` in pieces of `piece` as a connection would; what the parser does not take waits.
std::size_t feed(MessageParser& parser, std::string_view bytes, std::size_t piece) {
    std::string waiting;
    std::size_t used = 0;
    for (std::size_t at = 0; at < bytes.size() && !parser.done(); at += piece) {
        waiting += bytes.substr(at, piece);
        while (!parser.done()) {
            const auto taken = parser.put(waiting);
            if (taken == 0) break;
            waiting.erase(0, taken);
            used += taken;
        }
    }
    return used;
}

/// The status a server answers `bytes` with; 0 when they are a whole request.
unsigned refusal(std::string_view bytes, const MessageParser::Limits& limits = {}) {
    try {
        MessageParser parser{Role::request, limits};
        feed(parser, bytes, bytes.size());
        return parser.done() ? 0 : 1;
    } catch (const ProtocolError& error) {
        return error.status();
    }
}

TEST(MessageParser, ReadsARequestInPiecesOfAnySize) {
    const std::string bytes =
        "PATCH /api?x=y HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n"
        "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nTrailer: ignored\r\n\r\nGET / HT";
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
        MessageParser parser{Role::request, {}};
        EXPECT_EQ(feed(parser, bytes, piece), bytes.size() - 8) << piece;
        ASSERT_TRUE(parser.done()) << piece;
        EXPECT_EQ(parser.head().method, "PATCH");
        EXPECT_EQ(parser.head().target, "/api?x=y");
        EXPECT_EQ(parser.head().headers.get("x-a"), "b");
        EXPECT_FALSE(parser.head().headers.has("Trailer"));
        EXPECT_TRUE(parser.head().keep_alive);
        EXPECT_EQ(parser.body(), "hello world");
    }
}

TEST(MessageParser, AnEmptyChunkedBodyMayComeByteByByte) {
    MessageParser parser{Role::request, {}};
    feed(parser, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1);
    EXPECT_TRUE(parser.done());
}

TEST(MessageParser, ATargetWithRawBytesIsRefusedOnEveryMachine) {
    EXPECT_EQ(refusal("GET /a\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n"), 400U);
    std::string out;
    EXPECT_THROW(append_request_line(out, "GET", "/a\xc3\xa9"), Error);
}

TEST(MessageParser, AmbiguousFramingIsRefused) {
    const std::string start = "POST / HTTP/1.1\r\nHost: h\r\n";
    EXPECT_EQ(refusal(start + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), 400U);
    EXPECT_EQ(refusal(start + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), 400U);
    EXPECT_EQ(refusal(start + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), 400U);
    EXPECT_EQ(refusal(start + "Content-Length: 3, 3\r\n\r\nabc"), 400U);
    EXPECT_EQ(refusal(start + "Content-Length: +3\r\n\r\nabc"), 400U);
    EXPECT_EQ(refusal(start + "Content-Length: 0x3\r\n\r\nabc"), 400U);
    EXPECT_EQ(refusal(start + "Content-Length: 99999999999999999999\r\n\r\nabc"), 400U);
    EXPECT_EQ(refusal(start + "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501U);
    EXPECT_EQ(refusal(start + "Transfer-Encoding: identity\r\n\r\n"), 501U);
    EXPECT_EQ(refusal(start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
              400U);
    EXPECT_EQ(refusal(start + "Content-Length : 3\r\n\r\nabc"), 400U);
    EXPECT_EQ(refusal("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400U);
    EXPECT_EQ(refusal(start + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n"), 400U);
    EXPECT_EQ(refusal(start + "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"), 400U);
}

TEST(MessageParser, ARequestNamesOneHostAndAPath) {
    EXPECT_EQ(refusal("GET / HTTP/1.1\r\n\r\n"), 400U);
    EXPECT_EQ(refusal("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400U);
    EXPECT_EQ(refusal("GET / HTTP/1.0\r\n\r\n"), 0U);
    EXPECT_EQ(refusal("GET x HTTP/1.1\r\nHost: a\r\n\r\n"), 400U);
    EXPECT_EQ(refusal("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"), 400U);
    EXPECT_EQ(refusal("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), 0U);
    EXPECT_EQ(refusal("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505U);
    EXPECT_EQ(refusal("GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n"), 417U);
    EXPECT_EQ(refusal("GET / HTTP/1.1\nHost: a\n\n"), 505U);
    EXPECT_EQ(refusal("\x16\x03\x01\x02 TLS"), 400U);

    MessageParser absolute{Role::request, {}};
    feed(absolute, "GET http://h:80/a?b HTTP/1.1\r\nHost: h\r\n\r\n", 100);
    EXPECT_EQ(absolute.head().target, "/a?b");
}

TEST(MessageParser, LimitsHoldBeforeTheBytesCome) {
    MessageParser::Limits limits;
    limits.header_bytes = 256;
    limits.header_fields = 4;
    limits.body_bytes = 10;
    const std::string start = "POST / HTTP/1.1\r\nHost: h\r\n";
    EXPECT_EQ(refusal(start + "Content-Length: 11\r\n\r\n", limits), 413U);
    EXPECT_EQ(refusal(start + "Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n5\r\n", limits),
              413U);
    EXPECT_EQ(refusal(start + "X: " + std::string(300, 'a'), limits), 431U);
    EXPECT_EQ(refusal(start + "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n", limits), 431U);
    EXPECT_EQ(
        refusal(start + "Transfer-Encoding: chunked\r\n\r\n5;" + std::string(300, 'a'), limits),
        431U);
    EXPECT_EQ(refusal(start + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + std::string(300, 'a'),
                      limits),
              431U);
}

TEST(MessageParser, AResponseMayEndWithItsConnection) {
    MessageParser parser{Role::response, {}};
    feed(parser, "HTTP/1.1 200 OK\r\n\r\nabc", 5);
    EXPECT_FALSE(parser.done());
    EXPECT_FALSE(parser.head().keep_alive);
    parser.put_end();
    EXPECT_TRUE(parser.done());
    EXPECT_EQ(parser.body(), "abc");

    MessageParser cut{Role::response, {}};
    feed(cut, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", 5);
    EXPECT_THROW(cut.put_end(), ProtocolError);
}

TEST(MessageParser, AnswersToHeadAndWithoutContentHaveNoBody) {
    MessageParser head{Role::response_to_head, {}};
    feed(head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 100);
    EXPECT_TRUE(head.done());
    EXPECT_EQ(head.head().content_length, 5U);
    MessageParser empty{Role::response, {}};
    feed(empty, "HTTP/1.1 204 No Content\r\n\r\n", 100);
    EXPECT_TRUE(empty.done());
    EXPECT_TRUE(empty.head().keep_alive);
}

TEST(Wire, NothingCanBeInjected) {
    std::string out;
    EXPECT_THROW(append_fields(out, Headers{{"X", "a\r\nSet-Cookie: b"}}), Error);
    EXPECT_THROW(append_fields(out, Headers{{"X", "a\nb"}}), Error);
    EXPECT_THROW(append_fields(out, Headers{{"X", std::string{"a\0b", 3}}}), Error);
    EXPECT_THROW(append_fields(out, Headers{{"X: y\r\nZ", "a"}}), Error);
    EXPECT_THROW(append_fields(out, Headers{{"", "a"}}), Error);
    EXPECT_THROW(append_request_line(out, "GET", "/ HTTP/1.1\r\nX: y"), Error);
    EXPECT_THROW(append_request_line(out, "GET /", "/"), Error);
    EXPECT_THROW(append_request_line(out, "GET", ""), Error);
}

}  // namespace
}  // namespace kled::net
