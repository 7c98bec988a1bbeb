#include "gitops/build/build.h"

#include "base/error.h"
#include "base/file.h"
#include "gitops/git/testing.h"
#include "kube/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace kled::gitops {
namespace {

using git::testing::File;
using git::testing::Files;

const std::string config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n";

class BuildTest : public ::testing::Test {
protected:
    git::Revision fetched() {
        git::Access access;
        access.local_repositories = true;
        return mirror.fetch({.branch = "main"}, access, {});
    }
    Built built(const Files& files, const std::string& spec = "path: app") {
        remote.commit(files);
        const auto revision = fetched();
        const auto deployment = Deployment::from_object(kube::Object::from(kube::parse_yaml(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a, "
            "namespace: b}\nspec:\n  interval: 1m\n  sourceRef: {kind: GitRepository, name: x}\n "
            " " +
            spec + "\n")));
        last_revision = revision;
        last_deployment = deployment;
        fresh = std::make_unique<Rebuild>();
        return fresh->run(mirror, revision, deployment);
    }
    std::pair<ErrorKind, std::string> failure(const Files& files) {
        try {
            static_cast<void>(built(files));
        } catch (const Error& error) {
            return {error.kind(), error.what()};
        }
        return {ErrorKind::internal, "it was built"};
    }

