#include "kustomize/build.h"

#include "base/error.h"
#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>

namespace kled::kustomize {
namespace {

namespace fs = std::filesystem;
using Tree = std::map<std::string, std::string>;

const std::string config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n";

std::string built(const Tree& tree, const std::string& directory = "",
                  const BuildOptions& options = {}) {
    return build(MemoryFiles{tree}, directory, options).to_yaml();
}

/// What a build that has to fail says.
std::string problems(const Tree& tree, const std::string& directory = "") {
    try {
        (void)build(MemoryFiles{tree}, directory);
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

TEST(Build, SaysWhichEntryOfWhichFileIsMissing) {
    EXPECT_EQ(problems({{"kustomization.yaml", "resources:\n- there.yaml\n- gone.yaml\n"},
                        {"there.yaml", config_map}}),
              "kustomization.yaml:3: resources[1]: no such file or directory: gone.yaml");
}

TEST(Build, RefusesAnnotationsThatAreAList) {
    EXPECT_EQ(problems({{"kustomization.yaml", "resources: [r.yaml]\n"},
                        {"r.yaml", config_map + "---\napiVersion: v1\nkind: Pod\n"
                                                "metadata: {name: p, annotations: [a, b]}\n"}}),
              "kustomization.yaml:1: resources[0]: r.yaml:5: metadata.annotations: expected a map, "
              "found a list");
}

TEST(Build, ReportsAllProblemsOfATreeAtOnce) {
    EXPECT_EQ(
        problems({{"top/kustomization.yaml", "namePrfix: x\nresources:\n- ../base\n"}}, "top"),
        "top/kustomization.yaml:1: namePrfix: unknown field\n"
        "top/kustomization.yaml:3: resources[0]: no such file or directory: ../base");
    EXPECT_EQ(problems({{"top/kustomization.yaml", "resources:\n- ../a\n- gone.yaml\n- ../b\n"},
                        {"a/kustomization.yaml", "namePrefix: 7\nnamespase: x\n"},
                        {"b/kustomization.yaml", "resources: [broken.yaml]\n"},
                        {"b/broken.yaml", "kind: ConfigMap\nmetadata: {name: [}\n"}},
                       "top"),
              "a/kustomization.yaml:1: namePrefix: expected text (quote it), found a number\n"
              "a/kustomization.yaml:2: namespase: unknown field\n"
              "top/kustomization.yaml:3: resources[1]: no such file or directory: gone.yaml\n"
              "b/kustomization.yaml:1: resources[0]: b/broken.yaml:2:19: did not find expected "
              "node content while "
              "parsing a flow node");
}

TEST(Build, LooksAtWhatDoesNotHangOnWhatIsMissing) {
    EXPECT_EQ(problems({{"kustomization.yaml",
                         "resources: [gone.yaml]\n"
                         "configMapGenerator:\n"
                         "- {name: new, files: [absent.txt]}\n"
                         "- {name: base, behavior: merge, literals: [a=b]}\n"
                         "patches:\n"
                         "- path: missing.yaml\n"
                         "- {path: there.yaml, target: {kind: Deployment}}\n"
                         "components: [part]\n"},
                        {"there.yaml", "- {op: remove, path: /spec}\n"},
                        {"part/kustomization.yaml", "kind: Component\nresources: [lost.yaml]\n"}}),
              "kustomization.yaml:1: resources[0]: no such file or directory: gone.yaml\n"
              "kustomization.yaml:3: configMapGenerator[0]: no such file: absent.txt\n"
              "part/kustomization.yaml:2: resources[0]: no such file or directory: lost.yaml\n"
              "kustomization.yaml:6: patches[0]: no such file: missing.yaml");
    EXPECT_EQ(problems({{"kustomization.yaml",
                         "resources: [a.yaml]\n"
                         "patches:\n"
                         "- patch: '- {op: remove, path: /b}'\n"
                         "  target: {kind: ConfigMap}\n"
                         "- patch: '- {op: remove, path: /c}'\n"
                         "  target: {kind: ConfigMap}\n"},
                        {"a.yaml", config_map}}),
              "kustomization.yaml:3: patches[0]: ConfigMap settings (a.yaml:1): JSON patch: "
              "operation 0: path \"/b\" does not exist\n"
              "kustomization.yaml:5: patches[1]: ConfigMap settings (a.yaml:1): JSON patch: "
              "operation 0: path \"/c\" does not exist");
}

TEST(Build, SaysWhichFileHasAnObjectWithoutAName) {
    EXPECT_EQ(problems({{"kustomization.yaml", "resources: [a.yaml]\n"},
                        {"a.yaml", "\n---\nkind: ConfigMap\napiVersion: v1\n"}}),
              "kustomization.yaml:1: resources[0]: a.yaml:3: ConfigMap has no `metadata.name`");
}

TEST(Build, OfAFileNamesItsDirectory) {
    EXPECT_EQ(problems({{"top/kustomization.yaml", "resources: []\n"}}, "top/kustomization.yaml"),
              "top/kustomization.yaml: a file; name the directory it is in: top");
    EXPECT_EQ(problems({{"kustomization.yaml", "resources: []\n"}}, "kustomization.yaml"),
              "kustomization.yaml: a file; name the directory it is in: .");
}

TEST(Build, RefusesCycles) {
    EXPECT_EQ(problems({{"a/kustomization.yaml", "resources: [../b]\n"},
                        {"b/kustomization.yaml", "resources: [../a]\n"}},
                       "a"),
              "b/kustomization.yaml:1: resources[0]: a cycle: ../a leads back to a");
    EXPECT_EQ(problems({{"a/kustomization.yaml", "resources: [..]\n"},
                        {"kustomization.yaml", "resources: []\n"}},
                       "a"),
              "a/kustomization.yaml:1: resources[0]: a cycle: .. leads back to a");
}

TEST(Build, StopsWhereEachLevelNamesTheNextTwice) {
    Tree tree;
    for (int i = 0; i < 40; ++i) {
        // Prefixes keep the objects apart; a level of two is one kustomization that is named twice.
        const auto level = "l" + std::to_string(i) + "/";
        const auto next = "../../l" + std::to_string(i + 1);
        for (const auto* side : {"a", "b"}) {
            tree[level + side + "/kustomization.yaml"] =
                "namePrefix: " + std::string{side} + "\nresources: [" + next + "]\n";
        }
        tree[level + "kustomization.yaml"] = "resources: [a, b]\n";
    }
    tree["l40/kustomization.yaml"] = "resources: [a.yaml]\n";
    tree["l40/a.yaml"] = config_map;
    std::string said;
    try {
        (void)build(MemoryFiles{tree}, "l0", {.limits = {.kustomizations = 500}});
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::exhausted);
        said = error.what();
    }
    EXPECT_THAT(said, testing::HasSubstr("the build is too large: more than 500 kustomizations"));
    EXPECT_EQ(said.find('\n'), said.npos);
}

TEST(Build, HasALimitForEachThingATreeMultiplies) {
    const auto stopped = [](const Tree& tree, const BuildOptions::Limits& limits) {
        try {
            (void)build(MemoryFiles{tree}, "", {.limits = limits});
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::exhausted);
            return std::string{error.what()};
        }
        return std::string{"no error"};
    };
    EXPECT_EQ(stopped({{"kustomization.yaml", "resources: [a]\n"},
                       {"a/kustomization.yaml", "resources: [../b]\n"},
                       {"b/kustomization.yaml", "resources: []\n"}},
                      {.depth = 2}),
              "a/kustomization.yaml:1: resources[0]: the build is too large: more than 2 "
              "kustomizations within each other");
    EXPECT_EQ(stopped({{"kustomization.yaml", "resources: [a.yaml]\n"},
                       {"a.yaml", config_map + "---\n" + "kind: Pod\nmetadata: {name: p}\n"}},
                      {.objects = 1}),
              "kustomization.yaml:1: resources[0]: the build is too large: more than 1 objects");
    // A value that is put into its own object doubles it each time.
    std::string doubling = "resources: [a.yaml]\nreplacements:\n";
    for (int i = 0; i < 60; ++i) {
        doubling +=
            "- source: {kind: ConfigMap, fieldPath: data}\n  targets:\n  - select: {kind: "
            "ConfigMap}\n    fieldPaths: [data.x" +
            std::to_string(i) + "]\n    options: {create: true}\n";
    }
    EXPECT_THAT(stopped({{"kustomization.yaml", doubling},
                         {"a.yaml", config_map + "data: {a: '0123456789'}\n"}},
                        {.bytes = 1U << 20U}),
                testing::HasSubstr("the build is too large: more than 1048576 bytes"));
    // What says little takes more than that.
    std::string many = config_map + "data: {k0: ''";
    for (int i = 1; i < 1000; ++i) many += ", k" + std::to_string(i) + ": ''";
    std::string copies;
    for (int i = 0; i < 30; ++i) copies += " annotations.x" + std::to_string(i) + ",";
    EXPECT_THAT(
        stopped({{"kustomization.yaml",
                  "resources: [a.yaml]\nreplacements:\n- source: {kind: ConfigMap, "
                  "fieldPath: data}\n  targets:\n  - select: {kind: Pod}\n    options: "
                  "{create: true}\n    fieldPaths: [" +
                      copies + "]\n"},
                 {"a.yaml", many + "}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"}},
                {.bytes = 1U << 20U}),
        testing::HasSubstr("the build is too large: more than 1048576 bytes"));
    // Each of many patches goes to each of many objects.
    EXPECT_THAT(
        stopped({{"kustomization.yaml",
                  "resources: [a.yaml]\npatches:\n- target: {}\n  path: patch.yaml\n"},
                 {"a.yaml", config_map + "---\n" + "kind: Pod\nmetadata: {name: p}\n"},
                 {"patch.yaml", config_map + "data: {a: " + std::string(1000, 'x') + "}\n"}},
                {.bytes = 2500}),
        testing::HasSubstr("the build is too large: more than 2500 bytes"));
    // A variable stands in many places.
    std::string places;
    for (int i = 0; i < 10; ++i) places += "$(V)";
    EXPECT_THAT(stopped({{"kustomization.yaml",
                          "resources: [a.yaml]\nvars:\n- name: V\n  objref: {apiVersion: v1, kind: "
                          "ConfigMap, name: settings}\n  fieldref: {fieldpath: data.a}\n"},
                         {"a.yaml", config_map + "data: {a: " + std::string(1000, 'x') +
                                        "}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: "
                                        "p}\nspec: {containers: [{name: c, args: ['" +
                                        places + "']}]}\n"}},
                        {.bytes = 6000}),
                testing::HasSubstr("the build is too large: more than 6000 bytes"));
}

TEST(Build, RefusesTheSameObjectTwice) {
    EXPECT_EQ(problems({{"kustomization.yaml", "resources: [a.yaml, b.yaml]\n"},
                        {"a.yaml", config_map},
                        {"b.yaml", config_map}}),
              "kustomization.yaml:1: resources[1]: ConfigMap settings (b.yaml:1): there is one "
              "already, ConfigMap "
              "settings (a.yaml:1)");
}

TEST(Build, RefusesFilesOutsideTheDirectoryUnlessAsked) {
    const Tree tree{{"app/kustomization.yaml", "resources: [../shared.yaml]\n"},
                    {"shared.yaml", config_map}};
    EXPECT_EQ(problems(tree, "app"),
              "app/kustomization.yaml:1: resources[0]: outside the kustomization's directory: "
              "../shared.yaml");
    EXPECT_THAT(built(tree, "app", {.load_anywhere = true}), testing::HasSubstr("name: settings"));
}

TEST(Build, RefusesALinkOutOfTheDirectory) {
    const TemporaryDirectory directory;
    make_directories(directory.path() / "app");
    write_file_atomic(directory.path() / "secret.yaml", config_map);
    write_file_atomic(directory.path() / "app/kustomization.yaml", "resources: [link.yaml]\n");
    fs::create_symlink("../secret.yaml", directory.path() / "app/link.yaml");
    try {
        (void)build(DiskFiles{}, DiskFiles::path_of((directory.path() / "app").string()));
        FAIL() << "the link was followed";
    } catch (const Error& error) {
        EXPECT_THAT(
            error.what(),
            testing::EndsWith("resources[0]: outside the kustomization's directory: link.yaml"));
    }
}

TEST(Build, RefusesRemoteResourcesAndForeignPlugins) {
    EXPECT_EQ(problems({{"kustomization.yaml", "resources: ['https://example.com/x.yaml']\n"}}),
              "kustomization.yaml:1: resources[0]: https://example.com/x.yaml: remote resources "
              "are not allowed here");
    EXPECT_THAT(
        problems({{"kustomization.yaml", "transformers: [t.yaml]\n"},
                  {"t.yaml", "apiVersion: example.com/v1\nkind: Own\nmetadata: {name: t}\n"}}),
        testing::HasSubstr("only `apiVersion: builtin` transformers are run"));
}

TEST(Build, SaysWhatAPatchDidNotFind) {
    EXPECT_EQ(problems({{"kustomization.yaml", "resources: [a.yaml]\npatches:\n- path: p.yaml\n"},
                        {"a.yaml", config_map},
                        {"p.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n"}}),
              "kustomization.yaml:3: patches[0]: nothing to patch is named ConfigMap.v1 other");
    EXPECT_EQ(problems({{"kustomization.yaml",
                         "resources: [a.yaml]\nreplicas:\n- {name: web, count: 2}\n"},
                        {"a.yaml", config_map}}),
              "kustomization.yaml:3: replicas[0]: nothing with replicas is named web");
}

TEST(Build, RefusesAnEmptyKustomizationAndTwoOfThem) {
    EXPECT_EQ(problems({{"kustomization.yaml", "kind: Kustomization\n"}}),
              "kustomization.yaml: the kustomization is empty");
    EXPECT_EQ(problems({{"kustomization.yaml", ""}, {"Kustomization", ""}}),
              ": both kustomization.yaml and Kustomization are there");
    EXPECT_EQ(problems({{"x", ""}}),
              ": no kustomization.yaml, kustomization.yml or Kustomization in it");
}

TEST(Build, GivesEachObjectItsOrigin) {
    const auto result = build(MemoryFiles{{{"kustomization.yaml", "resources: [a.yaml]\n"},
                                           {"a.yaml", "# first\n---\n" + config_map}}},
                              "");
    ASSERT_EQ(result.objects.size(), 1U);
    EXPECT_EQ(result.objects[0].origin.at(""), "a.yaml:3");
}

TEST(Build, WarnsOfDeprecatedFields) {
    const auto result =
        build(MemoryFiles{{{"kustomization.yaml", "commonLabels: {a: b}\nresources: [a.yaml]\n"},
                           {"a.yaml", config_map}}},
              "");
    EXPECT_THAT(
        result.warnings,
        testing::ElementsAre("kustomization.yaml:1: commonLabels: deprecated, use `labels`"));
}

TEST(Build, CollectsManifestsOfADirectoryWithoutKustomizationAsFluxDoes) {
    const Tree tree{{"apps/b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n"},
                    {"apps/notes.txt", "not YAML: ["},
                    {"apps/sub/c.yml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"},
                    {"apps/own/kustomization.yaml", "namePrefix: own-\nresources: [d.yaml]\n"},
                    {"apps/own/d.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: d}\n"}};
    const auto text =
        built(tree, "apps", {.order = BuildOptions::Order::none, .generate_missing = true});
    EXPECT_EQ(text,
              "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: b\n---\n"
              "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: own-d\n---\n"
              "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n");
}

TEST(Build, LetsTheCallerAmendTheTopKustomizationOnly) {
    const Tree tree{{"top/kustomization.yaml", "resources: [../base]\n"},
                    {"base/kustomization.yaml", "resources: [a.yaml]\n"},
                    {"base/a.yaml", config_map}};
    BuildOptions options;
    options.amend = [](boost::json::object& kustomization) {
        kustomization["namePrefix"] = "flux-";
    };
    EXPECT_EQ(built(tree, "top", options),
              "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: flux-settings\n");
}

TEST(Build, AsksOnlyForWhatItDependsOn) {
    struct Recorder : MemoryFiles {
        using MemoryFiles::MemoryFiles;
        std::string read(const std::string& path) const override {
            seen.push_back(path);
            return MemoryFiles::read(path);
        }
        mutable std::vector<std::string> seen;
    };
    const Recorder files{{{"kustomization.yaml", "resources: [a.yaml]\n"},
                          {"a.yaml", config_map},
                          {"unused.yaml", "["}}};
    (void)build(files, "");
    EXPECT_THAT(files.seen, testing::ElementsAre("kustomization.yaml", "a.yaml"));
}

TEST(Build, FailsWhereAnObjectLosesItsKindOrName) {
    EXPECT_EQ(problems({{"kustomization.yaml",
                         "resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n"
                         "  patch: '- {op: remove, path: /metadata/name}'\n"},
                        {"a.yaml", config_map}}),
              "ConfigMap  (a.yaml:1): no `metadata.name` is left in it");
    EXPECT_EQ(problems({{"kustomization.yaml",
                         "resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n"
                         "  patch: '- {op: remove, path: /kind}'\n"},
                        {"a.yaml", config_map}}),
              " settings (a.yaml:1): no `kind` is left in it");
}

TEST(Build, LooksForReferencesAlsoWhereNothingIsRenamed) {
    EXPECT_EQ(problems({{"kustomization.yaml", "resources: [a.yaml]\n"},
                        {"a.yaml",
                         "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"
                         "spec: {volumes: [{secret: settings}]}\n"}}),
              "Pod web (a.yaml:1): field spec/volumes/secret/secretName: expected a map or a list "
              "before `secretName`, found a text");
}

TEST(Build, LeavesANumberANumberWhenItIsReplaced) {
    const auto replaced = [](const std::string& text) {
        return problems(
            {{"kustomization.yaml", "resources: [a.yaml]\nreplacements:\n- sourceValue: \"" + text +
                                        "\"\n  targets:\n  - select: {kind: Deployment}\n"
                                        "    fieldPaths: [spec.replicas]\n"},
             {"a.yaml",
              "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
              "spec: {replicas: 1}\n"}});
    };
    EXPECT_EQ(replaced("3"), "no error");
    EXPECT_EQ(replaced("many"),
              "Deployment web (a.yaml:1): kustomization.yaml:3: replacements[0]: `many` in place "
              "of a number");
    EXPECT_EQ(replaced("1.5"),
              "Deployment web (a.yaml:1): kustomization.yaml:3: replacements[0]: `1.5` in place "
              "of a number");
}

TEST(Build, RefusesTextInPlaceOfANullThatStaysThere) {
    const auto with = [](const std::string& path) {
        return problems(
            {{"kustomization.yaml",
              "resources: [thing.yaml]\nreplacements:\n- sourceValue: text\n  targets:\n"
              "  - {select: {kind: Thing}, fieldPaths: [spec." +
                  path + "], options: {create: true}}\n"},
             {"thing.yaml",
              "apiVersion: a/v1\nkind: Thing\nmetadata: {name: x}\n"
              "spec:\n  said: null\n  empty:\n"}});
    };
    EXPECT_EQ(with("said"),
              "Thing x (thing.yaml:1): kustomization.yaml:3: replacements[0]: `text` in place of a "
              "null");
    EXPECT_EQ(with("empty.below"),
              "kustomization.yaml:3: replacements[0]: Thing x (thing.yaml:1): spec.empty.below: "
              "`below`: expected a map, found nothing");
    EXPECT_EQ(with("said.below"), "no error");
}

TEST(Build, RefusesTwoObjectsThatBecomeTheSame) {
    const std::string rename = "- {op: replace, path: /metadata/name, value: same}\n";
    const std::string both =
        config_map + "---\n" + "apiVersion: v1\nkind: ConfigMap\n" + "metadata: {name: others}\n";
    const std::string patches = "patches: [{path: rename.yaml, target: {kind: ConfigMap}}]\n";
    const std::string refused =
        "ConfigMap same (all.yaml:1) and ConfigMap same (all.yaml:5) have become the same object";
    EXPECT_THAT(problems({{"kustomization.yaml", "resources: [all.yaml]\n" + patches},
                          {"all.yaml", both},
                          {"rename.yaml", rename}}),
                testing::HasSubstr(refused));
    EXPECT_THAT(problems({{"kustomization.yaml",
                           "resources: [all.yaml]\ncomponents: [part]\n"
                           "nameSuffix: -after\n"},
                          {"part/kustomization.yaml", "kind: Component\n" + patches},
                          {"all.yaml", both},
                          {"part/rename.yaml", rename}}),
                testing::HasSubstr(refused));
}

TEST(Build, RefusesSubjectsThatAreNoMaps) {
    EXPECT_THAT(problems({{"kustomization.yaml", "resources: [binding.yaml]\n"},
                          {"binding.yaml",
                           "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n"
                           "metadata: {name: x}\nroleRef: {apiGroup: a, kind: Role, name: b}\n"
                           "subjects: [somebody]\n"}}),
                testing::HasSubstr("a subject is a text, not a map"));
}

TEST(Build, NeedsTheFieldsOfAPrefixTransformer) {
    EXPECT_EQ(problems({{"kustomization.yaml", "resources: [a.yaml]\ntransformers: [p.yaml]\n"},
                        {"a.yaml", config_map},
                        {"p.yaml",
                         "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: p}\n"
                         "prefix: p-\n"}}),
              "kustomization.yaml:2: transformers[0]: PrefixTransformer p (p.yaml:1): needs "
              "`fieldSpecs`");
}

TEST(Build, StaysLinearForOneNameInManyNamespaces) {
    Tree tree;
    std::string top = "resources:\n";
    for (int i = 0; i < 400; ++i) {
        const auto ns = "n" + std::to_string(i);
        top += "- " + ns + "\n";
        tree[ns + "/kustomization.yaml"] = "namespace: " + ns + "\nresources: [a.yaml]\n";
        tree[ns + "/a.yaml"] = config_map;
    }
    tree["kustomization.yaml"] = top;
    EXPECT_EQ(build(MemoryFiles{tree}, "").objects.size(), 400U);
}

TEST(Build, StaysLinearForManyTextsInOneObject) {
    std::string pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n";
    for (int i = 0; i < 20000; ++i) {
        const auto n = std::to_string(i);
        pod += "  - {name: c" + n + ", image: i" + n + "}\n";
    }
    const auto text = built(
        {{"kustomization.yaml", "resources: [pod.yaml]\nimages: [{name: '.*', newTag: '1'}]\n"},
         {"pod.yaml", pod}});
    EXPECT_THAT(text, testing::HasSubstr("image: i19999:1\n"));
}

TEST(Build, TakesWithAValueOnlyWhatIsSaidOfIt) {
    const auto source = config_map + "data: {a: \"on\", b: '2'}\n---\n";
    const auto target = "apiVersion: x.io/v1\nkind: Thing\nmetadata: {name: t}\nspec: {}\n";
    EXPECT_THAT(
        built({{"kustomization.yaml",
                "resources: [a.yaml]\nreplacements:\n- source: {kind: ConfigMap, fieldPath: data}\n"
                "  targets:\n  - select: {kind: Thing}\n    fieldPaths: [spec]\n"},
               {"a.yaml", source + target}}),
        testing::HasSubstr("spec:\n  a: \"on\"\n  b: \"2\"\n"));
}

}  // namespace
}  // namespace kled::kustomize
