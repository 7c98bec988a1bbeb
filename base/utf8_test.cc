#include "base/utf8.h"

#include <gtest/gtest.h>

namespace kled {
namespace {

TEST(Utf8, ReplacesWhatIsNone) {
    EXPECT_EQ(to_utf8("apps/ü.yaml"), "apps/ü.yaml");
    EXPECT_EQ(to_utf8("a\xff\xfe/\xe2\x82z"), "a\uFFFD\uFFFD/\uFFFD\uFFFDz");
    EXPECT_EQ(to_utf8("\xc3"), "\uFFFD");
}

TEST(Utf8, IsCutBetweenCharacters) {
    EXPECT_EQ(shortened("abcdef", 6), "abcdef");
    EXPECT_EQ(shortened("abcdefg", 6), "abc...");
    EXPECT_EQ(shortened("aéééé", 6), "aé...");
    EXPECT_EQ(shortened("ééééé", 6), "é...");
    EXPECT_EQ(shortened("\xff\xff\xff\xff", 6), "\uFFFD...");
}

}  // namespace
}  // namespace kled
