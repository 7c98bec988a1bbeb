#include "gitops/transform/substitute.h"

#include "base/error.h"
#include "kube/yaml.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

kube::Object substituted(const std::string& yaml, const Variables& variables) {
    kube::YamlOptions options;
    options.file = "app/a.yaml";
    auto objects = kube::load_manifest(yaml, options);
    substitute(objects, variables);
    return objects.at(0).object;
}

std::string failure(const std::string& yaml, const Variables& variables) {
    try {
        static_cast<void>(substituted(yaml, variables));
    } catch (const Error& error) {
        return error.what();
    }
    return "it went well";
}

const std::string head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

Variables with(std::map<std::string, std::string, std::less<>> values) {
    Variables result;
    result.values = std::move(values);
    return result;
}

TEST(Substitute, GivesValuesTheTypeTheyHaveInYaml) {
    const auto object = substituted(
        head + "spec: {n: '${n}', b: '${b}', s: 'v${n}', quoted: '\"${n}\"', x: '${y:=none}'}\n",
        with({{"n", "3"}, {"b", "true"}}));
    const auto& spec = *object.spec();
    EXPECT_EQ(spec.at("n"), 3);
    EXPECT_EQ(spec.at("b"), true);
    EXPECT_EQ(spec.at("s"), "v3");
    EXPECT_EQ(spec.at("quoted"), "\"3\"");
    EXPECT_EQ(spec.at("x"), "none");
}

TEST(Substitute, ReachesKeysAndNames) {
    const auto object = substituted(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 'app-${env}', labels: {'${env}': x}}\n",
        with({{"env", "dev"}}));
    EXPECT_EQ(object.name(), "app-dev");
    EXPECT_EQ(object.label("dev"), "x");
}

TEST(Substitute, LeavesAloneWhatAsksForIt) {
    for (const auto* kind : {"labels", "annotations"}) {
        const auto object = substituted(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, " + std::string{kind} +
                ": {kustomize.toolkit.fluxcd.io/substitute: disabled}}\ndata: {k: '${unset}'}\n",
            with({{"env", "dev"}}));
        EXPECT_EQ(kube::find_string(object.fields(), {"data", "k"}), "${unset}");
    }
}

TEST(Substitute, NamesTheObjectAndTheVariableThatIsMissing) {
    EXPECT_EQ(failure(head + "data: {k: '${nowhere}'}\n", with({{"a", "b"}})),
              "app/a.yaml:1: spec.postBuild: ConfigMap a: line 3: variable not set (strict mode): "
              "\"nowhere\"");
    EXPECT_EQ(failure(head, with({{"a-b", "c"}})),
              "spec.postBuild: 'a-b' is no name of a variable: letters, digits and '_', not first "
              "a digit");
}

TEST(Substitute, NeverQuotesASecret) {
    auto variables = with({{"token", "hunter2: [x"}});
    EXPECT_NE(failure(head + "data: {k: '${token}'}\n", variables).find("not valid"),
              std::string::npos);
    variables.secret = true;
    const auto text = failure(head + "data: {k: '${token}'}\n", variables);
    EXPECT_NE(text.find("holds values of a Secret"), std::string::npos);
    EXPECT_EQ(text.find("hunter2"), std::string::npos);
}

TEST(Substitute, DoesNotLetAValueTakeAwayWhatMakesItAnObject) {
    EXPECT_NE(
        failure("apiVersion: v1\nkind: '${kind}'\nmetadata: {name: a}\n", with({{"kind", ""}}))
            .find("lost its apiVersion, kind or name"),
        std::string::npos);
}

}  // namespace
}  // namespace kled::gitops
