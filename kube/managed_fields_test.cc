#include "kube/managed_fields.h"

#include "kube/structured_merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace kled::kube {
namespace {

/// JSON written with ' for ".
json::object quoted(std::string text) {
    std::ranges::replace(text, '\'', '"');
    return parse_json(text).as_object();
}

TEST(FieldSet, SurvivesTheWayThroughJson) {
    const auto fields = quoted(
        "{'f:metadata':{'f:labels':{'.':{},'f:a':{}}},'f:spec':{'f:list':{'k:{\\'name\\':\\'x\\'}':"
        "{'.':{},'f:name':{}},'v:3':{},'i:0':{}}}}");
    const auto set = FieldSet::from_json(fields);
    EXPECT_EQ(set.to_json(), fields);
    EXPECT_EQ(set.size(), 6U);
    std::vector<std::string> paths;
    for (const auto& path : set.paths()) paths.push_back(to_string(path));
    EXPECT_THAT(paths, testing::UnorderedElementsAre(
                           ".metadata.labels", ".metadata.labels.a", ".spec.list[name=\"x\"]",
                           ".spec.list[name=\"x\"].name", ".spec.list[=3]", ".spec.list[0]"));
}

const FieldWriter one{
    .manager = "one", .subresource = "", .time = "2026-01-01T00:00:00Z", .not_written = {}};
const FieldWriter one_later{
    .manager = "one", .subresource = "", .time = "2026-01-01T00:00:09Z", .not_written = {}};
const FieldWriter two{
    .manager = "two", .subresource = "", .time = "2026-01-01T00:00:05Z", .not_written = {}};

TEST(ManagedFields, LeavesAnObjectAloneThatAnApplyDoesNotChange) {
    const auto schema = StructuralSchema::of({"", "v1", "ConfigMap"}).value();
    const Object config{
        quoted("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'c'},'data':{'a':'1'}}")};
    const auto first = apply_fields(Object{}, config, schema, one, false);
    EXPECT_EQ(apply_fields(first, config, schema, one_later, false), first);
}

TEST(ManagedFields, TakesTheListsOfAnUnknownKindAsOneValue) {
    const auto schema = StructuralSchema::deduced();
    const Object config{
        quoted("{'apiVersion':'x.io/"
               "v1','kind':'X','metadata':{'name':'c'},'spec':{'l':[{'name':'a'}],'m':{'k':1}}}")};
    const auto first = apply_fields(Object{}, config, schema, one, false);
    EXPECT_EQ(
        json::value(find(first.fields(), {"metadata", "managedFields"})->at(0).at("fieldsV1")),
        json::value(quoted("{'f:spec':{'.':{},'f:l':{},'f:m':{'.':{},'f:k':{}}}}")));
    const Object other{quoted(
        "{'apiVersion':'x.io/v1','kind':'X','metadata':{'name':'c'},'spec':{'l':[],'m':{'j':2}}}")};
    EXPECT_THROW((void)apply_fields(first, other, schema, two, false), ApplyConflict);
    EXPECT_EQ(*apply_fields(first, other, schema, two, true).spec(),
              quoted("{'l':[],'m':{'k':1,'j':2}}"));
}

TEST(ManagedFields, RefusesWhatIsNotOfItsKind) {
    const auto schema = StructuralSchema::of({"", "v1", "Pod"}).value();
    const auto why = [&](const std::string& spec) -> std::string {
        try {
            (void)apply_fields(Object{},
                               Object{quoted("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'"
                                             "p','namespace':'n'},'spec':" +
                                             spec + "}")},
                               schema, one, false);
            return "accepted";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::invalid);
            return error.what();
        }
    };
    const std::string prefix = "failed to create typed patch object (n/p; v1, Kind=Pod): ";
    EXPECT_EQ(why("{'zzz':1}"), prefix + ".spec.zzz: field not declared in schema");
    EXPECT_EQ(why("{'hostNetwork':'yes'}"),
              prefix + ".spec.hostNetwork: expected boolean, got \"yes\"");
    EXPECT_EQ(why("{'containers':{}}"), prefix + ".spec.containers: expected list, got {}");
    EXPECT_EQ(why("{'containers':[{'name':'a'},{'name':'a'}]}"),
              prefix + ".spec.containers: duplicate entries for key [name=\"a\"]");
    EXPECT_EQ(
        why("{'containers':['a']}"),
        prefix + ".spec.containers: element 0: an element of a list with keys is not an object");
    EXPECT_EQ(why("{'containers':[{'name':'a','command':[1]}]}"),
              prefix + ".spec.containers[name=\"a\"].command[0]: expected string, got 1");
}

