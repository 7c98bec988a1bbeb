#include "gitops/source/oci_content.h"

#include "base/error.h"
#include "kube/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

using ::testing::HasSubstr;

const std::string digest = "sha256:" + std::string(64, 'a');

OciRepository repository(const std::string& spec) {
    return OciRepository::from_object(kube::Object::from(
        kube::parse_yaml("apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\n"
                         "metadata: {name: app, namespace: default}\nspec:\n"
                         "  interval: 5m\n" +
                         spec)));
}

std::string failure(const std::string& spec) {
    try {
        (void)repository(spec);
    } catch (const Error& error) {
        return error.what();
    }
    return "none";
}

std::string chosen(const std::string& ref, const std::vector<std::string>& tags) {
    try {
        return repository("  url: oci://example.org/team/app\n  ref: {" + ref + "}\n")
            .ref.choose(tags);
    } catch (const Error& error) {
        return error.what();
    }
}

TEST(OciRepositorySpec, IsReadAsFluxReadsIt) {
    const auto one = repository(
        "  url: oci://example.org:5000/team/app\n  ref: {tag: '1.0'}\n  secretRef: {name: pull}\n"
        "  serviceAccountName: puller\n  certSecretRef: {name: ca}\n  proxySecretRef: {name: p}\n"
        "  layerSelector: {mediaType: application/x, operation: copy}\n  insecure: true\n"
        "  ignore: '*.md'\n  provider: generic\n");
    EXPECT_EQ(one.repository.name(), "example.org:5000/team/app");
    EXPECT_EQ(one.ref.tag, "1.0");
    EXPECT_EQ(one.secrets.ns, "default");
    EXPECT_EQ(one.secrets.pull, "pull");
    EXPECT_EQ(one.secrets.service_account, "puller");
    EXPECT_EQ(one.secrets.certificate, "ca");
    EXPECT_EQ(one.secrets.proxy, "p");
    EXPECT_TRUE(one.layer.copy);
    EXPECT_TRUE(one.insecure);
    EXPECT_EQ(one.timeout, Duration{60'000});
    EXPECT_TRUE(one.unsupported.empty());
    const auto two = repository("  url: oci://example.org/a\n  provider: other\n  verify: {}\n");
    ASSERT_EQ(two.unsupported.size(), 2U);
    EXPECT_EQ(two.unsupported[0].field, "spec.verify without secretRef");
    EXPECT_EQ(two.unsupported[1].field, "spec.provider: other");
    EXPECT_FALSE(two.layer_given);
    const auto three = repository(
        "  url: oci://example.org/a\n  verify: {provider: cosign, secretRef: {name: keys}}\n");
    EXPECT_TRUE(three.unsupported.empty());
    EXPECT_EQ(three.verify, "keys");
    const auto four = repository(
        "  url: oci://example.org/a\n  verify: {provider: notation, secretRef: {name: x},\n"
        "    matchOIDCIdentity: [{issuer: a, subject: b}]}\n");
    ASSERT_EQ(four.unsupported.size(), 2U);
    EXPECT_EQ(four.unsupported[0].field, "spec.verify.provider: notation");
}

TEST(OciRepository, ShowsAnIdentityToRegistriesOfItsCloudOnly) {
    const std::string ecr = "  url: oci://123456789012.dkr.ecr.eu-west-1.amazonaws.com/app\n";
    const auto one = repository(ecr + "  provider: aws\n  serviceAccountName: puller\n");
    EXPECT_TRUE(one.unsupported.empty());
    EXPECT_EQ(one.secrets.cloud, "aws");
    EXPECT_EQ(one.secrets.service_account, "puller");
    EXPECT_EQ(repository(ecr + "  provider: aws\n  secretRef: {name: pull}\n").secrets.cloud, "")
        << "what the Secret has is shown";
    EXPECT_EQ(repository(ecr + "  provider: generic\n").secrets.cloud, "");
    const auto refused = [](const std::string& spec) {
        try {
            (void)repository(spec);
            return std::string{"accepted"};
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::invalid);
            return std::string{error.what()};
        }
    };
    EXPECT_EQ(refused("  url: oci://123456789012.dkr.ecr.eu-west-1.amazonaws.com.example.org/app\n"
                      "  provider: aws\n"),
              "spec.url: is no registry of Amazon: ACCOUNT.dkr.ecr.REGION.amazonaws.com or "
              "public.ecr.aws");
    EXPECT_EQ(refused("  url: oci://shop.azurecr.io:5000/app\n  provider: azure\n"),
              "spec.url: is no registry of Azure: NAME.azurecr.io");
    EXPECT_EQ(refused(ecr + "  provider: aws\n  insecure: true\n"),
              "spec.insecure: is not taken with spec.provider: aws");
    EXPECT_EQ(refused(ecr + "  provider: aws\n  certSecretRef: {name: ca}\n"),
              "spec.certSecretRef: is not taken with spec.provider: aws");
    EXPECT_EQ(refused(ecr + "  provider: aws\n  serviceAccountName: a/b\n"),
              "spec.serviceAccountName: not a name");
}

TEST(OciRepositorySpec, MistakesAreNamed) {
    EXPECT_THAT(failure("  url: https://example.org/a\n"), HasSubstr("begin with oci://"));
    EXPECT_THAT(failure("  url: oci://example.org/a:1.0\n"), HasSubstr("spec.ref says which"));
    EXPECT_THAT(failure("  url: oci://example.org/a@" + digest + "\n"),
                HasSubstr("spec.ref says which"));
    EXPECT_THAT(failure("  url: oci://example.org/../a\n"), HasSubstr("spec.url: "));
    const std::string url = "  url: oci://example.org/a\n";
    EXPECT_THAT(failure(url + "  ref: {digest: 'sha256:1'}\n"), HasSubstr("spec.ref.digest: "));
    EXPECT_THAT(failure(url + "  ref: {tag: '../a'}\n"), HasSubstr("spec.ref.tag: "));
    EXPECT_THAT(failure(url + "  ref: {semver: 'x y'}\n"), HasSubstr("spec.ref.semver: "));
    EXPECT_THAT(failure(url + "  ref: {semver: '1.x', semverFilter: '('}\n"),
                HasSubstr("spec.ref.semverFilter: "));
    EXPECT_THAT(failure(url + "  layerSelector: {operation: move}\n"),
                HasSubstr("neither extract nor copy"));
}

TEST(OciRepositorySpec, TheHighestTagThatFitsIsChosen) {
    const std::vector<std::string> tags{"latest",     "1.0.0", "1.10.0", "1.9.0",
                                        "2.0.0-rc.1", "1.11",  "v1.2.3"};
    EXPECT_EQ(chosen("semver: '1.x'", tags), "1.10.0");
    EXPECT_EQ(chosen("semver: '>=1.0.0-0'", tags), "2.0.0-rc.1");
    EXPECT_EQ(chosen("semver: '>=1.0.0-0', semverFilter: '^v'", tags), "v1.2.3");
    EXPECT_EQ(chosen("semver: '>=3.0.0'", tags), "none of 7 tags fits spec.ref.semver '>=3.0.0'");
    EXPECT_EQ(chosen("semver: '*', semverFilter: '-prod$'", tags),
              "none of 7 tags fits spec.ref.semver '*' and semverFilter");
    EXPECT_EQ(chosen("semver: '*'", {"v1.0.0", "1.0.0"}), "1.0.0");
    EXPECT_EQ(chosen("semver: '*'", {"1.0.0", "v1.0.0"}), "1.0.0") << "in any order";
}

TEST(OciRepositorySpec, ALayerIsSelectedByItsType) {
    oci::Manifest manifest;
    const OciRepository::LayerSelector any;
    EXPECT_THROW((void)any.select(manifest), Error);
    manifest.layers = {{.media_type = "a", .digest = "1", .size = 1},
                       {.media_type = "b", .digest = "2", .size = 1},
                       {.media_type = "b", .digest = "3", .size = 1}};
    EXPECT_EQ(any.select(manifest).digest, "1");
    const OciRepository::LayerSelector second{.media_type = "b"};
    EXPECT_EQ(second.select(manifest).digest, "2");
    const OciRepository::LayerSelector other{.media_type = "c"};
    EXPECT_THROW((void)other.select(manifest), Error);
}

TEST(OciContent, AMemoSaysWhatWasPulled) {
    Pulled pulled{.url = "oci://host/app",
                  .verified = "12ab",
                  .layer = {.media_type = "application/x", .copy = true},
                  .annotations = {{"a\n\nb", "\"ü\""}, {"c", ""}}};
    const auto memo = pulled.to_memo();
    EXPECT_EQ(memo.find('\n'), std::string::npos);
    const auto again = Pulled::from_memo(memo);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->url, pulled.url);
    EXPECT_EQ(again->verified, pulled.verified);
    EXPECT_EQ(again->layer, pulled.layer);
    EXPECT_EQ(again->annotations, pulled.annotations);
    for (const auto* bad : {"", "{}", "[]", "apps/a.yaml etag\n", R"({"annotations":{}})"})
        EXPECT_FALSE(Pulled::from_memo(bad)) << bad;
    pulled.annotations["long"] = std::string(Pulled::annotations_limit, 'x');
    EXPECT_THROW((void)pulled.to_memo(), Error);
}

TEST(OciContent, RulesAreForWhatIsExtracted) {
    const Pulled extracted;
    const auto one = extracted.shape({.name = "x", .commit = {}, .tree = {}}, "*.md");
    EXPECT_FALSE(one.whole);
    EXPECT_EQ(one.ignore, "*.md");
    const Pulled copied{.url = {}, .verified = {}, .layer = {.copy = true}, .annotations = {}};
    const auto two = copied.shape({.name = "x", .commit = {}, .tree = {}}, "*.md");
    EXPECT_TRUE(two.whole);
    EXPECT_EQ(two.ignore, "");
}

TEST(OciContent, ARevisionHasTheTagAndTheDigest) {
    EXPECT_EQ(artifact_revision("1.0", digest), "1.0@" + digest);
    EXPECT_EQ(artifact_revision("", digest), digest);
    EXPECT_TRUE(is_revision_of("1.0@" + digest, digest));
    EXPECT_TRUE(is_revision_of(digest, digest));
    EXPECT_FALSE(is_revision_of("x" + digest, digest));
    EXPECT_FALSE(is_revision_of("1.0@sha256:" + std::string(64, 'b'), digest));
}

}  // namespace
}  // namespace kled::gitops