    git::Revision last_revision;
    Deployment last_deployment;
    std::unique_ptr<Rebuild> fresh;  ///< it built last
    git::testing::Repository remote;
    TemporaryDirectory directory;
    git::Mirror mirror{directory.path() / "mirror", remote.url()};
};

TEST_F(BuildTest, BuildsAFolderOfManifestsAsFluxDoes) {
    const auto result =
        built({{"app/a.yaml", config}, {"app/README.md", "text"}, {"other/b.yaml", "x: ["}});
    ASSERT_EQ(result.objects.size(), 1U);
    EXPECT_EQ(result.objects[0]->id.name, "a");
    EXPECT_TRUE(result.digest.starts_with("sha256:"));
    EXPECT_FALSE(fresh->read_set().contains("other/b.yaml"));
}

TEST_F(BuildTest, BringsInWhatTheKustomizationItselfSays) {
    const auto result = built(
        {{"app/kustomization.yaml", "resources: [a.yaml]\nnamePrefix: x-\n"},
         {"app/a.yaml", config}},
        "path: app\n  targetNamespace: web\n  namePrefix: y-\n  commonMetadata: {labels: {team: "
        "blue}}\n  patches: [{patch: '[{\"op\": \"add\", \"path\": \"/data/q\", \"value\": "
        "\"w\"}]', "
        "target: {kind: ConfigMap}}]");
    ASSERT_EQ(result.objects.size(), 1U);
    const auto object = result.objects[0]->decode();
    EXPECT_EQ(object.name(), "y-a");
    EXPECT_EQ(object.ns(), "web");
    EXPECT_EQ(object.label("team"), "blue");
    EXPECT_EQ(kube::find_string(object.fields(), {"data", "q"}), "w");
}

TEST_F(BuildTest, LooksForNoVariablesInTheCommonMetadata) {
    remote.commit({{"app/a.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: "
                    "'${v}'}\n"}});
    const auto revision = fetched();
    const auto deployment = Deployment::from_object(kube::Object::from(kube::parse_yaml(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a, "
        "namespace: b}\nspec:\n  interval: 1m\n  sourceRef: {kind: GitRepository, name: x}\n  "
        "path: "
        "app\n  commonMetadata:\n    labels: {kustomize.toolkit.fluxcd.io/substitute: disabled}\n  "
        " "
        " annotations: {note: '${other}'}\n")));
    for (const bool secret : {false, true}) {
        Inputs inputs;
        inputs.variables.emplace();
        inputs.variables->values.emplace("v", "value");
        inputs.variables->secret = secret;
        const auto result = Rebuild{}.run(mirror, revision, deployment, inputs);
        ASSERT_EQ(result.objects.size(), 1U);
        const auto object = result.objects.front()->decode();
        EXPECT_EQ(kube::find_string(object.fields(), {"data", "k"}), "value") << secret;
        EXPECT_EQ(object.annotation("note"), "${other}") << secret;
    }
}

TEST_F(BuildTest, NamesEveryVariableOfTheTreeThatIsNotSet) {
    const auto with = [](const std::string& name, const std::string& value) {
        return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {k: '" +
               value + "'}\n";
    };
    remote.commit({{"app/a.yaml", with("a", "${one} ${v} ${two}")},
                   {"app/b.yaml", with("b", "${v}")},
                   {"app/c.yaml", with("c", "${three}")}});
    const auto revision = fetched();
    const auto deployment = Deployment::from_object(kube::Object::from(kube::parse_yaml(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a, "
        "namespace: b}\nspec: {interval: 1m, sourceRef: {kind: GitRepository, name: x}, path: "
        "app}\n")));
    for (const bool secret : {false, true}) {
        Inputs inputs;
        inputs.variables.emplace();
        inputs.variables->values.emplace("v", "value");
        inputs.variables->secret = secret;
        Rebuild builds;
        const auto missing = [&]() -> std::string {
            try {
                static_cast<void>(builds.run(mirror, revision, deployment, inputs));
            } catch (const Error& error) {
                EXPECT_EQ(error.kind(), ErrorKind::invalid);
                return error.what();
            }
            return "";
        };
        const auto said = missing();
        EXPECT_EQ(std::ranges::count(said, '\n'), 1) << said;
        for (const auto* name : {"\"one\"", "\"two\"", "\"three\"", "ConfigMap a", "ConfigMap c"})
            EXPECT_NE(said.find(name), std::string::npos) << name << " in: " << said;
        EXPECT_EQ(missing(), said) << "nothing is kept of it";
        for (const auto* name : {"one", "two", "three"}) inputs.variables->values[name] = "x";
        EXPECT_EQ(missing(), "");
    }
}

TEST_F(BuildTest, NeedsANameOfEachObject) {
    EXPECT_EQ(
        failure({{"app/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}\n"}})
            .first,
        ErrorKind::invalid);
}

TEST_F(BuildTest, TellsARemoteBaseThatIsAwayFromADamagedCache) {
    built({{"app/a.yaml", config}});
    remote.commit({{"app/kustomization.yaml", "resources: ['http://127.0.0.1:1/a.yaml']\n"}});
    const auto revision = fetched();
    RemoteBases remotes;
    remotes.directory = directory.path() / "bases";
    try {
        static_cast<void>(Rebuild{}.run(mirror, revision, last_deployment, {}, remotes));
        FAIL() << "of what is not there";
    } catch (const RemoteBaseError& error) {
        EXPECT_THAT(error.what(), ::testing::HasSubstr("127.0.0.1"));
    }
}

TEST_F(BuildTest, SeesThatTheCacheIsDamagedAndTheNextFetchMakesItAnew) {
    built({{"app/a.yaml", config}});
    const auto packs = directory.path() / "mirror" / "objects" / "pack";
    std::vector<std::filesystem::path> first;
    for (const auto& entry : std::filesystem::directory_iterator{packs})
        first.push_back(entry.path());
    built({{"app/a.yaml", config},
           {"app/b.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: "
            "{name: b}\n"}});
    for (const auto& file : first) std::filesystem::remove(file);
    try {
        static_cast<void>(Rebuild{}.run(mirror, last_revision, last_deployment));
        FAIL() << "of what is not there";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unavailable);
        EXPECT_EQ(dynamic_cast<const RemoteBaseError*>(&error), nullptr);
        EXPECT_THAT(error.what(), ::testing::HasSubstr("the cache of the repository is damaged"));
    }
    const auto again = fetched();
    EXPECT_EQ(again, last_revision);
    EXPECT_EQ(Rebuild{}.run(mirror, again, last_deployment).objects.size(), 2U);
}

TEST_F(BuildTest, LeavesOutComponentsThatAreNotThereWhereThatIsAllowed) {
    const Files files{{"app/kustomization.yaml", "resources: [a.yaml]\n"},
                      {"app/a.yaml", config},
                      {"c/kustomization.yaml",
                       "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
                       "namePrefix: c-\n"}};
    const std::string both = "path: app\n  components: [../c, ../none]\n";
    const auto result = built(files, both + "  ignoreMissingComponents: true");
    ASSERT_EQ(result.objects.size(), 1U);
    EXPECT_EQ(result.objects[0]->id.name, "c-a");
    EXPECT_THROW(static_cast<void>(built(files, both)), Error);
}

TEST_F(BuildTest, SaysWhereAnObjectComesFromWhenAsked) {
    const auto result =
        built({{"app/kustomization.yaml", "resources: [a.yaml]\n"}, {"app/a.yaml", config}},
              "path: app\n  buildMetadata: [originAnnotations]");
    ASSERT_EQ(result.objects.size(), 1U);
    EXPECT_EQ(result.objects[0]->decode().annotation("config.kubernetes.io/origin"),
              "path: a.yaml\n");
}

TEST_F(BuildTest, SaysWhereTheYamlIsBroken) {
    const auto [kind, text] = failure(
        {{"app/kustomization.yaml", "resources: [a.yaml]\n"}, {"app/a.yaml", "a: b\n c: [\n"}});
    EXPECT_EQ(kind, ErrorKind::invalid);
    EXPECT_NE(text.find("app/a.yaml:2"), std::string::npos) << text;
}

TEST_F(BuildTest, DefusesAYamlBomb) {
    std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n";
    for (int i = 1; i < 12; ++i) {
        const auto before = "*a" + std::to_string(i - 1);
        bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
        for (int k = 0; k < 8; ++k) bomb += "," + before;
        bomb += "]\n";
    }
    const auto [kind, text] =
        failure({{"app/kustomization.yaml", "resources: [a.yaml]\n"}, {"app/a.yaml", bomb}});
    EXPECT_TRUE(kind == ErrorKind::exhausted || kind == ErrorKind::invalid) << text;
    EXPECT_NE(text.find("app/a.yaml"), std::string::npos) << text;
}

TEST_F(BuildTest, EndsACircleOfKustomizations) {
    const auto [kind, text] = failure({{"app/kustomization.yaml", "resources: [../b]\n"},
                                       {"b/kustomization.yaml", "resources: [../app]\n"}});
    EXPECT_EQ(kind, ErrorKind::invalid);
    EXPECT_NE(text.find("cycle"), std::string::npos) << text;
}

TEST_F(BuildTest, NamesALinkOutOfTheRepository) {
    const auto [kind, text] = failure({{"app/kustomization.yaml", "resources: [a.yaml]\n"},
                                       {"app/a.yaml", File::link("../../../etc/passwd")}});
    EXPECT_EQ(kind, ErrorKind::invalid);
    EXPECT_NE(text.find("app/a.yaml leads out of the repository by a symbolic link"),
              std::string::npos)
        << text;
}

TEST_F(BuildTest, RefusesAFileOfAHundredMegabytes) {
    const auto [kind, text] = failure({{"app/kustomization.yaml", "resources: [a.yaml]\n"},
                                       {"app/a.yaml", "a: " + std::string(100U << 20U, 'x')}});
    EXPECT_TRUE(kind == ErrorKind::exhausted || kind == ErrorKind::invalid);
    EXPECT_NE(text.find("app/a.yaml: 104857603 bytes; a file kled reads has at most"),
              std::string::npos)
        << text;
}

TEST_F(BuildTest, SaysThatThereIsNoSuchFolder) {
    const auto [kind, text] = failure({{"other/a.yaml", config}});
    EXPECT_EQ(kind, ErrorKind::not_found) << text;
}

/// Eighty apps of three objects, joined by `app`.
Files many_apps() {
    Files files;
    std::string top = "namespace: prod\nresources:\n";
    for (int i = 0; i < 80; ++i) {
        const auto name = "a" + std::to_string(i);
        top += "- ../" + name + "\n";
        files.insert_or_assign(name + "/kustomization.yaml",
                               File{"namePrefix: " + name +
                                    "-\nresources: [x.yaml, y.yaml]\n"
                                    "configMapGenerator:\n- {name: c, literals: [k=v]}\n"});
        files.insert_or_assign(name + "/x.yaml", File{config});
        files.insert_or_assign(
            name + "/y.yaml",
            File{"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  volumes:\n"
                 "  - {name: v, configMap: {name: c}}\n"});
    }
    files.insert_or_assign("app/kustomization.yaml", File{top});
    return files;
}

class RebuildTest : public BuildTest {
protected:
    /// Of the files as they are now; that of a fresh build, whatever was built before.
    std::string digest(const std::string& spec = "path: app") {
        const auto anew = built(files, spec);
        again = rebuild.run(mirror, last_revision, last_deployment);
        EXPECT_EQ(again.digest, anew.digest);
        EXPECT_EQ(text_of(again), text_of(anew));
        for (const auto& [path, seen] : fresh->read_set()) {
            const auto there = rebuild.read_set().find(path);
            if (there == rebuild.read_set().end()) {
                ADD_FAILURE() << path << " is missing";
            } else {
                EXPECT_EQ(there->second, seen) << path;
            }
        }
        EXPECT_TRUE((git::Tree{mirror, last_revision}.agrees_with(rebuild.read_set())));
        return again.digest;
    }

