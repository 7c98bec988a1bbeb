#include "kube/table.h"

#include "base/error.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

namespace kled::kube {
namespace {

/// Tables of kube-apiserver 1.34.4, with the objects they show.
const json::object& recorded() {
    static const auto tables = [] {
        std::ostringstream text;
        text << std::ifstream{std::string{KLED_SOURCE_DIR} + "/kube/testdata/tables.json"}.rdbuf();
        return parse_json(text.str()).as_object();
    }();
    return tables;
}

TEST(Table, ShowsWhatAStockServerShows) {
    const auto things = TablePrinter::of_custom_resource(recorded().at("thing_columns").as_array());
    std::size_t kinds = 0;
    for (const auto& value : recorded().at("kinds").as_array()) {
        const auto& kind = value.as_object();
        const Object first{kind.at("rows").at(0).at("object").as_object()};
        SCOPED_TRACE(first.gvk().to_string());
        const auto& printer = first.kind() == "Thing" ? things : TablePrinter::of(first.gvk());
        const auto now = parse_rfc3339(kind.at("now").as_string()).value();
        auto columns = printer.table({}).at("columnDefinitions").as_array();
        for (auto& column : columns) column.as_object().erase("description");
        EXPECT_EQ(to_canonical_json(columns), to_canonical_json(kind.at("columns")));
        for (const auto& row : kind.at("rows").as_array()) {
            const Object object{row.at("object").as_object()};
            auto expected = row.at("cells").as_array();
            // An IPAddress has a cell too many there: its age, for which there is no column.
            if (object.kind() == "IPAddress") expected.pop_back();
            const auto mine = printer.row(object, IncludeObject::none, now);
            EXPECT_EQ(to_json(mine.at("cells")), to_json(expected)) << object.name();
            const auto* const conditions = mine.if_contains("conditions");
            const auto* const wanted = row.as_object().if_contains("conditions");
            EXPECT_EQ(conditions == nullptr ? "" : to_canonical_json(*conditions),
                      wanted == nullptr ? "" : to_canonical_json(*wanted));
        }
        ++kinds;
    }
    EXPECT_GE(kinds, 55U);
}

TEST(Table, ShowsNameAndAgeOfAnyOtherKind) {
    const Object object{
        parse_json(
            R"({"apiVersion":"x.io/v1","kind":"X","metadata":{"name":"n","creationTimestamp":"2026-01-01T00:00:00Z"}})")
            .as_object()};
    const auto now = parse_rfc3339("2026-01-01T00:05:07Z").value();
    EXPECT_EQ(to_json(TablePrinter::of(object.gvk()).cells(object, now)), R"(["n","5m7s"])");
    EXPECT_EQ(to_json(TablePrinter::of_custom_resource({}).cells(object, now)), R"(["n","5m7s"])");
}

TEST(Table, GivesMetadataOrAllOfTheObject) {
    const Object object{
        parse_json(
            R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"n"},"data":{"a":"b"}})")
            .as_object()};
    const auto& printer = TablePrinter::of(object.gvk());
    EXPECT_FALSE(printer.row(object, IncludeObject::none, {}).contains("object"));
    EXPECT_EQ(
        to_json(printer.row(object, IncludeObject::metadata, {}).at("object")),
        R"({"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"n"}})");
    EXPECT_EQ(printer.row(object, IncludeObject::object, {}).at("object"),
              json::value(object.fields()));
    const auto table = printer.table({{"resourceVersion", "7"}});
    EXPECT_EQ(table.at("kind"), "Table");
    EXPECT_EQ(table.at("metadata").at("resourceVersion"), "7");
    EXPECT_TRUE(printer.table({}, false).at("columnDefinitions").as_array().empty());
}

TEST(Table, SurvivesObjectsOfTheWrongShape) {
    for (const auto* const wrong :
         {"1", "null", "\"text\"", "[]", "[1,null,\"x\",{}]", "{}", R"({"a":1})"}) {
        for (const auto& value : recorded().at("kinds").as_array()) {
            auto fields = value.at("rows").at(0).at("object").as_object();
            const Object original{fields};
            for (auto& member : fields) {
                if (member.key() != "kind" && member.key() != "apiVersion")
                    member.value() = parse_json(wrong);
            }
            const auto& printer = TablePrinter::of(original.gvk());
            EXPECT_EQ(printer.cells(Object{fields}, {}).size(), printer.columns().size())
                << original.kind();
            for (auto& member : fields) {
                if (auto* const original_member = original.fields().if_contains(member.key());
                    original_member->is_object()) {
                    auto inner = original_member->get_object();
                    for (auto& each : inner) each.value() = parse_json(wrong);
                    member.value() = std::move(inner);
                }
            }
            EXPECT_EQ(printer.cells(Object{fields}, {}).size(), printer.columns().size())
                << original.kind();
        }
    }
}

TEST(Table, RefusesAColumnWhosePathCannotBeRead) {
    EXPECT_THROW((void)TablePrinter::of_custom_resource(
                     parse_json(R"([{"name":"X","type":"string","jsonPath":".a["}])").as_array()),
                 Error);
}

TEST(Table, ShowsDurationsAsKubectlDoes) {
    const auto shown = [](std::int64_t seconds) {
        return human_duration(std::chrono::seconds{seconds});
    };
    EXPECT_EQ(shown(-5), "<invalid>");
    EXPECT_EQ(shown(-1), "0s");
    EXPECT_EQ(shown(0), "0s");
    EXPECT_EQ(shown(119), "119s");
    EXPECT_EQ(shown(120), "2m");
    EXPECT_EQ(shown(187), "3m7s");
    EXPECT_EQ(shown(600), "10m");
    EXPECT_EQ(shown(3 * 3600), "3h");
    EXPECT_EQ(shown(3 * 3600 + 60), "3h1m");
    EXPECT_EQ(shown(8 * 3600 + 60), "8h");
    EXPECT_EQ(shown(50 * 3600), "2d2h");
    EXPECT_EQ(shown(9 * 86400), "9d");
    EXPECT_EQ(shown(800 * 86400), "2y70d");
    EXPECT_EQ(shown(3000 * 86400LL), "8y");
}

}  // namespace
}  // namespace kled::kube
