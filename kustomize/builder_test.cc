#include "kustomize/builder.h"

#include "base/error.h"
#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace kled::kustomize {
namespace {

using Tree = std::map<std::string, std::string>;

std::string app(const std::string& name, const std::string& level) {
    return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name +
           "}\nspec:\n  template:\n    spec:\n      containers:\n      - name: main\n"
           "        envFrom:\n        - configMapRef: {name: " +
           name + "-settings}\n        - configMapRef: {name: shared}\n        args: [" + level +
           "]\n";
}

/// A cluster of three apps and what they share; one app is reached by way of a team.
Tree cluster() {
    Tree tree;
    tree["top/kustomization.yaml"] =
        "namespace: prod\nlabels:\n- pairs: {cluster: prod}\n"
        "resources: [../apps/a, ../apps/b, ../team, ../shared]\n";
    tree["team/kustomization.yaml"] = "namePrefix: team-\nresources: [../apps/c, note.yaml]\n";
    tree["team/note.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: note}\n";
    tree["shared/kustomization.yaml"] =
        "configMapGenerator:\n- {name: shared, files: [data.txt]}\n";
    tree["shared/data.txt"] = "one";
    for (const std::string name : {"a", "b", "c"}) {
        tree["apps/" + name + "/kustomization.yaml"] =
            "resources: [app.yaml]\nconfigMapGenerator:\n- {name: " + name +
            "-settings, literals: [x=y]}\n";
        tree["apps/" + name + "/app.yaml"] = app(name, "info");
    }
    return tree;
}

std::string outcome(const Tree& tree) {
    try {
        return build(MemoryFiles{tree}, "top").to_yaml();
    } catch (const Error& error) {
        return std::string{"error: "} + error.what();
    }
}

std::string outcome(Builder& builder, const Tree& tree) {
    try {
        return builder.build(MemoryFiles{tree}).to_yaml();
    } catch (const Error& error) {
        return std::string{"error: "} + error.what();
    }
}

TEST(Builder, RebuildsOnlyThePartThatReadsAChangedFile) {
    auto tree = cluster();
    Builder builder{"top", {}};
    EXPECT_EQ(outcome(builder, tree), outcome(tree));
    const auto before = builder.build(MemoryFiles{tree});
    EXPECT_EQ(before.parts, 5U);
    EXPECT_EQ(before.rebuilt, 5U);

    tree["apps/b/app.yaml"] = app("b", "debug");
    builder.changed("apps/b/app.yaml");
    EXPECT_EQ(outcome(builder, tree), outcome(tree));
    const auto& after = builder.build(MemoryFiles{tree});
    EXPECT_EQ(after.rebuilt, 1U);
    std::size_t same = 0;
    for (std::size_t i = 0; i < after.objects.size(); ++i)
        same += after.objects[i] == before.objects[i] ? 1 : 0;
    EXPECT_EQ(same, after.objects.size() - 2);  // the Deployment and its ConfigMap are new
}

TEST(Builder, FollowsANewHashIntoOtherParts) {
    auto tree = cluster();
    Builder builder{"top", {}};
    const auto before = builder.build(MemoryFiles{tree});
    tree["shared/data.txt"] = "two";
    builder.changed("shared/data.txt");
    EXPECT_EQ(outcome(builder, tree), outcome(tree));
    const auto& after = builder.build(MemoryFiles{tree});
    EXPECT_EQ(after.rebuilt, 1U);
    std::size_t same = 0;
    for (const auto& object : after.objects)
        same += std::count(before.objects.begin(), before.objects.end(), object);
    EXPECT_EQ(same, 4U);  // three ConfigMaps and the note; the Deployments and `shared` are new
}

TEST(Builder, DoesNothingWhenAnUnrelatedFileChanges) {
    auto tree = cluster();
    Builder builder{"top", {}};
    const auto* first = &builder.build(MemoryFiles{tree});
    builder.changed("apps/b/README.md");
    builder.changed("other");
    struct Untouchable : Files {
        std::optional<Entry> find(const std::string&) const override {
            return fail(), std::nullopt;
        }
        std::string read(const std::string&) const override { return fail(), ""; }
        std::vector<std::string> list(const std::string&) const override {
            return fail(), std::vector<std::string>{};
        }
        static void fail() { ADD_FAILURE() << "the tree was asked"; }
    };
    EXPECT_EQ(&builder.build(Untouchable{}), first);
}

TEST(Builder, KeepsWhatIsMadeOfAnObjectInItsPlace) {
    auto tree = cluster();
    int made = 0;
    Builder builder{"top", {}, [&](const kube::LoadedObject& loaded) {
                        ++made;
                        return std::make_shared<const std::string>(loaded.object.name());
                    }};
    const auto names = [&] {
        std::vector<std::string> result;
        for (const auto& object : builder.build(MemoryFiles{tree}).objects) {
            EXPECT_TRUE(object->loaded().object.fields().empty());
            result.push_back(*object->kept<std::string>());
        }
        return result;
    };
    const auto before = names();
    EXPECT_EQ(made, static_cast<int>(before.size()));
    EXPECT_TRUE(builder.up_to_date());
    builder.changed("apps/b/README.md");
    EXPECT_TRUE(builder.up_to_date());
    made = 0;
    tree["apps/b/app.yaml"] = app("b", "debug");
    builder.changed("apps/b/app.yaml");
    EXPECT_FALSE(builder.up_to_date());
    EXPECT_EQ(names(), before);
    EXPECT_EQ(made, 2);  // the Deployment and its ConfigMap
}

TEST(Builder, SaysWhatKeepingAnObjectThrew) {
    auto tree = cluster();
    bool refuse = true;
    Builder builder{"top", {}, [&](const kube::LoadedObject& loaded) {
                        if (refuse && loaded.object.name() == "b")
                            throw Error{ErrorKind::invalid, "not this one"};
                        return std::make_shared<const std::string>(loaded.object.name());
                    }};
    const MemoryFiles files{tree};
    EXPECT_THROW((void)builder.build(files), Error);
    refuse = false;
    EXPECT_EQ(builder.build(files).objects.size(), build(files, "top").objects.size());
}

TEST(Builder, SeesFilesThatComeAndGo) {
    auto tree = cluster();
    Builder builder{"top", {}};
    (void)outcome(builder, tree);
    tree.erase("apps/a/app.yaml");
    builder.changed("apps/a/app.yaml");
    EXPECT_THAT(outcome(builder, tree), testing::StartsWith("error: apps/a/kustomization.yaml:1"));
    EXPECT_EQ(outcome(builder, tree), outcome(tree));
    tree["apps/a/app.yaml"] = app("a", "back");
    builder.changed("apps/a/app.yaml");
    EXPECT_EQ(outcome(builder, tree), outcome(tree));
    EXPECT_EQ(builder.build(MemoryFiles{tree}).rebuilt, 1U);

    tree["apps/a/Kustomization"] = "";  // a second one beside it
    builder.changed("apps/a/Kustomization");
    EXPECT_THAT(outcome(builder, tree), testing::HasSubstr("both kustomization.yaml and"));
}

TEST(Builder, SaysWhatTheWholeBuildSaysWhenPartsDoNotFit) {
    auto tree = cluster();
    Builder builder{"top", {}};
    (void)outcome(builder, tree);
    tree["apps/b/app.yaml"] = app("a", "twice");
    builder.changed("apps/b/app.yaml");
    EXPECT_THAT(outcome(tree), testing::HasSubstr("there is one already"));
    EXPECT_EQ(outcome(builder, tree), outcome(tree));
}

TEST(Builder, BuildsTreesThatDoNotFallIntoPartsAsAWhole) {
    auto tree = cluster();
    tree["top/kustomization.yaml"] +=
        "patches:\n- target: {kind: Deployment, name: b}\n"
        "  patch: '[{\"op\": \"add\", \"path\": \"/spec/replicas\", \"value\": 2}]'\n";
    Builder builder{"top", {}};
    EXPECT_EQ(outcome(builder, tree), outcome(tree));
    EXPECT_EQ(builder.build(MemoryFiles{tree}).parts, 1U);
    tree["apps/c/app.yaml"] = app("c", "debug");
    builder.changed("apps/c/app.yaml");
    EXPECT_EQ(outcome(builder, tree), outcome(tree));
}

TEST(Builder, AgreesWithTheWholeBuildAfterAnySeriesOfChanges) {
    std::mt19937 random{7};  // NOLINT(cert-msc51-cpp): the same series each time
    const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    auto tree = cluster();
    Builder builder{"top", {}};
    for (int round = 0; round < 300; ++round) {
        for (int i = pick(3); i >= 0; --i) {
            const std::string name{static_cast<char>('a' + pick(3))};
            std::string path;
            switch (pick(7)) {
                case 0:
                    path = "apps/" + name + "/app.yaml";
                    tree[path] = app(pick(9) == 0 ? "a" : name, std::to_string(pick(4)));
                    break;
                case 1:
                    path = "shared/data.txt";
                    tree[path] = std::to_string(pick(3));
                    break;
                case 2:
                    path = "top/kustomization.yaml";
                    tree[path] =
                        std::string{pick(2) == 0 ? "namespace: prod\n" : "nameSuffix: -s\n"} +
                        "resources: [" +
                        (pick(2) == 0 ? "../apps/a, ../apps/b" : "../apps/b, ../apps/a") +
                        ", ../team" + (pick(2) == 0 ? ", ../shared]\n" : "]\n") +
                        (pick(3) == 0 ? "sortOptions: {order: fifo}\n" : "");
                    break;
                case 3:
                    path = "team/kustomization.yaml";
                    tree[path] = std::string{"namePrefix: "} + (pick(2) == 0 ? "team-" : "t-") +
                                 "\nresources: [../apps/c" +
                                 (pick(2) == 0 ? ", note.yaml]\n" : "]\n");
                    break;
                case 4:
                    path = "apps/" + name + "/kustomization.yaml";
                    tree[path] = "resources: [app.yaml]\nconfigMapGenerator:\n- {name: " + name +
                                 "-settings, literals: [x=" + std::to_string(pick(2)) + "]}\n" +
                                 (pick(4) == 0 ? "configurations: [app.yaml]\n" : "");
                    break;
                case 5:
                    path = "apps/" + name + "/app.yaml";
                    tree.erase(path);
                    break;
                default:
                    path = "team/note.yaml";
                    tree[path] =
                        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: note\n"
                        "  annotations: {config.kubernetes.io/local-config: '" +
                        std::string{pick(2) == 0 ? "true" : "false"} + "'}\n";
            }
            builder.changed(path);
        }
        ASSERT_EQ(outcome(builder, tree), outcome(tree)) << "round " << round;
    }
}

TEST(Builder, RefusesWhatTheWholeBuildRefuses) {
    // A binding whose subject has an empty namespace, though nothing is renamed.
    const Tree tree{{"top/kustomization.yaml", "resources: [a.yaml, b.yaml]\n"},
                    {"top/a.yaml",
                     "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n"
                     "metadata: {name: a}\nsubjects:\n- kind: ServiceAccount\n"
                     "  name: x\n  namespace:\n"},
                    {"top/b.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: b}\n"}};
    Builder builder{"top", {}};
    EXPECT_THAT(outcome(tree), testing::HasSubstr("a subject's namespace is empty"));
    EXPECT_EQ(outcome(builder, tree), outcome(tree));
}

TEST(Builder, AgreesWithTheGoldenCases) {
    namespace fs = std::filesystem;
    for (const auto& folder : fs::directory_iterator{KLED_SOURCE_DIR "/kustomize/testdata"}) {
        if (!folder.is_directory()) continue;
        SCOPED_TRACE(folder.path().filename().string());
        auto directory = folder.path() / "input";
        if (auto path = read_file_if_exists(folder.path() / "path")) {
            path->erase(path->find_last_not_of('\n') + 1);
            directory /= *path;
        }
        Builder builder{DiskFiles::path_of(directory), {}};
        EXPECT_EQ(builder.build(DiskFiles{}).to_yaml(), read_file(folder.path() / "expected.yaml"));
    }
}

}  // namespace
}  // namespace kled::kustomize
