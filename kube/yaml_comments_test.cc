#include "kube/yaml_comments.h"

#include "base/error.h"
#include "kube/yaml.h"
#include "kube/yaml_comment_writer.h"
#include "kube/yaml_restyle.h"

#include <gtest/gtest.h>

namespace kled::kube {
namespace {

std::string again(std::string_view text) { return restyle_yaml(parse_yaml(text), text); }

using Place = std::pair<std::size_t, YamlNodeKind>;

TEST(YamlComments, AreTheKeysBeforeAndTheValuesBehind) {
    const auto map = read_yaml_comments("# head\na: 1 # line\n# foot\n\nb: 2\n");
    ASSERT_EQ(map.nodes.size(), 2U);
    EXPECT_EQ(map.nodes.at(Place(7, YamlNodeKind::scalar)).head, "# head");
    EXPECT_EQ(map.nodes.at(Place(7, YamlNodeKind::scalar)).foot, "# foot");
    EXPECT_EQ(map.nodes.at(Place(10, YamlNodeKind::scalar)).line, "# line");
}

TEST(YamlComments, OfTheDocumentAreParted) {
    const auto map = read_yaml_comments("# license\n\n# of a\na: 1\n\n# end\n");
    EXPECT_EQ(map.document.head, "# license");
    EXPECT_EQ(map.document.foot, "# end");
    EXPECT_EQ(map.nodes.at(Place(18, YamlNodeKind::scalar)).head, "# of a");
}

TEST(YamlComments, ThereAreNoneInTexts) {
    EXPECT_TRUE(read_yaml_comments("a: |\n  # text\nb: 'x # y'\nc: x#y\n").empty());
}

TEST(YamlComments, AreNotLookedForWhereCarriageReturnsMovePlaces) {
    EXPECT_TRUE(read_yaml_comments("# c\r\na: 1\r\n").empty());
}

TEST(RestyleYamlWithComments, KeepsWhatIsInPlace) {
    const std::string text =
        "# license\n\n# of a\na: # behind a\n  # of b\n  b: 1 # behind 1\n  # x: 1\nc:\n"
        "# first\n- x # behind x\n# second\n- k: |- # behind the bar\n    # text\n"
        "# the end\n";
    EXPECT_EQ(again(text), text);
}

TEST(RestyleYamlWithComments, WritesAFoldedTextAsYamlV3Does) {
    EXPECT_EQ(again("a: >\n  one\n    two\nb: >-\n  x\n"), "a: >\n  one\n\n    two\nb: >-\n  x\n");
}

TEST(RestyleYamlWithComments, TabsStayInTextBlocks) {
    const std::string text = "a: |- # why\n  x:\n  \ty\n\n  z\nb: >\n  x\ty\n\nc: \"\\t\"\n";
    EXPECT_EQ(again(text), text);
}

TEST(RestyleYamlWithComments, AliasesDoNotMultiplyThem) {
    EXPECT_EQ(again("a: &x\n  # k\n  k: 1\nb: *x\n"), "a:\n  # k\n  k: 1\nb:\n  k: 1\n");
}

TEST(RestyleYamlWithComments, WhatIsNewHasNone) {
    const std::string text = "# a\na: # behind\n  # k\n  k: 'x'\n# b\nb: 1\n";
    auto value = parse_yaml(text);
    auto& a = value.get_object()["a"];
    a = json::object{{"k", "y"}};
    EXPECT_EQ(restyle_yaml(value, text, {&a}), "# a\na: # behind\n  k: y\n# b\nb: 1\n");
}

TEST(RestyleYamlWithComments, ManyAtAllDepthsTakeLinearTime) {
    std::string text;
    for (std::size_t depth = 0; depth < 250; ++depth) text += std::string(depth * 2, ' ') + "k:\n";
    text += std::string(500, ' ') + "v: 1\n";
    for (std::size_t i = 0; i < 20'000; ++i) text += i % 2 == 0 ? "  #\n" : "    #\n";
    EXPECT_FALSE(again(text).empty());
}

TEST(RestyleYamlWithComments, DoesNotIndentThemWithoutEnd) {
    std::string text;
    for (std::size_t depth = 0; depth < 250; ++depth) text += std::string(depth, ' ') + "k:\n";
    for (std::size_t i = 0; i < 40'000; ++i) text += "#\n";
    text += std::string(250, ' ') + "v: 1\n";
    EXPECT_THROW((void)again(text), Error);
}

}  // namespace
}  // namespace kled::kube