TEST(ManagedFields, TreatsBrokenManagedFieldsAsNone) {
    const auto schema = StructuralSchema::of({"", "v1", "ConfigMap"}).value();
    for (const auto* const broken :
         {"[1]", "[{'operation':'X'}]",
          "[{'operation':'Apply','apiVersion':'v1','fieldsType':'FieldsV1','fieldsV1':{'k:{':{}}}]",
          "[{'operation':'Apply','apiVersion':'v1','fieldsType':'FieldsV1','fieldsV1':{'x':1}}]",
          "'text'"}) {
        const Object live{
            quoted("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'c','managedFields':" +
                   std::string{broken} + "},'data':{'a':'1'}}")};
        auto updated = live;
        updated.fields()["data"].as_object()["a"] = "2";
        track_update(live, updated, schema, one);
        EXPECT_FALSE(updated.metadata().contains("managedFields")) << broken;
    }
}

TEST(ManagedFields, KeepsTheTimesOfAWriteThatChangedNothing) {
    const auto object = [](const std::string& time, const std::string& data) {
        return Object{quoted(
            "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'c','managedFields':[{'"
            "manager':'m','operation':'Update','apiVersion':'v1','time':'" +
            time + "','fieldsType':'FieldsV1','fieldsV1':{'f:data':{'f:a':{}}}}]},'data':{'a':'" +
            data + "'}}")};
    };
    const auto live = object("2026-01-01T00:00:00Z", "1");
    auto same = object("2026-01-01T00:00:07Z", "1");
    keep_times_of_no_change(live, same);
    EXPECT_EQ(same, live);
    auto other = object("2026-01-01T00:00:07Z", "2");
    keep_times_of_no_change(live, other);
    EXPECT_EQ(other, object("2026-01-01T00:00:07Z", "2"));
}

TEST(ManagedFields, KeepsTheOrderOfListsTheConfigDoesNotKnow) {
    const auto schema = StructuralSchema::of({"", "v1", "Pod"}).value();
    const auto containers = [&](const std::string& live, const std::string& config) {
        const auto object = [](const std::string& names) {
            std::string list;
            for (const auto name : names)
                list += (list.empty() ? "" : ",") + ("{'name':'" + std::string(1, name) + "'}");
            return quoted("{'spec':{'containers':[" + list + "]}}");
        };
        std::string names;
        const auto merged = merge_structure(object(live), object(config), schema);
        for (const auto& container : merged.at("spec").at("containers").as_array())
            names += container.at("name").as_string();
        return names;
    };
    EXPECT_EQ(containers("abc", "d"), "abcd");
    EXPECT_EQ(containers("abc", "ca"), "bca");
    EXPECT_EQ(containers("abcd", "xdb"), "acxdb");
    EXPECT_EQ(containers("", "ba"), "ba");
    EXPECT_EQ(containers("ab", ""), "ab");
}

// ---- sequences that a real kube-apiserver 1.34.4 has answered (testdata/managed_fields)

std::string file_text(const std::filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream{path}.rdbuf();
    return text.str();
}

/// What `real` has and `mine` has not: what a server's defaulting added. Fails where they disagree.
std::size_t added_by_server(const json::value& mine, const json::value& real,
                            const std::string& path) {
    std::size_t added = 0;
    if (mine.is_object() && real.is_object()) {
        for (const auto& [key, value] : mine.get_object()) {
            const bool hollow =
                value == json::object{} || value == json::array{};  // Go's encoder leaves it out
            EXPECT_TRUE(hollow || real.get_object().contains(key))
                << path << "." << key << " should have gone";
        }
        for (const auto& [key, value] : real.get_object()) {
            if (key == "resourceVersion" || key == "generation" || key == "managedFields") continue;
            const auto* const other = mine.get_object().if_contains(key);
            if (other == nullptr) {
                ++added;
            } else {
                added += added_by_server(*other, value, path + "." + std::string{key});
            }
        }
    } else if (mine.is_array() && real.is_array() &&
               mine.get_array().size() == real.get_array().size()) {
        for (std::size_t i = 0; i < real.get_array().size(); ++i)
            added += added_by_server(mine.get_array()[i], real.get_array()[i],
                                     path + "[" + std::to_string(i) + "]");
    } else {
        EXPECT_EQ(mine, real) << path;
    }
    return added;
}

