#include "gitops/objects/objects.h"

#include "base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

FoundObject object(const std::string& api_version, const std::string& kind,
                   const std::string& name) {
    kube::Object result;
    result.fields()["apiVersion"] = api_version;
    result.fields()["kind"] = kind;
    result.set_name(name);
    return {.object = std::move(result), .state = {}, .state_namespace = {}};
}

TEST(Kinds, AreNamedAsKubectlTakesThem) {
    for (const auto* word :
         {"Kustomization", "kustomization", "KUSTOMIZATIONS", "kustomizations", "ks", "KS",
          "kustomizations.kustomize.toolkit.fluxcd.io", "ks.kustomize.toolkit.fluxcd.io",
          "Kustomization.v1.kustomize.toolkit.fluxcd.io"})
        EXPECT_THAT(kinds_named(word), ElementsAre("Kustomization")) << word;
    for (const auto* word : {"ImageUpdateAutomation", "imageupdateautomations", "iua", "imgauto"})
        EXPECT_THAT(kinds_named(word), ElementsAre("ImageUpdateAutomation")) << word;
    for (const auto* word : {"gitrepo", "git", "gitrepositories", "GitRepository"})
        EXPECT_THAT(kinds_named(word), ElementsAre("GitRepository")) << word;
    for (const auto* word : {"bucket", "buckets", "Bucket"})
        EXPECT_THAT(kinds_named(word), ElementsAre("Bucket")) << word;
    for (const auto* word : {"source", "Sources"}) {
        EXPECT_THAT(kinds_named(word),
                    ElementsAre("GitRepository", "Bucket", "ExternalArtifact", "OCIRepository"))
            << word;
    }
    for (const auto* word :
         {"", ".", "k", "pods", "kustomizations.apps", "ks.v1", ".kustomize.toolkit.fluxcd.io"})
        EXPECT_THAT(kinds_named(word), IsEmpty()) << word;
}

TEST(Select, TakesAnyNameOfAKindAndListsThemForOneThatIsNone) {
    const std::vector<FoundObject> all{
        object("source.toolkit.fluxcd.io/v1", "GitRepository", "apps"),
        object("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "apps")};
    for (const auto* name :
         {"ks/apps", "Kustomizations/apps", "kustomizations.kustomize.toolkit.fluxcd.io/apps"})
        EXPECT_EQ(select(all, name).object.kind(), "Kustomization") << name;
    EXPECT_EQ(select(all, "sources/apps").object.kind(), "GitRepository");
    const auto refusal = [&](const std::string& name) -> std::string {
        try {
            static_cast<void>(select(all, name));
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_THAT(refusal("pods/apps"),
                AllOf(HasSubstr("there is no kind 'pods'"), HasSubstr("kustomizations (ks)")));
    EXPECT_THAT(refusal("ks/other"), HasSubstr("there is no 'ks/other'"));
    EXPECT_THAT(refusal("apps"), HasSubstr("which one"));
}

}  // namespace
}  // namespace kled::gitops