    static std::string text_of(const Built& built) {
        std::string text;
        for (const auto& manifest : built.objects)
            text += manifest->text + manifest->version + manifest->place + "\n";
        return text;
    }

    void put(const std::string& path, const std::string& text) {
        files.insert_or_assign(path, File{text});
    }

    /// Whether a new revision with the files as they are now is built.
    bool changes(const Inputs& inputs = {}) {
        remote.commit(files);
        last_revision = fetched();
        return rebuild.run_if_changed(mirror, last_revision, last_deployment, inputs).has_value();
    }

    Files files = many_apps();
    Rebuild rebuild;
    Built again;  ///< its last result
};

TEST_F(RebuildTest, IsABuildOfTheRevision) {
    const auto first = digest();
    EXPECT_TRUE(rebuild.keeps_objects());
    EXPECT_EQ(digest(), first);
    put("README.md", "text");
    EXPECT_EQ(digest(), first);
    put("a7/x.yaml", config + "immutable: true\n");
    const auto second = digest();
    EXPECT_NE(second, first);
    put("a9/kustomization.yaml", "resources: [x.yaml]\n");
    files.erase("a9/y.yaml");
    EXPECT_NE(digest(), second);
    files = many_apps();
    EXPECT_EQ(digest(), first);
    EXPECT_TRUE(rebuild.keeps_objects());
}

TEST_F(RebuildTest, GivesTheSameManifestsForWhatDidNotChange) {
    digest();
    const auto before = again.objects;
    put("a7/x.yaml", config + "immutable: true\n");
    digest();
    ASSERT_EQ(again.objects.size(), before.size());
    std::vector<std::string> other;
    for (std::size_t i = 0; i < before.size(); ++i) {
        if (again.objects[i] != before[i]) other.push_back(again.objects[i]->id.name);
    }
    // What comes of one entry is built anew as a whole.
    EXPECT_THAT(other, ::testing::ElementsAre("a7-a", "a7-p", ::testing::StartsWith("a7-c-")));
}

TEST_F(RebuildTest, TellsARevisionThatChangesNothing) {
    digest();
    put("README.md", "text");
    EXPECT_FALSE(changes());
    put("a7/x.yaml", config + "immutable: true\n");
    EXPECT_TRUE(changes());
    EXPECT_FALSE(changes());
    files.erase("a7/x.yaml");
    EXPECT_THROW(changes(), Error);
    EXPECT_THROW(changes(), Error) << "what failed gave nothing to be the same as";
    put("a7/x.yaml", config);
    EXPECT_TRUE(changes());
}

TEST_F(RebuildTest, TellsItOfASmallTreeToo) {
    files = {{"app/a.yaml", config}};
    digest();
    put("README.md", "text");
    EXPECT_FALSE(changes());
    put("app/a.yaml", config + "immutable: true\n");
    EXPECT_TRUE(changes());
    put("app/b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n");
    EXPECT_TRUE(changes()) << "a file more in a folder without a kustomization";
}

TEST_F(RebuildTest, WritesVariablesIntoTheObjects) {
    put("a7/x.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: '${v}'}\n");
    built(files);
    const auto value = [&](const Inputs& inputs) {
        const auto result = rebuild.run(mirror, last_revision, last_deployment, inputs);
        for (const auto& manifest : result.objects) {
            if (manifest->id.name == "a7-a")
                return std::string{kube::find_string(manifest->decode().fields(), {"data", "k"})};
        }
        return std::string{"none"};
    };
    Inputs inputs;
    inputs.variables = Variables{.values = {{"v", "one"}}};
    inputs.digest = 1;
    EXPECT_EQ(value(inputs), "one");
    EXPECT_TRUE(rebuild.keeps_objects());
    inputs.variables->values["v"] = "two";
    inputs.digest = 2;
    EXPECT_EQ(value(inputs), "two");
    inputs.variables->secret = true;
    inputs.digest = 3;
    inputs.variables->values["v"] = "three";
    EXPECT_EQ(value(inputs), "three");
    EXPECT_FALSE(rebuild.keeps_objects()) << "it holds a value of a Secret";
    EXPECT_FALSE(changes(inputs));
    inputs.variables->values.erase("v");
    inputs.digest = 4;
    EXPECT_THROW(value(inputs), Error);
}

TEST_F(RebuildTest, GoesOnAfterARevisionThatDoesNotBuild) {
    const auto first = digest();
    files.erase("a7/x.yaml");
    EXPECT_EQ(failure(files).first, ErrorKind::invalid);
    EXPECT_THROW(static_cast<void>(rebuild.run(mirror, last_revision, last_deployment)), Error);
    files = many_apps();
    EXPECT_EQ(digest(), first);
}

TEST_F(RebuildTest, SeesFoldersComeAndGo) {
    const std::string all = "path: all";
    for (const auto& [path, file] : many_apps()) files.insert_or_assign("all/" + path, file);
    files.erase("all/app/kustomization.yaml");
    put("all/extra.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: z}\n");
    std::string list = "resources:\n- extra.yaml\n";
    for (int i = 0; i < 80; ++i) list += "- a" + std::to_string(i) + "\n";
    put("all/kustomization.yaml", list + "- more\n");
    for (int i = 0; i < 40; ++i) {
        const auto name = "m" + std::to_string(i);
        put("all/more/" + name + "/c.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n");
    }
    put("all/more/kustomization.yaml", "resources: [m0/c.yaml, m1/c.yaml]\n");
    const auto first = digest(all);
    EXPECT_TRUE(rebuild.keeps_objects());
    put("all/more/kustomization.yaml", "resources: [m0/c.yaml]\n");
    files.erase("all/more/m1/c.yaml");
    EXPECT_NE(digest(all), first);
    std::erase_if(files, [](const auto& file) { return file.first.starts_with("all/more/"); });
    put("all/kustomization.yaml", list);
    EXPECT_NE(digest(all), first);
}

TEST_F(RebuildTest, StartsAnewWhereWhatIsAskedForIsAnother) {
    const auto first = digest();
    const auto labelled = digest("path: app\n  commonMetadata: {labels: {team: blue}}");
    EXPECT_NE(labelled, first);
    EXPECT_NE(digest("path: app\n  namePrefix: y-"), first);
    EXPECT_EQ(digest(), first);
    // A component that may be missing comes.
    const std::string spec = "path: app\n  components: [../c]\n  ignoreMissingComponents: true";
    EXPECT_EQ(digest(spec), first);
    put("c/kustomization.yaml",
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnameSuffix: -c\n");
    EXPECT_NE(digest(spec), first);
}

TEST_F(RebuildTest, KeepsNothingWhereAPathMayChangeWithoutASign) {
    put("a7/y.yaml", config);
    files.erase("a7/x.yaml");
    files.insert_or_assign("a7/x.yaml", File::link("../links/to/it"));
    files.insert_or_assign("links/to", File::link("real"));
    put("links/real/it", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n");
    put("links/other/it", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: e}\n");
    const auto first = digest();
    EXPECT_FALSE(rebuild.keeps_objects());
    files.insert_or_assign("links/to", File::link("other"));
    EXPECT_NE(digest(), first);

    files = many_apps();
    const auto plain = digest();
    EXPECT_TRUE(rebuild.keeps_objects());
    put("a7/.sourceignore", "x.yaml\n");
    put("a7/kustomization.yaml", "resources: [y.yaml]\n");
    EXPECT_NE(digest(), plain);
    EXPECT_FALSE(rebuild.keeps_objects());
}

TEST_F(RebuildTest, KeepsNothingOfASmallTree) {
    files = {{"app/a.yaml", config}};
    digest();
    EXPECT_FALSE(rebuild.keeps_objects());
}

}  // namespace
}  // namespace kled::gitops
