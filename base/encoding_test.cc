#include "base/encoding.h"

#include <gtest/gtest.h>

namespace kled {
namespace {

TEST(Encoding, WritesAndReadsTheVectorsOfRfc4648) {
    const std::pair<std::string_view, std::string_view> vectors[] = {{"", ""},
                                                                     {"f", "Zg=="},
                                                                     {"fo", "Zm8="},
                                                                     {"foo", "Zm9v"},
                                                                     {"foob", "Zm9vYg=="},
                                                                     {"fooba", "Zm9vYmE="},
                                                                     {"foobar", "Zm9vYmFy"}};
    for (const auto& [bytes, text] : vectors) {
        EXPECT_EQ(to_base64(bytes), text);
        EXPECT_EQ(from_base64(text), bytes);
    }
    EXPECT_EQ(to_base64url("\xfb\xff\xfe"), "-__-");
    EXPECT_EQ(to_base64url("f"), "Zg");
    EXPECT_EQ(from_base64url("Zg"), "f");
}

TEST(Encoding, SurvivesEveryByte) {
    std::string bytes;
    for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
    EXPECT_EQ(from_base64url(to_base64url(bytes)), bytes);
    EXPECT_EQ(from_hex(to_hex(bytes)), bytes);
}

TEST(Encoding, AcceptsLineBreaksInBase64AndNothingElse) {
    EXPECT_EQ(from_base64("Zm9v\r\nYmFy\n"), "foobar");
    for (const auto* bad :
         {"Zm9v YmFy", "Zg", "Zg=", "Zg===", "Z===", "=", "Zg==Zg==", "Zm9-", "Z"})
        EXPECT_EQ(from_base64(bad), std::nullopt) << bad;
    for (const auto* bad : {"Zg==", "Zm9v\n", "Zm9+", "Z"})
        EXPECT_EQ(from_base64url(bad), std::nullopt) << bad;
}

TEST(Encoding, ReadsHexOfBothCases) {
    EXPECT_EQ(from_hex("00fFaB"), (std::string{"\0\xff\xab", 3}));
    EXPECT_EQ(from_hex("0"), std::nullopt);
    EXPECT_EQ(from_hex("0g"), std::nullopt);
}

TEST(Encoding, KnowsUtf8) {
    for (const auto* good : {"", "a", "\xc2\xa2", "\xe2\x82\xac", "\xf0\x9f\x92\xa9",
                             "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"})
        EXPECT_TRUE(is_utf8(good)) << good;
    for (const auto* bad :
         {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xe2(\xac", "\xff"})
        EXPECT_FALSE(is_utf8(bad)) << bad;
}

}  // namespace
}  // namespace kled
