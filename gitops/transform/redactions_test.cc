#include "gitops/transform/redactions.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

std::string redacted(std::initializer_list<std::string_view> values, std::string text) {
    Redactions redactions;
    for (const auto value : values) redactions.add(value);
    return redactions.redact(std::move(text));
}

TEST(Redactions, AValueIsHiddenWhereverItStands) {
    EXPECT_EQ(redacted({"hunter2"}, "Invalid value: \"hunter2\": hunter2 is no number"),
              "Invalid value: \"***\": *** is no number");
    EXPECT_EQ(redacted({}, "nothing to hide"), "nothing to hide");
}

TEST(Redactions, AlsoInBase64AndEscaped) {
    EXPECT_EQ(redacted({"hunter2"}, "data.p: aHVudGVyMg== is not it"), "data.p: ***== is not it");
    EXPECT_EQ(redacted({"a\"b\\c"}, R"(bad: "a\"b\\c")"), R"(bad: "***")");
}

TEST(Redactions, EachLineOfAFileCounts) {
    EXPECT_EQ(redacted({"first line\nsecond line\n"}, "line 2: 'second line'"), "line 2: '***'");
}

TEST(Redactions, AWordOfATextCountsWhenItLooksLikeASecret) {
    EXPECT_EQ(
        redacted({"user: admin\npassword: s3cretword\n"}, "line 2: s3cretword, admin, password"),
        "line 2: ***, admin, password");
    EXPECT_EQ(redacted({"a correcthorsebatterystaple b"}, "'correcthorsebatterystaple'"), "'***'");
}

TEST(Redactions, WhatIsPartOfAnotherLeavesNoRest) {
    EXPECT_EQ(redacted({"pass", "password-1"}, "password-1"), "***");
}

TEST(Redactions, ShortValuesStand) {
    EXPECT_EQ(redacted({"a", "42", "   x  "}, "a 42 x is as it was"), "a 42 x is as it was");
}

}  // namespace
}  // namespace kled::gitops
