#include "kube/selector.h"

#include "base/error.h"

#include <gtest/gtest.h>

namespace kled::kube {
namespace {

Object labelled(std::string_view labels) {
    return Object::from(parse_json(R"({"metadata":{"labels":)" + std::string{labels} + "}}"));
}

bool matches(std::string_view selector, std::string_view labels) {
    return LabelSelector::parse(selector).matches(labelled(labels));
}

std::string normal(std::string_view text) { return LabelSelector::parse(text).to_string(); }

std::string failure(std::string_view text) {
    try {
        (void)LabelSelector::parse(text);
    } catch (const Error& error) {
        return error.what();
    }
    return "none";
}

TEST(LabelSelector, MatchesEverythingWhenEmpty) {
    EXPECT_TRUE(LabelSelector::parse(" ").empty());
    EXPECT_TRUE(matches("", "{}"));
    EXPECT_TRUE(LabelSelector{}.matches(Object{}));
}

TEST(LabelSelector, MatchesByEqualityAndBySet) {
    const auto* labels = R"({"app":"web","tier":"b","n":"5","in":"x"})";
    for (const auto* yes : {"app=web", "app==web", "app!=db", "none!=db", "app", "!none",
                            "tier in (a,b)", "tier notin (c)", "none notin (c)", "n>4", "n<6",
                            "app=web,tier=b", "in=x", "in in (x)", " app = web , ! none "}) {
        EXPECT_TRUE(matches(yes, labels)) << yes;
    }
    for (const auto* no : {"app=db", "app!=web", "none", "!app", "tier in (a,c)", "tier notin (b)",
                           "n>5", "n<5", "app>1", "none>1", "app=web,tier=a", "app="}) {
        EXPECT_FALSE(matches(no, labels)) << no;
    }
    EXPECT_TRUE(matches("app=", R"({"app":""})"));
    EXPECT_TRUE(matches("app in (a,)", R"({"app":""})"));
    EXPECT_TRUE(matches("app in ()", R"({"app":""})"));
}

TEST(LabelSelector, WritesOneTextForEqualSelectors) {
    EXPECT_EQ(normal("tier in (b, a,b), app=web ,!legacy"), "app=web,!legacy,tier in (a,b)");
    EXPECT_EQ(normal("a!=1,b notin (x,y),c,d>3,e<4,f in (z)"), "a!=1,b notin (x,y),c,d>3,e<4,f=z");
}

TEST(LabelSelector, SaysWhereATextIsWrong) {
    EXPECT_EQ(failure("a=b,"), "label selector: position 5: found the end, expected a key or '!'");
    EXPECT_EQ(
        failure("a b"),
        "label selector: position 3: found 'b', expected one of in, notin, =, ==, !=, <, > or ','");
    EXPECT_EQ(failure("a in b"), "label selector: position 6: found 'b', expected '('");
    EXPECT_EQ(failure("a in (b"), "label selector: position 8: found the end, expected ',' or ')'");
    EXPECT_EQ(failure("a=b)"), "label selector: position 4: found ')', expected ',' or the end");
    EXPECT_NE(failure("-a=b").find("key \"-a\": name part must consist of"), std::string::npos);
    EXPECT_NE(failure("a=b/c").find("value \"b/c\" of \"a\": a valid label must"),
              std::string::npos);
    EXPECT_EQ(failure("a>x"),
              "label selector: \"a\" is compared with \"x\", which is not an integer");
}

TEST(LabelSelector, ReadsTheFormInObjects) {
    const auto parse = [](std::string_view text) {
        return LabelSelector::from_object(parse_json(text).get_object());
    };
    const auto selector = parse(
        R"({"matchLabels":{"app":"web"},"matchExpressions":[)"
        R"({"key":"t","operator":"In","values":["b","a"]},)"
        R"({"key":"u","operator":"NotIn","values":["c"]},)"
        R"({"key":"v","operator":"Exists"},{"key":"w","operator":"DoesNotExist","values":[]}]})");
    EXPECT_EQ(selector.to_string(), "app=web,t in (a,b),u!=c,v,!w");
    EXPECT_TRUE(parse(R"({"matchLabels":null})").empty());
    for (const auto* wrong :
         {R"({"matchLabels":[]})", R"({"matchLabels":{"a":1}})", R"({"x":1})",
          R"({"matchExpressions":{}})", R"({"matchExpressions":[1]})",
          R"({"matchExpressions":[{"key":"a","operator":"In"}]})",
          R"({"matchExpressions":[{"key":"a","operator":"Is","values":["1"]}]})",
          R"({"matchExpressions":[{"key":"a","operator":"Exists","values":["1"]}]})",
          R"({"matchExpressions":[{"operator":"Exists"}]})"}) {
        EXPECT_THROW((void)parse(wrong), Error) << wrong;
    }
}

TEST(FieldSelector, SplitsIntoRequirements) {
    const auto parts = parse_field_selector(R"(metadata.name=a\,b,status.phase!=Failed,,spec.x==)");
    ASSERT_EQ(parts.size(), 3U);
    EXPECT_EQ(parts[0].path, "metadata.name");
    EXPECT_EQ(parts[0].value, "a,b");
    EXPECT_TRUE(parts[0].equal);
    EXPECT_EQ(parts[1].path, "status.phase");
    EXPECT_FALSE(parts[1].equal);
    EXPECT_EQ(parts[2].value, "");
    EXPECT_TRUE(parse_field_selector("").empty());
    for (const auto* wrong : {"a", "=b", "a=b=c", "a=\\x", "a=\\"}) {
        EXPECT_THROW((void)parse_field_selector(wrong), Error) << wrong;
    }
}

}  // namespace
}  // namespace kled::kube
