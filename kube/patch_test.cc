#include "kube/patch.h"

#include "base/error.h"

#include <gtest/gtest.h>

namespace kled::kube {
namespace {

std::string json_patch(std::string_view target, std::string_view operations) {
    auto value = parse_json(target);
    const auto before = value;
    try {
        apply_json_patch(value, parse_json(operations));
    } catch (const Error& error) {
        EXPECT_EQ(value, before) << "changed although it failed";
        return std::string{to_string(error.kind())} + ": " + error.what();
    }
    return to_json(value);
}

std::string merge_patch(std::string_view target, std::string_view patch) {
    auto value = parse_json(target);
    apply_merge_patch(value, parse_json(patch));
    return to_json(value);
}

TEST(JsonPatch, DoesWhatTheAppendixOfRfc6902Does) {
    EXPECT_EQ(json_patch(R"({"foo":"bar"})", R"([{"op":"add","path":"/baz","value":"qux"}])"),
              R"({"foo":"bar","baz":"qux"})");
    EXPECT_EQ(
        json_patch(R"({"foo":["bar","baz"]})", R"([{"op":"add","path":"/foo/1","value":"qux"}])"),
        R"({"foo":["bar","qux","baz"]})");
    EXPECT_EQ(json_patch(R"({"a":1,"b":2,"c":3})", R"([{"op":"remove","path":"/a"}])"),
              R"({"b":2,"c":3})");
    EXPECT_EQ(json_patch(R"({"foo":[1,2,3]})", R"([{"op":"remove","path":"/foo/1"}])"),
              R"({"foo":[1,3]})");
    EXPECT_EQ(json_patch(R"({"baz":"qux"})", R"([{"op":"replace","path":"/baz","value":"boo"}])"),
              R"({"baz":"boo"})");
    EXPECT_EQ(json_patch(R"({"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}})",
                         R"([{"op":"move","from":"/foo/waldo","path":"/qux/thud"}])"),
              R"({"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}})");
    EXPECT_EQ(json_patch(R"({"foo":["all","grass","cows","eat"]})",
                         R"([{"op":"move","from":"/foo/1","path":"/foo/3"}])"),
              R"({"foo":["all","cows","eat","grass"]})");
    EXPECT_EQ(
        json_patch(
            R"({"foo":["a",2]})",
            R"([{"op":"test","path":"/foo/1","value":2},{"op":"add","path":"/foo/-","value":["x"]}])"),
        R"({"foo":["a",2,["x"]]})");
    EXPECT_EQ(
        json_patch(R"({"/":9,"~1":10})",
                   R"([{"op":"test","path":"/~01","value":10},{"op":"remove","path":"/~1"}])"),
        R"({"~1":10})");
    EXPECT_EQ(json_patch(R"({"a":{"b":1}})", R"([{"op":"copy","from":"/a","path":"/a/c"}])"),
              R"({"a":{"b":1,"c":{"b":1}}})");
    EXPECT_EQ(json_patch(R"({"a":1})", R"([{"op":"replace","path":"","value":[]}])"), "[]");
    EXPECT_EQ(json_patch(R"({"":1})", R"([{"op":"replace","path":"/","value":2}])"), R"({"":2})");
}

TEST(JsonPatch, CountsNegativePlacesFromTheEndAndTakesAbsentForNullInATest) {
    EXPECT_EQ(json_patch("[1,2,3]", R"([{"op":"remove","path":"/-1"}])"), "[1,2]");
    EXPECT_EQ(json_patch("[1,2,3]", R"([{"op":"add","path":"/-1","value":4}])"), "[1,2,3,4]");
    EXPECT_EQ(json_patch("{}", R"([{"op":"test","path":"/a","value":null}])"), "{}");
}

TEST(JsonPatch, TakesAbsentMembersOfMapsForNullWhereItReplacesAndCopies) {
    EXPECT_EQ(json_patch("{}", R"([{"op":"replace","path":"/a","value":1}])"), R"({"a":1})");
    EXPECT_EQ(json_patch("{}", R"([{"op":"copy","from":"/a","path":"/b"}])"), R"({"b":null})");
    EXPECT_EQ(json_patch("[]", R"([{"op":"replace","path":"/0","value":1}])"),
              "not found: JSON patch: operation 0: path \"/0\" does not exist");
}

