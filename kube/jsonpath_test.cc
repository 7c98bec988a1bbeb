#include "kube/jsonpath.h"

#include "base/error.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace kled::kube {
namespace {

const json::value& sample() {
    static const auto value =
        parse_json(R"({"metadata":{"name":"n","annotations":{"a.b/c":"dotted"}},
        "spec":{"replicas":3,"list":[{"name":"x","port":80},{"name":"y","port":443,"tls":{"on":true}}],"empty":[]},
        "status":{"conditions":[{"type":"Ready","status":"True"},{"type":"Synced","status":"False"}]}})");
    return value;
}

/// What a path finds, as JSON, joined by blanks; both ways of asking agree.
std::string found(std::string_view path) {
    const auto parsed = JsonPath::parse(path);
    std::string text;
    for (const auto* const value : parsed.find(sample()))
        text += (text.empty() ? "" : " ") + to_json(*value);
    const auto again = parsed.find(sample().get_object());
    if (!path.empty() && path != "." && path != "{.}") {
        EXPECT_TRUE(std::ranges::equal(again, parsed.find(sample()))) << path;
    }
    return text;
}

TEST(JsonPath, FindsWhatPrinterColumnsName) {
    EXPECT_EQ(found(".spec.replicas"), "3");
    EXPECT_EQ(found("{.spec.replicas}"), "3");
    EXPECT_EQ(found("spec.replicas"), "3");
    EXPECT_EQ(found(".spec.list[0].name"), R"("x")");
    EXPECT_EQ(found(".spec.list[-1].name"), R"("y")");
    EXPECT_EQ(found(".spec.list[*].port"), "80 443");
    EXPECT_EQ(found(".spec.list[0:1].port"), "80");
    EXPECT_EQ(found(".spec.list[1:].port"), "443");
    EXPECT_EQ(found(".spec.list[0,1]['name']"), R"("x" "y")");
    EXPECT_EQ(found(".status.conditions[?(@.type==\"Ready\")].status"), R"("True")");
    EXPECT_EQ(found(".status.conditions[?(@.type=='Synced')].status"), R"("False")");
    EXPECT_EQ(found(".status.conditions[?(@.type != 'Ready')].type"), R"("Synced")");
    EXPECT_EQ(found(".spec.list[?(@.port>100)].name"), R"("y")");
    EXPECT_EQ(found(".spec.list[?(@.tls.on==true)].name"), R"("y")");
    EXPECT_EQ(found(".spec.list[?(@.tls)].name"), R"("y")");
    EXPECT_EQ(found(".metadata.annotations.a\\.b/c"), R"("dotted")");
    EXPECT_EQ(found(".metadata.annotations['a.b/c']"), R"("dotted")");
    EXPECT_EQ(found(".metadata['name']"), R"("n")");
    EXPECT_EQ(found("..port"), "80 443");
    EXPECT_EQ(found("..annotations['a.b/c']"), R"("dotted")");
}

TEST(JsonPath, FindsNothingWhereNothingIs) {
    for (const auto* const path :
         {".zzz", ".spec.replicas.x", ".spec.list[7]", ".spec.list[-7]", ".spec.empty[0]",
          ".spec.replicas[0]", ".spec.list.name", ".spec[?(@.a==1)]", ".spec.list[?(@.name>3)]"}) {
        EXPECT_EQ(found(path), "") << path;
    }
}

TEST(JsonPath, RefusesWhatItCannotRead) {
    for (const auto* const path :
         {".a[", ".a[]", ".a['b", ".a[?(@.b==)]", ".a[?(@.b=='c')", ".a..", "{.a", ".a}", ".a b",
          ".a[1:2:0]", ".a[99999999999999999999]", ".a[?(@.b===1)]"}) {
        EXPECT_THROW((void)JsonPath::parse(path), Error) << path;
    }
    std::string deep = ".a";
    for (int i = 0; i < 100; ++i) deep += "[?(@.a";
    EXPECT_THROW((void)JsonPath::parse(deep), Error);
}

}  // namespace
}  // namespace kled::kube
