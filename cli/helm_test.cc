#include "cli/helm.h"

#include "base/error.h"
#include "base/file.h"
#include "kustomize/build.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <string>

namespace kled::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

/// A small program in helm's place: it writes down how it is called, pulls by making a chart, and
/// renders its values files into a ConfigMap.
constexpr auto program = R"(#!/bin/sh
echo "$@" >>"$(dirname "$0")/calls"
env | grep ^HELM_ | sort >"$(dirname "$0")/environment"
case "$1" in
version) echo v3.19.0+g1234 ;;
pull)
    [ "$2 $3" = "--untar --untardir" ] || exit 9
    mkdir -p "$4/web" && echo "replicas: 1" >"$4/web/values.yaml" ;;
template)
    [ "$2" != broken ] || { echo "no such template" >&2; exit 1; }
    printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata:\n  values: |\n'
    while [ $# -gt 0 ]; do
        [ "$1" != -f ] || sed 's/^/    /' "$2"
        shift
    done ;;
esac
)";

class HelmProgramTest : public ::testing::Test {
protected:
    HelmProgramTest() {
        write_file_atomic(directory.path() / "helm", program, 0755);
        make_directories(directory.path() / "app");
    }

    std::string built(const std::string& kustomization, HelmProgram::Options options = {}) {
        write_file_atomic(directory.path() / "app/kustomization.yaml", kustomization);
        if (options.program == "helm") options.program = (directory.path() / "helm").string();
        HelmProgram helm{std::move(options)};
        kustomize::BuildOptions build;
        build.charts = &helm;
        try {
            return kustomize::build(kustomize::DiskFiles{},
                                    kustomize::DiskFiles::path_of(directory.path() / "app"), build)
                .to_yaml();
        } catch (const Error& error) {
            return std::string{"error: "} + error.what();
        }
    }
    std::string said(const char* file) { return read_file(directory.path() / file); }

    TemporaryDirectory directory;
};

TEST_F(HelmProgramTest, PullsAChartOnceAndRendersItWithItsValues) {
    const std::string kustomization =
        "helmCharts:\n- name: web\n  repo: https://charts.example.com\n  version: 1.2.3\n"
        "  releaseName: front\n  namespace: ns\n  includeCRDs: true\n  apiVersions: [a/v1, b/v1]\n"
        "  valuesInline: {replicas: 3}\n";
    EXPECT_EQ(built(kustomization),
              "apiVersion: v1\ndata:\n  values: |\n    replicas: 3\nkind: ConfigMap\nmetadata:\n"
              "  name: web\n");
    const auto home = (directory.path() / "app/charts/web-1.2.3").string();
    EXPECT_THAT(said("calls"), HasSubstr("version --short\npull --untar --untardir " + home +
                                         " --repo https://charts.example.com web --version 1.2.3\n"
                                         "template front " +
                                         home + "/web --namespace ns -f "));
    EXPECT_THAT(said("calls"),
                HasSubstr(" --api-versions a/v1 --api-versions b/v1 --include-crds\n"));
    (void)built(kustomization);
    const auto calls = said("calls");
    EXPECT_EQ(calls.find("pull"), calls.rfind("pull"));
}

TEST_F(HelmProgramTest, PullsOnceForBuildsSideBySide) {
    std::string slow{program};
    const std::string made = "mkdir -p \"$4/web\" && ";
    slow.insert(slow.find(made) + made.size(), "sleep 0.2 && ");
    write_file_atomic(directory.path() / "helm", slow, 0755);
    write_file_atomic(directory.path() / "app/kustomization.yaml",
                      "helmCharts: [{name: web, repo: 'https://charts.example.com'}]\n");
    const auto build_one = [&](const std::string& name) {
        make_directories(directory.path() / name);
        write_file_atomic(directory.path() / name / "kustomization.yaml", "resources: [../app]\n");
        HelmProgram helm{{.program = (directory.path() / "helm").string()}};
        kustomize::BuildOptions build;
        build.charts = &helm;
        const auto path = kustomize::DiskFiles::path_of(directory.path() / name);
        return kustomize::build(kustomize::DiskFiles{}, path, build).to_yaml();
    };
    auto first = std::async(std::launch::async, build_one, "first");
    auto second = std::async(std::launch::async, build_one, "second");
    EXPECT_EQ(first.get(), second.get());
    const auto calls = said("calls");
    EXPECT_EQ(calls.find("pull"), calls.rfind("pull"));
}

TEST_F(HelmProgramTest, GivesHelmDirectoriesOfItsOwn) {
    ::setenv("HELM_PLUGINS", "/somewhere", 1);
    (void)built("helmCharts: [{name: web, repo: 'https://charts.example.com'}]\n");
    ::unsetenv("HELM_PLUGINS");
    EXPECT_THAT(said("environment"),
                HasSubstr("HELM_CONFIG_HOME=" + fs::temp_directory_path().string()));
    EXPECT_THAT(said("environment"), Not(HasSubstr("HELM_PLUGINS")));
    (void)built("helmGlobals: {configHome: /tmp/own}\nhelmCharts: [{name: web}]\n");
    EXPECT_THAT(said("environment"), HasSubstr("HELM_CACHE_HOME=/tmp/own/.cache"));
}

TEST_F(HelmProgramTest, SaysWhatHelmSaysWhenItFails) {
    EXPECT_THAT(built("helmCharts: [{name: web}]\n"), HasSubstr("and no `repo` to pull it from"));
    EXPECT_THAT(built("helmCharts: [{name: web, repo: 'https://x', releaseName: broken}]\n"),
                HasSubstr("helm template failed with status 1: no such template"));
    EXPECT_THAT(built("helmCharts: [{name: --post-renderer=x}]\n"), HasSubstr("starts with -"));
    EXPECT_THAT(built("helmCharts: [{name: web}]\n", {.program = "/nowhere/helm"}),
                HasSubstr("/nowhere/helm version"));
}

}  // namespace
}  // namespace kled::cli