TEST(JsonPatch, FailsAsAWholeAndSaysWhichOperation) {
    EXPECT_EQ(
        json_patch(R"({"a":1})", R"([{"op":"remove","path":"/a"},{"op":"remove","path":"/a"}])"),
        "not found: JSON patch: operation 1: path \"/a\" does not exist");
    EXPECT_EQ(json_patch(R"({"a":1})", R"([{"op":"test","path":"/a","value":"1"}])"),
              "conflict: JSON patch: operation 0: test of \"/a\" failed: the value is another one");
    EXPECT_EQ(json_patch("{}", R"([{"op":"add","path":"/a/b","value":1}])"),
              "not found: JSON patch: operation 0: path \"/a/b\" does not exist");
    EXPECT_EQ(json_patch("{}", R"([{"op":"replace","path":"/a/b","value":1}])"),
              "not found: JSON patch: operation 0: path \"/a/b\" does not exist");
    EXPECT_EQ(json_patch("[1]", R"([{"op":"add","path":"/2","value":1}])"),
              "not found: JSON patch: operation 0: path \"/2\" does not exist");
    EXPECT_EQ(json_patch("[1]", R"([{"op":"remove","path":"/01"}])"),
              "invalid: JSON patch: operation 0: path \"/01\": \"01\" is not a place in a list");
    EXPECT_EQ(json_patch("{}", R"([{"op":"add","path":"a","value":1}])"),
              "invalid: JSON patch: operation 0: path \"a\" does not begin with '/'");
    EXPECT_EQ(json_patch("{}", R"([{"op":"add","path":"/a"}])"),
              "invalid: JSON patch: operation 0: \"value\" must be given");
    EXPECT_EQ(json_patch("{}", R"([{"op":"spread","path":"/a"}])"),
              "invalid: JSON patch: operation 0: unknown op \"spread\": one of add, remove, "
              "replace, move, copy, test");
    EXPECT_EQ(json_patch(R"({"a":{}})", R"([{"op":"move","from":"/a","path":"/a/b"}])"),
              "invalid: JSON patch: operation 0: \"/a\" cannot move into itself");
    EXPECT_EQ(json_patch("{}", "{}"), "invalid: JSON patch: not a list of operations");
    EXPECT_EQ(json_patch("{}", "[1]"), "invalid: JSON patch: operation 0: not a mapping");
}

TEST(JsonPatch, StopsCopiesThatGrowByPowers) {
    std::string operations = "[";
    for (int i = 0; i != 100; ++i) {
        operations += R"({"op":"copy","from":"","path":"/a)" + std::to_string(i) + R"("},)";
    }
    operations.back() = ']';
    EXPECT_EQ(json_patch(R"({"b":[1,2,3]})", operations).substr(0, 10), "exhausted:");
    operations = "[";
    for (int i = 0; i != 2000; ++i)
        operations +=
            R"({"op":"copy","from":"/a","path":"/b/a"},{"op":"move","from":"/b","path":"/a"},{"op":"add","path":"/b","value":{}},)";
    operations.back() = ']';
    EXPECT_EQ(json_patch(R"({"a":1,"b":{}})", operations).substr(0, 10), "exhausted:");
}

TEST(MergePatch, DoesWhatTheAppendixOfRfc7396Does) {
    EXPECT_EQ(merge_patch(R"({"a":"b"})", R"({"a":"c"})"), R"({"a":"c"})");
    EXPECT_EQ(merge_patch(R"({"a":"b","b":"c"})", R"({"a":null})"), R"({"b":"c"})");
    EXPECT_EQ(merge_patch(R"({"a":["b"]})", R"({"a":"c"})"), R"({"a":"c"})");
    EXPECT_EQ(merge_patch(R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})"),
              R"({"a":{"b":"d"}})");
    EXPECT_EQ(merge_patch(R"(["a","b"])", R"(["c","d"])"), R"(["c","d"])");
    EXPECT_EQ(merge_patch(R"({"a":"foo"})", "null"), "null");
    EXPECT_EQ(merge_patch("[1,2]", R"({"a":"b","c":null})"), R"({"a":"b"})");
    EXPECT_EQ(merge_patch("{}", R"({"a":{"bb":{"ccc":null}}})"), R"({"a":{"bb":{}}})");
    EXPECT_EQ(merge_patch(R"({"z":1,"y":2,"x":3})", R"({"z":null})"), R"({"y":2,"x":3})");
}

TEST(MergePatch, IsMadeSoThatApplyingItGivesTheOther) {
    const auto from = parse_json(R"({"a":{"b":1,"c":[1]},"d":"x","e":1})");
    const auto to = parse_json(R"({"a":{"b":2,"c":[1]},"e":{"f":1},"g":true})");
    const auto patch = create_merge_patch(from, to);
    EXPECT_EQ(to_json(patch), R"({"a":{"b":2},"e":{"f":1},"g":true,"d":null})");
    auto value = from;
    apply_merge_patch(value, patch);
    EXPECT_EQ(value, to);
    EXPECT_EQ(to_json(create_merge_patch(to, to)), "{}");
}

}  // namespace
}  // namespace kled::kube
