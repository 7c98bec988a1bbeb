#include "base/error.h"
#include "kustomize/build.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace kled::kustomize {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Answers for helm, and remembers what it was asked.
struct Answers : Charts {
    std::string output = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: chart}\n";
    HelmChart asked;
    std::string directory;
    std::vector<std::string> values;

    void provide(const HelmChart& chart, const std::string& where) override {
        asked = chart;
        directory = where;
    }
    std::string render(const HelmChart&, const std::string&,
                       const std::vector<std::string>& texts) override {
        values = texts;
        return output;
    }
};

std::string built(const std::string& kustomization, Answers* answers) {
    const MemoryFiles files{
        {{"top/kustomization.yaml", kustomization},
         {"top/more.yaml", "x: more\n"},
         {"top/own.yaml", "a: own\n"},
         {"top/charts/web/values.yaml", "a: chart\nlist: [1, 2]\nmap: {x: 1, y: 2}\n"}}};
    BuildOptions options;
    options.charts = answers;
    try {
        return build(files, "top", options).to_yaml();
    } catch (const Error& error) {
        return std::string{"error: "} + error.what();
    }
}

TEST(Helm, IsRefusedUnlessSomeoneRunsIt) {
    EXPECT_EQ(built("helmCharts:\n- name: web\n", nullptr),
              "error: top/kustomization.yaml:2: helmCharts[0]: Helm charts are not allowed here; "
              "`kled build --enable-helm` runs helm");
}

TEST(Helm, PutsAChartsObjectsThroughTheTransformers) {
    Answers answers;
    EXPECT_EQ(built("namePrefix: x-\nhelmGlobals: {configHome: /tmp/helm}\nhelmCharts:\n"
                    "- {name: web, releaseName: r, namespace: ns, includeCRDs: true, apiVersions: "
                    "[a/v1]}\n",
                    &answers),
              "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x-chart\n");
    EXPECT_EQ(answers.directory, "top");
    EXPECT_EQ(answers.asked.config_home, "/tmp/helm");
    EXPECT_EQ(answers.asked.release_name, "r");
    EXPECT_TRUE(answers.asked.include_crds);
    EXPECT_EQ(answers.asked.home(), "charts");
    EXPECT_THAT(answers.values, ElementsAre("a: chart\nlist: [1, 2]\nmap: {x: 1, y: 2}\n"));
}

TEST(Helm, MergesInlineValuesAsAsked) {
    Answers answers;
    const auto values = [&](const std::string& merge) {
        (void)built(
            "helmCharts:\n- name: web\n  valuesInline: {a: inline, list: [3], map: {x: 9}}\n" +
                merge,
            &answers);
        return answers.values.front();
    };
    EXPECT_EQ(values(""), "a: inline\nlist:\n- 3\nmap:\n  x: 9\n  \"y\": 2\n");
    EXPECT_EQ(values("  valuesMerge: merge\n"),
              "a: chart\nlist:\n- 1\n- 2\nmap:\n  x: 1\n  \"y\": 2\n");
    EXPECT_EQ(values("  valuesMerge: replace\n"), "a: inline\nlist:\n- 3\nmap:\n  x: 9\n");
    EXPECT_THAT(built("helmCharts: [{name: web, valuesMerge: mix}]\n", &answers),
                HasSubstr("valuesMerge: expected merge, override or replace, found mix"));
}

TEST(Helm, TakesValuesFilesInOrder) {
    Answers answers;
    (void)built(
        "helmCharts:\n- {name: web, valuesFile: own.yaml, additionalValuesFiles: [more.yaml]}\n",
        &answers);
    EXPECT_THAT(answers.values, ElementsAre("a: own\n", "x: more\n"));
    EXPECT_THAT(built("helmCharts:\n- {name: web, valuesFile: ../../etc/passwd}\n", &answers),
                HasSubstr("no such file: ../../etc/passwd"));
}

TEST(Helm, SkipsWhatHelmSaysBeforeTheFirstDocument) {
    Answers answers;
    answers.output = "Pulled: x\nDigest: sha256:0\n---\n" + answers.output;
    EXPECT_THAT(built("helmCharts: [{name: web}]\n", &answers), HasSubstr("name: chart"));
}

}  // namespace
}  // namespace kled::kustomize
