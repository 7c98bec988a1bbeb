#include "kube/object.h"

#include "base/error.h"

#include <gtest/gtest.h>

#include <limits>

namespace kled::kube {
namespace {

std::string round_trip(std::string_view text) { return to_json(parse_json(text)); }

std::string failure(std::string_view text, std::size_t max_depth = 512) {
    try {
        (void)parse_json(text, max_depth);
    } catch (const Error& error) {
        return std::string{to_string(error.kind())} + " " + error.what();
    }
    return "none";
}

TEST(Json, KeepsIntegersOf64BitsAndKeyOrder) {
    const auto* text =
        R"({"z":9223372036854775807,"a":-9223372036854775808,"m":18446744073709551615})";
    EXPECT_EQ(round_trip(text), text);
}

TEST(Json, WritesNumbersAsGoDoes) {
    EXPECT_EQ(round_trip("[1.0,-0.0,1e3,1.5,0.000001,1e-7,1e20,1e21,1.25e-10,123456789.125]"),
              "[1,0,1000,1.5,0.000001,1e-7,100000000000000000000,1e+21,1.25e-10,123456789.125]");
    EXPECT_EQ(round_trip("[9223372036854775808.0,1.8446744073709552e19,12345678901234567.0]"),
              "[9223372036854776000,18446744073709552000,12345678901234568]");
}

TEST(Json, ReadsEveryDoubleToTheNearest) {
    // Each of these is off by one unit when it is computed as mantissa times power of ten.
    for (const auto* text : {"0.1", "2.2250738585072014e-308", "179.76931348623157",
                             "9007199254740.993", "5.0e-324", "0.30000000000000004", "8.41e-27"}) {
        EXPECT_EQ(parse_json(text).as_double(), std::strtod(text, nullptr)) << text;
    }
}

TEST(Json, EscapesControlCharactersAndKeepsUtf8) {
    EXPECT_EQ(round_trip(R"("\u0001\b\f\n\r\t\"\\\/é\u20ac<>&")"),
              R"("\u0001\b\f\n\r\t\"\\/é€<>&")");
}

TEST(Json, SaysWhereItFails) {
    EXPECT_EQ(failure("{\"a\":1,}"), "invalid JSON: byte 7: syntax error");
    EXPECT_EQ(failure("1e400"), "invalid JSON: byte 5: exponent overflow");
    EXPECT_EQ(failure("1 2"), "invalid JSON: byte 2: extra data");
    EXPECT_EQ(failure(""), "invalid JSON: byte 0: incomplete JSON");
    EXPECT_EQ(failure("\"\xff\""), "invalid JSON: byte 1: syntax error");
}

TEST(Json, RefusesWhatIsDeeperThanAsked) {
    EXPECT_EQ(failure("[[1]]", 2), "none");
    EXPECT_EQ(failure("[[[1]]]", 2).substr(0, 9), "exhausted");
    EXPECT_EQ(failure(std::string(100'000, '[')).substr(0, 9), "exhausted");
}

TEST(Json, RefusesToWriteWhatJsonCannotSay) {
    EXPECT_THROW((void)to_json(json::value(std::numeric_limits<double>::infinity())), Error);
}

TEST(Json, CanonicalFormSortsKeysAtEveryLevel) {
    EXPECT_EQ(to_canonical_json(parse_json(R"({"b":[{"d":1,"c":2}],"a":{"z":1,"Y":2}})")),
              R"({"a":{"Y":2,"z":1},"b":[{"c":2,"d":1}]})");
}

TEST(Object, ReadsWhatIsThereAndIsEmptyWhereItIsNot) {
    const auto object = Object::from(parse_json(
        R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop",)"
        R"("uid":"u","resourceVersion":"7","generation":3,"deletionTimestamp":"2024-01-01T00:00:00Z",)"
        R"("labels":{"app":"web","odd":1}},"spec":{},"status":[]})"));
    EXPECT_EQ(object.gvk().to_string(), "apps/v1/Deployment");
    EXPECT_EQ(object.id().to_string(), "Deployment.apps shop/web");
    EXPECT_EQ(object.uid(), "u");
    EXPECT_EQ(object.resource_version(), "7");
    EXPECT_EQ(object.generation(), 3);
    EXPECT_TRUE(object.deleting());
    EXPECT_EQ(object.label("app"), "web");
    EXPECT_EQ(object.label("odd"), "");
    EXPECT_EQ(object.annotation("none"), "");
    EXPECT_NE(object.spec(), nullptr);
    EXPECT_EQ(object.status(), nullptr);

    const Object nothing;
    EXPECT_EQ(nothing.name(), "");
    EXPECT_EQ(nothing.generation(), 0);
    EXPECT_FALSE(nothing.deleting());
    EXPECT_EQ(nothing.metadata(), nullptr);
    EXPECT_THROW((void)Object::from(json::value(1)), Error);
}

TEST(Object, MakesMetadataAfterApiVersionAndKind) {
    auto object = Object::from(parse_json(R"({"data":{},"kind":"ConfigMap","apiVersion":"v1"})"));
    object.set_name("a");
    object.set_namespace("n");
    object.set_label("l", "1");
    object.set_annotation("x", "2");
    EXPECT_EQ(to_json(object.fields()),
              R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"n",)"
              R"("labels":{"l":"1"},"annotations":{"x":"2"}},"data":{}})");
}

TEST(Object, WalksEndWhereAStepIsAbsentOrOfAnotherType) {
    const auto value = parse_json(R"({"a":{"b":["c"]},"d":"text"})");
    EXPECT_NE(find(value, {"a", "b"}), nullptr);
    EXPECT_EQ(find(value, {"a", "b", "c"}), nullptr);
    EXPECT_EQ(find(value, {"x", "y"}), nullptr);
    EXPECT_EQ(find(value, {}), &value);
    EXPECT_EQ(find_string(value.get_object(), {"d"}), "text");
    EXPECT_EQ(find_string(value.get_object(), {"a"}), "");
}

TEST(GroupVersionKind, SplitsAtTheFirstSlash) {
    EXPECT_EQ(GroupVersionKind::parse("v1", "Pod"), (GroupVersionKind{"", "v1", "Pod"}));
    EXPECT_EQ(GroupVersionKind::parse("apps/v1", "Deployment").to_string(), "apps/v1/Deployment");
}

TEST(Origin, FindsTheDeepestKnownLine) {
    const auto lines = std::make_shared<std::map<std::string, int, std::less<>>>();
    (*lines)["/spec"] = 4;
    (*lines)["/spec/a~1b"] = 6;
    const Origin origin{.file = "web.yaml", .line = 1, .lines = lines};
    EXPECT_EQ(origin.at("/spec/a~1b/c/0"), "web.yaml:6");
    EXPECT_EQ(origin.at("/spec/z"), "web.yaml:4");
    EXPECT_EQ(origin.at("/kind"), "web.yaml:1");
    EXPECT_EQ((Origin{.file = "x", .line = 0, .lines = {}}).at("/a"), "x");
}

}  // namespace
}  // namespace kled::kube
