#include "base/error.h"
#include "kube/patch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace kled::kube {
namespace {

const GroupVersionKind deployment{"apps", "v1", "Deployment"};
const GroupVersionKind pod{"", "v1", "Pod"};

/// `target` after `patch`, both written with ' for ".
std::string patched(std::string target, std::string patch, const GroupVersionKind& kind = pod) {
    std::ranges::replace(target, '\'', '"');
    std::ranges::replace(patch, '\'', '"');
    auto value = parse_json(target);
    apply_strategic_merge_patch(value, parse_json(patch), kind);
    auto text = to_json(value);
    std::ranges::replace(text, '"', '\'');
    return text;
}

std::string refused(const std::string& target, const std::string& patch,
                    const GroupVersionKind& kind = pod) {
    try {
        return "accepted: " + patched(target, patch, kind);
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return error.what();
    }
}

TEST(StrategicMerge, MergesObjectsAndRemovesWhatIsNull) {
    EXPECT_EQ(patched("{'a':{'x':1,'y':2},'b':1}", "{'a':{'y':null,'z':3},'b':null,'c':null}"),
              "{'a':{'x':1,'z':3}}");
}

TEST(StrategicMerge, MergesListsByTheirKeyAndPutsNewElementsBeforeTheServersOthers) {
    EXPECT_EQ(
        patched("{'spec':{'containers':[{'name':'a','image':'a:1'},{'name':'b','image':'b:1'}]}}",
                "{'spec':{'containers':[{'name':'b','image':'b:2'},{'name':'c','image':'c:1'}]}}"),
        "{'spec':{'containers':[{'name':'a','image':'a:1'},{'name':'b','image':'b:2'},{'name':'c','"
        "image':'c:1'}]}}");
    EXPECT_EQ(
        patched("{'spec':{'containers':[{'name':'a'}]}}", "{'spec':{'containers':[{'name':'n'}]}}"),
        "{'spec':{'containers':[{'name':'n'},{'name':'a'}]}}");
}

TEST(StrategicMerge, DeletesAndReplacesListElements) {
    EXPECT_EQ(patched("{'spec':{'containers':[{'name':'a'},{'name':'b'}]}}",
                      "{'spec':{'containers':[{'name':'a','$patch':'delete'}]}}"),
              "{'spec':{'containers':[{'name':'b'}]}}");
    EXPECT_EQ(patched("{'spec':{'containers':[{'name':'a'},{'name':'b'}]}}",
                      "{'spec':{'containers':[{'name':'z'},{'$patch':'replace'}]}}"),
              "{'spec':{'containers':[{'name':'z'}]}}");
    EXPECT_EQ(patched("{'spec':{'containers':[{'name':'a'}]}}",
                      "{'spec':{'containers':[{'name':'new','$patch':'delete'}]}}"),
              "{'spec':{'containers':[{'name':'a'}]}}");
}

TEST(StrategicMerge, DeletesAndReplacesObjects) {
    EXPECT_EQ(patched("{'spec':{'securityContext':{'runAsUser':1,'runAsGroup':2}}}",
                      "{'spec':{'securityContext':{'$patch':'replace','runAsUser':3}}}"),
              "{'spec':{'securityContext':{'runAsUser':3}}}");
    EXPECT_EQ(patched("{'spec':{'securityContext':{'runAsUser':1}}}",
                      "{'spec':{'securityContext':{'$patch':'delete'}}}"),
              "{'spec':{'securityContext':{}}}");
}

TEST(StrategicMerge, ReplacesListsThatHaveNoMergeStrategy) {
    EXPECT_EQ(patched("{'spec':{'containers':[{'name':'a','command':['x','y']}]}}",
                      "{'spec':{'containers':[{'name':'a','command':['z']}]}}"),
              "{'spec':{'containers':[{'name':'a','command':['z']}]}}");
    EXPECT_EQ(patched("{'spec':{'tolerations':[{'key':'a'}]}}",
                      "{'spec':{'tolerations':[{'key':'b','value':null}]}}"),
              "{'spec':{'tolerations':[{'key':'b'}]}}");
}

TEST(StrategicMerge, MergesListsOfScalarsAsSets) {
    EXPECT_EQ(
        patched("{'metadata':{'finalizers':['a','b']}}", "{'metadata':{'finalizers':['c','a']}}"),
        "{'metadata':{'finalizers':['c','a','b']}}");
    EXPECT_EQ(patched("{'metadata':{'finalizers':['a','b','c']}}",
                      "{'metadata':{'$deleteFromPrimitiveList/finalizers':['b','x']}}"),
              "{'metadata':{'finalizers':['a','c']}}");
    EXPECT_EQ(
        patched("{'metadata':{}}", "{'metadata':{'$deleteFromPrimitiveList/finalizers':['b']}}"),
        "{'metadata':{}}");
}

TEST(StrategicMerge, OrdersListsAsThePatchSays) {
    EXPECT_EQ(
        patched(
            "{'spec':{'containers':[{'name':'a'},{'name':'s'},{'name':'b'}]}}",
            "{'spec':{'$setElementOrder/"
            "containers':[{'name':'b'},{'name':'a'},{'name':'n'}],'containers':[{'name':'n'}]}}"),
        "{'spec':{'containers':[{'name':'s'},{'name':'b'},{'name':'a'},{'name':'n'}]}}");
    EXPECT_EQ(patched("{'metadata':{'finalizers':['a','b']}}",
                      "{'metadata':{'$setElementOrder/finalizers':['b','a']}}"),
              "{'metadata':{'finalizers':['b','a']}}");
    EXPECT_EQ(
        patched(
            "{'spec':{}}",
            "{'spec':{'$setElementOrder/"
            "containers':[{'name':'n'}],'containers':[{'name':'n','$setElementOrder/env':[]}]}}"),
        "{'spec':{'containers':[{'name':'n'}]}}");
    EXPECT_THAT(
        refused(
            "{'spec':{'containers':[]}}",
            "{'spec':{'$setElementOrder/containers':[{'name':'a'}],'containers':[{'name':'b'}]}}"),
        testing::HasSubstr("spec.containers: the order in the patch"));
}

TEST(StrategicMerge, PutsANewElementWhereADeletedOneMadeRoom) {
    EXPECT_EQ(patched("{'spec':{'containers':[{'name':'d'},{'name':'c'}]}}",
                      "{'spec':{'$setElementOrder/"
                      "containers':[{'name':'a'},{'name':'b'}],'containers':[{'name':'c','$patch':'"
                      "delete'},{'name':'b'}]}}"),
              "{'spec':{'containers':[{'name':'d'},{'name':'b'}]}}");
}

TEST(StrategicMerge, RetainsOnlyTheKeysThePatchLists) {
    EXPECT_EQ(
        patched("{'spec':{'strategy':{'type':'RollingUpdate','rollingUpdate':{'maxSurge':1}}}}",
                "{'spec':{'strategy':{'$retainKeys':['type'],'type':'Recreate'}}}", deployment),
        "{'spec':{'strategy':{'type':'Recreate'}}}");
    EXPECT_EQ(patched("{'spec':{'volumes':[{'name':'v','emptyDir':{}}]}}",
                      "{'spec':{'volumes':[{'name':'v','$retainKeys':['name','hostPath'],'hostPath'"
                      ":{'path':'/x'}}]}}"),
              "{'spec':{'volumes':[{'name':'v','hostPath':{'path':'/x'}}]}}");
    EXPECT_THAT(refused("{'a':{}}", "{'a':{'$retainKeys':['x'],'y':1}}"),
                testing::HasSubstr("a: \"y\" is not in $retainKeys"));
}

TEST(StrategicMerge, KeepsNoNullAndNoDirectiveInWhatItAdds) {
    EXPECT_EQ(patched("{}",
                      "{'spec':{'a':null,'$retainKeys':['b'],'b':[{'$patch':'delete','name':'x'},{'"
                      "name':'y','z':null}],'c':{'$patch':'delete'}}}"),
              "{'spec':{'b':[{'name':'y'}]}}");
}

TEST(StrategicMerge, LetsPortsOfOneNumberLiveTogether) {
    EXPECT_EQ(patched("{'spec':{'ports':[{'port':53,'protocol':'UDP'},{'port':53,'protocol':'TCP'},"
                      "{'port':80}]}}",
                      "{'spec':{'ports':[{'port':53,'name':'dns'}]}}", {"", "v1", "Service"}),
              "{'spec':{'ports':[{'port':53,'protocol':'UDP','name':'dns'},{'port':53,'protocol':'"
              "TCP'},{'port':80}]}}");
}

TEST(StrategicMerge, MergesKindsItDoesNotKnowAsAMergePatch) {
    EXPECT_EQ(
        patched("{'spec':{'containers':[{'name':'a'}],'x':{'y':1}}}",
                "{'spec':{'containers':[{'name':'b'}],'x':{'z':2}}}", {"example.com", "v1", "Foo"}),
        "{'spec':{'containers':[{'name':'b'}],'x':{'y':1,'z':2}}}");
}

TEST(StrategicMerge, RefusesWhatCannotBeMeant) {
    EXPECT_EQ(refused("{'spec':{'containers':[{'name':'a'}]}}",
                      "{'spec':{'containers':[{'image':'x'}]}}"),
              "strategic merge patch: spec.containers: an element lacks the merge key \"name\"");
    EXPECT_EQ(refused("{'spec':{'containers':[{'name':'a'}]}}", "{'spec':{'containers':['x']}}"),
              "strategic merge patch: spec.containers: the lists mix objects and scalars");
    EXPECT_EQ(refused("{'spec':{}}", "{'spec':{'$patch':'merge'}}"),
              "strategic merge patch: spec: unknown $patch directive \"merge\"");
    EXPECT_EQ(refused("{'metadata':{'finalizers':['a']}}", "{'metadata':{'finalizers':[['b']]}}"),
              "strategic merge patch: metadata.finalizers: a list of lists cannot be merged");
    EXPECT_EQ(refused("{}", "[]"), "strategic merge patch: not an object");
}

TEST(StrategicMerge, MergesWhatApimachineryMergesAsItDoes) {
    // Made by strategicpatch of k8s.io/apimachinery v0.34.4 from random Pods and patches.
    std::ostringstream text;
    text << std::ifstream{std::string{KLED_SOURCE_DIR} + "/kube/testdata/strategic_merge.json"}
                .rdbuf();
    const auto cases = parse_json(text.str());
    for (const auto& value : cases.as_array()) {
        auto live = value.at("live");
        apply_strategic_merge_patch(live, value.at("patch"), pod);
        EXPECT_EQ(to_canonical_json(live), to_canonical_json(value.at("merged")))
            << to_json(value.at("patch"));
    }
    EXPECT_EQ(cases.as_array().size(), 60U);
}

TEST(StrategicMerge, IsLinearInTheLengthOfLists) {
    json::array env;
    for (int i = 0; i < 20'000; ++i)
        env.push_back(json::object{{"name", "V" + std::to_string(i)}, {"value", "x"}});
    json::value target = json::object{
        {"spec",
         json::object{{"containers", json::array{json::object{{"name", "a"}, {"env", env}}}}}}};
    std::ranges::reverse(env);
    const json::value patch = json::object{
        {"spec",
         json::object{{"containers", json::array{json::object{{"name", "a"}, {"env", env}}}}}}};
    apply_strategic_merge_patch(target, patch, pod);
    EXPECT_EQ(
        find(target, {"spec"})->at("containers").at(0).at("env").get_array().front().at("name"),
        "V19999");
}

}  // namespace
}  // namespace kled::kube