/// The time a step took place, as far as it left a trace.
std::string time_of(const json::object& step) {
    const auto* const entries = find(step.at("after").as_object(), {"metadata", "managedFields"});
    std::string time = "2026-01-01T00:00:00Z";
    if (entries == nullptr) return time;
    const std::string_view operation = step.at("op") == "apply" ? "Apply" : "Update";
    for (const auto& entry : entries->as_array()) {
        const auto& manager = entry.at("manager").as_string();
        const auto* const at = entry.as_object().if_contains("time");
        const bool mine = manager == step.at("manager").as_string() &&
                          entry.at("operation").as_string() == operation;
        if (at != nullptr && (mine || manager == "before-first-apply")) time = at->as_string();
    }
    return time;
}

class ManagedFieldsGolden : public testing::TestWithParam<std::string> {};

TEST_P(ManagedFieldsGolden, IsAsTheApiServerKeepsIt) {
    const auto file = std::filesystem::path{KLED_SOURCE_DIR} / "kube/testdata/managed_fields" /
                      (GetParam() + ".json");
    const auto golden = parse_json(file_text(file)).as_object();
    json::object previous;
    std::size_t number = 0;
    for (const auto& value : golden.at("steps").as_array()) {
        const auto& step = value.as_object();
        SCOPED_TRACE("step " + std::to_string(++number) + " by " +
                     std::string{step.at("manager").as_string()});
        const Object live{step.contains("live") ? step.at("live").as_object() : previous};
        const bool refused = step.contains("refused");
        const std::string subresource{step.at("subresource").as_string()};
        const auto& any = refused ? step.at("config").as_object() : step.at("after").as_object();
        const auto schema = golden.contains("openapi")
                                ? StructuralSchema::of_resource(golden.at("openapi").as_object())
                                : StructuralSchema::of(Object{any}.gvk()).value();
        const FieldWriter writer{
            .manager = std::string{step.at("manager").as_string()},
            .subresource = subresource,
            .time = refused || subresource == "scale"
                        ? ""
                        : time_of(step),  // the server gives a scale none
            .not_written = fields_not_written(subresource, Object{any}.kind() != "ConfigMap", any),
        };
        if (refused) {
            try {
                (void)apply_fields(live, Object{step.at("config").as_object()}, schema, writer,
                                   step.at("force").as_bool());
                ADD_FAILURE() << "accepted";
            } catch (const ApplyConflict& conflict) {
                EXPECT_EQ(conflict.what(), step.at("refused").at("message").as_string());
                json::array causes;
                for (const auto& cause : conflict.causes())
                    causes.push_back(json::object{{"reason", "FieldManagerConflict"},
                                                  {"message", cause.message},
                                                  {"field", cause.field}});
                EXPECT_THAT(causes, testing::UnorderedElementsAreArray(
                                        step.at("refused").at("causes").as_array()));
            } catch (const Error& error) {
                EXPECT_THAT(std::string{step.at("refused").at("message").as_string()},
                            testing::HasSubstr(error.what()));
            }
            continue;
        }
        const Object after{step.at("after").as_object()};
        previous = after.fields();
        Object mine;
        if (step.at("op") == "apply") {
            mine = apply_fields(live, Object{step.at("config").as_object()}, schema, writer,
                                step.at("force").as_bool());
            const auto added =
                added_by_server(json::value(mine.fields()), json::value(after.fields()), "");
            if (!live.fields().empty()) {
                EXPECT_LE(added, 24U);
            }
        } else {
            mine = after;
            auto& metadata = mine.metadata();
            const auto* const before = find(live.fields(), {"metadata", "managedFields"});
            metadata["managedFields"] = step.contains("sent") ? step.at("sent")
                                        : before == nullptr   ? json::value()
                                                              : *before;
            track_update(live, mine, schema, writer);
        }
        const auto* const expected = after.metadata()->if_contains("managedFields");
        const auto* const actual = std::as_const(mine).metadata()->if_contains("managedFields");
        EXPECT_EQ(actual == nullptr ? "" : to_canonical_json(*actual),
                  expected == nullptr ? "" : to_canonical_json(*expected));
    }
}

std::vector<std::string> golden_cases() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator{
             std::filesystem::path{KLED_SOURCE_DIR} / "kube/testdata/managed_fields"})
        names.push_back(entry.path().stem());
    std::ranges::sort(names);
    return names;
}

INSTANTIATE_TEST_SUITE_P(Recorded, ManagedFieldsGolden, testing::ValuesIn(golden_cases()),
                         [](const auto& golden) {
                             auto name = golden.param;
                             std::erase(name, '-');
                             return name;
                         });

}  // namespace
}  // namespace kled::kube
