#include "gitops/drift/ignore_rules.h"

#include "base/error.h"
#include "gitops/objects/fields.h"
#include "kube/yaml.h"

#include <gtest/gtest.h>

#include <functional>

namespace kled::gitops {
namespace {

using Steps = IgnoreRules::Steps;
using All = std::vector<Steps>;

constexpr std::string_view manager = "kustomize-controller";

kube::Object object(const std::string& yaml) { return kube::Object::from(kube::parse_yaml(yaml)); }

IgnoreRules rules(const std::string& list) {
    const auto spec = object("ignore: " + list);
    return IgnoreRules::read(Reader{&spec.fields()});
}
std::string refused(const std::string& list) {
    try {
        (void)rules(list);
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return error.what();
    }
    return "accepted";
}

const kube::Object web = object(
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop, labels: {tier: "
    "front}, annotations: {scaled: 'yes'}}}");

TEST(IgnoreRules, AreForThoseThatTheirTargetMeans) {
    const All replicas{{"spec", "replicas"}};
    const auto of = [](const std::string& target) {
        return rules("[{paths: [/spec/replicas], target: " + target + "}]").of(web);
    };
    EXPECT_EQ(rules("[{paths: [/spec/replicas]}]").of(web), replicas);
    EXPECT_EQ(of("{}"), replicas);
    EXPECT_EQ(of("{kind: Deployment, group: apps, version: v1, name: web, namespace: shop}"),
              replicas);
    EXPECT_EQ(of("{kind: 'Deployment|StatefulSet', name: 'w.*'}"), replicas);
    EXPECT_EQ(of("{kind: Deploy}"), All{}) << "the whole name has to match";
    EXPECT_EQ(of("{name: we}"), All{});
    EXPECT_EQ(of("{namespace: other}"), All{});
    EXPECT_EQ(of("{labelSelector: 'tier in (front,back)'}"), replicas);
    EXPECT_EQ(of("{labelSelector: tier=back}"), All{});
    EXPECT_EQ(of("{annotationSelector: scaled=yes}"), replicas);
    EXPECT_EQ(of("{annotationSelector: '!scaled'}"), All{});
}

TEST(IgnoreRules, AddUp) {
    EXPECT_EQ(rules("[{paths: [/spec/replicas, /a]}, {paths: [/a, /metadata/annotations/x~1y~0z]}]")
                  .of(web),
              (All{{"a"}, {"metadata", "annotations", "x/y~z"}, {"spec", "replicas"}}));
    EXPECT_EQ(rules("[{paths: [/ab, /a/0/x, /a]}, {paths: [/a/b]}]").of(web), (All{{"a"}, {"ab"}}))
        << "a place in something else goes with that";
    EXPECT_TRUE(rules("[]").empty());
    EXPECT_EQ(rules("[]").digest(), 0U);
    EXPECT_NE(rules("[{paths: [/a]}]").digest(), rules("[{paths: [/b]}]").digest());
}

TEST(IgnoreRules, SayWhatIsWrongWithThem) {
    EXPECT_EQ(refused("[{target: {kind: A}}]"), "spec.ignore[0].paths: is required");
    EXPECT_EQ(refused("[{paths: [/a]}, {paths: [spec/replicas]}]"),
              "spec.ignore[1].paths[0]: not a JSON pointer such as /spec/replicas");
    EXPECT_EQ(refused("[{paths: ['']}]"),
              "spec.ignore[0].paths[0]: not a JSON pointer such as /spec/replicas");
    EXPECT_EQ(refused("[{paths: ['/a~2']}]"),
              "spec.ignore[0].paths[0]: not a JSON pointer such as /spec/replicas");
    EXPECT_EQ(refused("[{paths: [/metadata/name]}]"),
              "spec.ignore[0].paths[0]: /metadata/name cannot be left to others");
    EXPECT_EQ(refused("[{paths: [/metadata]}]"),
              "spec.ignore[0].paths[0]: /metadata cannot be left to others");
    EXPECT_TRUE(refused("[{paths: [/a], target: {kind: '('}}]")
                    .starts_with("spec.ignore[0].target.kind: '(': "));
    EXPECT_TRUE(refused("[{paths: [/a], target: {labelSelector: 'a in'}}]")
                    .starts_with("spec.ignore[0].target.labelSelector: "));
}

/// What is left of `wanted` over `live`, whose managedFields are `managers`.
struct Left {
    std::string text;
    bool of_this_version = false;
    bool operator==(const Left&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Left& left) {
    return out << left.text << (left.of_this_version ? " (of this version)" : "");
}
Left left(const std::string& wanted, const std::string& live, const std::string& managers,
          const std::vector<Steps>& paths) {
    auto object_wanted = object("{spec: " + wanted + "}");
    const auto there = object("{spec: " + live + ", metadata: {managedFields: " + managers + "}}");
    const bool bound = leave_to_others(object_wanted, there, paths, manager);
    return {kube::to_json(*object_wanted.spec()), bound};
}
std::string ours(const std::string& fields) {
    return "{manager: kustomize-controller, operation: Apply, fieldsV1: {'f:spec': " + fields +
           "}}";
}
std::string theirs(const std::string& fields) {
    return "{manager: hpa, operation: Update, subresource: scale, fieldsV1: {'f:spec': " + fields +
           "}}";
}
const All replicas{{"spec", "replicas"}};

TEST(LeaveToOthers, LeavesOutWhatOthersOrNobodyHolds) {
    const Left without{R"({"paused":true})", false};
    const auto* wanted = "{replicas: 2, paused: true}";
    const auto* live = "{replicas: 5, paused: true}";
    EXPECT_EQ(
        left(wanted, live,
             "[" + ours("{'f:paused': {}}") + ", " + theirs("{'f:replicas': {}}") + "]", replicas),
        without);
    EXPECT_EQ(left(wanted, live, "[" + ours("{'f:paused': {}}") + "]", replicas), without)
        << "a default";
    EXPECT_EQ(left(wanted, live,
                   "[" + ours("{'f:paused': {}, 'f:replicas': {}}") + ", " +
                       theirs("{'f:replicas': {}}") + "]",
                   replicas),
              without)
        << "held by both: it is given up";
    EXPECT_EQ(left(wanted, "{paused: true}", "[" + ours("{'f:paused': {}}") + "]", replicas),
              without)
        << "somebody took it away";
}

TEST(LeaveToOthers, KeepsAsItIsWhatWouldElseBeDeleted) {
    EXPECT_EQ(left("{replicas: 3, paused: true}", "{replicas: 2, paused: true}",
                   "[" + ours("{'f:paused': {}, 'f:replicas': {}}") + "]", replicas),
              (Left{R"({"replicas":2,"paused":true})", true}));
    const All tree{{"spec", "limits"}};
    EXPECT_EQ(left("{limits: {cpu: 1, memory: 1}}", "{limits: {cpu: 2, memory: 2}}",
                   "[" + ours("{'f:limits': {'f:cpu': {}}}") + ", " +
                       theirs("{'f:limits': {'f:memory': {}}}") + "]",
                   tree),
              (Left{R"({"limits":{"cpu":2,"memory":2}})", true}))
        << "a part of it is still only ours";
    EXPECT_EQ(left("{limits: {cpu: 1}}", "{limits: {cpu: 2, memory: 2}}",
                   "[" + theirs("{'f:limits': {'f:cpu': {}, 'f:memory': {}}}") + "]", tree),
              (Left{"{}", false}));
}

TEST(LeaveToOthers, LeavesAloneWhatGitDoesNotSay) {
    EXPECT_EQ(left("{paused: true}", "{replicas: 5, paused: true}",
                   "[" + theirs("{'f:replicas': {}}") + "]", replicas),
              (Left{R"({"paused":true})", false}));
    EXPECT_EQ(left("{a: {b: 1}}", "{}", "[]", {{"spec", "a", "b"}}),
              (Left{R"({"a":{"b":1}})", false}))
        << "what it is in is made now";
    EXPECT_EQ(left("{a: 1}", "{a: 2}", "[]", {{"spec", "a", "b"}, {"spec", "a", "0"}}),
              (Left{R"({"a":1})", false}));
}

TEST(LeaveToOthers, FindsAnElementByItsKeysWhereverItStands) {
    const auto* wanted = "{containers: [{name: web, image: web:2}, {name: log, image: log:2}]}";
    const auto* live =
        "{containers: [{name: proxy, image: p}, {name: log, image: log:9}, {name: web, image: "
        "web:9}]}";
    const auto names = [](const std::string& web_fields) {
        return ours("{'f:containers': {'k:{\"name\":\"web\"}': " + web_fields +
                    ", 'k:{\"name\":\"log\"}': {'.': {}, 'f:name': {}, 'f:image': {}}}}");
    };
    const All image{{"spec", "containers", "0", "image"}};
    EXPECT_EQ(
        left(wanted, live, "[" + names("{'.': {}, 'f:name': {}, 'f:image': {}}") + "]", image),
        (Left{R"({"containers":[{"name":"web","image":"web:9"},)"
              R"({"name":"log","image":"log:2"}]})",
              true}));
    EXPECT_EQ(left(wanted, live,
                   "[" + names("{'.': {}, 'f:name': {}}") + ", " +
                       theirs("{'f:containers': {'k:{\"name\":\"web\"}': {'f:image': {}}}}") + "]",
                   image),
              (Left{R"({"containers":[{"name":"web"},{"name":"log","image":"log:2"}]})", false}));
    EXPECT_EQ(left("{containers: [{name: new, image: n}]}", live,
                   "[" + names("{'.': {}, 'f:name': {}, 'f:image': {}}") + "]", image),
              (Left{R"({"containers":[{"name":"new","image":"n"}]})", false}))
        << "one that is made now needs its image";
    EXPECT_EQ(left(wanted, live,
                   "[" +
                       theirs("{'f:containers': {'k:{\"name\":\"web\"}': {'.': {}, 'f:name': {}, "
                              "'f:image': {}}, 'k:{\"name\":\"log\"}': {'.': {}, 'f:name': {}, "
                              "'f:image': {}}}}") +
                       "]",
                   {{"spec", "containers", "0"}, {"spec", "containers", "1"}}),
              (Left{R"({"containers":[]})", false}))
        << "the later one first";
    EXPECT_EQ(left(wanted, live, "[]", {{"spec", "containers", "00"}, {"spec", "containers", "-"}}),
              (Left{kube::to_json(kube::parse_yaml(wanted)), false}))
        << "no element";
}

TEST(LeaveToOthers, TakesAPortWhoseProtocolIsADefaultForItself) {
    EXPECT_EQ(left("{ports: [{port: 80, nodePort: 1}]}",
                   "{ports: [{port: 80, protocol: TCP, nodePort: 30080}]}",
                   "[" +
                       ours("{'f:ports': {'k:{\"port\":80,\"protocol\":\"TCP\"}': {'.': {}, "
                            "'f:port': {}}}}") +
                       "]",
                   {{"spec", "ports", "0", "nodePort"}}),
              (Left{R"({"ports":[{"port":80}]})", false}));
}

TEST(LeaveToOthers, NeverTakesApartWhatIsHeldAsOne) {
    EXPECT_EQ(left("{args: [a, b]}", "{args: [x, y]}", "[" + theirs("{'f:args': {}}") + "]",
                   {{"spec", "args", "1"}}),
              (Left{R"({"args":["a","y"]})", true}));
    EXPECT_EQ(left("{args: [a, b, c]}", "{args: [x]}", "[" + ours("{'f:args': {}}") + "]",
                   {{"spec", "args", "2"}}),
              (Left{R"({"args":["a","b","c"]})", false}));
    EXPECT_EQ(left("{selector: {a: b, c: d}}", "{selector: {a: b, c: x}}",
                   "[" + ours("{'f:selector': {}}") + "]", {{"spec", "selector", "c"}}),
              (Left{R"({"selector":{"a":"b","c":"x"}})", true}));
}

TEST(LeaveToOthers, BearsRecordsThatCannotBeRead) {
    EXPECT_EQ(
        left("{replicas: 2}", "{replicas: 5}",
             "[7, {manager: x, fieldsV1: {'i:x': {}}}, {manager: y, fieldsV1: []}]", replicas),
        (Left{"{}", false}));
    // One that goes with what it is in is no longer there to be left out.
    EXPECT_EQ(left("{a: {b: {c: 1}}}", "{a: {b: 7}}", "[" + ours("{'f:a': {'f:b': {}}}") + "]",
                   {{"spec", "a", "b"}, {"spec", "a", "b", "c"}}),
              (Left{R"({"a":{"b":7}})", true}));
}

}  // namespace
}  // namespace kled::gitops
